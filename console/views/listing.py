"""A table of things with named figures: it filters, sorts, and knows what the cursor stands on."""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from console.signs import Tone
from console.views.cell import Cell, cell, line
from console.views.table import Column, RowTable
from relay.core.query import Field, Query, Value, field_named, parse_query

T = TypeVar("T")

UP, DOWN = "▲", "▼"


class Listing(RowTable, Generic[T]):
    """Rows made of things.

    Args:
        title: of the table.
        columns: a column with a `field` can be sorted by.
        fields: the figures by which things are filtered and sorted.
        row: the cells of a thing, one for each column.
        key: what names a thing: the cursor stays on it, if it follows.
        name: the widget's id.
    """

    def __init__(
        self,
        title: str,
        columns: Sequence[Column],
        fields: Sequence[Field[T]],
        row: Callable[[T], Sequence[Cell]],
        key: Callable[[T], object],
        *,
        name: str,
    ) -> None:
        super().__init__(columns, name=name, cursor=True)
        self.title = title
        self.fields = {field.name: field for field in fields}
        self.items: Sequence[T] = ()
        self.following = False
        self.hint = ""  # what the line says in which a filter is typed; empty: as usual
        self._draw_row = row
        self._key = key
        self._query: Query[T] | None = None
        self._sorted = ""  # field; empty: as they come
        self._rising = False
        self._note = ""

    @property
    def current(self) -> T | None:
        """The thing at the cursor."""
        return self.items[self.cursor] if 0 <= self.cursor < len(self.items) else None

    @property
    def filter(self) -> str:
        """The query that things have to match; empty: all are shown."""
        return "" if self._query is None else self._query.text

    def set_filter(self, text: str) -> None:
        """Show only what matches.

        Raises:
            QueryError: it is no query.
        """
        self._query = parse_query(text, self.fields.values()) if text.strip() else None

    def sort_next(self) -> None:
        """Sort by the next column, or as things come after the last one."""
        names = ["", *(column.field for column in self.columns if column.field)]
        at = names.index(self._sorted) if self._sorted in names else 0
        self._sorted = names[(at + 1) % len(names)]
        self._rising = bool(self._sorted) and self.fields[self._sorted].unit == "text"

    def sort_by(self, name: str) -> None:
        """Sort by a field: texts from A, numbers the largest first.

        Raises:
            QueryError: there is no such field.
        """
        self._sorted = field_named(name, self.fields.values()).name
        self._rising = self.fields[self._sorted].unit == "text"

    def sort_other_way(self) -> None:
        """Turn the order."""
        self._rising = not self._rising

    def show_items(self, things: Iterable[T], note: str = "") -> None:
        """Draw things; `note` stands at the table's foot."""
        found = list(things)
        total = len(found)
        found = self._chosen(found)
        followed = self.current if self.following else None
        self.items = found
        heading = self._heading(len(found), total)
        self.entitle(line(cell(heading, limit=100)), line(cell(note, Tone.MUTED, 100)))
        self.show(len(found), lambda at: self._draw_row(found[at]))
        if followed is not None:
            self._follow(self._key(followed))

    def _chosen(self, things: list[T]) -> list[T]:
        if self._query is not None:
            things = [thing for thing in things if self._query.matches(thing)]
        return self._in_order(things) if self._sorted else things

    def _in_order(self, things: list[T]) -> list[T]:
        get = self.fields[self._sorted].get
        known = [thing for thing in things if get(thing) is not None]
        unknown = [thing for thing in things if get(thing) is None]
        known.sort(key=lambda thing: _sortable(get(thing)), reverse=not self._rising)
        return known + unknown

    def _follow(self, key: object) -> None:
        for at, thing in enumerate(self.items):
            if self._key(thing) == key:
                if at != self.cursor:
                    self.move_to(at)
                else:  # what was added before it is laid out by now
                    self.show_cursor()
                return

    def _heading(self, shown: int, total: int) -> str:
        count = f"{shown:,}" if shown == total else f"{shown:,} of {total:,}"
        parts = [f"{self.title} ({count})" if total else self.title]
        if self.filter:
            parts.append(f"/{self.filter}")
        if self._sorted:
            parts.append(f"{self._sorted} {UP if self._rising else DOWN}")
        if self.following:
            parts.append("following")
        return " · ".join(parts)


def _sortable(value: Value) -> tuple[float, str]:
    return (0.0, value.casefold()) if isinstance(value, str) else (float(value or 0), "")
