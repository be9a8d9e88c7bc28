"""The console: screens over the fold, repainted at most twice a second."""

import gc
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import PurePath
from typing import Any, ClassVar

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widgets import ContentSwitcher

from console.asking import Asking
from console.backing import Backing
from console.clock import Clock
from console.commands import BY_NAME, COMMANDS, Command, parse
from console.dialogs.help import HelpScreen
from console.dialogs.palette import CommandProvider
from console.doing.acting import Acting
from console.doing.navigation import Navigation
from console.doing.steering import Steering
from console.doing.streams import Streams
from console.doing.streams import names as stream_names
from console.doing.tables import Tables
from console.doing.time_travel import TimeTravel
from console.errors import ConsoleError
from console.feed import Feed, FeedEvent, Silence
from console.literal import clean
from console.live import LiveFeed
from console.look import Look, Mode
from console.model import Fleet, expect
from console.panes import PANES
from console.panes.pane import Pane
from console.scene import Scene
from console.terminal import is_gone
from console.theme_names import FEW_COLORS, NAMES
from console.themes import THEMES, VARIABLES
from console.views.drill_panel import DrillPanel
from console.views.keybar import KeyBar
from console.views.notice import Notice
from console.views.operation import OperationPanel
from console.views.prompt import Prompt
from console.views.table import RowTable
from console.views.topbar import TopBar
from regions.doors import Door
from relay.errors import RelayError
from relay.tasks import Tasks

REPAINT_S = 0.5
THERE_S = 1.0  # between two looks whether the terminal is still there
COLLECT = (20_000, 10, 20)  # objects made, young collections, and middle ones between two
WORD_LIMIT = 64  # cells of a name that is completed
TYPED = ("command", "filter")  # a line follows their key, in the same packet on a slow line
SCREEN_KEYS = Binding.Group("screens", compact=True)
TEXT_LIMIT = 240  # characters of what is said to the operator


class ConsoleApp(App[None]):
    """Draws what a feed tells, and does what it is told.

    Args:
        feed: what is heard.
        known: the regions, and their edges as far as known, before any was heard.
        world: what the top bar calls the fleet.
        clock: for ages, and for the time.
        backing: what else it can do.
        at_ms: the time to begin at, Unix ms; None: now.
        repaint_s: between two repaints; at least 0.5.
        theme: its colours, one of `themes.NAMES`; empty: those that fit the terminal.
    """

    CSS_PATH: ClassVar[str | PurePath | list[str | PurePath] | None] = "console.tcss"
    TITLE: str | None = "jetrelay"
    # A table that stands alone hides no warning, and not what is typed.
    ALLOW_IN_MAXIMIZED_VIEW: ClassVar[str] = "#top, #operation, #drill, #notice, #prompt, #keys"
    ENABLE_COMMAND_PALETTE = False  # ours opens it: no commands but the console's are in it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "leave", "quit", show=False, priority=True),
        *(
            Binding(
                command.key,
                f"tell('{command.name}')",
                command.name,
                key_display=command.shown or None,
                show=command.foot,
                priority=command.name in TYPED,
                id=command.name,
                group=SCREEN_KEYS if command.group == "Screens" and command.foot else None,
            )
            for command in sorted(COMMANDS, key=lambda each: each.when == "armed")
            if command.key
        ),
    ]

    def __init__(
        self,
        feed: Feed,
        known: Mapping[str, Sequence[str]],
        *,
        world: str = "",
        clock: Clock | None = None,
        backing: Backing | None = None,
        at_ms: int | None = None,
        repaint_s: float = REPAINT_S,
        theme: str = "",
    ) -> None:
        super().__init__()
        self._begin_ms = at_ms
        self._first_theme = theme
        self._feed = feed
        self._world = world
        self._repaint_s = max(repaint_s, REPAINT_S)
        self._tasks = Tasks("console")
        self.animation_level = "none"
        backing = backing or Backing()
        fleet = Fleet()
        for region, edges in known.items():
            fleet = expect(fleet, region, edges)
        self.backing = backing
        self.scene = Scene(fleet, clock or Clock())
        self.rings = True  # whether an alert that pages rings
        self._paging: set[tuple[str, str]] | None = None  # alerts that page, as last seen
        self.navigation = Navigation(self)
        self.asking = Asking(backing.asker, self._tasks, self.scene.steady_ms, self.refresh_soon)
        self.acting = Acting(self, backing, self._tasks)
        self.steering = Steering(self, backing, self._tasks)
        self.clients = self.acting.clients
        self._time_travel = TimeTravel(self, backing, known, self._tasks)
        self.handlers: Mapping[str, Callable[[str], None]] = {
            **self.navigation.handlers,
            **self.steering.handlers,
            **Streams(self).handlers,
            **Tables(self, backing.folder).handlers,
            **self._time_travel.handlers,
            **self.acting.handlers,
            "command": lambda _: self.query_one(Prompt).ask("command"),
            "palette": lambda _: self._open_palette(),
            "help": lambda _: self._help(),
            "quit": lambda _: self.action_leave(),
            "bell": lambda _: self._turn_bell(),
            "theme": self._change_theme,
            "privacy": lambda _: self._turn_privacy(),
            "freeze": lambda _: self._freeze(),
        }

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The console's own colours for themes that do not name them."""
        return VARIABLES

    def compose(self) -> ComposeResult:
        """Top bar, one screen of several, what becomes of an operation, notices, keys."""
        yield TopBar(self._world)
        with ContentSwitcher(id="panes", initial="pane-fleet"):
            for pane in PANES.values():
                yield pane()
        yield OperationPanel()
        yield DrillPanel()
        yield Notice()
        yield Prompt(self._words)
        yield KeyBar()

    def on_mount(self) -> None:
        """Start listening and painting."""
        for theme in THEMES:
            self.register_theme(theme)
        few_colors = self.console.color_system in {None, "standard"} and not self.is_headless
        usual = FEW_COLORS[0] if few_colors and not self.no_color else NAMES[0]
        self.theme = self._first_theme or usual
        self.pane.focus_first()
        self.set_interval(self._repaint_s, self.repaint)
        if not self.is_headless and sys.__stdin__ is not None:
            self.set_interval(THERE_S, self._leave_with_terminal)
        self.call_after_refresh(self.repaint)
        self._tasks.spawn(self._listen(), "listen")
        if self.backing.recorded or self._begin_ms is not None:
            self._time_travel.start(self._begin_ms)

    def _leave_with_terminal(self) -> None:
        """End where the terminal was closed and no SIGHUP came: it would be drawn for nobody, until
        nothing more can be written, and read without an end.
        """
        assert sys.__stdin__ is not None
        if is_gone(sys.__stdin__.fileno()):
            self.exit()

    async def on_unmount(self) -> None:
        """Stop listening."""
        await self._tasks.close()

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self.call_after_refresh(self.repaint)

    # --- what is heard -------------------------------------------------------------------------

    @property
    def fleet(self) -> Fleet:
        """All that was heard."""
        return self.scene.fleet

    @fleet.setter
    def fleet(self, fleet: Fleet) -> None:
        self.scene.fleet = fleet

    def hear(self, event: FeedEvent) -> None:
        """Fold `event` in; it shows at the next repaint."""
        self.scene.hear(event)

    async def _listen(self) -> None:
        async with aclosing(self._feed.events()) as events:
            async for event in events:
                self.hear(event)

    # --- what is drawn -------------------------------------------------------------------------

    @property
    def pane(self) -> Pane:
        """The screen that is shown."""
        return self.screen_stack[0].query_one(f"#{self.navigation.shown}", Pane)

    def repaint(self) -> None:
        """Draw the fleet as it looks now."""
        if self.screen_stack:
            self._paint(self.scene.look())
            self._ring()

    def redraw(self) -> None:
        """Draw what a key changed, over the fleet as it was last looked at: a repaint looks anew,
        which takes longer than all the rest, and the next one is at most half a second away.
        """
        if self.screen_stack:
            self._paint(self.scene.look(lately=True))

    def _paint(self, look: Look) -> None:
        main = self.screen_stack[0]
        try:
            top = main.get_child_by_id("top", TopBar)
            pane = main.get_child_by_id("panes").get_child_by_id(self.navigation.shown, Pane)
            operation = main.get_child_by_id("operation", OperationPanel)
            drill = main.get_child_by_id("drill", DrillPanel)
            notice = main.get_child_by_id("notice", Notice)
        except NoMatches:
            return  # not mounted yet, or about to end: widgets come and go one by one
        self.acting.look(look)
        with self.batch_update():
            top.show(look, self.scene, self.acting.armed)
            pane.draw(look)
            operation.show(look, self.acting)
            drill.show(look, self.acting.drilling)
            notice.show_look(look)

    def _ring(self) -> None:
        """Ring once for each alert that begins to page now, whatever time is drawn."""
        paging = {
            alert.key
            for alert in self.scene.live().alerts
            if (alert.state, alert.severity) == ("firing", "page")
        }
        if self.rings and self._paging is not None and paging - self._paging:
            self.bell()
        self._paging = paging

    def travel(self, at_ms: int) -> None:
        """Go to a time (Unix ms), or say why not."""
        try:
            self._time_travel.start(at_ms)
        except RelayError as error:
            self.complain(str(error))

    def refresh_soon(self) -> None:
        """Something is to be drawn."""
        self.call_later(self.repaint)

    # --- what it is told -----------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing now are not bound."""
        if action != "tell":
            return True
        if parameters[0] in TYPED and isinstance(self.focused, Prompt):
            return False
        return len(self.screen_stack) == 1 and self.applies(BY_NAME[str(parameters[0])])

    def applies(self, command: Command) -> bool:
        """Whether a command makes sense now."""
        past = self.scene.mode is Mode.PAST
        match command.when:
            case "always":
                return True
            case "live":
                return not past and (command.name != "arm" or self.acting.can_act)
            case "past":
                return past
            case "armed":
                return not past and self.acting.armed is not None

    def action_tell(self, name: str) -> None:
        """A key was pressed."""
        if name == "filter":
            listing = self.pane.listing
            if listing is None:
                self.complain("filter: there is no table here")
            else:
                self.query_one(Prompt).ask("filter", listing.filter, listing.hint)
            return
        self.tell(BY_NAME[name], "")

    def tell(self, command: Command, rest: str) -> None:
        """Do what a command says, or say why not."""
        try:
            if not self.applies(command):
                raise ConsoleError(self._why_not(command))
            self.handlers[command.name](rest)
        except RelayError as error:
            self.complain(str(error))
        self.redraw()

    def _why_not(self, command: Command) -> str:
        if self.scene.mode is Mode.PAST:
            return f"{command.name}: not in the past; L goes back to now"
        if command.when == "past":
            return f"{command.name}: this is now; T goes into the past"
        if not self.acting.can_act:
            return f"{command.name}: this console has no login that may change anything"
        return f"{command.name}: W first: the console is read-only until it is armed"

    def on_prompt_said(self, message: Prompt.Said) -> None:
        """A line was typed, or left."""
        if message.text is None:
            return
        if message.purpose == "filter":
            self.tell(BY_NAME["filter"], message.text)
        elif message.text.strip():
            try:
                self.tell(*parse(message.text))
            except ConsoleError as error:
                self.complain(str(error))

    def on_row_table_chosen(self, message: RowTable.Chosen) -> None:
        """A row is to be opened."""
        try:
            self.pane.open(message.table, self)
        except RelayError as error:
            self.complain(str(error))
        self.redraw()

    def tell_filter(self, text: str) -> None:
        """Filter the table that is shown."""
        self.call_after_refresh(self.tell, BY_NAME["filter"], text)

    def choose(self, command: Command) -> None:
        """A command was chosen in the palette; what has to follow its name is typed."""
        if command.usage and not command.usage.startswith("["):
            self.call_later(self.query_one(Prompt).ask, "command", f"{command.name} ")
        else:
            self.call_later(self.action_tell, command.name)

    def _words(self, purpose: str) -> list[str]:
        """What may be typed, for completion."""
        view = self.scene.look().view
        if purpose == "filter":
            listing = self.pane.listing
            return [] if listing is None else list(listing.fields)
        names = [command.name for command in COMMANDS if self.applies(command)]
        names += [clean(region.name, WORD_LIMIT) for region in view.regions]
        names += [clean(edge.name, WORD_LIMIT) for edge in view.edges]
        return names + [clean(name, WORD_LIMIT) for name in stream_names(view)]

    # --- what it says --------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Tell the operator something that needs no answer."""
        self.notify(clean(text, TEXT_LIMIT), markup=False, timeout=4)

    def complain(self, text: str) -> None:
        """Tell the operator why something was not done."""
        self.notify(clean(text, TEXT_LIMIT), severity="error", markup=False, timeout=8)

    def changed_mode(self) -> None:
        """Another time is drawn, or the console was armed or disarmed: other keys are bound."""
        self.screen_stack[0].set_class(self.scene.mode is Mode.PAST, "in-the-past")
        self.screen_stack[0].set_class(self.acting.armed is not None, "armed")
        self.refresh_bindings()
        self.repaint()

    # --- small commands ------------------------------------------------------------------------

    def _help(self) -> None:
        self.push_screen(HelpScreen(COMMANDS))

    def _open_palette(self) -> None:
        self.push_screen(CommandPalette([CommandProvider], id="--command-palette"))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """None: the palette has the console's own commands."""
        del screen
        return ()

    def action_leave(self) -> None:
        """Ctrl-C: as `q`, also where something is asked."""
        self.acting.leave(self.exit)

    def _turn_bell(self) -> None:
        self.rings = not self.rings
        self.say(f"the bell {'rings' if self.rings else 'does not ring'} when an alert pages")

    def _change_theme(self, name: str) -> None:
        if name and name not in NAMES:
            raise ConsoleError(f"no theme {name!r}: there are {', '.join(NAMES)}")
        at = NAMES.index(self.theme) if self.theme in NAMES else -1
        self.theme = name or NAMES[(at + 1) % len(NAMES)]
        self.say(f"colours: {self.theme}")

    def _turn_privacy(self) -> None:
        self.scene.private = not self.scene.private
        self.say("names are hidden" if self.scene.private else "names are shown")

    def _freeze(self) -> None:
        self.scene.freeze()
        self.changed_mode()


async def watch(
    doors: Sequence[Door],
    known: Mapping[str, Sequence[str]],
    *,
    world: str = "",
    backing: Backing | None = None,
    at_ms: int | None = None,
    repaint_s: float = REPAINT_S,
    theme: str = "",
) -> None:
    """Show the console on this terminal until the operator quits.

    Args:
        doors: the ways into the fleet, tried in turn; none: a recording is looked at.
        known: region -> the names of its edges as far as known, in the order to show.
        world: what the top bar calls the fleet.
        backing: what else it can do.
        at_ms: the time to begin at, Unix ms; None: now.
        repaint_s: between two repaints; at least 0.5.
        theme: its colours, one of `themes.NAMES`; empty: those that fit the terminal.
    """
    app = ConsoleApp(
        LiveFeed(doors) if doors else Silence(),
        known,
        world=world,
        backing=backing,
        at_ms=at_ms,
        repaint_s=repaint_s,
        theme=theme,
    )
    _calm_collector()
    await app.run_async()


def _calm_collector() -> None:
    """Let Python look for garbage in what is new, rarely.

    Otherwise it goes through all that a console keeps, several times a minute: a fifth of what the
    console costs, and pauses of 0.2 s with a fleet of 300 edges.
    """
    gc.freeze()  # what was imported stays
    gc.set_threshold(*COLLECT)
