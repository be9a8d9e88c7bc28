"""What operators want of regions and edges, until they say otherwise."""

from collections.abc import Sequence

from console import figures
from console.look import Look, Subject
from console.signs import Tone
from console.views.cell import Cell, cell
from console.views.listing import Listing
from console.views.table import Column
from regions.operations.wording import wanted
from relay.core.orders import Order
from relay.core.query import Field

COLUMNS = (
    Column("on", 8, field="on"),
    Column("wanted", 20, field="wanted"),
    Column("by", 10, rank=2, field="by"),
    Column("since", 6, right=True, rank=1, field="since"),
    Column("why", 8, field="why", grows=True),
)
FIELDS: tuple[Field[Order], ...] = (
    Field("on", "text", lambda order: order.scope.key, "the region or edge"),
    Field("wanted", "text", lambda order: wanted(order, order.at_ms), "what"),
    Field("by", "text", lambda order: order.by, "who wants it"),
    Field("since", "number", lambda order: order.at_ms, "Unix ms"),
    Field("why", "text", lambda order: order.why, "for what reason"),
)


class OrderTable(Listing[Order]):
    """Orders that stand."""

    def __init__(self) -> None:
        self._wall_ms = 0
        super().__init__(
            "Orders",
            COLUMNS,
            FIELDS,
            lambda order: order_row(order, self._wall_ms),
            lambda order: order.scope,
            name="orders",
        )

    @property
    def subject(self) -> Subject | None:
        """What the order at the cursor is for."""
        order = self.current
        if order is None:
            return None
        if order.edge:
            return Subject("edge", order.region, order.edge)
        return Subject("region", order.region, order.region)

    def show_look(self, look: Look) -> None:
        """Draw those that want something now."""
        self._wall_ms = look.wall_ms
        books = look.view.books
        standing = [
            order
            for order in books.orders or ()
            if look.wants(order.region) and wanted(order, look.wall_ms)
        ]
        note = "" if standing else "none stands"
        if books.orders is None:
            note = "which stood then is not kept"
        elif books.read_ms is None:
            note = "the books were not read yet"
        elif (stale_ms := books.stale_ms(look.view.now_ms)) is not None:
            note = f"as of {figures.age(stale_ms)} ago: the books can't be read"
        self.show_items(standing, note)


def order_row(order: Order, wall_ms: int) -> Sequence[Cell]:
    """The cells of one order."""
    return (
        cell(str(order.scope), Tone.STRONG),
        cell(f"◇ {wanted(order, wall_ms)}", Tone.WARN),
        cell(order.by, Tone.MUTED),
        cell(figures.age(max(0, wall_ms - order.at_ms)), Tone.MUTED),
        cell(order.why, limit=200),
    )
