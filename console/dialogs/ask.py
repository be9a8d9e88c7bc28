"""One question, answered by one line."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from console.views.answer import Answer
from console.views.cell import cell, line
from console.views.drawn import Drawn


class AskScreen(ModalScreen[str | None]):
    """Gives the line that was typed; None: it was left.

    Args:
        title: what is asked about.
        text: the question.
        optional: whether an empty line is an answer.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave")]

    def __init__(self, title: str, text: str, *, optional: bool = False) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._optional = optional

    def compose(self) -> ComposeResult:
        """A box."""
        question = Drawn(line(cell(self._text, limit=400)))
        box = Vertical(question, Answer(), id="ask")
        box.border_title = line(cell(self._title, limit=60))
        yield box

    def on_mount(self) -> None:
        """Type there."""
        answer = self.query_one(Answer)
        answer.hint("…")
        answer.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The answer."""
        event.stop()
        if event.value.strip() or self._optional:
            self.dismiss(event.value)

    def action_leave(self) -> None:
        """No answer."""
        self.dismiss(None)
