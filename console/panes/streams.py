"""Screen 5: every stream in every region, its copies side by side, and the stores."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Container

from console.look import Look, Subject
from console.model.copies import copies
from console.model.streams import store_rows, stream_rows
from console.panes.pane import Pane
from console.views.streams import STORES_WIDTH, CopyTable, StoreTable, StreamTable, summary
from console.views.table import RowTable

if TYPE_CHECKING:
    from console.app import ConsoleApp

BESIDE_FROM = 110  # columns from which the stores stand beside the copies
FRAME_WIDTH = 5  # borders, padding and a scroll bar
FRAME_LINES = 3  # borders and header
LEAST = 8  # lines that the streams keep


class StreamsPane(Pane):
    """All streams above, the copies of the one at the cursor and the stores below."""

    NAME: ClassVar[str] = "streams"
    TITLE: ClassVar[str] = "Streams"

    def __init__(self) -> None:
        super().__init__()
        self._look: Look | None = None

    def compose(self) -> ComposeResult:
        """The tables."""
        yield StreamTable()
        with Container(id="streams-foot"):
            yield CopyTable()
            yield StoreTable()

    def draw(self, look: Look) -> None:
        """Draw every stream."""
        self._look = look
        self._lay_out(look)
        rows = [row for row in stream_rows(look.view) if look.wants(row.region)]
        self.query_one(StreamTable).show_items(rows, summary(look.view))
        self.query_one(StoreTable).show_stores(store_rows(look.view))
        self._show_copies()

    def about(self, subject: Subject) -> bool:
        """Put the cursor on a stream."""
        table = self.query_one(StreamTable)
        for at, row in enumerate(table.items):
            if (row.region, row.stream.name) == (subject.where, subject.name):
                table.move_to(at)
                return True
        return False

    @property
    def subject(self) -> Subject | None:
        """The stream at the cursor."""
        return self.query_one(StreamTable).subject

    def open(self, table: RowTable, app: "ConsoleApp") -> None:
        """One stream in detail."""
        if isinstance(table, StreamTable) and table.subject is not None:
            app.navigation.go("stream", table.subject)

    def on_stream_table_moved(self) -> None:
        """The copies are those of another stream."""
        self._show_copies()

    def _show_copies(self) -> None:
        row = self.query_one(StreamTable).current
        if self._look is not None:
            found = [] if row is None else copies(self._look.view, row.stream.name)
            name = "" if row is None else row.stream.name
            self.query_one(CopyTable).show_copies(name, found)

    def _lay_out(self, look: Look) -> None:
        """The stores beside the copies, or below where the screen is narrow."""
        width, height = self.app.size
        beside = width >= BESIDE_FROM
        lines = len(look.view.regions) + FRAME_LINES
        foot = self.query_one("#streams-foot")
        copies_, stores = self.query_one(CopyTable), self.query_one(StoreTable)
        spare = max(0, height - LEAST - 3)
        lines = max(FRAME_LINES + 1, min(lines, spare if beside else spare // 2))
        self.set_class(not beside, "stacked")
        foot.styles.height = lines if beside else 2 * lines
        copies_.styles.height = lines
        stores.styles.height = lines
        stores.styles.width = STORES_WIDTH + FRAME_WIDTH if beside else "1fr"
