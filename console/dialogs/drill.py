"""A drill before it is run: what it finds and does, and whether it is really wanted."""

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from console.doing.drill_order import ACT
from console.signs import Tone
from console.views.cell import cell, line
from console.views.drawn import Drawn
from regions.drills.prospect import Prospect, prospect_lines
from regions.drills.run import Order
from relay.errors import RelayError
from relay.tasks import Tasks

LINE = 2_000


class DrillScreen(ModalScreen[bool]):
    """Gives whether it is to be run.

    Args:
        order: what is to be run.
        look_ahead: says what it would find and do.
        warning: what else is to be known before; empty: nothing.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave")]

    def __init__(
        self, order: Order, look_ahead: Callable[[Order], Awaitable[Prospect]], warning: str
    ) -> None:
        super().__init__()
        self._warning = warning
        self._order = order
        self._look_ahead = look_ahead
        self._tasks = Tasks("console.drill")
        self.over = False  # there is nothing to be confirmed

    def compose(self) -> ComposeResult:
        """A box: what is known, and a line to type in."""
        answer = Input(id="answer", compact=True, placeholder=self._order.drill.name)
        answer.cursor_blink = False
        answer.display = False
        box = Vertical(
            VerticalScroll(Drawn(name="plan"), can_focus=False),
            Drawn(name="question"),
            answer,
            id="act",
        )
        box.border_title = line(cell(f"drill {self._order.drill.name}"))
        box.border_subtitle = line(cell("esc leaves", Tone.MUTED))
        yield box

    def on_mount(self) -> None:
        """Begin."""
        self._say(())
        self._ask("looking at the world …", Tone.STRONG)
        self._tasks.spawn(self._look(), "look")

    async def on_unmount(self) -> None:
        """Nobody wants to know any more."""
        await self._tasks.close()

    async def _look(self) -> None:
        order = self._order
        try:
            prospect = await self._look_ahead(order)
        except RelayError as error:
            self.over = True
            self._ask(f"✗ {error}", Tone.BAD)
            return
        warning = [f"▲ {self._warning}"] if self._warning else []
        self._say([*warning, *prospect_lines(order, prospect)])
        if prospect.why_not is not None:
            self.over = True
            self._ask("✗ It can't be run now. Esc leaves.", Tone.BAD)
            return
        self._ask(f"Type {order.drill.name} to run it.", Tone.WARN)
        answer = self.query_one(Input)
        answer.display = True
        answer.focus()

    def _say(self, lines: Sequence[str]) -> None:
        drill = self._order.drill
        texts = [line(cell(f"{drill.line}. {ACT.help}", Tone.MUTED, LINE))]
        texts += [line(cell(text, _tone(text), LINE)) for text in lines]
        self.query_one("#plan", Drawn).say(Content("\n").join(texts))

    def _ask(self, text: str, tone: Tone) -> None:
        self.query_one("#question", Drawn).say(line(cell(text, tone, LINE)))

    def on_key(self, event: events.Key) -> None:
        """Enter leaves where there is nothing to confirm."""
        if self.over and event.key == "enter":
            event.stop()
            self.dismiss(False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """A name."""
        event.stop()
        name, text = self._order.drill.name, event.value.strip()
        if text == name:
            self.dismiss(True)
        elif text:
            self.query_one(Input).value = ""
            self._ask(f"That is not {name}. Type it to run it; esc leaves.", Tone.BAD)

    def action_leave(self) -> None:
        """It is not wanted."""
        self.dismiss(False)


def _tone(text: str) -> Tone:
    return {"✓": Tone.GOOD, "✗": Tone.BAD, "▲": Tone.WARN}.get(text[:1], Tone.PLAIN)
