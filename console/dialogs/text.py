"""Something to read, over the screen."""

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from console.signs import Tone
from console.views.cell import cell, line
from console.views.drawn import Drawn

LIMIT = 240  # cells of a line


class TextScreen(ModalScreen[None]):
    """Lines of text, in columns as they come; esc or enter closes it.

    Args:
        title: what it is about.
        lines: anybody's text, a tone each.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "close", key_display="esc"),
    ]

    def __init__(self, title: str, lines: Iterable[tuple[str, Tone]]) -> None:
        super().__init__()
        self._title = title
        self._lines = tuple(lines)

    def compose(self) -> ComposeResult:
        """One scrolling box."""
        text = Content("\n").join(line(cell(text, tone, LIMIT)) for text, tone in self._lines)
        box = VerticalScroll(Drawn(text), id="text")
        box.border_title = line(cell(self._title, limit=80))
        box.border_subtitle = "esc closes"
        yield box
