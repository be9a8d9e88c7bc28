"""What the screens have in common for which edges are asked."""

from typing import TYPE_CHECKING, cast

from console.asking import Asking
from console.look import Look, Mode
from console.panes.pane import Pane

if TYPE_CHECKING:
    from console.app import ConsoleApp


class AskingPane(Pane):
    """A screen for which edges are asked while it is shown, and only of what is now."""

    @property
    def operated(self) -> "ConsoleApp":
        """The console that it is a part of."""
        return cast("ConsoleApp", self.app)

    @property
    def asking(self) -> Asking:
        """The way to the edges."""
        return self.operated.asking

    def may_ask(self, look: Look) -> bool:
        """Whether edges are asked for this look: it shows now, and there is a way to them."""
        return look.mode is Mode.LIVE and self.asking.is_possible
