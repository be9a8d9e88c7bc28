"""A table that draws only the lines in sight: ten rows or ten thousand cost the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.signs import Tone
from console.views.cell import Cell, cell

MAX_GAP = 3


@dataclass(frozen=True, slots=True)
class Column:
    """A column of fixed width; where the table is too narrow, the largest `rank` goes first."""

    title: str
    width: int
    right: bool = False
    rank: int = 0  # 0: always there


def fit(columns: Sequence[Column], width: int) -> tuple[tuple[int, ...], int]:
    """The indexes of the columns that fit into `width` cells, and the gap between them."""
    kept = list(range(len(columns)))

    def needed() -> int:
        return sum(columns[at].width for at in kept) + len(kept) - 1

    while needed() > width and any(columns[at].rank for at in kept):
        kept.remove(max(kept, key=lambda at: (columns[at].rank, at)))
    spare = max(0, width - needed()) // max(1, len(kept) - 1)
    return tuple(kept), 1 + min(spare, MAX_GAP - 1)


class RowTable(ScrollView, can_focus=True):
    """Rows that a function makes, cell by cell, when they come into sight."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "row-table--head",
        *(f"row-table--{tone.value}" for tone in Tone),
    }
    HEADER_LINES = 1

    def __init__(self, columns: Sequence[Column], *, name: str) -> None:
        super().__init__(id=name)
        self._columns = tuple(columns)
        self._count = 0
        self._row: Callable[[int], Sequence[Cell]] = lambda _at: ()
        self._fitted: tuple[tuple[int, ...], int] = ((), 1)

    def show(self, count: int, row: Callable[[int], Sequence[Cell]]) -> None:
        """Draw `count` rows; `row(at)` gives a row's cells, one for each column."""
        self._row = row
        if count != self._count:
            self._count = count
            self._measure()
        self.refresh()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Change the columns; does nothing if they are the same."""
        if tuple(columns) != self._columns:
            self._columns = tuple(columns)
            self._measure()

    def on_resize(self) -> None:
        """Fit the columns anew."""
        self._measure()

    def _measure(self) -> None:
        self._fitted = fit(self._columns, self.scrollable_content_region.width)
        kept, gap = self._fitted
        width = sum(self._columns[at].width for at in kept) + gap * max(0, len(kept) - 1)
        self.virtual_size = Size(width, self._count + self.HEADER_LINES)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Line `y` of what is in sight: the header stays on top while rows scroll."""
        scroll_x, scroll_y = self.scroll_offset
        width = self.size.width
        at = y - self.HEADER_LINES + scroll_y
        if y < self.HEADER_LINES:
            segments = self._draw([cell(c.title, Tone.MUTED) for c in self._columns], head=True)
        elif at < self._count:
            segments = self._draw(self._row(at))
        else:
            segments = []
        base = self.rich_style
        strip = Strip(segments).crop_extend(scroll_x, scroll_x + width, base)
        return strip.apply_style(base)

    def _draw(self, cells: Sequence[Cell], *, head: bool = False) -> list[Segment]:
        kept, gap = self._fitted
        segments: list[Segment] = []
        for place, at in enumerate(kept):
            if place:
                segments.append(Segment(" " * gap))
            column, drawn = self._columns[at], cells[at]
            name = "head" if head else drawn.tone.value
            style = self.get_component_rich_style(f"row-table--{name}", partial=True)
            segments.append(_fill(drawn.text, column, style))
        return segments


def _fill(text: str, column: Column, style: Style) -> Segment:
    width = cell_len(text)
    if width > column.width:
        text = set_cell_size(text, column.width - 1) + "…"
    elif column.right:
        text = " " * (column.width - width) + text
    else:
        text += " " * (column.width - width)
    return Segment(text, style)
