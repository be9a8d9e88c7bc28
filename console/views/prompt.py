"""The line at the foot on which commands and filters are typed."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual import events
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input

from console.views.answer import Answer

if TYPE_CHECKING:
    from textual.widget import Widget

HINTS = {
    "command": ": a command, then enter; tab completes; esc leaves",
    "filter": "/ text, !text, connections>100; empty shows all; esc leaves",
}


class Words(Suggester):
    """Completes the word that is typed, by what there is."""

    def __init__(self, words: Callable[[], Sequence[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._words = words

    async def get_suggestion(self, value: str) -> str | None:
        """The whole line, if one word ends it."""
        head, space, last = value.rpartition(" ")
        if not last:
            return None
        found = next((word for word in self._words() if word.startswith(last)), None)
        return None if found is None or found == last else head + space + found


class Prompt(Answer):
    """Takes one line, for whoever asked for it; escape leaves it."""

    class Said(Message):
        """A line was typed; None: it was left."""

        def __init__(self, purpose: str, text: str | None) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    def __init__(self, words: Callable[[str], Sequence[str]]) -> None:
        self.purpose = ""
        self._before: Widget | None = None  # what had the focus
        super().__init__(id="prompt", suggester=Words(lambda: words(self.purpose)))
        self.display = False

    def ask(self, purpose: str, text: str = "", hint: str = "") -> None:
        """Take a line for a purpose; the hint says what for, where that is not as usual."""
        self.purpose = purpose
        self.hint(hint or HINTS.get(purpose, ""))
        self.value = text
        self.cursor_position = len(text)
        self.display = True
        self._before = self.screen.focused
        self.screen.set_focus(self)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The line is done."""
        event.stop()
        self._end(self.value)

    def on_key(self, event: events.Key) -> None:
        """Tab takes what is suggested; escape leaves."""
        if event.key == "tab":
            event.stop()
            event.prevent_default()
            self.action_cursor_right()
        elif event.key == "escape":
            event.stop()
            event.prevent_default()
            self._end(None)

    def on_blur(self) -> None:
        """Whoever looks elsewhere has left; but not who looks into another window."""
        if self.display and self.app.app_focus:
            self._end(None)

    def _end(self, text: str | None) -> None:
        self.display = False
        if self.screen.focused in (self, None):
            self.screen.set_focus(self._before)
        self.post_message(self.Said(self.purpose, text))
