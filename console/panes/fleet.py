"""Screen 1: the regions, their edges, how late they read each other, and what is wrong."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget

from console.dialogs.text import TextScreen
from console.look import Look, Subject
from console.panes.pane import Pane
from console.views.alerts import WIDTH as ALERTS_WIDTH
from console.views.alerts import AlertTable, alert_lines
from console.views.edges import EdgeTable
from console.views.lag import LagMatrix, natural_width
from console.views.regions import CARD_WIDTH, RegionCards, RegionLines
from console.views.table import RowTable

if TYPE_CHECKING:
    from console.app import ConsoleApp

CARDS_FROM = (100, 22)  # columns and lines from which regions are cards
FRAME_WIDTH = 5  # borders, padding and a scroll bar
FRAME_LINES = 3  # borders and header
EDGES_LINES = 9  # that the edge table keeps, with the bars at top and bottom
TABLE_WIDTH = 70  # cells that the edge table keeps where the matrix stands beside it


class FleetPane(Pane):
    """Regions on top, edges beside the lag matrix and the alerts."""

    NAME: ClassVar[str] = "fleet"
    TITLE: ClassVar[str] = "Fleet"

    def compose(self) -> ComposeResult:
        """Cards and lines, of which one is shown; the tables."""
        yield RegionCards(id="cards")
        yield RegionLines()
        with Container(id="tables"):
            yield EdgeTable()
            with Container(id="side"):
                yield LagMatrix()
                yield AlertTable()

    def draw(self, look: Look) -> None:
        """Draw the fleet."""
        self._lay_out(look)
        if self.has_class("with-cards"):
            self.query_one(RegionCards).show(look)
        else:
            self.query_one(RegionLines).show_look(look)
        self.query_one(EdgeTable).show_look(look)
        self.query_one(LagMatrix).show_look(look)
        self.query_one(AlertTable).show_look(look)

    @property
    def first(self) -> Widget | None:
        """The edges."""
        return self.query_one(EdgeTable)

    @property
    def subject(self) -> Subject | None:
        """The alert at the cursor, where that table has the focus; else the edge, or its region
        while only that is looked at.
        """
        alerts = self.query_one(AlertTable)
        if self.screen.focused is alerts:
            return alerts.subject
        lines = self.query_one(RegionLines)
        if self.screen.focused is lines:
            return lines.subject
        return self.query_one(EdgeTable).subject

    def open(self, table: RowTable, app: "ConsoleApp") -> None:
        """An edge in detail; the edges of a region; all that is known of an alert."""
        if table is self.query_one(RegionLines):
            region = self.query_one(RegionLines).subject
            if region is not None:
                app.navigation.only(region.name)
                app.navigation.go("edges")
        elif table is self.query_one(EdgeTable):
            app.navigation.go("edge", self.query_one(EdgeTable).subject)
        elif table is self.query_one(AlertTable):
            alert = self.query_one(AlertTable).current
            if alert is not None:
                app.push_screen(TextScreen(alert.name, alert_lines(alert)))

    def _lay_out(self, look: Look) -> None:
        """Cards or lines, and the matrix beside the edges or below, by room and regions."""
        width, height = self.app.size
        view = look.view
        regions = len(view.regions)
        cards = width >= CARDS_FROM[0] and height >= CARDS_FROM[1] and regions * CARD_WIDTH <= width
        matrix = max(natural_width(regions), ALERTS_WIDTH) + FRAME_WIDTH
        self.set_class(cards, "with-cards")
        self.set_class(width - matrix < TABLE_WIDTH, "stacked")
        lines = min(regions + FRAME_LINES, max(4, height // 3))
        stacked = self.has_class("stacked")
        alerts = len(view.alerts) + FRAME_LINES if view.alerts else 0
        if stacked:  # the worst one stands above the keys as well
            spare = height - 2 * lines - EDGES_LINES
            alerts = min(alerts, spare) if spare >= FRAME_LINES + 1 else 0
        side = self.query_one("#side")
        side.styles.width = "1fr" if stacked else matrix
        side.styles.height = lines + alerts if stacked else "1fr"
        self.query_one(LagMatrix).styles.height = lines
        self.query_one(AlertTable).display = bool(alerts) or not stacked
        self.query_one(RegionLines).styles.height = lines
