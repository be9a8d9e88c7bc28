"""The mirror lag matrix, in ms: a row's region reads what a column's region stored."""

from collections.abc import Sequence

from console import figures
from console.look import Look
from console.model import FleetView, LagCell, LagLevel
from console.signs import LAG_SIGNS, Tone
from console.views.cell import Cell, cell
from console.views.table import Column, RowTable

STALE_MS = 3_000
NAME_WIDTH = 9
CELL_WIDTH = 8
NARROW_FROM = 7  # so many regions and more get narrow columns
NARROW_WIDTH = 7
SHORT = {"diverged": "forked"}  # what a cell has no room for


def columns(origins: Sequence[str]) -> tuple[Column, ...]:
    """The reader's name and a column for each origin."""
    width = CELL_WIDTH if len(origins) < NARROW_FROM else NARROW_WIDTH
    return (
        Column("reads →", NAME_WIDTH),
        *(Column(cell(origin, limit=width).text, width, right=True) for origin in origins),
    )


def natural_width(regions: int) -> int:
    """Cells that the matrix of so many regions takes, without its border."""
    width = CELL_WIDTH if regions < NARROW_FROM else NARROW_WIDTH
    return NAME_WIDTH + regions * (width + 1)


class LagMatrix(RowTable):
    """Rows read columns."""

    def __init__(self) -> None:
        super().__init__((), name="lag")
        self.border_title = "Mirror lag, ms"

    def show_look(self, look: Look) -> None:
        """Draw the lag of every ordered pair."""
        view = look.view
        names = [region.name for region in view.regions]
        self.set_columns(columns(names))
        self.show(len(names), lambda at: lag_row(view, names[at], names))


def lag_row(view: FleetView, reader: str, origins: Sequence[str]) -> Sequence[Cell]:
    """The cells of one reader."""
    return (cell(reader, Tone.STRONG), *(matrix_cell(view.lag[o, reader]) for o in origins))


def matrix_cell(lag: LagCell) -> Cell:
    """A pair's lag. A region's own events show only when they are late at home."""
    home = lag.origin == lag.region
    if home and lag.level in {LagLevel.OK, LagLevel.NONE}:
        return cell("·", Tone.MUTED)
    if lag.broken:
        return cell(f"✗ {SHORT.get(lag.mirror or '', lag.mirror)}", Tone.BAD)
    if lag.lag_ms is None:
        return cell(figures.NONE, Tone.MUTED)
    sign = LAG_SIGNS[lag.level]
    stale = lag.age_ms is None or lag.age_ms > STALE_MS
    text = f"{sign.glyph} {figures.duration(lag.lag_ms)}".strip()
    return cell(text, Tone.MUTED if stale else sign.tone)
