"""The console's screen as a picture, without a terminal."""

import re
from collections.abc import AsyncGenerator
from typing import Any

from textual.pilot import Pilot

from console.app import ConsoleApp
from console.clock import Clock
from console.feed import FeedEvent
from console.literal import clean
from console.model import Fleet

SIZE = (120, 36)  # columns, lines
CELL = 12.2  # width of a character in the SVG

_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_TEXT = re.compile(
    r'<text (class="[^"]*") x="([\d.]+)" (y="[\d.]+") textLength="[\d.]+"([^>]*)>(.*?)<'
)


class _Nothing:
    """A feed that says nothing: what is drawn was heard already."""

    async def events(self) -> AsyncGenerator[FeedEvent, None]:
        nothing: tuple[FeedEvent, ...] = ()
        for event in nothing:
            yield event


async def picture(fleet: Fleet, now_ms: int, wall_ms: int, world: str) -> str:
    """The screen as SVG.

    Args:
        fleet: what was heard.
        now_ms: the time by the clock that it was heard by.
        wall_ms: the same, Unix ms.
        world: what the fleet is called.
    """
    app = ConsoleApp(_Nothing(), {}, world=world, clock=Clock(lambda: now_ms, lambda: wall_ms))
    app.fleet = fleet
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


def tidy(svg: str) -> str:
    """`svg` without fonts from other servers, each text set where it begins.

    Renderers differ on leading spaces; a position they all obey.
    """
    svg = _FONT.sub("", svg)
    svg = re.sub(r"terminal-\d+-", "terminal-", svg)
    svg = svg.replace("Fira Code", "ui-monospace, Menlo, DejaVu Sans Mono")
    svg = _TEXT.sub(_place, svg)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def _place(match: re.Match[str]) -> str:
    style, x, y, rest, text = match.groups()
    plain = text.replace("&#160;", " ")
    begins = len(plain) - len(plain.lstrip())
    words = plain.strip()
    length = len(re.sub(r"&[^;]+;", "?", words)) * CELL
    at = float(x) + begins * CELL
    spaced = words.replace(" ", "&#160;")
    return f'<text {style} x="{at:.1f}" {y} textLength="{length:.1f}"{rest}>{spaced}<'
