"""A console played by hand: frozen clock, silent feed."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from textual.pilot import Pilot
from textual.widgets import Input

from console.app import REPAINT_S, ConsoleApp
from console.backing import Backing
from console.clock import Clock
from console.feed import FrameHeard, LinkChanged, Silence
from console.model import LinkState
from relay.core.telemetry import EdgeFrame
from tests.console.scenario import START_MS, Arrival

PATIENCE_S = 20.0


class FrozenClock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now_ms = 0

    def clock(self) -> Clock:
        return Clock(lambda: self.now_ms, lambda: START_MS + self.now_ms)


SIZES = {"80x24": (80, 24), "120x36": (120, 36), "200x50": (200, 50)}


class Stage:
    """A console and the frames that a test plays to it."""

    def __init__(
        self,
        known: Mapping[str, Sequence[str]],
        *,
        backing: Backing | None = None,
        repaint_s: float = REPAINT_S,
    ) -> None:
        self.time = FrozenClock()
        self.app = ConsoleApp(
            Silence(),
            known,
            world="local world",
            clock=self.time.clock(),
            backing=backing,
            repaint_s=repaint_s,
        )

    def connect(self) -> None:
        self.app.hear(LinkChanged(LinkState.CONNECTED, "us"))

    def hear(self, frame: EdgeFrame, at_ms: int) -> None:
        self.time.now_ms = at_ms
        self.app.hear(FrameHeard(frame))

    def play(self, arrivals: Iterable[Arrival]) -> None:
        for arrival in arrivals:
            self.hear(arrival.frame, arrival.at_ms)


async def settle(stage: Stage, pilot: Pilot[None], now_ms: int) -> None:
    """Draw the screen as it looks at `now_ms`, twice: cards learn their width from the first."""
    stage.time.now_ms = now_ms
    for _ in range(2):
        stage.app.repaint()
        await pilot.pause()


async def typed(pilot: Pilot[None], text: str) -> None:
    """Put a text into the field that has the cursor, as a paste does, and press Enter."""
    field = pilot.app.focused
    assert isinstance(field, Input), field
    field.insert_text_at_cursor(text)
    await pilot.press("enter")


async def until(pilot: Pilot[None], met: Callable[[], bool]) -> None:
    """Let the console go on until something is so.

    Raises:
        TimeoutError: it never was.
    """
    async with asyncio.timeout(PATIENCE_S):
        while not met():
            await pilot.pause(0.01)
