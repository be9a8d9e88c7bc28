"""Changing the fleet: armed by `W` with a reason and for a while; plan, confirm, submit, follow."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from console.armed import TOO_LATE, Armed
from console.backing import Backing
from console.dialogs.act import ActScreen, Confirmed
from console.dialogs.ask import AskScreen
from console.doing.clients import Clients
from console.doing.drilling import Drilling
from console.doing.operations import Carrier
from console.doing.options import read_option
from console.errors import ConsoleError
from console.look import Look, Mode, Subject
from console.model.alerts import alert_named
from regions.operations.acts import OPERATIONS, Act
from regions.operations.entry import Run
from regions.operations.office import Office
from relay.core.orders import TEXT
from relay.errors import RelayError
from relay.tasks import Tasks

if TYPE_CHECKING:
    from console.app import ConsoleApp

ARMED_MS = 15 * 60_000  # without an act
CLIENTS = frozenset({"pane-clients", "pane-client"})  # that show what became of a kick


class Acting:
    """The handlers.

    Args:
        app: the console.
        backing: the control plane.
        tasks: in which operations are carried out.
    """

    def __init__(self, app: "ConsoleApp", backing: Backing, tasks: Tasks) -> None:
        self._app = app
        self._backing = backing
        self._tasks = tasks
        self.armed: Armed | None = None
        self.carrier = Carrier(tasks, app.scene.wall_ms, app.refresh_soon)
        self.drilling = Drilling(app, backing, tasks, self._stay)
        self.clients = Clients(app, backing, tasks, self._stay)
        self.acknowledged: dict[str, int] = {}  # operation -> of which end (Unix ms) was seen
        self.began_ms = app.scene.wall_ms()
        self._office: Office | None = None
        self._visit: asyncio.Task[None] | None = None

    @property
    def handlers(self) -> Mapping[str, Callable[[str], None]]:
        """By the names of commands."""
        operations = {act.name: partial(self._operate, act) for act in OPERATIONS}
        return {
            **operations,
            **self.drilling.handlers,
            **self.clients.handlers,
            "arm": self._arm,
            "abort": self._abort,
            "resume": self._resume,
            "ack": self._acknowledge_alert,
            "operation": lambda _: self._acknowledge(),
        }

    @property
    def can_act(self) -> bool:
        """Whether this console has a way to change anything."""
        return self._backing.office is not None

    @property
    def busy(self) -> bool:
        """Whether an operation or a drill is carried out from here."""
        return self.carrier.busy or self.drilling.busy

    # --- armed ---------------------------------------------------------------------------------

    def look(self, look: Look) -> None:
        """Time passes: what was armed for long, is no more."""
        self.drilling.look(look)
        if self.armed is not None and self._app.scene.steady_ms() >= self.armed.until_ms:
            if self.busy:
                self._stay()
            else:
                self._disarm()
                self._app.say("read-only again: nothing was done for 15 minutes")

    def _arm(self, why: str) -> None:
        if self.armed is not None:
            if self.busy:
                what = "a drill runs" if self.drilling.busy else "an operation is carried out"
                raise ConsoleError(f"{what} from here: follow it, or abort it")
            self._disarm()
        elif why:
            self._open(why)
        else:
            self._app.push_screen(
                AskScreen("Arm this console", "Why? A ticket, or a sentence; it is recorded."),
                self._armed_for,
            )

    def _armed_for(self, why: str | None) -> None:
        if why and why.strip():
            self._open(why.strip())

    def _open(self, why: str) -> None:
        if len(why) > TEXT:
            raise ConsoleError(f"why: {TEXT} characters are the most")
        self.armed = Armed(why, self._app.scene.steady_ms() + ARMED_MS)
        self._visit = self._tasks.spawn(self._stay_in_office(), "office")
        self._app.changed_mode()

    def _stay(self) -> None:
        if self.armed is not None:
            self.armed = Armed(self.armed.why, self._app.scene.steady_ms() + ARMED_MS)

    def _disarm(self) -> None:
        self.armed = None
        if self._visit is not None:
            self._visit.cancel()
        self._app.changed_mode()

    async def _stay_in_office(self) -> None:
        """Hold the control plane open while the console is armed."""
        assert self._backing.office is not None
        here = asyncio.current_task()
        try:
            async with self._backing.office() as office:
                self._office = office
                if office.unreached:
                    self._app.complain(f"not reached: {', '.join(office.unreached)}")
                await asyncio.Event().wait()
        except (RelayError, OSError) as error:
            self._app.complain(f"nothing can be changed: {error}")
            if self._visit is here:
                self.armed = None
                self._app.changed_mode()
        finally:
            if self._visit is here:  # else it was armed again meanwhile
                self._office = None

    async def office(self) -> Office:
        """The control plane, as soon as it is open.

        Raises:
            ConsoleError: it is not reached.
        """
        while self._office is None:
            if self.armed is None:
                raise ConsoleError("nothing can be changed: no region is reached")
            await asyncio.sleep(0.05)
        return self._office

    def leave(self, go: Callable[[], None]) -> None:
        """End, or ask first where an operation or a drill is carried out from here."""
        if self.drilling.busy:
            self.drilling.leave(go)
            return
        if not self.carrier.busy:
            go()
            return

        def ask(said: str | None) -> None:
            if said is not None:
                go()

        self._app.push_screen(
            AskScreen(
                "An operation is carried out from here",
                "What was ordered stands, but nobody follows it: `jetrelay ctl resume` goes on. "
                "Enter leaves, esc stays.",
                optional=True,
            ),
            ask,
        )

    # --- operations ----------------------------------------------------------------------------

    def _operate(self, act: Act, text: str) -> None:
        subject, options = self._read(act, text)
        armed = self.armed
        assert armed is not None
        screen = ActScreen(act, subject, self._by, armed.why, options, self.office)
        self._app.push_screen(screen, self._confirmed)

    def _confirmed(self, confirmed: Confirmed | None) -> None:
        if confirmed is None:
            return
        if self.armed is None or self._office is None:
            self._app.complain(TOO_LATE)
            return
        self._stay()
        try:
            self.carrier.submit(self._office, confirmed.request, confirmed.plan, confirmed.override)
        except RelayError as error:
            self._app.complain(str(error))
        self._app.repaint()

    def _read(self, act: Act, text: str) -> tuple[Subject, dict[str, float | None] | None]:
        """What an act is about, and its options; None: they are still to be asked for.

        Raises:
            ConsoleError: it is about nothing, or about what it can't be done to.
        """
        words = text.split()
        given = dict(word.split("=", 1) for word in words if "=" in word)
        named = [word for word in words if "=" not in word]
        subject = self._named(named.pop(0)) if named else self._pointed_at(act)
        if subject.kind not in act.on:
            raise ConsoleError(f"{act.name} is for {' or '.join(act.on)}, not for {subject.kind}")
        for option in act.options:
            if option.required and named:
                given.setdefault(option.name, named.pop(0))
        if named:
            raise ConsoleError(f"{act.name} {act.usage}: what is {named[0]!r}?")
        known = {option.name: option for option in act.options}
        for name in given:
            if name not in known:
                raise ConsoleError(f"{act.name} {act.usage}: there is no {name!r}")
        if not text or any(each.required and each.name not in given for each in act.options):
            return subject, None if act.options else {}
        return subject, {
            option.field: read_option(option, given[option.name])
            if option.name in given
            else option.default
            for option in act.options
        }

    def _pointed_at(self, act: Act) -> Subject:
        subject = self._app.pane.subject
        if subject is None:
            raise ConsoleError(f"{act.name} what? Put the cursor on it, or type :{act.name} NAME")
        if subject.kind not in act.on and "region" in act.on and subject.kind == "edge":
            return Subject("region", subject.where, subject.where)
        return subject

    def _named(self, name: str) -> Subject:
        view = self._app.scene.look().view
        if name in {region.name for region in view.regions}:
            return Subject("region", name, name)
        found = [e for e in view.edges if name in (e.name, f"{e.region}/{e.name}")]
        if len(found) == 1:
            return Subject("edge", found[0].region, found[0].name)
        raise ConsoleError(
            f"{name} is in {', '.join(e.region for e in found)}: say REGION/EDGE"
            if found
            else f"no region and no edge is called {name!r}"
        )

    @property
    def _by(self) -> str:
        return self._backing.by or "console"

    # --- operations that are there -------------------------------------------------------------

    def runs(self, look: Look) -> Sequence[Run]:
        """Those that go on, or ended while this console ran and were not acknowledged; newest
        last.
        """
        if look.mode is Mode.PAST:
            return look.view.books.unfinished
        return [
            run
            for run in look.view.books.runs
            if run.end is None
            or run.end.at_ms > max(self.began_ms - 1, self.acknowledged.get(run.name, 0))
        ]

    def shown(self, look: Look) -> Run | None:
        """The one of them that the panel shows: what did not end well is to be seen first."""
        runs = self.runs(look)
        wrong = [run for run in runs if run.end is not None and run.end.what != "done"]
        goes = [run for run in reversed(runs) if run.end is None]
        return next(iter([*wrong, *goes, *runs]), None)

    def _acknowledge(self) -> None:
        """What the screen shows was seen; nothing else."""
        if self.drilling.acknowledge():
            return
        if self._app.pane.id in CLIENTS and self.clients.acknowledge():
            return
        look, carried = self._app.scene.look(), self.carrier.current
        if carried is not None and carried.ended:
            run = next((each for each in self.runs(look) if each.name == carried.name), None)
            seen_ms = look.wall_ms if run is None or run.end is None else run.end.at_ms
            self.acknowledged[carried.name] = seen_ms
            self.carrier.acknowledge()
            return
        run = self.shown(look)
        if run is None:
            raise ConsoleError("nothing has ended that was not seen")
        if run.end is None:
            raise ConsoleError(f"{run.name} goes on; A aborts it")
        self.acknowledged[run.name] = run.end.at_ms

    def _run(self, name: str) -> str:
        carried = self.carrier.current
        if not name and carried is not None and not carried.ended:
            return carried.name
        runs = self._app.scene.look().view.books.unfinished
        found = [run.name for run in runs if not name or run.name == name]
        if not found:
            raise ConsoleError(f"no operation {name!r} goes on" if name else "no operation goes on")
        return found[-1]

    def _abort(self, text: str) -> None:
        if self.drilling.is_meant(text):
            self.drilling.abort()
            return
        name = self._run(text)
        self._ask_yes(f"Abort {name}", lambda office, why: self.carrier.abort(
            office, name, self._by, why))  # fmt: skip

    def _resume(self, text: str) -> None:
        name = self._run(text)
        self._ask_yes(f"Go on with {name}", lambda office, _: self.carrier.resume(
            office, name, self._by))  # fmt: skip

    def _acknowledge_alert(self, text: str) -> None:
        name, _, on = text.partition(" ")
        subject = self._app.pane.subject
        if not name and (subject is None or subject.kind != "alert"):
            raise ConsoleError("which alert? Put the cursor on it: tab goes to the table")
        if subject is not None and not name:
            name, on = subject.name, subject.where
        try:
            name, on = alert_named(self._app.scene.look().view.alerts, name, on).key
        except LookupError as error:
            raise ConsoleError(str(error)) from error

        def acknowledge(office: Office, why: str) -> None:
            self._tasks.spawn(self._tell_of(office, name, on, why), "ack")

        self._ask_yes(f"Acknowledge {name} {on}".rstrip(), acknowledge)

    async def _tell_of(self, office: Office, name: str, on: str, why: str) -> None:
        try:
            await office.acknowledge(name, on, self._by, why)
        except RelayError as error:
            self._app.complain(str(error))

    def _ask_yes(self, title: str, act: Callable[[Office, str], None]) -> None:
        async def go(why: str) -> None:
            try:
                act(await self.office(), why)
            except RelayError as error:
                self._app.complain(str(error))

        def said(answer: str | None) -> None:
            if answer is None:
                return
            if self.armed is None:
                self._app.complain(TOO_LATE)
                return
            self._stay()
            self._tasks.spawn(go(answer.strip() or self.armed.why), "act")

        why = self.armed.why if self.armed is not None else ""
        self._app.push_screen(
            AskScreen(title, f"Why? Without: {why}. Enter does it, esc leaves.", optional=True),
            said,
        )
