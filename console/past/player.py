"""Plays the past on a screen: at a speed, forwards, and to wherever it is told to go."""

import asyncio
from dataclasses import dataclass

from console.past.moment import Extent
from console.past.replay import Replay

SPEEDS = (1, 2, 4, 10, 30, 60)
TICK_S = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a player is."""

    at_ms: int
    speed: int
    playing: bool
    extent: Extent
    busy: bool  # whether it still reads what it was told to go to


class Player:
    """Goes through a replay, one step after the other.

    Args:
        replay: it.
        extent: from when until when there is something.
    """

    def __init__(self, replay: Replay, extent: Extent) -> None:
        self._replay = replay
        self._extent = extent
        self._wish: int | None = None  # where to go, Unix ms
        self._moved = asyncio.Event()
        self.speed = 1
        self.playing = False
        self.view = replay.view
        self._read = False
        self.at_ms = extent.last_ms

    @property
    def place(self) -> Place:
        """Where it is."""
        busy = self._wish is not None or not self._read
        return Place(self.at_ms, self.speed, self.playing, self._extent, busy)

    def go(self, at_ms: int) -> None:
        """Go to a time, as far as there is one."""
        self._wish = max(self._extent.first_ms, min(at_ms, self._extent.last_ms))
        self._moved.set()

    async def reach(self, at_ms: int) -> bool:
        """Go to a time, as far as there is one by now; whether there is.

        Raises:
            BusError: the past can't be read any more.
            RecordingError: likewise.
        """
        self._extent = await self._replay.past.extent()
        self.go(at_ms)
        return self._extent.covers(at_ms)

    def shift(self, ms: int) -> None:
        """Go so much later; earlier if it is negative."""
        self.go((self.at_ms if self._wish is None else self._wish) + ms)

    async def to_alert(self, *, later: bool) -> bool:
        """Go to where an alert began, or was over; whether there is one."""
        at_ms = await (self._replay.next_alert() if later else self._replay.last_alert())
        if at_ms is None:
            return False
        await self.reach(at_ms)
        return True

    def toggle(self) -> None:
        """Play, or stop."""
        self.playing = not self.playing
        self._moved.set()

    def change_speed(self, steps: int) -> None:
        """Play faster; slower if it is negative."""
        at = SPEEDS.index(self.speed) + steps
        self.speed = SPEEDS[max(0, min(at, len(SPEEDS) - 1))]

    async def run(self) -> None:
        """Go where it is told, for ever.

        Raises:
            BusError: the past can't be read any more.
            RecordingError: likewise.
        """
        while True:
            if self._wish is not None:
                wish, self._wish = self._wish, None
                await self._replay.advance(wish)
            elif self.playing and self.at_ms < self._extent.last_ms:
                step_ms = int(self.speed * TICK_S * 1000)
                await self._replay.advance(min(self.at_ms + step_ms, self._extent.last_ms))
            elif self.playing:
                self.playing = False
            self.at_ms, self.view, self._read = self._replay.at_ms, self._replay.view, True
            self._moved.clear()
            if self._wish is None:
                await self._rest()

    async def _rest(self) -> None:
        if not self.playing:
            await self._moved.wait()
            return
        try:
            async with asyncio.timeout(TICK_S):
                await self._moved.wait()
        except TimeoutError:
            pass
