"""The holes that cursors may have passed: recorded here, and known of every region."""

from collections.abc import Callable, Iterable

import msgspec

from relay.bus.holes import Holes, store_hole
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core.cursor import Cursor
from relay.core.hole import Hole, Passed, passed
from relay.edge import clock

CLOSED_S = 5.0  # after which every edge of the region has dealt with a hole


class HoleLog:
    """Records what the live feed of this region passed over, and follows the others' records.

    Args:
        position: origin -> sequence up to which this edge has delivered.
    """

    def __init__(
        self,
        inbox: Inbox,
        reader: Reader,
        regions: Iterable[str],
        region: str,
        position: Callable[[str], int],
    ) -> None:
        self._inbox = inbox
        self._holes = Holes(reader, regions)
        self._region = region
        self._position = position
        self._open: list[tuple[float, Hole]] = []  # recorded here; when their end can be known
        self.recorded = 0

    async def record(self, origin: str, first: int, last: int) -> None:
        """Events `first` to `last` may have been passed by cursors of this region.

        Raises:
            BusError: it was not stored.
        """
        hole = Hole(self._region, origin, first, last)
        self._open.append((clock.now().mono_s + CLOSED_S, hole))
        self.recorded += 1
        await store_hole(self._inbox, hole)

    async def turn(self) -> list[Hole]:
        """Once a second: say where holes end, and read what others recorded. Returns the news.

        Raises:
            BusError: NATS did not answer.
        """
        now_s = clock.now().mono_s
        for at_s, hole in [each for each in self._open if each[0] <= now_s]:
            upto = self._position(hole.origin)
            await store_hole(self._inbox, msgspec.structs.replace(hole, upto=upto))
            self._open.remove((at_s, hole))
        return await self._holes.poll()

    def passed(self, cursor: Cursor) -> list[Passed]:
        """The holes that a cursor has passed."""
        return passed(self._holes.of(cursor.region), cursor)
