"""The record of holes that cursors may have passed: written here, known of every region."""

import logging
from collections import deque
from collections.abc import Iterable

from relay.bus.holes import Holes, store_hole
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core.cursor import Cursor
from relay.core.hole import Hole, Passed, passed, widened
from relay.edge.hub import Hub
from relay.errors import BusError

_log = logging.getLogger("jetrelay.holes")

WAITING = 256  # holes that could not be recorded yet; beyond, they grow together


class HoleLog:
    """Records what the live feed of this region passed over, and follows the others' records."""

    def __init__(
        self, inbox: Inbox, reader: Reader, regions: Iterable[str], region: str, hub: Hub
    ) -> None:
        self._inbox = inbox
        regions = list(regions)
        self._holes = Holes(reader, regions)
        self._region = region
        self._hub = hub
        self._waiting: deque[Hole] = deque()
        self.elsewhere = [name for name in regions if name != region]
        self.recorded = 0
        self.reached = 0  # number of the newest hole of this region that was dealt with

    async def record(self, origin: str, first: int, last: int) -> int:
        """Events `first` to `last` may have been passed by cursors of this region. Its number.

        Raises:
            BusError: it was not stored.
        """
        return await self._store(Hole(self._region, origin, first, last))

    async def note(self, origin: str, first: int, last: int, *, skipped: bool = False) -> bool:
        """Record a hole now or, where NATS does not take it, as soon as it does.

        Args:
            origin: whose events cursors of this region may have passed.
            first: sequence.
            last: sequence.
            skipped: the region's copy had not stored them.

        Returns:
            Whether the next `poll` returns it: it was not known, and is recorded.
        """
        hole = Hole(self._region, origin, first, last, skipped=skipped)
        recorded = self._holes.recorded(self._region)
        if any(_within(hole, known) for known in (*recorded, *self._waiting)):
            return False
        self._wait(hole)
        try:
            await self._record_waiting()
        except BusError as error:
            _log.info("a hole of %s waits to be recorded: %s", origin, error)
            return False
        return True

    def _wait(self, hole: Hole) -> None:
        if len(self._waiting) >= WAITING:
            for at in reversed(range(len(self._waiting))):
                wide = widened(self._waiting[at], hole)
                if wide is not None:
                    self._waiting[at] = wide
                    return
        self._waiting.append(hole)

    async def begin(self) -> None:
        """The edge starts, at the streams' heads: it has passed none of the holes that are known.

        Raises:
            UnavailableError: NATS did not answer.
        """
        for hole in await self._holes.poll():
            if hole.region == self._region:
                self.reached = max(self.reached, hole.number)
            self.paid(hole.region, hole.number)

    async def poll(self) -> list[Hole]:
        """Read what was recorded since; all regions'.

        Raises:
            BusError: NATS did not answer.
        """
        await self._record_waiting()
        fresh = await self._holes.poll()
        fallen, self._holes.fallen = self._holes.fallen, {}
        for region, head in fallen.items():
            if region != self._region:
                self._hub.known[region] = min(self._hub.known.get(region, 0), head)
            elif head < self._hub.holes:
                _log.error("the record of holes was lost: new cursors claim no more than it holds")
                self._hub.holes = self.reached = head
        return fresh

    def dealt(self, number: int) -> None:
        """All holes of this region up to this number have been delivered to who was here."""
        self.reached = max(self.reached, number)

    def paid(self, region: str, number: int) -> None:
        """And who came here from that region was sent what he is owed: new cursors say so."""
        if region == self._region:
            self._hub.holes = max(self._hub.holes, number)
        else:
            self._hub.known[region] = max(self._hub.known.get(region, 0), number)

    def passed(self, cursor: Cursor) -> list[Passed]:
        """The holes that a cursor has passed."""
        return passed(self._holes.of(cursor.region), cursor)

    async def _record_waiting(self) -> None:
        while self._waiting:
            hole = self._waiting.popleft()
            try:
                await self._store(hole)
            except BusError:
                self._waiting.appendleft(hole)
                raise

    async def _store(self, hole: Hole) -> int:
        number = await store_hole(self._inbox, hole)
        self.recorded += 1
        return number


def _within(hole: Hole, known: Hole) -> bool:
    same = known.skipped >= hole.skipped and known.origin == hole.origin
    return same and known.first <= hole.first and hole.last <= known.last
