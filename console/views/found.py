"""A table of what edges have found: by what it is filtered and sorted is part of the question."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from console.look import Look
from console.signs import Tone
from console.views.cell import Cell, cell, muted
from console.views.listing import DOWN, UP, Listing
from console.views.table import Column
from relay.core.inquiry_answers import MOST_ROWS
from relay.core.query import Field

T = TypeVar("T")


class FoundListing(Listing[T]):
    """Rows that edges chose and ordered.

    Args:
        title: of the table.
        columns: a column with a `field` can be sorted by.
        fields: the figures that questions know.
        row: the cells of a thing, by the look at it.
        key: what names a thing.
        name: the widget's id.
        sort: the field by which it is sorted at first.
        example: of a query.
    """

    def __init__(
        self,
        title: str,
        columns: Sequence[Column],
        fields: Sequence[Field[T]],
        row: Callable[[T, Look], Sequence[Cell]],
        key: Callable[[T], object],
        *,
        name: str,
        sort: str,
        example: str,
    ) -> None:
        super().__init__(title, columns, fields, self._cells, key, name=name)
        self.hint = f"/ asks edges: {example}; empty: all; esc leaves"
        self.example = example
        self._of_look = row
        self._look: Look | None = None
        self._dim = False
        self.sort_by(sort)

    @property
    def question(self) -> tuple[str, str]:
        """The query, and the field to sort by as edges take it: with `-`, the other way round."""
        usual = self.fields[self._sorted].unit == "text"
        return self.filter, self._sorted if self._rising is usual else f"-{self._sorted}"

    @property
    def wanted(self) -> int:
        """How many rows: as many as are seen, and a page more when the cursor comes to the last;
        0: it is not known yet how many are seen.
        """
        if not self.size.height:
            return 0
        pages = -(-(self.cursor + 2) // self._page)
        return max(1, min(self._page * pages, MOST_ROWS))

    def sort_next(self) -> None:
        """Sort by the next column."""
        names = [column.field for column in self.columns if column.field]
        at = names.index(self._sorted) if self._sorted in names else -1
        self.sort_by(names[(at + 1) % len(names)])

    def show_found(self, things: Sequence[T], look: Look, note: str, *, dim: bool) -> None:
        """Draw what was found.

        Args:
            things: in order.
            look: at them.
            note: stands at the table's foot.
            dim: they are old, or answer another question.
        """
        self._look, self._dim = look, dim
        self.show_items(things, note)

    def _chosen(self, things: list[T]) -> list[T]:
        return things

    def _cells(self, thing: T) -> Sequence[Cell]:
        if self._look is None:
            return ()
        cells = self._of_look(thing, self._look)
        return muted(cells) if self._dim else cells

    def _heading(self, shown: int, total: int) -> str:
        del total
        parts = [f"{self.title} ({shown:,})" if shown else self.title]
        if self.filter:
            private = self._look is not None and self._look.private
            parts.append("/…" if private else f"/{self.filter}")
        parts.append(f"{self._sorted} {UP if self._rising else DOWN}")
        if self.following:
            parts.append("following")
        return " · ".join(parts)


def query_cells(listing: FoundListing[T], look: Look) -> list[Cell]:
    """What is asked, or how to."""
    if not listing.filter:
        return [
            cell(f"all {listing.title.lower()}", Tone.STRONG),
            cell(f"   / asks edges: {listing.example}", Tone.MUTED, 100),
        ]
    text = "(hidden)" if look.private else listing.filter
    return [cell("/ ", Tone.MUTED), cell(text, Tone.STRONG, 160)]
