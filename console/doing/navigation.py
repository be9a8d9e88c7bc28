"""Going from screen to screen, and back."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from textual.widgets import ContentSwitcher

from console.commands import SCREENS
from console.errors import ConsoleError
from console.look import Subject

if TYPE_CHECKING:
    from console.app import ConsoleApp

BACK = 20  # screens that are remembered
SETTLES_S = 0.005  # within which widgets tell their screen that they come or go


class Navigation:
    """The handlers."""

    def __init__(self, app: "ConsoleApp") -> None:
        self._app = app
        self._at: tuple[str, Subject | None] = ("fleet", None)
        self._before: list[tuple[str, Subject | None]] = []

    @property
    def handlers(self) -> Mapping[str, Callable[[str], None]]:
        """By the names of commands."""
        screens = {name: partial(self._screen, name) for _, name, _ in SCREENS}
        return {
            **screens,
            "edge": self._edge,
            "back": lambda _: self._back(),
            "region": self._region,
            "all": lambda _: self._region("all"),
        }

    @property
    def shown(self) -> str:
        """The id of the pane that is shown."""
        return f"pane-{self._at[0]}"

    def go(self, name: str, subject: Subject | None = None) -> None:
        """Show a screen, and in it one thing."""
        if (name, subject) != self._at:
            self._before = [*self._before, self._at][-BACK:]
        self._show(name, subject)

    def _screen(self, name: str, rest: str) -> None:
        self.go(name)
        if rest:
            self._app.tell_filter(rest)

    def _edge(self, name: str) -> None:
        edges = self._app.scene.look().view.edges
        found = [edge for edge in edges if name in (edge.name, f"{edge.region}/{edge.name}")]
        if len(found) != 1:
            where = ", ".join(edge.region for edge in found)
            raise ConsoleError(
                f"{name} is in {where}: say REGION/EDGE" if found else f"no edge {name!r}"
            )
        self.go("edge", Subject("edge", found[0].region, found[0].name))

    def _back(self) -> None:
        if self._app.screen.maximized is not None:
            self._app.screen.minimize()
        elif self._before:
            self._show(*self._before.pop())
        elif self._at[0] != "fleet":
            self._show("fleet", None)

    def _show(self, name: str, subject: Subject | None) -> None:
        main = self._app.screen_stack[0]
        if name != self._at[0]:
            self._hold()
        main.minimize()  # a table that stood alone is of the screen that is left
        if name != self._at[0]:
            self._app.pane.leave()
        self._at = (name, subject)
        main.query_one("#panes", ContentSwitcher).current = self.shown
        pane = self._app.pane
        if subject is not None:
            pane.about(subject)
        else:
            pane.about_all()
        pane.focus_first()

    def _hold(self) -> None:
        """Draw nothing until the screen knows what comes and goes.

        It would draw what changed of the old layout first, and then all of it in the new one.
        """
        main, held = self._app.screen_stack[0], ExitStack()
        held.enter_context(self._app.batch_update())

        def settled() -> None:
            held.close()
            main.check_idle()

        self._app.set_timer(SETTLES_S, settled)

    def only(self, region: str) -> None:
        """Look at one region alone."""
        self._region(region)

    def _region(self, name: str) -> None:
        scene = self._app.scene
        names = [region.name for region in scene.look().view.regions]
        if name == "all":
            scene.region = ""
        elif not name:
            scene.next_region()
        elif name in names:
            scene.region = name
        else:
            raise ConsoleError(f"no region {name!r}: there are {', '.join(names)}")
        self._app.say(f"only {scene.region}" if scene.region else "all regions")
