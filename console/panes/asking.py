"""What the screens have in common for which edges are asked."""

from typing import Any

from console.asking import Asked, Asking
from console.look import Look, Mode
from console.panes.pane import Pane
from console.views.standing import OLD_MS


class AskingPane(Pane):
    """A screen for which edges are asked while it is shown, and only of what is now."""

    @property
    def asking(self) -> Asking:
        """The way to the edges."""
        return self.operated.asking

    def is_old(self, asked: Asked[Any]) -> bool:
        """Whether an answer is shown as old: it is, or it answers something else."""
        age_ms = asked.age_ms(self.asking.now_ms())
        return not asked.is_current or (age_ms is not None and age_ms > OLD_MS)

    def may_ask(self, look: Look) -> bool:
        """Whether edges are asked for this look: it shows now, and there is a way to them."""
        return look.mode is Mode.LIVE and self.asking.is_possible
