"""Screen 8: what happened, newest first; enter goes to that time."""

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult

from console.look import Look
from console.panes.pane import Pane
from console.views.happenings import HappeningTable
from console.views.table import RowTable

if TYPE_CHECKING:
    from console.app import ConsoleApp

BEFORE_MS = 5_000  # how long before it happened the past is entered


class EventsPane(Pane):
    """One timeline of edges, alerts, operations and drills."""

    NAME: ClassVar[str] = "events"
    TITLE: ClassVar[str] = "Events"

    def compose(self) -> ComposeResult:
        """The timeline."""
        yield HappeningTable("What happened", name="events")

    def draw(self, look: Look) -> None:
        """Draw it; `region` leaves only what names the region, or one of its edges."""
        wanted = {look.region, *(e.name for e in look.view.edges if e.region == look.region)}
        happened = [
            each
            for each in reversed(look.view.timeline)
            if not look.region or each.kind == "drill" or _names(each.on) & wanted
        ]
        self.query_one(HappeningTable).show_items(happened, "enter: go to that time")

    def open(self, table: RowTable, app: "ConsoleApp") -> None:
        """Go to the time of what the cursor stands on."""
        happening = self.query_one(HappeningTable).current
        if happening is not None:
            app.travel(happening.at_ms - BEFORE_MS)


def _names(on: str) -> set[str]:
    """What something is about: an edge, a region, a pair of them, a stream of one."""
    return {on, *on.replace("/", ">").split(">")}
