"""A repaint costs what changed: nothing is laid out, drawn or kept without need."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.app import App, ComposeResult
from textual.content import Content
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget

from console.app import REPAINT_S
from console.look import Look
from console.signs import Tone
from console.svg import screen_text
from console.views.cell import cell, line
from console.views.drawn import Drawn
from console.views.edges import EdgeTable
from console.views.keybar import KeyBar
from console.views.topbar import TopBar
from tests.console.scenario import EDGES, frame, quiet
from tests.console.stage import Stage, settle

NOW_MS = 79_600
NEVER_S = 3_600.0  # only the test repaints: what it counts is what it asked for


@asynccontextmanager
async def console(repaint_s: float = NEVER_S) -> AsyncIterator[tuple[Stage, Pilot[None]]]:
    stage = Stage(EDGES, repaint_s=repaint_s)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(quiet(80))
        await settle(stage, pilot, NOW_MS)
        yield stage, pilot


class Watch:
    """What is asked of the screen from now on."""

    def __init__(self, screen: Screen[object]) -> None:
        self.layouts = 0
        self._layout = screen._refresh_layout
        screen._refresh_layout = self._laid_out  # type: ignore[method-assign]

    def _laid_out(self, *arguments: object, **named: object) -> None:
        self.layouts += 1
        self._layout(*arguments, **named)  # type: ignore[arg-type]


async def test_a_repaint_with_new_figures_lays_nothing_out() -> None:
    async with console() as (stage, pilot):
        watch = Watch(stage.app.screen)
        before = screen_text(stage.app.screen)
        for second in range(80, 84):
            for region, edges in EDGES.items():
                for edge in edges:
                    stage.hear(frame(region, edge, second), second * 1000)
            await settle(stage, pilot, second * 1000 + 500)
        assert screen_text(stage.app.screen) != before
        assert watch.layouts == 0


async def test_a_text_that_needs_another_row_is_laid_out() -> None:
    text = Drawn(line(cell("one")), name="text")

    class OneText(App[None]):
        def compose(self) -> ComposeResult:
            yield text

    app = OneText()
    async with app.run_test(size=(20, 5)) as pilot:
        await pilot.pause()
        watch = Watch(app.screen)
        for said, rows, anew in (
            (line(cell("two")), 1, False),
            (Content("\n").join([line(cell("one")), line(cell("two"))]), 2, True),
            (line(cell("a word and many more than fit")), 2, False),
            (line(cell("one")), 1, True),
        ):
            watch.layouts = 0
            text.say(said)
            await pilot.pause()
            assert (text.size.height, watch.layouts > 0) == (rows, anew)


async def test_only_rows_that_changed_are_drawn() -> None:
    async with console() as (stage, pilot):
        table = stage.app.query_one(EdgeTable)
        drawn: list[int] = []
        render = table.render_line

        def noting(y: int) -> object:
            drawn.append(y)
            return render(y)

        table.render_line = noting  # type: ignore[method-assign,assignment]
        stage.app.repaint()
        await pilot.pause()
        assert drawn == []
        stage.hear(frame("eu", "eu-1", 80), NOW_MS)
        stage.app.repaint()
        await pilot.pause()
        assert drawn == [3]  # the header, us-1, us-2, eu-1
        drawn.clear()
        await pilot.press("down")
        await pilot.pause()
        assert sorted(set(drawn)) == [1, 2]


async def test_the_same_text_in_another_tone_is_drawn() -> None:
    async with console() as (stage, pilot):
        bar = stage.app.query_one(TopBar)
        assert isinstance(bar, Drawn)
        bar.say(line(cell("same")))
        before = bar.visual
        bar.say(line(cell("same")))
        assert bar.visual is before
        bar.say(line(cell("same", Tone.BAD)))
        assert bar.visual is not before
        await pilot.pause()


async def test_nothing_is_kept_of_screens_that_were_looked_at() -> None:
    async with console() as (stage, pilot):

        async def look() -> None:
            for key in "21":
                await pilot.press(key)
                await settle(stage, pilot, NOW_MS)

        def widgets() -> int:
            gc.collect()
            return sum(isinstance(each, Widget) for each in gc.get_objects())

        await look()
        before = widgets()
        for _ in range(3):
            await look()
        assert widgets() == before


async def test_a_key_in_the_bar_is_pressed_by_a_click() -> None:
    async with console() as (stage, pilot):
        bar = stage.app.query_one(KeyBar)
        text = str(bar.visual)
        assert text.startswith(" 12345678 screens")
        await pilot.click(KeyBar, offset=(2, 0))  # the 2
        await settle(stage, pilot, NOW_MS)
        assert stage.app.navigation.shown == "pane-edges"
        await pilot.click(KeyBar, offset=(text.index("help"), 0))
        await asyncio.sleep(0)
        await pilot.pause()
        assert len(stage.app.screen_stack) == 2


async def test_however_much_is_heard_it_is_drawn_twice_a_second() -> None:
    async with console(REPAINT_S) as (stage, pilot):
        drawn: list[float] = []
        paint = stage.app._paint

        def noting(look: Look) -> None:
            drawn.append(time.monotonic())
            paint(look)

        stage.app._paint = noting  # type: ignore[method-assign]
        began_s = time.monotonic()
        while time.monotonic() - began_s < 2.2:
            stage.hear(frame("eu", "eu-1", 80), NOW_MS)
            await pilot.pause(0.01)
        took_s = time.monotonic() - began_s
        assert 2 <= len(drawn) <= took_s / REPAINT_S + 1


async def test_a_key_that_opens_a_screen_looks_at_no_fleet_anew_and_draws_it_once() -> None:
    async with console() as (stage, pilot):
        for key in ("2", "1"):  # each is laid out for the first time
            await pilot.press(key)
            await settle(stage, pilot, NOW_MS)
        watch, composed = Watch(stage.app.screen), 0
        compose = stage.app.screen._compositor_refresh

        def noting() -> None:
            nonlocal composed
            composed += 1
            compose()

        stage.app.screen._compositor_refresh = noting  # type: ignore[method-assign]
        view = stage.app.scene.live()
        stage.hear(frame("eu", "eu-1", 80), NOW_MS)
        await pilot.press("2")
        await pilot.pause()
        assert "Edges (6)" in screen_text(stage.app.screen)
        assert stage.app.scene.live(lately=True) is view
        assert watch.layouts == 1
        assert composed <= 2, "the layout's, and one of what has the focus"
