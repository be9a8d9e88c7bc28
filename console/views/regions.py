"""The regions: a card each where there is room, else a line each."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from console import figures
from console.look import Look, Subject
from console.model import Freshness, LagCell, Rates, RegionView
from console.model.fields import REGION_FIELDS
from console.model.lost import FULL
from console.signs import LAG_SIGNS, Tone, region_sign
from console.views.cell import Cell, cell, line, sign_cell
from console.views.drawn import Drawn
from console.views.listing import Listing
from console.views.spark import spark
from console.views.table import Column

CARD_WIDTH = 30  # the narrowest card
CARD_HEIGHT = 7
SPARK_LINE = 20  # width of the sparkline in a line

COLUMNS = (
    Column("region", 8, field="name"),
    Column("state", 10, field="state"),
    Column("edges", 5, right=True, field="ready"),
    Column("conns", 7, right=True, field="connections"),
    Column("in/s", 6, right=True, rank=3),
    Column("out/s", 6, right=True, field="out"),
    Column("pub/s", 6, right=True, rank=4, field="publishes"),
    Column("if lost", 7, right=True, rank=3, field="lost"),
    Column("lag ms", 8, right=True, field="lag"),
    Column("out/s, last 20 s", SPARK_LINE, rank=2),
    Column("why", 20, rank=1),
)


def value_tone(freshness: Freshness) -> Tone:
    """Values that are no longer live are dimmed."""
    return Tone.PLAIN if freshness is Freshness.LIVE else Tone.MUTED


def lag_cell(lag: LagCell | None, freshness: Freshness) -> Cell:
    """The figure of a lag with its glyph."""
    if lag is None or lag.lag_ms is None:
        return cell(figures.NONE, Tone.MUTED)
    sign = LAG_SIGNS[lag.level]
    tone = sign.tone if freshness is Freshness.LIVE else Tone.MUTED
    return cell(f"{sign.glyph} {figures.duration(lag.lag_ms)}".strip(), tone)


def lost_cell(share: float | None) -> Cell:
    """How full the others would be: red where their room would not do."""
    if share is None:
        return cell(figures.NONE, Tone.MUTED)
    tone = Tone.BAD if share > 1 else Tone.WARN if share > FULL else Tone.PLAIN
    return cell(figures.percent(share), tone)


def ready(region: RegionView) -> str:
    """`3/4`: the edges that are ready, of all that are known."""
    known = figures.NONE if region.freshness is Freshness.GONE else str(region.ready)
    return f"{known}/{len(region.edges)}"


def rate_cells(rates: Rates | None, tone: Tone) -> tuple[Cell, Cell, Cell]:
    """Events in, events out and publishes, per second."""
    if rates is None:
        unknown = cell(figures.NONE, Tone.MUTED)
        return unknown, unknown, unknown
    return (
        cell(figures.rate(rates.events_in), tone),
        cell(figures.rate(rates.events_out), tone),
        cell(figures.rate(rates.publishes), tone),
    )


def history(region: RegionView, now_ms: int, seconds: int) -> str:
    """The sparkline of the last full `seconds`."""
    return spark(region.history.window(now_ms // 1000 - 1, seconds))


class RegionCard(Drawn):
    """One region: its sums, the last minute as a sparkline, and why it is not ok."""

    def __init__(self) -> None:
        super().__init__(classes="card")

    def show(self, region: RegionView, now_ms: int) -> None:
        """Draw `region`."""
        width = max(8, self.content_size.width)
        sign = region_sign(region.state)
        title = line(cell(f"{sign.glyph} ", sign.tone), cell(region.name, Tone.STRONG, 16))
        state = line(cell(sign.word, sign.tone))
        body = Content("\n").join(self._lines(region, now_ms, width))
        self.entitle(title, state)
        self.set_class(region.freshness is Freshness.GONE, "gone")
        self.set_class(sign.tone is Tone.BAD, "bad")
        self.set_class(sign.tone is Tone.WARN, "warn")
        self.say(body)

    def _lines(self, region: RegionView, now_ms: int, width: int) -> list[Content]:
        tone = value_tone(region.freshness)
        events_in, events_out, publishes = rate_cells(region.rates, tone)
        return [
            _spread(
                width,
                (cell("connections ", Tone.MUTED), cell(figures.count(region.connections), tone)),
                (cell("edges ", Tone.MUTED), cell(ready(region), tone)),
            ),
            _spread(
                width,
                (cell("in ", Tone.MUTED), events_in),
                (cell("out ", Tone.MUTED), events_out),
                (cell("pub ", Tone.MUTED), publishes),
            ),
            line(cell(history(region, now_ms, width), Tone.TREND, width)),
            line(
                cell("if lost, others ", Tone.MUTED),
                lost_cell(region.if_lost),
                cell(" full", Tone.MUTED),
            ),
            line(*self._last_line(region, tone, width)),
        ]

    def _last_line(self, region: RegionView, tone: Tone, width: int) -> tuple[Cell, ...]:
        if region.freshness is Freshness.GONE:
            return (cell(_silence(region), Tone.WARN, width),)
        if region.reason:
            return (cell(region.reason, Tone.WARN, width),)
        if region.lag is None:
            return (cell("mirror lag ", Tone.MUTED), cell(figures.NONE, Tone.MUTED))
        return (
            cell("mirror lag ", Tone.MUTED),
            lag_cell(region.lag, region.freshness),
            cell(f" ms from {region.lag.origin}", Tone.MUTED, width - 18),
        )


class RegionCards(Container):
    """The cards in a row."""

    def compose(self) -> ComposeResult:
        """Nothing until the first view."""
        yield from ()

    def show(self, look: Look) -> None:
        """Draw every region; cards appear as regions become known."""
        view = look.view
        cards = list(self.query(RegionCard))
        for card in cards[len(view.regions) :]:
            card.remove()
        missing = [RegionCard() for _ in range(len(view.regions) - len(cards))]
        if missing:
            self.mount(*missing)
        for card, region in zip([*cards, *missing], view.regions, strict=False):
            card.show(region, view.now_ms)


class RegionLines(Listing[RegionView]):
    """One line for each region."""

    def __init__(self) -> None:
        self._now_ms = 0
        super().__init__(
            "Regions",
            COLUMNS,
            REGION_FIELDS,
            lambda region: _region_row(region, self._now_ms),
            lambda region: region.name,
            name="region-lines",
        )

    @property
    def subject(self) -> Subject | None:
        """The region at the cursor."""
        region = self.current
        return None if region is None else Subject("region", region.name, region.name)

    def show_look(self, look: Look) -> None:
        """Draw every region."""
        self._now_ms = look.view.now_ms
        self.show_items(region for region in look.view.regions if look.wants(region.name))


def _region_row(region: RegionView, now_ms: int) -> Sequence[Cell]:
    tone = value_tone(region.freshness)
    why = _silence(region) if region.freshness is Freshness.GONE else region.reason
    return (
        cell(region.name, Tone.STRONG),
        sign_cell(region_sign(region.state)),
        cell(ready(region), tone),
        cell(figures.count(region.connections), tone),
        *rate_cells(region.rates, tone),
        lost_cell(region.if_lost),
        lag_cell(region.lag, region.freshness),
        cell(history(region, now_ms, SPARK_LINE), Tone.TREND),
        cell(why, Tone.WARN),
    )


def _silence(region: RegionView) -> str:
    if region.age_ms is None:
        return region.reason
    return f"{region.reason}, last heard {figures.age(region.age_ms)} ago"


def _spread(width: int, *groups: tuple[Cell, ...]) -> Content:
    """Groups of cells with the spare width between them."""
    used = sum(len(piece.text) for group in groups for piece in group)
    gaps = len(groups) - 1
    spare = max(gaps, width - used)
    cells: list[Cell] = list(groups[0])
    for at, group in enumerate(groups[1:]):
        cells += [cell(" " * (spare * (at + 1) // gaps - spare * at // gaps), limit=width), *group]
    return line(*cells)
