"""A console whose edges are played by a clerk, and what an operator does with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from console.backing import Backing
from console.commands import parse
from console.dialogs.kick import KickScreen
from console.svg import screen_text
from tests.console.clerk import Clerk
from tests.console.scenario import EDGES, quiet
from tests.console.stage import Stage, settle, typed, until

NOW_MS = 79_600


class Console:
    """A console over a quiet fleet whose edges are played by a clerk."""

    def __init__(self, stage: Stage, pilot: Pilot[None], clerk: Clerk) -> None:
        self.stage, self.pilot, self.app, self.clerk = stage, pilot, stage.app, clerk
        self.now_ms = NOW_MS

    @property
    def text(self) -> str:
        return screen_text(self.app.screen)

    @property
    def said(self) -> str:
        return "\n".join(note.message for note in self.app._notifications)

    async def later(self, ms: int = 400) -> None:
        """Time goes on; what is asked is answered, unless the clerk lets wait, and drawn."""
        self.now_ms += ms
        asked = -1
        while asked != len(self.clerk.asked):
            asked = len(self.clerk.asked)
            await settle(self.stage, self.pilot, self.now_ms)
            await until(self.pilot, lambda: not self.clerk.gate.is_set() or not is_asking())

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.later()

    async def typed(self, text: str) -> None:
        await typed(self.pilot, text)
        await self.later()

    async def tell(self, *lines: str) -> None:
        """A `:` line."""
        for line in lines:
            self.app.tell(*parse(line))
            await self.later()

    async def arm(self) -> None:
        await self.tell("arm ticket 42")
        await until(self.pilot, lambda: self.app.acting.armed is not None)

    async def shows(self, text: str) -> None:
        """Wait until it stands on the screen."""

        def there() -> bool:
            self.app.repaint()
            return text in self.text

        await until(self.pilot, there)

    async def confirming(self) -> None:
        """Wait until the name of a client is to be typed."""
        await until(self.pilot, lambda: step(self) == "confirm")


def is_asking() -> bool:
    """Whether a question waits for its answer."""
    return any(task.get_name() == "console.ask" for task in asyncio.all_tasks())


def step(shown: Console) -> str:
    """How far closing a connection is."""
    screen = shown.app.screen
    return screen.step if isinstance(screen, KickScreen) else ""


@asynccontextmanager
async def console(
    clerk: Clerk, size: tuple[int, int] = (100, 24), backing: Backing | None = None
) -> AsyncIterator[Console]:
    stage = Stage(EDGES, backing=backing or clerk.backing(control=True))
    async with stage.app.run_test(size=size) as pilot:
        stage.connect()
        stage.play(quiet(4, start=76))
        await settle(stage, pilot, NOW_MS)
        yield Console(stage, pilot, clerk)
