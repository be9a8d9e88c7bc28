"""The top bar: the fleet in one line, the console's own link, the time."""

from textual.content import Content

from console import figures
from console.armed import Armed
from console.look import Look, Mode
from console.model import FleetView, Freshness, Link, LinkState
from console.past.player import Place
from console.scene import Scene
from console.signs import LAG_SIGNS, LINK_SIGNS, Tone
from console.views.cell import Cell, cell, line
from console.views.drawn import Drawn
from console.views.regions import rate_cells

GAP = "   "
SCRUB = 16  # cells of the bar of the past
WORLD_FROM = 96  # cells from which the world is named


class TopBar(Drawn):
    """World, totals, worst lag on the left; link and clock on the right."""

    def __init__(self, world: str) -> None:
        super().__init__(name="top")
        self._world = world

    def show(self, look: Look, scene: Scene, armed: Armed | None) -> None:
        """Draw the bar."""
        view, place = look.view, scene.place
        if place is not None:
            right = past_cells(place)
        elif look.mode is Mode.FROZEN:
            right = [
                cell(f"◫ FROZEN for {figures.age(scene.held_ms)}", Tone.WARN),
                cell(GAP),
                cell(figures.clock(look.wall_ms), Tone.STRONG),
            ]
        else:
            right = [
                *link_cells(view.link, view.now_ms),
                cell(GAP),
                cell(figures.clock(look.wall_ms), Tone.STRONG),
            ]
        if look.mode is not Mode.LIVE:
            right = [*now_cells(scene.live()), *right]
        if armed is not None:
            left_ms = max(0, armed.until_ms - scene.steady_ms())
            right = [cell(f"✎ ARMED {figures.age(left_ms)}", Tone.BAD), cell(GAP), *right]
        width = self.content_size.width
        title = [cell("jetrelay", Tone.STRONG)]
        if width >= WORLD_FROM and armed is None:
            title.append(cell(f"  {self._world}", Tone.MUTED, 32))
        if look.region:
            title.append(cell(f"  only {look.region}", Tone.WARN, 24))
        self.say(bar(width, [title, *total_groups(view)], right))


def now_cells(view: FleetView) -> list[Cell]:
    """What may not be missed while another time is drawn than now."""
    if view.link.state is LinkState.LOST:
        return [cell("now ✗ link lost", Tone.BAD), cell(GAP)]
    pages = sum(
        (each.state, each.severity) == ("firing", "page") and not each.acked_by
        for each in view.alerts
    )
    return [cell(f"now {pages} paging", Tone.BAD), cell(GAP)] if pages else []


def past_cells(place: Place) -> list[Cell]:
    """Where in the past it is: the time, how fast it goes, and a bar of what is kept."""
    extent = place.extent
    whole = max(1, extent.last_ms - extent.first_ms)
    at = round((place.at_ms - extent.first_ms) / whole * (SCRUB - 1))
    at = max(0, min(at, SCRUB - 1))
    scrub = "─" * at + "●" + "─" * (SCRUB - 1 - at)
    goes = "…" if place.busy else "▶" if place.playing else "❚❚"
    return [
        cell(f"REPLAY {figures.moment(place.at_ms)}", Tone.STRONG),
        cell(f"  {goes} {place.speed}×", Tone.WARN),
        cell(f"  ▕{scrub}▏", Tone.MUTED),
    ]


def total_groups(view: FleetView) -> list[list[Cell]]:
    """The fleet's figures, the one that is left out last first."""
    # What nobody says any more was so a moment ago.
    said = any(region.freshness is Freshness.LIVE for region in view.regions)
    tone = Tone.PLAIN if said else Tone.MUTED
    _, events_out, publishes = rate_cells(view.rates, tone)
    return [
        [cell(figures.count(view.connections), tone), cell(" connections", Tone.MUTED)],
        worst_cells(view),
        [events_out, cell(" out/s", Tone.MUTED)],
        [publishes, cell(" pub/s", Tone.MUTED)],
    ]


def worst_cells(view: FleetView) -> list[Cell]:
    """The largest mirror lag and its pair."""
    lag = view.worst_lag
    if lag is None:
        return [cell("lag ", Tone.MUTED), cell(figures.NONE, Tone.MUTED)]
    sign = LAG_SIGNS[lag.level]
    return [
        cell("lag ", Tone.MUTED),
        cell(f"{sign.glyph} {figures.duration(lag.lag_ms)}".strip(), sign.tone),
        cell(f" {lag.region}←{lag.origin}", Tone.MUTED, 24),
    ]


def link_cells(link: Link, now_ms: int) -> list[Cell]:
    """The console's own link: a word, a glyph, and since when it is lost."""
    sign = LINK_SIGNS[link.state]
    if link.state is LinkState.LOST:
        return [cell(f"{sign.glyph} {sign.word} {figures.age(now_ms - link.since_ms)}", sign.tone)]
    return [cell(f"{sign.glyph} {sign.word} {link.via}".rstrip(), sign.tone, 24)]


def bar(width: int, groups: list[list[Cell]], right: list[Cell]) -> Content:
    """As many of `groups` as fit, in order, then `right` at the right edge."""
    end = sum(len(piece.text) for piece in right)
    cells: list[Cell] = []
    used = 0
    for group in groups:
        gap = len(GAP) if cells else 0
        size = gap + sum(len(piece.text) for piece in group)
        if cells and used + size + len(GAP) + end > width:
            break
        cells += [cell(GAP), *group] if gap else group
        used += size
    return line(*cells, cell(" " * max(1, width - used - end), limit=max(1, width)), *right)
