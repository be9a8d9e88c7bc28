"""Closing a client's connection, on its way: who it is, what it will do, whether that is wanted."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from console import figures
from console.literal import clean
from console.look import Look
from console.signs import Tone
from console.views.answer import Answer
from console.views.cell import cell, line
from console.views.drawn import Drawn
from console.views.standing import missing_cells, without
from regions.inquiries.fleet import At, FleetClient
from relay.core.client_row import ClientRow
from relay.errors import RelayError
from relay.tasks import Tasks

Step = Literal["planning", "confirm", "over"]
LINE = 200
TYPED = 32  # characters of a user that is typed; of a longer one the session is
SHORT = 8  # characters of a session that are typed
AFTER = {
    4000: "It pauses as usual, comes back and resumes: it misses nothing.",
    4021: "It resumes at once, at another edge: it misses nothing.",
    4004: "It is told to stay away, and does if it follows the protocol.",
}


@dataclass(frozen=True, slots=True)
class Kick:
    """What is really wanted."""

    session: str  # the whole handle
    user: str
    code: int


class KickScreen(ModalScreen[Kick | None]):
    """Shows who would be closed, and has the name typed.

    Args:
        session: the client's handle, or its beginning.
        code: with which its connection is closed.
        why: as the edge logs it.
        find: asks the edges for it.
        look: how it is looked at: names may be hidden.
    """

    AUTO_FOCUS: ClassVar[str | None] = ""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave")]

    def __init__(
        self,
        session: str,
        code: int,
        why: str,
        find: Callable[[], Awaitable[FleetClient]],
        look: Look,
    ) -> None:
        super().__init__()
        self._session = session
        self._code = code
        self._why = why
        self._find = find
        self._look = look
        self._tasks = Tasks("console.kick")
        self._kick: Kick | None = None
        self._word = ""
        self.step: Step = "planning"

    def compose(self) -> ComposeResult:
        """A box: who it is, and a line to type in."""
        box = Vertical(
            Drawn(name="plan"),
            Drawn(name="question"),
            Answer(),
            id="act",
        )
        box.border_title = line(cell(f"kick {self._look.name(self._session)}", limit=60))
        box.border_subtitle = line(cell("esc leaves", Tone.MUTED))
        yield box

    def on_mount(self) -> None:
        """Ask who it is."""
        self._ask("planning", "asking the edges …")
        self._tasks.spawn(self._plan(), "plan")

    async def on_unmount(self) -> None:
        """Nobody waits for an answer any more."""
        await self._tasks.close()

    async def _plan(self) -> None:
        try:
            seen = await self._find()
        except (RelayError, OSError) as error:
            text = without(str(error), self._look, (self._session,))
            self._ask("over", f"✗ {text}", Tone.BAD)
            return
        if len(seen.found) != 1:
            some = f"{len(seen.found)} sessions begin so: say more of it"
            text = some if seen.found else "no edge that answered has this session"
            self._show(line(*missing_cells(seen.missing)))
            self._ask("over", f"✗ {text}", Tone.BAD)
            return
        self._confirm(seen.found[0])

    def _confirm(self, at: At) -> None:
        row = at.client.row
        self._kick = Kick(row.session, row.user, self._code)
        self._word = word_of(row, self._look)
        self._show(
            line(
                cell(self._look.name(row.user), Tone.STRONG),
                cell(f", session {self._look.name(row.session)}, at {row.edge} of {row.region}"),
            ),
            line(
                cell(
                    f"{row.phase} for {figures.age(row.age_ms)}, in {figures.count(row.rooms)} "
                    f"rooms, {figures.octets(row.queue_bytes)} wait to be sent",
                    Tone.MUTED,
                    LINE,
                )
            ),
            line(cell(f"Closed with {self._code}. {AFTER[self._code]}", limit=LINE)),
            line(cell(f"The edge logs why: {self._why}", Tone.MUTED, LINE)),
        )
        self._ask("confirm", f"Type {self._word} to do it.", Tone.WARN, typed=True)

    def _show(self, *lines: Content) -> None:
        self.query_one("#plan", Drawn).say(Content("\n").join(lines))

    def _ask(self, step: Step, text: str, tone: Tone = Tone.STRONG, *, typed: bool = False) -> None:
        self.step = step
        self.query_one("#question", Drawn).say(line(cell(text, tone, LINE)))
        answer = self.query_one(Answer)
        answer.value = ""
        answer.hint(self._word)
        answer.display = typed
        if typed:
            answer.focus()
        else:
            self.set_focus(None)

    def on_key(self, event: events.Key) -> None:
        """What is over goes with enter."""
        if self.step == "over" and event.key == "enter":
            self.dismiss(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The name, or another one."""
        event.stop()
        text = event.value.strip()
        if text == self._word:
            self.dismiss(self._kick)
        elif text:
            what = f"That is not {self._word}. Type it to do it; esc leaves."
            self._ask("confirm", what, Tone.BAD, typed=True)

    def action_leave(self) -> None:
        """It is not wanted."""
        self.dismiss(None)


def word_of(row: ClientRow, look: Look) -> str:
    """What is typed to close a client's connection: its user where that can be typed, else the
    beginning of its session; while names are hidden, what stands for it.
    """
    user, session = row.user, row.session[:SHORT]
    can_be_typed = 0 < len(user) <= TYPED and user.isascii() and user.isprintable()
    name = user if can_be_typed and user == user.strip() else session
    return clean(look.name(name).removeprefix("·") if look.private else name, TYPED)
