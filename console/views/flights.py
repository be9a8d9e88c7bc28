"""What is published in one region, and comes out of the doors of another one: canaries."""

from collections.abc import Mapping, Sequence

from console import figures
from console.look import Look
from console.model import Freshness
from console.model.opinions import nearest
from console.signs import Tone
from console.views.cell import Cell, cell, line
from console.views.lag import NAME_WIDTH, NARROW_WIDTH
from console.views.streams import NOBODY
from console.views.table import Column, RowTable
from regions.news import FlightNews

TITLE = "Canaries: ms, and how long ago"
WIDTH = 10  # of a cell with its age
LATE_MS = 12_000  # doors are tried every 5 s: two canaries did not arrive
OLD_MS = 8_000

Pairs = Mapping[tuple[str, str], FlightNews]


class FlightMatrix(RowTable):
    """Rows are where something is published, columns where it comes out."""

    def __init__(self) -> None:
        super().__init__((), name="flights")

    def show_look(self, look: Look) -> None:
        """Draw every ordered pair, as one keeper saw it."""
        keeper = nearest(look.view)
        said = [] if keeper is None else keeper.news.flights
        pairs = {(each.origin, each.region): each for each in said}
        names = [
            region.name
            for region in look.view.regions
            if any(region.name in pair for pair in pairs)
        ]  # fmt: skip
        wide = NAME_WIDTH + len(names) * (WIDTH + 1)
        narrow = wide > self.scrollable_content_region.width
        width = NARROW_WIDTH if narrow else WIDTH
        self.set_columns(
            (
                Column("from \\ to", NAME_WIDTH),
                *(Column(cell(name, limit=width).text, width, right=True) for name in names),
            )
        )
        age_ms = 0 if keeper is None else keeper.age_ms
        if keeper is not None and keeper.freshness is Freshness.GONE:
            pairs = {}  # the names stay
        self.show(len(names), lambda at: flight_row(pairs, names[at], names, age_ms, narrow=narrow))
        foot = NOBODY
        if keeper is not None:
            foot = f"of the keeper of {keeper.name}" if said else "none fly: jetrelay keeper --try"
            foot += f", {figures.age(keeper.age_ms)} ago" if keeper.age_ms > OLD_MS else ""
        self.entitle(line(cell(TITLE)), line(cell(foot, Tone.MUTED, 60)))


def flight_row(
    pairs: Pairs, origin: str, regions: Sequence[str], age_ms: int, *, narrow: bool
) -> Sequence[Cell]:
    """The cells of one origin.

    Args:
        pairs: all flights that are known, by origin and region.
        origin: of the row.
        regions: of the columns.
        age_ms: since that was said.
        narrow: whether there is no room for how old each is.
    """
    cells = (flight_cell(pairs.get((origin, each)), age_ms, narrow=narrow) for each in regions)
    return (cell(origin, Tone.STRONG), *cells)


def flight_cell(flight: FlightNews | None, age_ms: int, *, narrow: bool) -> Cell:
    """How long the newest took, and how long ago it came; or since when none did."""
    if flight is None:
        return cell(figures.NONE, Tone.MUTED)
    ago = figures.age(flight.age_ms + age_ms)
    if flight.age_ms > LATE_MS:
        return cell(f"✗ {ago}", Tone.BAD)
    if flight.took_ms is None:
        return cell(figures.NONE, Tone.MUTED)
    took = figures.duration(flight.took_ms)
    text = took if narrow else f"{took} · {ago}"
    return cell(text, Tone.MUTED if age_ms > OLD_MS else Tone.PLAIN)
