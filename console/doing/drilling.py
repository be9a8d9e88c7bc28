"""Drills: which of them can be run here, and the one that is run from here."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from console import figures
from console.armed import TOO_LATE
from console.backing import Backing
from console.dialogs.ask import AskScreen
from console.dialogs.drill import DrillScreen
from console.doing.drill_child import DrillChild
from console.doing.drill_order import read_order
from console.errors import ConsoleError
from console.look import Look, Mode
from console.model.drills import drills_of, going
from regions.drills.run import Order
from regions.drills.site import Site
from relay.errors import RelayError
from relay.tasks import Tasks

if TYPE_CHECKING:
    from console.app import ConsoleApp

LOOK_MS = 10_000  # between two looks at what can be run
LEAVE_S = 20.0  # in which a drill heals before the console ends
NO_SITE = (
    "drills break a world that a supervisor runs on this machine (`jetrelay up`), "
    "and this console was not started for one"
)


class Drilling:
    """The handler of `drill`, and what becomes of it.

    Args:
        app: the console.
        backing: where drills are run.
        tasks: in which one is followed.
        stay: keeps the console armed.
    """

    def __init__(
        self, app: "ConsoleApp", backing: Backing, tasks: Tasks, stay: Callable[[], None]
    ) -> None:
        self._app = app
        self._backing = backing
        self._tasks = tasks
        self._stay = stay
        self._asked_ms: int | None = None
        self._leaving = False
        self.child: DrillChild | None = None  # that runs, or ended and was not seen yet
        self.hindrances: Mapping[str, str | None] = {}  # of each drill that was asked about
        self.why_not = NO_SITE if backing.drills is None else ""  # for none of them

    @property
    def handlers(self) -> Mapping[str, Callable[[str], None]]:
        """By the names of commands."""
        return {"drill": self._drill}

    @property
    def busy(self) -> bool:
        """Whether one runs from here."""
        return self.child is not None and not self.child.ended

    # --- what can be run -----------------------------------------------------------------------

    def look(self, look: Look) -> None:
        """Ask again what can be run, from time to time while that is looked at."""
        site, now_ms = self._backing.drills, self._app.scene.steady_ms()
        if site is None or look.mode is Mode.PAST or self._app.navigation.shown != "pane-drills":
            return
        if self._asked_ms is None or now_ms - self._asked_ms >= LOOK_MS:
            self._asked_ms = now_ms
            self._tasks.spawn(self._ask(site), "drills")

    async def _ask(self, site: Site) -> None:
        try:
            self.hindrances, self.why_not = await site.hindrances(), ""
        except RelayError as error:
            self.hindrances, self.why_not = {}, str(error)
        self._app.refresh_soon()

    # --- one of them ---------------------------------------------------------------------------

    def _drill(self, text: str) -> None:
        site, armed = self._backing.drills, self._app.acting.armed
        if site is None:
            raise ConsoleError(NO_SITE)
        assert armed is not None
        if self.busy:
            raise ConsoleError("a drill runs from here already: follow it, or A")
        subject = self._app.pane.subject
        pointed_at = subject.name if subject is not None and subject.kind == "drill" else ""
        order = read_order(text, pointed_at, site, self._backing.by, armed.why)

        def confirmed(yes: bool | None) -> None:
            if yes and self._app.acting.armed is None:
                self._app.complain(TOO_LATE)
            elif yes:
                self._start(site, order)

        screen = DrillScreen(order, site.look_ahead, self._another())
        self._app.push_screen(screen, confirmed)

    def _another(self) -> str:
        """The drill that goes on already; empty: none does."""
        now_ms = self._app.scene.wall_ms()
        other = going(drills_of(self._app.scene.live().drills), now_ms)
        if other is None:
            return ""
        age = figures.age(max(0, now_ms - other.last.at_ms))
        return f"{other.drill} by {other.first.by} goes on, as was told {age} ago"

    def _start(self, site: Site, order: Order) -> None:
        self._stay()
        if not site.is_up:  # the drill would start a world of its own
            self._app.complain(f"no world runs in {site.state} any more")
            return
        try:
            self.child = DrillChild(order, site.command(order))
        except OSError as error:
            self._app.complain(f"the drill does not start: {error.strerror or error}")
            return
        self._tasks.spawn(self._follow(self.child), "drill")
        self._app.navigation.go("drills")
        self._app.redraw()

    async def _follow(self, child: DrillChild) -> None:
        try:
            await child.followed()
        finally:
            child.interrupt()  # nothing, where it has ended
        self._app.refresh_soon()

    def is_meant(self, name: str) -> bool:
        """Whether `abort` is about the drill that runs from here."""
        return self.busy and self.child is not None and name in ("", self.child.name)

    def abort(self) -> None:
        """Interrupt it, if that is really wanted."""
        child = self.child
        assert child is not None
        if child.interrupted:
            raise ConsoleError("it is interrupted already, and heals what it broke")

        def said(answer: str | None) -> None:
            if answer is not None:
                child.interrupt()
                self._stay()
                self._app.repaint()

        text = "It is interrupted, and heals what it broke. Enter does it, esc leaves."
        self._app.push_screen(AskScreen(f"Abort the drill {child.name}", text, optional=True), said)

    def acknowledge(self) -> bool:
        """It was seen how it ended; whether there was anything to see."""
        if self.child is None or not self.child.ended:
            return False
        self.child = None
        return True

    def leave(self, go: Callable[[], None]) -> None:
        """End the console: ask first, let the drill heal what it broke, then go."""
        if self._leaving:
            go()
            return

        async def heal() -> None:
            assert self.child is not None
            self.child.interrupt()
            try:
                async with asyncio.timeout(LEAVE_S):
                    await self.child.followed()
            except TimeoutError:
                pass
            go()

        def ask(said: str | None) -> None:
            if said is not None:
                self._leaving = True
                self._app.say("the drill heals what it broke; again: leave at once")
                self._tasks.spawn(heal(), "leave")

        text = (
            "It is interrupted, and heals what it broke before the console ends. "
            "Enter leaves, esc stays."
        )
        self._app.push_screen(AskScreen("A drill runs from here", text, optional=True), ask)
