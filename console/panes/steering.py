"""Screen 6: how keepers see regions and edges, and where they send clients; enter: what if."""

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Container

from console.look import Look, Subject
from console.panes.pane import Pane
from console.views.answers import AnswerTable
from console.views.atlas import WorldMap
from console.views.flights import FlightMatrix
from console.views.opinions import EdgeOpinionTable, OpinionTable
from console.views.orders import OrderTable
from console.views.table import RowTable

if TYPE_CHECKING:
    from console.app import ConsoleApp

MAP_FROM = 110  # columns from which the map is drawn
FRAME_LINES = 3  # borders and header
FRAME, PADDING = 2, 2  # cells of borders, and beside the map
CELLS_A_ROW = 5.14  # of the map: 360 degrees by 140, in cells that are twice as high as wide


class SteeringPane(Pane):
    """Regions on top; the map beside what is wrong and what is ordered; below, who goes where."""

    NAME: ClassVar[str] = "steering"
    TITLE: ClassVar[str] = "Steering"

    def compose(self) -> ComposeResult:
        """The parts."""
        backing = cast("ConsoleApp", self.app).backing
        yield OpinionTable()
        with Container(id="steer-middle"):
            yield WorldMap(backing.topology)
            with Container(id="steer-side"):
                yield EdgeOpinionTable()
                yield OrderTable()
        with Container(id="steer-foot"):
            yield FlightMatrix()
            yield AnswerTable()

    def draw(self, look: Look) -> None:
        """Draw them."""
        regions = self.query_one(OpinionTable)
        regions.show_look(look)
        size = self._lay_out(regions.count)
        if size is not None:
            self.query_one(WorldMap).show_look(look, *size)
        self.query_one(EdgeOpinionTable).show_look(look)
        self.query_one(OrderTable).show_look(look)
        self.query_one(FlightMatrix).show_look(look)
        self.query_one(AnswerTable).show_look(look)

    @property
    def subject(self) -> Subject | None:
        """What the focused table's cursor stands on; else the region."""
        focused = self.screen.focused
        if isinstance(focused, EdgeOpinionTable | OrderTable):
            return focused.subject
        return self.query_one(OpinionTable).subject

    def open(self, table: RowTable, app: "ConsoleApp") -> None:
        """What if that region died; that edge in detail; why that country is answered so."""
        match table:
            case OpinionTable(subject=Subject(name=name)):
                app.steering.show_what_if(name)
            case EdgeOpinionTable(subject=Subject() as subject):
                app.navigation.go("edge", subject)
            case AnswerTable(current=answer) if answer is not None:
                app.steering.explain_country(answer.country)

    def _lay_out(self, rows: int) -> tuple[int, int] | None:
        """The map where there is room, and its cells; else what is wrong beside what is ordered."""
        width, height = self.app.size
        room = self.size.height or height - 2
        narrow = width < MAP_FROM
        self.set_class(narrow, "narrow")
        top = min(max(rows, 1) + FRAME_LINES, max(FRAME_LINES + 1, room // 3))
        self.query_one(OpinionTable).styles.height = top
        left = room - top
        middle = self.query_one("#steer-middle")
        if narrow:
            middle.styles.height = left // 2
            return None
        most = width * 3 // 5 - FRAME - PADDING
        lines = max(1, min(left * 3 // 5 - FRAME, round(most / CELLS_A_ROW)))
        columns = min(most, round(lines * CELLS_A_ROW))
        middle.styles.height = lines + FRAME
        self.query_one(WorldMap).styles.width = columns + FRAME + PADDING
        return columns, lines
