"""The console's screen as a picture, without a terminal."""

from typing import Any

from textual.pilot import Pilot

from console.app import ConsoleApp
from console.clock import Clock
from console.feed import Silence
from console.literal import clean
from console.model import Ages, Fleet
from console.model.observe import DEFAULT_AGES
from console.svg import tidy

SIZE = (120, 36)  # columns, lines


async def picture(
    fleet: Fleet, now_ms: int, wall_ms: int, world: str, ages: Ages = DEFAULT_AGES
) -> str:
    """The screen as SVG.

    Args:
        fleet: what was heard.
        now_ms: the time by the clock that it was heard by.
        wall_ms: the same, Unix ms.
        world: what the fleet is called.
        ages: from when on what was heard is old.
    """
    app = ConsoleApp(Silence(), {}, world=world, clock=Clock(lambda: now_ms, lambda: wall_ms))
    app.fleet = fleet
    app.scene.ages = ages
    drawn = ""

    async def draw(pilot: Pilot[Any]) -> None:
        nonlocal drawn
        for _ in range(2):  # cards learn their width from the first
            app.repaint()
            await pilot.pause()
        title = f"jetrelay console · {clean(world, 60)}"
        drawn = app.export_screenshot(title=title, simplify=True)
        app.exit()

    await app.run_async(headless=True, size=SIZE, auto_pilot=draw, mouse=False)
    return tidy(drawn)
