"""Screen 7: which drills can be run here, what one does, and how the last ones went."""

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget

from console.look import Look, Mode, Subject
from console.model.drills import DrillView, drills_of, going
from console.panes.pane import Pane
from console.views.drill_catalogue import CatalogueTable, CatalogueText, offers
from console.views.drill_history import HistoryTable
from console.views.drill_run import RunBox
from console.views.table import RowTable

if TYPE_CHECKING:
    from console.app import ConsoleApp

BESIDE_FROM = 110  # columns from which the run stands beside the catalogue
CATALOGUE_WIDTH = 50  # there; more on wide screens
HISTORY_LINES = 9
STACKED = (8, 5)  # lines of the catalogue and of the history where all stand below each other


class DrillsPane(Pane):
    """The catalogue at the left; the run at the right or below, and the history."""

    NAME: ClassVar[str] = "drills"
    TITLE: ClassVar[str] = "Drills"

    def __init__(self) -> None:
        super().__init__()
        self._run = ""  # that is looked at; empty: the one that goes on, or the newest

    def compose(self) -> ComposeResult:
        """The parts."""
        with Container(id="drill-left"):
            yield CatalogueTable()
            yield CatalogueText()
        with Container(id="drill-right"):
            yield RunBox()
            yield HistoryTable()

    def about(self, subject: Subject) -> bool:
        """Look at one run."""
        self._run = subject.where if subject.kind == "drill" else ""
        return bool(self._run)

    def about_all(self) -> None:
        """Look at the one that goes on, or the newest."""
        self._run = ""

    @property
    def first(self) -> Widget | None:
        """The catalogue; the history, while one of it is looked at."""
        return self.query_one(HistoryTable if self._run else CatalogueTable)

    @property
    def subject(self) -> Subject | None:
        """The drill at the cursor of the table that has the focus."""
        history = self.query_one(HistoryTable)
        if self.screen.focused is history:
            return history.subject
        return self.query_one(CatalogueTable).subject

    def open(self, table: RowTable, app: "ConsoleApp") -> None:
        """The stages of a run."""
        history = self.query_one(HistoryTable)
        if table is history and history.subject is not None:
            app.navigation.go("drills", history.subject)

    def draw(self, look: Look) -> None:
        """Draw the drills."""
        drilling = cast("ConsoleApp", self.app).acting.drilling
        drills = drills_of(look.view.drills)
        self._lay_out()
        catalogue = self.query_one(CatalogueTable)
        stacked = self.has_class("stacked")
        catalogue.show_offers(offers(look, drilling), says_why=stacked)
        self.query_one(CatalogueText).show_offer(catalogue.current)
        shown = self._shown(drills, look)
        self.query_one(RunBox).show(look, shown, _hint(look, shown, chosen=bool(self._run)))
        self.query_one(HistoryTable).show_look(look, drills)

    def _shown(self, drills: list[DrillView], look: Look) -> DrillView | None:
        chosen = next((each for each in drills if each.run == self._run), None)
        return chosen or going(drills, look.wall_ms) or next(iter(drills), None)

    def _lay_out(self) -> None:
        width, height = self.app.size
        stacked = width < BESIDE_FROM
        self.set_class(stacked, "stacked")
        left, history = self.query_one("#drill-left"), self.query_one(HistoryTable)
        left.styles.width = "1fr" if stacked else max(CATALOGUE_WIDTH, width * 42 // 100)
        left.styles.height = max(STACKED[0], height // 3) if stacked else "1fr"
        self.query_one(CatalogueText).display = not stacked
        history.styles.height = max(STACKED[1], height // 5) if stacked else HISTORY_LINES


def _hint(look: Look, shown: DrillView | None, *, chosen: bool) -> str:
    if chosen:
        return "esc: the newest"
    if look.mode is Mode.PAST or (shown is not None and not shown.ended):
        return ""
    return "W arms, X runs the one at the cursor"
