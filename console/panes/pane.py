"""What every screen of the console is: a part of it that draws looks at the fleet."""

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.containers import Container
from textual.events import Resize
from textual.geometry import Size
from textual.widget import Widget

from console.look import Look, Subject
from console.views.listing import Listing
from console.views.table import RowTable

if TYPE_CHECKING:
    from console.app import ConsoleApp


class Pane(Container):
    """One screen. It is drawn only while it is the one that is shown."""

    NAME: ClassVar[str]  # by which commands know it
    TITLE: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(id=f"pane-{self.NAME}", classes="pane")
        self._drawn_at = Size(0, 0)

    @property
    def operated(self) -> "ConsoleApp":
        """The console that it is a part of."""
        return cast("ConsoleApp", self.app)

    def draw(self, look: Look) -> None:
        """Draw the fleet."""
        raise NotImplementedError

    def on_resize(self, event: Resize) -> None:
        """Draw it again where it has another size than before: at first it had none."""
        if event.size != self._drawn_at:
            self._drawn_at = event.size
            self.operated.refresh_soon()

    def about(self, subject: Subject) -> bool:
        """Show one thing; whether this pane can. Without more of it, the cursor goes there."""
        del subject
        return False

    def about_all(self) -> None:
        """Show nothing in particular any more."""

    def open(self, table: RowTable, app: "ConsoleApp") -> None:
        """Open the row at a table's cursor; there is nothing more of it, unless a pane says so."""

    def leave(self) -> None:
        """Another screen is shown from now on."""

    def focus_first(self) -> None:
        """Give the focus to what has it when the pane is shown."""
        self.screen.set_focus(self.first)

    @property
    def first(self) -> Widget | None:
        """What has the focus when the pane is shown."""
        return next(iter(self.query(Listing)), None)

    @property
    def listing(self) -> "Listing[Any] | None":
        """The table that filter, sort, copy and export are about: the focused one, or the first."""
        focused = self.screen.focused
        if isinstance(focused, Listing) and self in focused.ancestors:
            return focused
        return self.first if isinstance(self.first, Listing) else None

    @property
    def subject(self) -> Subject | None:
        """What acts are about."""
        return None
