"""What the live feed of the region jumped over: dealt with by each of its edges."""

import asyncio
from collections import deque
from dataclasses import dataclass

from relay.core.hole import Hole, Stretch
from relay.edge.holes import HoleLog
from relay.edge.mirrors import Mirrors

WAITING = 1_024  # stretches; what is dropped beyond, resumes and scans find


@dataclass(slots=True)
class _Waiting:
    stretch: Stretch
    done: bool = False


class Jumps:
    """Delivers what was jumped over, and lets new cursors say so."""

    def __init__(self, log: HoleLog, mirrors: Mirrors, region: str) -> None:
        self._log = log
        self._mirrors = mirrors
        self._region = region
        self._waiting: deque[_Waiting] = deque(maxlen=WAITING)
        self._one_at_a_time = asyncio.Lock()
        self._fresh: list[Hole] = []  # read, and not returned yet

    def told(self, stretch: Stretch) -> None:
        """The region's watcher saw the live feed jump: `turn` deals with it."""
        if not stretch.number:  # one that is recorded comes with the record, in its turn
            self._waiting.append(_Waiting(stretch))

    async def turn(self) -> list[Hole]:
        """Once a second, and when told: read what was recorded, and deal with what is ours.

        Returns:
            The holes that are new, of all regions.

        Raises:
            BusError: NATS did not answer; the next second goes on.
        """
        async with self._one_at_a_time:
            fresh = await self._log.poll()
            self._waiting.extend(
                _Waiting(Stretch(hole.origin, hole.first, hole.last, hole.number, hole.skipped))
                for hole in fresh
                if hole.region == self._region
            )
            self._fresh += fresh
            for each in list(self._waiting):
                each.done = each.done or await self._deal_with(each.stretch)
            # A cursor says how far in the record its edge is: none is left out on the way.
            while self._waiting and self._waiting[0].done:
                self._log.dealt(self._waiting.popleft().stretch.number)
            fresh, self._fresh = self._fresh, []
            return fresh

    async def _deal_with(self, stretch: Stretch) -> bool:
        origin, first, last = stretch.origin, stretch.first, stretch.last
        if stretch.skipped and self._mirrors.lacks(origin, first, last):
            return False  # being read at the origin
        delivered = await self._mirrors.jumped(origin, first, last)
        if delivered and not stretch.number:
            # The watcher was not sure; it is one now: cursors of this edge had passed them.
            await self._log.record(origin, first, last)
        return delivered is not None
