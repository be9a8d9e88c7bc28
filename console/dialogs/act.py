"""An act on its way: what more is said with it, its plan, and whether it is really wanted."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from console.doing.options import read_option, request_of
from console.errors import ConsoleError
from console.look import Subject
from console.signs import Tone
from console.views.answer import Answer
from console.views.cell import cell, line
from console.views.drawn import Drawn
from regions.operations.acts import Act, Option
from regions.operations.entry import Plan, Request
from regions.operations.office import Office
from regions.operations.wording import plan_lines
from relay.core.orders import TEXT
from relay.errors import RelayError
from relay.tasks import Tasks

Step = Literal["options", "planning", "override", "confirm", "over"]
LINE = 200


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What is really wanted."""

    request: Request
    plan: Plan
    override: str


class ActScreen(ModalScreen[Confirmed | None]):
    """Asks for options, shows the plan, and has it confirmed.

    Args:
        act: it.
        subject: what it is done to.
        by: who does it.
        why: for what reason.
        options: what is said with it, by fields of `Request`; None: it is to be asked for.
        office: gives the control plane, as soon as it is open.
    """

    AUTO_FOCUS: ClassVar[str | None] = ""  # each step says where it is typed, or that it is not
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave")]

    def __init__(
        self,
        act: Act,
        subject: Subject,
        by: str,
        why: str,
        options: Mapping[str, float | None] | None,
        office: Callable[[], Awaitable[Office]],
    ) -> None:
        super().__init__()
        self._act = act
        self._subject = subject
        self._by = by
        self._why = why
        self._options: dict[str, float | None] = dict(options or {})
        self._unasked = [] if options is not None else list(act.options)
        self._office = office
        self._tasks = Tasks("console.act")
        self._request: Request | None = None
        self._plan: Plan | None = None
        self._override = ""
        self.step: Step = "options"

    def compose(self) -> ComposeResult:
        """A box: the plan, and a line to type in."""
        box = Vertical(
            VerticalScroll(Drawn(name="plan"), can_focus=False),
            Drawn(name="question"),
            Answer(),
            id="act",
        )
        box.border_title = line(cell(f"{self._act.name} {self._subject.name}", limit=60))
        box.border_subtitle = line(cell("esc leaves", Tone.MUTED))
        yield box

    def on_mount(self) -> None:
        """Begin."""
        self.query_one("#plan", Drawn).say(
            line(cell(f"{self._act.meaning}. {self._act.help}".rstrip(), Tone.MUTED, LINE))
        )
        self._next()

    async def on_unmount(self) -> None:
        """Whatever was planned, is not any more."""
        await self._tasks.close()

    # --- steps ---------------------------------------------------------------------------------

    def _next(self) -> None:
        if self._unasked:
            option = self._unasked[0]
            self._ask("options", option.meaning, typed=True, placeholder=_wanted(option))
        else:
            self._ask("planning", "planning …")
            self._tasks.spawn(self._make_plan(), "plan")

    async def _make_plan(self) -> None:
        try:
            office = await self._office()
            request = request_of(self._act, self._subject, self._by, self._why, self._options)
            plan = await office.plan(request)
        except RelayError as error:
            self._ask("over", f"✗ {error}", Tone.BAD)
            return
        self._request, self._plan = request, plan
        lines = [line(cell(text, limit=LINE)) for text in plan_lines(request, plan)]
        self.query_one("#plan", Drawn).say(Content("\n").join(lines))
        if plan.nothing:
            self._ask("over", "nothing is to be done")
        elif plan.objections:
            text = "✗ It would hurt. Why do it nevertheless? Esc leaves."
            self._ask("override", text, Tone.BAD, typed=True, placeholder="the reason")
        else:
            self._confirm()

    def _confirm(self) -> None:
        if self._act.impact == "disruptive":
            text = f"Type {self._subject.name} to do it."
            self._ask("confirm", text, Tone.WARN, typed=True, placeholder=self._subject.name)
        else:
            self._ask("confirm", "y does it.", Tone.WARN)

    def _ask(
        self,
        step: Step,
        text: str,
        tone: Tone = Tone.STRONG,
        *,
        typed: bool = False,
        placeholder: str = "",
    ) -> None:
        self.step = step
        self.query_one("#question", Drawn).say(line(cell(text, tone, LINE)))
        answer = self.query_one(Answer)
        answer.value = ""
        answer.hint(placeholder)
        answer.display = typed
        if typed:
            answer.focus()
        else:
            self.set_focus(None)

    # --- answers -------------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        """`y`, where that is enough."""
        if self.step == "confirm" and self._act.impact == "reversible" and event.key == "y":
            event.stop()
            self._done()
        elif self.step == "over" and event.key == "enter":
            self.dismiss(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """A line."""
        event.stop()
        text = event.value.strip()
        if self.step == "options":
            self._take_option(text)
        elif self.step == "override" and text:
            if len(text) > TEXT:
                self._ask("override", f"{TEXT} characters are the most", Tone.BAD, typed=True)
                return
            self._override = text
            self._confirm()
        elif self.step == "confirm" and text:
            if text == self._subject.name:
                self._done()
            else:
                what = f"That is not {self._subject.name}. Type it to do it; esc leaves."
                self._ask("confirm", what, Tone.BAD, typed=True)

    def _take_option(self, text: str) -> None:
        option = self._unasked[0]
        try:
            if not text and option.required:
                raise ConsoleError(f"{option.metavar}: {option.meaning}")
            self._options[option.field] = read_option(option, text) if text else option.default
        except ConsoleError as error:
            self._ask("options", str(error), Tone.BAD, typed=True)
            return
        del self._unasked[0]
        self._next()

    def _done(self) -> None:
        assert self._request is not None
        assert self._plan is not None
        self.dismiss(Confirmed(self._request, self._plan, self._override))

    def action_leave(self) -> None:
        """It is not wanted."""
        self.dismiss(None)


def _wanted(option: Option) -> str:
    if option.required:
        return option.metavar
    default = "" if option.default is None else f", {option.default:g} without"
    return f"{option.metavar}, or enter{default}"
