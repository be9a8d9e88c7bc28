"""Facts of one thing in a box: a name and a value a line."""

from collections.abc import Sequence

from textual.content import Content

from console.signs import Tone
from console.views.cell import Cell, cell, line
from console.views.drawn import Drawn

LABEL = 12  # cells of a name

Fact = tuple[str, Cell]


class Facts(Drawn):
    """The box.

    Args:
        title: of it.
        name: the widget's id.
    """

    def __init__(self, title: str, *, name: str) -> None:
        super().__init__(name=name, classes="facts")
        self.border_title = line(cell(title))

    def show(self, facts: Sequence[Fact], *, dim: bool = False) -> None:
        """Draw them, each cut to the box; `dim`: they are old."""
        room = max(8, self.content_size.width - LABEL - 1)
        self.say(
            Content("\n").join(
                line(
                    cell(f"{name:<{LABEL}} ", Tone.MUTED),
                    cell(value.text, Tone.MUTED if dim else value.tone, room),
                )
                for name, value in facts
            )
        )
