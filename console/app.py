"""The console: one Textual screen over the fold, repainted at most twice a second."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import PurePath
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.theme import Theme
from textual.widgets import Footer

from console.clock import Clock
from console.feed import Feed, FeedEvent, apply
from console.live import LiveFeed
from console.model import Fleet, FleetView, expect, observe
from console.views.alerts import WIDTH as ALERTS_WIDTH
from console.views.alerts import AlertTable
from console.views.edges import EdgeTable
from console.views.help import HelpScreen
from console.views.lag import LagMatrix, natural_width
from console.views.notice import Notice
from console.views.regions import CARD_WIDTH, RegionCards, RegionLines
from console.views.topbar import TopBar
from regions.doors import Door
from relay.tasks import Tasks

REPAINT_S = 0.5
CARDS_FROM = (100, 22)  # columns and lines from which regions are cards
FRAME_WIDTH = 5  # borders, padding and a scroll bar
FRAME_LINES = 3  # borders and header
EDGES_LINES = 9  # that the edge table keeps, with the bars at top and bottom
TABLE_WIDTH = 70  # cells that the edge table keeps where the matrix stands beside it
SCROLL_KEYS = (("↑ ↓ ← →", "scroll"), ("pgup pgdn", "scroll by pages"), ("tab", "next table"))

THEME = Theme(
    name="jetrelay",
    primary="#7aa2c8",
    secondary="#8f9bb3",
    success="#7fb685",
    warning="#d9a860",
    error="#e0736d",
    foreground="#d5d9e0",
    background="#14171c",
    surface="#14171c",
    panel="#1d2229",
    variables={
        "console-muted": "#8490a0",
        "console-border": "#3a4350",
        "console-focus": "#7aa2c8",
        "console-bar": "#1d2229",
        "text-success": "#8fca96",
        "text-warning": "#e3b76f",
        "text-error": "#f0857f",
        "footer-background": "#1d2229",
        "footer-key-foreground": "#7aa2c8",
    },
)


class ConsoleApp(App[None]):
    """Draws what a feed tells."""

    CSS_PATH: ClassVar[str | PurePath | list[str | PurePath] | None] = "console.tcss"
    TITLE: str | None = "jetrelay"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
        Binding("question_mark", "help", "help", key_display="?"),
    ]

    def __init__(
        self,
        feed: Feed,
        known: Mapping[str, Sequence[str]],
        *,
        world: str = "",
        clock: Clock | None = None,
    ) -> None:
        """`known`: the regions, and their edges as far as known, before any was heard."""
        super().__init__()
        self._feed = feed
        self._clock = clock or Clock()
        self._world = world
        self._tasks = Tasks("console")
        self.fleet = Fleet()
        for region, edges in known.items():
            self.fleet = expect(self.fleet, region, edges)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The console's own colours for themes that do not name them."""
        return {
            "console-muted": "ansi_bright_black",
            "console-border": "ansi_bright_black",
            "console-focus": "ansi_cyan",
            "console-bar": "ansi_default",
        }

    def compose(self) -> ComposeResult:
        """Top bar, regions, edges beside the lag matrix, notices, keys."""
        yield TopBar(self._world)
        yield RegionCards(id="cards")
        yield RegionLines()
        with Container(id="tables"):
            yield EdgeTable()
            with Container(id="side"):
                yield LagMatrix()
                yield AlertTable()
        yield Notice()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Start listening and painting."""
        self.register_theme(THEME)
        few_colors = self.console.color_system in {None, "standard"} and not self.is_headless
        self.theme = "ansi-dark" if few_colors and not self.no_color else THEME.name
        self.query_one(EdgeTable).focus()
        self.set_interval(REPAINT_S, self.repaint)
        self.call_after_refresh(self.repaint)
        self._tasks.spawn(self._listen(), "listen")

    async def on_unmount(self) -> None:
        """Stop listening."""
        await self._tasks.close()

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self.call_after_refresh(self.repaint)

    def hear(self, event: FeedEvent) -> None:
        """Fold `event` in; it shows at the next repaint."""
        self.fleet = apply(self.fleet, event, self._clock.steady_ms())

    async def _listen(self) -> None:
        async with aclosing(self._feed.events()) as events:
            async for event in events:
                self.hear(event)

    def repaint(self) -> None:
        """Draw the fleet as it looks now."""
        parts = (TopBar, RegionCards, RegionLines, EdgeTable, LagMatrix, AlertTable, Notice)
        if not self.screen_stack or not all(self.screen_stack[0].query(part) for part in parts):
            return  # not mounted yet, or about to end: widgets come and go one by one
        view, wall_ms = observe(self.fleet, self._clock.steady_ms()), self._clock.wall_ms()
        main = self.screen_stack[0]
        self._lay_out(view)
        with self.batch_update():
            main.query_one(TopBar).show_view(view, wall_ms)
            if main.has_class("with-cards"):
                main.query_one(RegionCards).show(view)
            else:
                main.query_one(RegionLines).show_view(view)
            main.query_one(EdgeTable).show_view(view)
            main.query_one(LagMatrix).show_view(view)
            main.query_one(AlertTable).show_view(view, wall_ms)
            main.query_one(Notice).show_view(view)

    def _lay_out(self, view: FleetView) -> None:
        """Cards or lines, and the matrix beside the edges or below, by room and regions."""
        width, height = self.size
        regions = len(view.regions)
        main = self.screen_stack[0]
        cards = width >= CARDS_FROM[0] and height >= CARDS_FROM[1] and regions * CARD_WIDTH <= width
        matrix = max(natural_width(regions), ALERTS_WIDTH) + FRAME_WIDTH
        main.set_class(cards, "with-cards")
        main.set_class(width - matrix < TABLE_WIDTH, "stacked")
        lines = min(regions + FRAME_LINES, max(4, height // 3))
        stacked = main.has_class("stacked")
        alerts = len(view.alerts) + FRAME_LINES if view.alerts else 0
        if stacked:  # the worst one stands above the keys as well
            spare = height - 2 * lines - EDGES_LINES
            alerts = min(alerts, spare) if spare >= FRAME_LINES + 1 else 0
        side = main.query_one("#side")
        side.styles.width = "1fr" if stacked else matrix
        side.styles.height = lines + alerts if stacked else "1fr"
        main.query_one(LagMatrix).styles.height = lines
        main.query_one(AlertTable).display = bool(alerts) or not stacked
        main.query_one(RegionLines).styles.height = lines

    def action_help(self) -> None:
        """Show the keys and what the glyphs mean."""
        own = [
            (binding.key_display or binding.key, binding.description)
            for binding in self.BINDINGS
            if isinstance(binding, Binding) and binding.show
        ]
        self.push_screen(HelpScreen([*own, *SCROLL_KEYS]))


async def watch(
    doors: Sequence[Door], known: Mapping[str, Sequence[str]], *, world: str = ""
) -> None:
    """Show the console on this terminal until the operator quits.

    Args:
        doors: the ways into the fleet, tried in turn.
        known: region -> the names of its edges as far as known, in the order to show.
        world: what the top bar calls the fleet.
    """
    await ConsoleApp(LiveFeed(doors), known, world=world).run_async()
