"""Canaries of the witness's own: through every door once a second, and out of every region."""

import asyncio
import time
from functools import partial
from types import TracebackType

import msgspec

from regions.issuer import DOOR
from regions.steering.canary import Canaries
from regions.steering.health import EdgeKey
from regions.steering.trying import doors_of, try_door
from regions.world import World
from relay.tasks import Tasks

EVERY_S = 1.0
TIMEOUT_S = 3.0


class Going(msgspec.Struct, frozen=True):
    """A door was gone through, or not; monotonic seconds."""

    edge: str
    began_s: float
    ended_s: float
    failed: str  # why; empty: it was gone through


class Birds:
    """Sends them, for as long as it is entered.

    Args:
        world: through whose doors.
    """

    def __init__(self, world: World) -> None:
        self._issuer = world.issuer(DOOR)
        self._urls = doors_of(world)
        self._canaries = Canaries(self._issuer, self._urls)
        self._tasks = Tasks("birds")
        self._gone: list[Going] = []

    async def __aenter__(self) -> "Birds":
        await self._canaries.__aenter__()
        for key, url in self._urls.items():
            self._tasks.keep(partial(self._fly, key, url), f"fly.{key.edge}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._tasks.close()
        await self._canaries.__aexit__(kind, error, trace)

    def flights(self) -> dict[str, float]:
        """Of each pair, `us>eu`, where something is waited for: since when (s) nothing arrived."""
        ages = self._canaries.flights.ages(time.monotonic()).items()
        return {f"{one}>{other}": round(age_s, 3) for (one, other), age_s in ages}

    def taken(self) -> list[Going]:
        """The tries of doors that ended since this was asked last."""
        gone, self._gone = self._gone, []
        return gone

    async def settled(self) -> None:
        """Wait until all of them come through."""
        pairs = len({key.region for key in self._urls}) ** 2
        while len(ages := self.flights()) < pairs or max(ages.values()) > TIMEOUT_S:
            await asyncio.sleep(0.1)

    async def _fly(self, key: EdgeKey, url: str) -> None:
        while True:  # the next one does not wait for one that gets no answer
            self._tasks.spawn(self._go(key, url), f"go.{key.edge}")
            await asyncio.sleep(EVERY_S)

    async def _go(self, key: EdgeKey, url: str) -> None:
        began_s = time.monotonic()
        tried = await try_door(self._issuer, key, url, self._canaries.note, TIMEOUT_S)
        self._canaries.take({key: tried})
        self._gone.append(Going(key.edge, began_s, time.monotonic(), tried.failed))
