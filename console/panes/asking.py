"""What the screens have in common for which edges are asked."""

from console.asking import Asking
from console.look import Look, Mode
from console.panes.pane import Pane


class AskingPane(Pane):
    """A screen for which edges are asked while it is shown, and only of what is now."""

    @property
    def asking(self) -> Asking:
        """The way to the edges."""
        return self.operated.asking

    def may_ask(self, look: Look) -> bool:
        """Whether edges are asked for this look: it shows now, and there is a way to them."""
        return look.mode is Mode.LIVE and self.asking.is_possible
