"""Screen 2: every edge with all its figures; enter opens one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult

from console import figures
from console.look import Look, Subject
from console.model import EdgeView, Freshness
from console.model.fields import EDGE_FIELDS
from console.panes.pane import Pane
from console.signs import Tone
from console.views.cell import Cell, cell
from console.views.edges import COLUMNS, edge_row, summary
from console.views.listing import Listing
from console.views.regions import value_tone
from console.views.table import Column, RowTable

if TYPE_CHECKING:
    from console.app import ConsoleApp

MORE = (
    Column("sessions", 8, right=True, rank=6, field="sessions"),
    Column("rooms", 7, right=True, rank=7, field="rooms"),
    Column("full", 5, right=True, rank=6, field="taken"),
    Column("queue", 6, right=True, rank=7, field="buffer"),
    Column("cpu", 5, right=True, rank=7, field="cpu"),
    Column("closes", 6, right=True, rank=8, field="closes"),
    Column("resumes", 7, right=True, rank=8, field="resumes"),
    Column("version", 9, rank=9, field="version"),
)


class WideEdgeTable(Listing[EdgeView]):
    """Every edge, with more of what it says."""

    def __init__(self) -> None:
        super().__init__(
            "Edges",
            (*COLUMNS[:-1], *MORE, COLUMNS[-1]),
            EDGE_FIELDS,
            wide_row,
            lambda edge: (edge.region, edge.name),
            name="wide-edges",
        )


class EdgesPane(Pane):
    """One table."""

    NAME: ClassVar[str] = "edges"
    TITLE: ClassVar[str] = "Edges"

    def compose(self) -> ComposeResult:
        """The table."""
        yield WideEdgeTable()

    def draw(self, look: Look) -> None:
        """Draw every edge."""
        edges = [edge for edge in look.view.edges if look.wants(edge.region)]
        self.query_one(WideEdgeTable).show_items(edges, summary(edges))

    @property
    def subject(self) -> Subject | None:
        """The edge at the cursor."""
        edge = self.query_one(WideEdgeTable).current
        return None if edge is None else Subject("edge", edge.region, edge.name)

    def open(self, table: RowTable, app: "ConsoleApp") -> None:
        """One edge in detail."""
        app.navigation.go("edge", self.subject)


def wide_row(edge: EdgeView) -> Sequence[Cell]:
    """The cells of one edge."""
    row = edge_row(edge)
    return (*row[:-1], *_more(edge), row[-1])


def _more(edge: EdgeView) -> Sequence[Cell]:
    frame, rates = edge.frame, edge.rates
    tone = value_tone(edge.freshness)
    if frame is None or edge.freshness is Freshness.GONE:
        return [cell(figures.NONE, Tone.MUTED)] * (len(MORE) - 1) + [cell(edge.version, Tone.MUTED)]
    return [
        cell(figures.count(frame.sessions), tone),
        cell(figures.count(frame.rooms), tone),
        cell(figures.percent(frame.connections / edge.room if edge.room else None), tone),
        cell(figures.size(frame.send_buffer_bytes), tone),
        cell(figures.percent(None if rates is None else rates.cpu), tone),
        cell(figures.rate(None if rates is None else rates.closes), tone),
        cell(figures.rate(None if rates is None else rates.resumes), tone),
        cell(edge.version, Tone.MUTED),
    ]
