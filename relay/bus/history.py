"""History of a room: pages forwards and backwards over all origins, never by a scan of a stream."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relay.bus.copies import Copies
from relay.bus.reader import Page, Reader
from relay.bus.replay import Pages, Source, StreamRanges
from relay.core.cursor import Position
from relay.core.event import Event, RoomKey
from relay.core.names import DEFAULT_SHARD, event_subject, events_stream
from relay.core.rings import Rings

_NEWEST_FIRST = 64  # events read before their size is known
_UNHEARD = 1_024  # sequences beyond a ring that are read, rather than bisect


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Events in an order that keeps each origin's; where the next pages begin."""

    events: tuple[Event, ...]
    before: Mapping[str, Position]  # everything in the page is after these
    after: Mapping[str, Position]  # everything in the page is at or before these
    more: bool  # in the direction of reading


@dataclass(frozen=True, slots=True)
class _Slice:
    """One origin's candidates, in stream order, and whether it has more beyond."""

    events: tuple[Event, ...]
    more: bool


class History:
    """Reads history from the rings, and from the region's own copies."""

    def __init__(
        self,
        reader: Reader,
        ranges: StreamRanges,
        copies: Copies,
        rings: Rings,
        reach: Callable[[RoomKey], Mapping[str, int]],
        max_bytes: int,
    ) -> None:
        """Read pages of `max_bytes` at most; `reach`: up to where a ring has an open room."""
        self._reader = reader
        self._ranges = ranges
        self._copies = copies
        self._rings = rings
        self._reach = reach
        self._max_bytes = max_bytes
        self.held = 0  # pages of one origin that a ring held

    async def newest(self, room: RoomKey, limit: int, upto: Mapping[str, Position]) -> HistoryPage:
        """The newest `limit` events of a room at or before `upto`.

        Raises:
            UnavailableError: NATS did not answer.
        """
        slices = {
            origin: await self._last(origin, position.epoch, room, limit, position.seq)
            for origin, position in upto.items()
        }
        taken = _newest_of(slices, limit, self._max_bytes)
        count = sum(len(part.events) for part in slices.values())
        more = any(part.more for part in slices.values()) or len(taken) < count
        return _page(taken, upto, upto, more=more)

    async def following(
        self,
        room: RoomKey,
        limit: int,
        after: Mapping[str, Position],
        upto: Mapping[str, Position],
    ) -> HistoryPage:
        """The oldest `limit` events of a room after `after`, none beyond `upto`.

        Raises:
            UnavailableError: NATS did not answer.
        """
        slices = {
            origin: await self._from(
                origin, head.epoch, room, limit, after.get(origin, Position(0, 0)).seq, head.seq
            )
            for origin, head in upto.items()
        }
        taken = _oldest_of(slices, limit, self._max_bytes)
        count = sum(len(part.events) for part in slices.values())
        more = any(part.more for part in slices.values()) or len(taken) < count
        start = {
            origin: Position(head.epoch, min(after.get(origin, Position(0, 0)).seq, head.seq))
            for origin, head in upto.items()
        }
        return _page(taken, start, start, more=more)

    async def _from(
        self, origin: str, epoch: int, room: RoomKey, limit: int, after: int, upto: int
    ) -> _Slice:
        source, subject = await self._source(origin, epoch), _subject(origin, room)
        pages = self._ranges.pages
        events: list[Event] = []
        seq, size, done = after + 1, 0, after >= upto
        while not done and len(events) <= limit and size <= self._max_bytes:
            batch = Pages(min(limit + 1 - len(events), pages.events), pages.bytes)
            chunk = await self._ranges.chunk(source, seq, upto, subject, batch)
            events += chunk.events
            size += sum(len(event.data) for event in chunk.events)
            seq, done = chunk.next_seq, chunk.done
        return _Slice(tuple(events[:limit]), more=not done or len(events) > limit)

    async def _held(
        self, origin: str, epoch: int, room: RoomKey, limit: int, upto: int
    ) -> _Slice | None:
        """The newest from the room's ring, and what it has not heard yet; None: it holds fewer."""
        ring = self._rings.get(room, origin)
        reach = min(self._reach(room).get(origin, 0), upto)
        older = None if ring is None else ring.newest(reach, limit + 1)
        if older is None or upto - reach > _UNHEARD:
            return None
        self.held += 1
        newer = await self._between(origin, epoch, room, reach + 1, upto)
        return _Slice((*older, *newer)[-limit:], more=True)

    async def _last(self, origin: str, epoch: int, room: RoomKey, limit: int, upto: int) -> _Slice:
        """The newest at or before `upto`: as many as `limit` or the bytes of a page ask for.

        They are read from the end, a few first: their size says how many more are worth reading.
        """
        if (held := await self._held(origin, epoch, room, limit, upto)) is not None:
            return held
        events: list[Event] = []
        first, size, total, wanted = upto + 1, 0, 0, min(limit, _NEWEST_FIRST)
        while first > 1 and wanted > 0:
            beyond = await self._count_from(origin, room, upto + 1)
            total = await self._count_from(origin, room, 1) - beyond
            if total <= len(events):
                more = first > 1 and not await self._begins_at(origin, epoch, room, first)
                return _Slice(tuple(events), more=more)
            end, first = first - 1, 1
            high = end
            while first < high:  # bisect on how many match behind a sequence
                middle = (first + high + 1) // 2
                matching = await self._count_from(origin, room, middle) - beyond
                if matching >= len(events) + wanted:
                    first = middle
                else:
                    high = middle - 1
            events[:0] = older = await self._between(origin, epoch, room, first, end)
            size += sum(_size(event) for event in older)
            mean = size // max(len(events), 1)
            wanted = min(limit - len(events), math.ceil((self._max_bytes - size) / max(mean, 1)))
        return _Slice(tuple(events), more=first > 1 and total > len(events))

    async def _between(
        self, origin: str, epoch: int, room: RoomKey, first: int, last: int
    ) -> list[Event]:
        source = await self._source(origin, epoch)
        parts = self._ranges.read(source, {room}, first - 1, last)
        return [event async for part in parts for event in part]

    async def _begins_at(self, origin: str, epoch: int, room: RoomKey, first: int) -> bool:
        """Whether the room has nothing before `first`: a replica that is behind counts too few."""
        source = await self._source(origin, epoch)
        return await self._ranges.is_end(source, 1, first - 1, _subject(origin, room))

    async def _source(self, origin: str, epoch: int) -> Source:
        # From one place for a whole request: counts of two copies can't be compared.
        known = self._copies.known(origin)
        api = await self._copies.source(origin, known.oldest - 1, known.last)
        return Source(origin, epoch, api)

    async def _count_from(self, origin: str, room: RoomKey, seq: int) -> int:
        source, subject = await self._source(origin, 0), _subject(origin, room)
        page: Page = await self._reader.page(
            events_stream(origin), seq, batch=1, subject=subject, api=source.api
        )
        return page.pending + len(page.messages)


def _subject(origin: str, room: RoomKey) -> str:
    tenant, name = room
    return event_subject(origin, tenant, DEFAULT_SHARD, name)


def _size(event: Event) -> int:
    return len(event.data) + 256


def _newest_of(slices: Mapping[str, _Slice], limit: int, max_bytes: int) -> list[Event]:
    left = {origin: list(part.events) for origin, part in slices.items() if part.events}
    taken: list[Event] = []
    size = 0
    while left and len(taken) < limit:
        origin = max(left, key=lambda name: (left[name][-1].ts_ms, name))
        size += _size(left[origin][-1])
        if taken and size > max_bytes:
            break
        taken.append(left[origin].pop())
        if not left[origin]:
            del left[origin]
    taken.reverse()
    return taken


def _oldest_of(slices: Mapping[str, _Slice], limit: int, max_bytes: int) -> list[Event]:
    left = {origin: list(part.events[::-1]) for origin, part in slices.items() if part.events}
    taken: list[Event] = []
    size = 0
    while left and len(taken) < limit:
        origin = min(left, key=lambda name: (left[name][-1].ts_ms, name))
        size += _size(left[origin][-1])
        if taken and size > max_bytes:
            break
        taken.append(left[origin].pop())
        if not left[origin]:
            del left[origin]
    return taken


def _page(
    events: list[Event],
    before: Mapping[str, Position],
    after: Mapping[str, Position],
    *,
    more: bool,
) -> HistoryPage:
    starts, ends = dict(before), dict(after)
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for event in events:
        first.setdefault(event.origin, event.seq)
        last[event.origin] = event.seq
    for origin, seq in first.items():
        starts[origin] = Position(starts[origin].epoch, seq - 1)
    for origin, seq in last.items():
        ends[origin] = Position(ends[origin].epoch, max(seq, ends[origin].seq))
    return HistoryPage(tuple(events), starts, ends, more)
