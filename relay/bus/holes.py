"""The record of holes: a subject in each region's mirrored stream of records."""

from collections.abc import Iterable
from itertools import combinations

import msgspec

from relay.bus.ack import read_ack
from relay.bus.events import SEQUENCE
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core.hole import Hole, widened
from relay.core.names import hole_subject, records_stream
from relay.errors import BusError

PAGE = 256
KEPT = 1_024  # holes of one region; of more, the oldest grow together
LOOK_EVERY = 5  # polls: whether a record is the same still

_decoder = msgspec.json.Decoder(Hole)


async def store_hole(inbox: Inbox, hole: Hole) -> int:
    """Record a hole of this region. Returns its number.

    Raises:
        BusError: it was not stored.
    """
    answer = await inbox.request(hole_subject(hole.region), msgspec.json.encode(hole), 2.0)
    ack = read_ack(*answer)
    if ack.error is not None:
        raise BusError(f"hole refused: {ack.error.description}")
    return ack.seq


class Holes:
    """The holes of all regions, as this region's copies of the records tell them."""

    def __init__(self, reader: Reader, regions: Iterable[str]) -> None:
        self._reader = reader
        self._next = dict.fromkeys(regions, 1)
        self._known: dict[str, list[Hole]] = {region: [] for region in self._next}
        self._fresh: list[Hole] = []  # read, and not returned yet
        self._made: dict[str, str] = {}  # region -> `created` of its record's copy here
        self._polls = 0
        # Region -> where its record ends, of one that went further before.
        self.fallen: dict[str, int] = {}
        self.merged = 0  # holes that grew together with a later one
        self._grown: set[Hole] = set()  # the known ones that did: not all in them was recorded

    def of(self, region: str) -> tuple[Hole, ...]:
        """The holes of one region, by number."""
        return tuple(self._known.get(region, ()))

    def recorded(self, region: str) -> tuple[Hole, ...]:
        """The known holes of one region of which all that lies in them was recorded."""
        return tuple(hole for hole in self._known.get(region, ()) if hole not in self._grown)

    async def poll(self) -> list[Hole]:
        """Read on; the holes that are new, by region and number.

        One that another edge had recorded as well is not: what it held is owed once.

        Raises:
            UnavailableError: none of the records could be read. What is known of other regions'
                while one can't be read is returned; what was read comes with the next poll.
        """
        failed: list[BusError] = []
        self._polls += 1
        for region in self._next:
            try:
                if self._polls % LOOK_EVERY == 1:
                    await self._look(region)
                following = self._next[region]
                page = await self._reader.page(
                    records_stream(region), following, batch=PAGE, subject=hole_subject(region)
                )
            except BusError as error:
                failed.append(error)
                continue
            for headers, data in page.messages:
                hole = _decode(data)
                if hole is None or hole.region != region:
                    continue
                numbered = msgspec.structs.replace(hole, number=int(headers[SEQUENCE]))
                if self._knows(numbered):
                    continue
                self._fresh.append(numbered)
                self._keep(numbered)
            self._next[region] = max(following, page.last + 1)
        if len(failed) == len(self._next):
            raise failed[0]
        fresh, self._fresh = self._fresh, []
        return fresh

    async def _look(self, region: str) -> None:
        """A record that was made anew, here or at home, is read from its beginning again."""
        info = await self._reader.info(records_stream(region))
        made, self._made[region] = self._made.get(region, info.created), info.created
        if made == info.created and info.last >= self._next[region] - 1:
            return
        if info.last < self._next[region] - 1:
            self.fallen[region] = info.last
        self._next[region] = 1

    def _keep(self, hole: Hole) -> None:
        """None is forgotten: an old cursor may be sent again what it has, and never too little."""
        known = self._known[hole.region]
        known.append(hole)
        if len(known) <= KEPT:
            return
        for at, later_at in combinations(range(len(known)), 2):
            wide, later = widened(known[at], known[later_at]), known[later_at]
            if wide is not None:
                self._grown -= {known[at], later}
                known[later_at] = msgspec.structs.replace(wide, number=later.number)
                self._grown.add(known[later_at])
                del known[at]
                self.merged += 1
                return

    def _knows(self, hole: Hole) -> bool:
        same = (
            msgspec.structs.replace(each, number=hole.number) == hole
            for each in self.recorded(hole.region)
        )
        if any(same):
            return True
        # One that has grown together with a later one, where a record is read again.
        known = self._known[hole.region]
        return any(each.number >= hole.number and widened(each, hole) == each for each in known)


def _decode(data: bytes) -> Hole | None:
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
