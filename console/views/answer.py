"""A line to type in. What is pasted into it is drawn like all text from outside: harmless."""

from textual import events
from textual.suggester import Suggester
from textual.widgets import Input

from console.literal import clean

LIMIT = 500  # characters of a line


class Answer(Input):
    """One line."""

    def __init__(self, *, id: str = "answer", suggester: Suggester | None = None) -> None:  # noqa: A002
        super().__init__(
            id=id, compact=True, select_on_focus=False, max_length=LIMIT, suggester=suggester
        )
        self.cursor_blink = False

    def hint(self, text: str) -> None:
        """What stands there while nothing is typed."""
        self.placeholder = clean(text, 80)

    def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        if event.text:
            self.insert_text_at_cursor(clean(event.text.splitlines()[0], LIMIT))
