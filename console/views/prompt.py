"""The line at the foot on which commands and filters are typed."""

from collections.abc import Callable, Sequence

from textual import events
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input


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


class Prompt(Input):
    """Takes one line, for whoever asked for it; escape leaves it."""

    class Said(Message):
        """A line was typed; None: it was left."""

        def __init__(self, purpose: str, text: str | None) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    def __init__(self, words: Callable[[str], Sequence[str]]) -> None:
        self.purpose = ""
        super().__init__(
            id="prompt",
            compact=True,
            select_on_focus=False,
            suggester=Words(lambda: words(self.purpose)),
        )
        self.cursor_blink = False
        self.display = False

    def ask(self, purpose: str, text: str = "") -> None:
        """Take a line for a purpose."""
        self.purpose = purpose
        self.border_title = purpose
        self.value = text
        self.cursor_position = len(text)
        self.display = True
        self.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The line is done."""
        event.stop()
        self._end(self.value)

    def on_key(self, event: events.Key) -> None:
        """Escape leaves."""
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            self._end(None)

    def on_blur(self) -> None:
        """Whoever looks elsewhere has left."""
        if self.display:
            self._end(None)

    def _end(self, text: str | None) -> None:
        self.display = False
        self.post_message(self.Said(self.purpose, text))
