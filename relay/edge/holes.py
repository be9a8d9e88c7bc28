"""The holes that cursors may have passed: recorded here, dealt with here, known of every region."""

import asyncio
from collections import deque
from collections.abc import Iterable

from relay.bus.holes import Holes, store_hole
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core.cursor import Cursor
from relay.core.hole import Hole, Passed, Stretch, passed
from relay.edge.hub import Hub
from relay.edge.mirrors import Mirrors

WAITING = 1_024  # stretches; what is dropped beyond, resumes and scans find


class HoleLog:
    """Records what the live feed of this region passed over, and follows the others' records."""

    def __init__(
        self,
        inbox: Inbox,
        reader: Reader,
        regions: Iterable[str],
        region: str,
        hub: Hub,
        mirrors: Mirrors,
    ) -> None:
        self._inbox = inbox
        self._holes = Holes(reader, regions)
        self._region = region
        self._hub = hub
        self._mirrors = mirrors
        self._waiting: deque[Stretch] = deque(maxlen=WAITING)
        self._one_at_a_time = asyncio.Lock()
        self._fresh: list[Hole] = []  # read, and not returned yet
        self.recorded = 0

    async def record(self, origin: str, first: int, last: int) -> int:
        """Events `first` to `last` may have been passed by cursors of this region. Its number.

        Raises:
            BusError: it was not stored.
        """
        number = await store_hole(self._inbox, Hole(self._region, origin, first, last))
        self.recorded += 1
        return number

    async def begin(self) -> None:
        """The edge starts, at the streams' heads: it has passed none of the holes that are known.

        Raises:
            UnavailableError: NATS did not answer.
        """
        fresh = await self._holes.poll()
        self._hub.holes = max((h.number for h in fresh if h.region == self._region), default=0)

    def told(self, stretch: Stretch) -> None:
        """The region's watcher saw the live feed jump: `turn` deals with it."""
        if not stretch.number:  # one that is recorded comes with the record, in its turn
            self._waiting.append(stretch)

    async def turn(self) -> list[Hole]:
        """Once a second, and when told: read what was recorded, and deal with what is ours.

        Returns:
            The holes that are new.

        Raises:
            BusError: NATS did not answer; the next second goes on.
        """
        async with self._one_at_a_time:
            fresh = await self._holes.poll()
            self._waiting.extend(
                Stretch(hole.origin, hole.first, hole.last, hole.number)
                for hole in fresh
                if hole.region == self._region
            )
            self._fresh += fresh
            # Until one has to wait for a scan that is under way there.
            while self._waiting and await self._deal_with(self._waiting[0]):
                self._waiting.popleft()
            fresh, self._fresh = self._fresh, []
            return fresh

    async def _deal_with(self, stretch: Stretch) -> bool:
        number, origin = stretch.number, stretch.origin
        delivered = await self._mirrors.skipped(origin, stretch.first, stretch.last)
        if delivered is None:
            return False
        if delivered and not number:
            # The watcher was not sure; it is one now: cursors of this edge had passed them.
            number = await self.record(origin, stretch.first, stretch.last)
        self._hub.holes = max(self._hub.holes, number)
        return True

    def passed(self, cursor: Cursor) -> list[Passed]:
        """The holes that a cursor has passed."""
        return passed(self._holes.of(cursor.region), cursor)
