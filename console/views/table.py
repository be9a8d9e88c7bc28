"""A table that draws only the lines in sight: ten rows or ten thousand cost the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.signs import Tone
from console.views.cell import Cell, cell
from console.views.drawn import Titled

MAX_GAP = 3
BASE, HEAD = "base", "head"  # styles that are no cell's tone


@dataclass(frozen=True, slots=True)
class Column:
    """A column of fixed width; where the table is too narrow, the largest `rank` goes first."""

    title: str
    width: int
    right: bool = False
    rank: int = 0  # 0: always there
    field: str = ""  # the figure it shows, by which rows are sorted; empty: they are not
    grows: bool = False  # whether it takes what room is left


def fit(columns: Sequence[Column], width: int) -> tuple[tuple[int, ...], int]:
    """The indexes of the columns that fit into `width` cells, and the gap between them."""
    kept = list(range(len(columns)))

    def needed() -> int:
        return sum(columns[at].width for at in kept) + len(kept) - 1

    while needed() > width and any(columns[at].rank for at in kept):
        kept.remove(max(kept, key=lambda at: (columns[at].rank, at)))
    spare = max(0, width - needed()) // max(1, len(kept) - 1)
    return tuple(kept), 1 + min(spare, MAX_GAP - 1)


class RowTable(ScrollView, Titled, can_focus=True):
    """Rows that a function makes, cell by cell, when they come into sight.

    Args:
        columns: what each row has.
        name: the widget's id.
        cursor: whether one row is the one that is meant, and moves with the keys.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "row-table--head",
        "row-table--cursor",
        *(f"row-table--{tone.value}" for tone in Tone),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
        Binding("pageup", "move_page(-1)", "a page up", show=False),
        Binding("pagedown", "move_page(1)", "a page down", show=False),
        Binding("home", "move_to(0)", "first", show=False),
        Binding("end", "move_to(-1)", "last", show=False),
        Binding("enter", "choose", "open", show=False),
    ]
    HEADER_LINES = 1

    class Chosen(Message):
        """The row at the cursor is to be opened."""

        def __init__(self, table: "RowTable") -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> "RowTable":
            """The table."""
            return self.table

    def __init__(self, columns: Sequence[Column], *, name: str, cursor: bool = False) -> None:
        super().__init__(id=name)
        self.columns = tuple(columns)
        self.cursor = 0 if cursor else -1  # index of a row; -1: there is none
        self._count = 0
        self._row: Callable[[int], Sequence[Cell]] = lambda _at: ()
        self._widths: dict[int, int] = {}  # of the columns that are drawn, by their index
        self._gap = 1
        self._room = 0  # cells, when the columns were measured
        self._had = Size(0, 0)  # when it was laid out last
        self._sight: dict[int, Sequence[Cell]] = {}  # rows as they stand on the screen
        self._brushes: dict[bool, Mapping[str, Style]] = {}  # of the cursor's line, of others

    @property
    def count(self) -> int:
        """Rows."""
        return self._count

    def cells(self, at: int) -> Sequence[Cell]:
        """The cells of a row."""
        return self._row(at)

    def show(self, count: int, row: Callable[[int], Sequence[Cell]]) -> None:
        """Draw `count` rows; `row(at)` gives a row's cells, one for each column."""
        self._row = row
        if self._brushes and self._brush(cursor=False)[BASE] != self.rich_style:
            self._brushes.clear()
        before, cursor = self._sight, self.cursor
        if cursor >= 0:
            self.cursor = max(0, min(cursor, count - 1))
        # A scroll bar that comes or goes changes the room, without a resize.
        if count != self._count or self._space.width != self._room:
            self._count = count
            self._measure()
            return
        top = self.scroll_offset.y
        self._sight = {at: row(at) for at in range(top, min(count, top + self._page))}
        for at, cells in self._sight.items():
            if before.get(at) != cells:
                self._refresh_row(at)
        if cursor != self.cursor:
            self._refresh_row(cursor)
            self._refresh_row(self.cursor)

    def _refresh_row(self, at: int) -> None:
        self.refresh_line(at + self.HEADER_LINES)

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Change the columns; does nothing if they are the same."""
        if tuple(columns) != self.columns:
            self.columns = tuple(columns)
            self._measure()

    def on_resize(self) -> None:
        """Fit the columns anew, if there is other room than before."""
        if self._space.width != self._room:
            self._measure()

    def _measure(self) -> None:
        room = self._room = self._space.width
        kept, gap = fit(self.columns, room)
        growing = [at for at in kept if self.columns[at].grows]
        gap = 1 if growing else gap
        widths = {at: self.columns[at].width for at in kept}
        width = sum(widths.values()) + gap * max(0, len(kept) - 1)
        for at in growing[:1]:
            widths[at] += max(0, room - width)
            width = max(width, room)
        self._widths, self._gap = widths, gap
        self._sight = {}
        self.virtual_size = Size(width, self._count + self.HEADER_LINES)
        self.refresh()

    # --- the cursor ----------------------------------------------------------------------------

    def move_to(self, at: int) -> None:
        """Put the cursor on a row, and show it."""
        self._refresh_row(self.cursor)
        self.cursor = max(0, min(at, self._count - 1))
        self._refresh_row(self.cursor)
        self.show_cursor()

    def show_cursor(self) -> None:
        """Scroll until the cursor's row is in sight."""
        page = self._page
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + page:
            self.scroll_to(y=self.cursor - page + 1, animate=False)

    @property
    def _page(self) -> int:
        return max(1, self._space.height - self.HEADER_LINES)

    @property
    def _space(self) -> Size:
        """Cells for header and rows; a table that was hidden has what it had, until it is laid
        out.
        """
        space = self.scrollable_content_region.size
        if space:
            self._had = space
        return self._had

    def action_move(self, rows: int) -> None:
        """Move the cursor, or scroll where there is none."""
        if self.cursor >= 0:
            self.move_to(self.cursor + rows)
        else:
            self.scroll_relative(y=rows, animate=False)

    def action_move_page(self, pages: int) -> None:
        """Move by pages."""
        self.action_move(pages * self._page)

    def action_move_to(self, at: int) -> None:
        """Go to a row, counted from the end if it is negative."""
        if self.cursor >= 0:
            self.move_to(at if at >= 0 else self._count + at)
        else:
            self.scroll_to(y=0 if at >= 0 else self._count, animate=False)

    def action_choose(self) -> None:
        """Open the row at the cursor."""
        if 0 <= self.cursor < self._count:
            self.post_message(self.Chosen(self))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where it was clicked; a second click opens."""
        at = event.get_content_offset(self)
        if self.cursor < 0 or at is None or at.y < self.HEADER_LINES:
            return
        row = at.y - self.HEADER_LINES + self.scroll_offset.y
        if row < self._count:
            self.move_to(row)
            if event.chain == 2:
                self.action_choose()

    def notify_style_update(self) -> None:
        """Colours are others than before."""
        self._brushes.clear()
        super().notify_style_update()

    # --- drawing -------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Line `y` of what is in sight: the header stays on top while rows scroll."""
        scroll_x, scroll_y = self.scroll_offset
        width = self.size.width
        at = y - self.HEADER_LINES + scroll_y
        marked = (
            at == self.cursor and self.has_focus and y >= self.HEADER_LINES and at < self._count
        )
        brush = self._brush(cursor=marked)
        if y < self.HEADER_LINES:
            segments = self._draw([cell(c.title, Tone.MUTED) for c in self.columns], brush, HEAD)
        elif at < self._count:
            segments = self._draw(self._sight.get(at) or self._row(at), brush)
        else:
            segments = []
        return Strip(segments).crop_extend(scroll_x, scroll_x + width, brush[BASE])

    def _brush(self, *, cursor: bool) -> Mapping[str, Style]:
        """The styles of a line, with its background: for each tone, for the head, for the rest."""
        brush = self._brushes.get(cursor)
        if brush is None:
            base = self.rich_style
            if cursor:
                base += self.get_component_rich_style("row-table--cursor", partial=True)
            brush = {BASE: base}
            for name in (HEAD, *(tone.value for tone in Tone)):
                component = self.get_component_rich_style(f"row-table--{name}", partial=True)
                brush[name] = base + component
            self._brushes[cursor] = brush
        return brush

    def _draw(
        self, cells: Sequence[Cell], brush: Mapping[str, Style], name: str = ""
    ) -> list[Segment]:
        """The cells; `name`: of the style of all of them, instead of each one's tone."""
        segments: list[Segment] = []
        for at, width in self._widths.items():
            if segments:
                segments.append(Segment(" " * self._gap, brush[BASE]))
            drawn = cells[at]
            style = brush[name or drawn.tone.value]
            segments.append(_fill(drawn.text, width, style, right=self.columns[at].right))
        return segments


def _fill(text: str, width: int, style: Style, *, right: bool) -> Segment:
    taken = cell_len(text)
    if taken > width:
        text = set_cell_size(text, width - 1) + "…"
    elif right:
        text = " " * (width - taken) + text
    else:
        text += " " * (width - taken)
    return Segment(text, style)
