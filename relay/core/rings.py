"""The rings of one edge: for each open room and origin one, within bounds for each and for all."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import attrgetter

from relay.core.event import Event, RoomKey
from relay.core.ring import EVENT_BYTES, Ring


@dataclass(frozen=True, slots=True)
class RingBounds:
    """How much rings may hold."""

    events: int  # one room, one origin
    bytes: int  # one room, one origin
    total_bytes: int  # all of the edge
    age_ms: int  # since an event came, or was read

    def fit(self, events: int, size: int) -> bool:
        """Whether one ring may hold so much."""
        return events <= self.events and size <= min(self.bytes, self.total_bytes // 2)


@dataclass(frozen=True, slots=True)
class Reading:
    """A read of what lies before a ring: of its room's events in (`after`, `upto`]."""

    key: RoomKey
    origin: str
    ring: Ring
    after: int
    upto: int


_seq = attrgetter("seq")
_DROPPED = 8  # a ring that is full drops this part of itself, so that not every event does it


class Rings:
    """Rings by room and origin. Pure: who dispatches, reads and closes rooms tells it."""

    def __init__(self, bounds: RingBounds) -> None:
        self.bounds = bounds
        self.bytes = 0  # held now
        self.evicted = 0  # events dropped for a bound, total
        self.hits = 0  # ranges asked for that were here
        self.misses = 0
        self._now_ms = 0  # as of the last `sweep`
        self._rooms: dict[RoomKey, dict[str, Ring]] = {}
        self._used: OrderedDict[RoomKey, None] = OrderedDict()  # that hold something, by last use

    @property
    def events(self) -> int:
        """Events held now."""
        return sum(len(ring.events) for rings in self._rooms.values() for ring in rings.values())

    # --- rooms ---------------------------------------------------------------------------------

    def open(self, key: RoomKey, origin: str, base: int) -> None:
        """Events of the room beyond `base` will be appended from now on."""
        self._drop_ring(key, origin)
        self._rooms.setdefault(key, {})[origin] = Ring(base)

    def close(self, key: RoomKey) -> None:
        """The room is closed: what comes live is heard no longer."""
        for origin in list(self._rooms.get(key, ())):
            self._drop_ring(key, origin)
        self._rooms.pop(key, None)

    def reset(self, origin: str, base: int) -> None:
        """What is held of an origin up to `base` is not what its stream holds, or not all of it."""
        for key in [key for key, rings in self._rooms.items() if origin in rings]:
            self.open(key, origin, max(base, self._rooms[key][origin].base))

    def _drop_ring(self, key: RoomKey, origin: str) -> None:
        rings = self._rooms.get(key, {})
        ring = rings.pop(origin, None)
        if ring is not None:
            self.bytes -= ring.bytes
        if not any(other.events for other in rings.values()):
            self._used.pop(key, None)

    def get(self, key: RoomKey, origin: str) -> Ring | None:
        """The ring; None where the room is not open."""
        rings = self._rooms.get(key)
        return None if rings is None else rings.get(origin)

    def of(self, origin: str) -> Iterator[tuple[RoomKey, Ring]]:
        """All rings of an origin."""
        for key, rings in self._rooms.items():
            if origin in rings:
                yield key, rings[origin]

    # --- what comes ----------------------------------------------------------------------------

    def append(self, event: Event) -> None:
        """The edge delivers an event."""
        key = (event.tenant, event.room)
        rings = self._rooms.get(key)
        ring = None if rings is None else rings.get(event.origin)
        if ring is None:
            return
        if not ring.events:
            self._used[key] = None
        self.bytes += ring.append(event, self._now_ms)
        bounds = self.bounds
        if len(ring.events) > bounds.events or ring.bytes > bounds.bytes:
            self._trim(ring)
        if self.bytes > bounds.total_bytes:
            self._shrink()

    def find(self, event: Event) -> None:
        """An event was found late: it belongs to what sessions are sent that come back."""
        key = (event.tenant, event.room)
        ring = self.get(key, event.origin)
        if ring is not None and (grown := ring.find(event)):
            self._used.setdefault(key)
            self._grow(ring, grown)

    def begin(self, key: RoomKey, origin: str, after: int) -> Reading | None:
        """A read of what lies before the ring begins; None where there is nothing to read."""
        ring = self.get(key, origin)
        if ring is None or ring.covers(after):
            return None
        ring.reads += 1
        return Reading(key, origin, ring, after, ring.base)

    def end(self, reading: Reading) -> None:
        """A read has ended, taken or not: each `begin` needs it."""
        reading.ring.ended()

    def fits(self, reading: Reading, events: int, size: int) -> bool:
        """Whether so much more fits before the ring; where it does not, that is remembered."""
        ring = reading.ring
        size += events * EVENT_BYTES
        if self.bounds.fit(len(ring.events) + events, ring.bytes + size):
            return True
        ring.unfit = max(ring.unfit, reading.after)
        return False

    def extend(self, reading: Reading, events: Sequence[Event]) -> None:
        """A read is done: all events of its room in (`after`, `upto`], or up to beyond it.

        They are left out where they are no part of the ring any more: the room was closed, or the
        ring has moved on.
        """
        ring = reading.ring
        current = self.get(reading.key, reading.origin)
        if current is not ring or ring.base > reading.upto:
            return
        older = ring.early(reading.after, events)
        if not self.fits(reading, len(older), sum(len(event.data) for event in older)):
            return
        grown = ring.extend(reading.after, events, self._now_ms)
        if grown:
            self._used[reading.key] = None
            self._used.move_to_end(reading.key)
        self._grow(ring, grown)

    def _grow(self, ring: Ring, grown: int) -> None:
        self.bytes += grown
        if len(ring.events) > self.bounds.events or ring.bytes > self.bounds.bytes:
            self._trim(ring)
        if self.bytes > self.bounds.total_bytes:
            self._shrink()

    # --- what is asked for ---------------------------------------------------------------------

    def cold(self, origin: str, rooms: Collection[RoomKey], after: int) -> list[RoomKey]:
        """Of these rooms those whose events after a sequence are not all here."""
        cold = []
        for key in rooms:
            ring = self.get(key, origin)
            if ring is None or not ring.covers(after):
                cold.append(key)
        return cold

    def after(
        self, origin: str, rooms: Iterable[RoomKey], after: int, upto: int, limit: int
    ) -> tuple[list[Event], int]:
        """The oldest events of these rooms in (`after`, `upto`], none of which is cold.

        Returns:
            At most `limit` events in stream order, and the sequence up to which they are all.
        """
        parts = []
        for key in rooms:
            ring = self.get(key, origin)
            if ring is not None and ring.events and (part := ring.after(after, upto, limit + 1)):
                self._used.move_to_end(key)
                parts.append(part)
        found = list(islice(merge(*parts, key=_seq), limit + 1) if len(parts) > 1 else parts[0]) \
            if parts else []  # fmt: skip
        if len(found) <= limit:
            return found, upto
        return found[:limit], found[limit - 1].seq

    # --- bounds --------------------------------------------------------------------------------

    def sweep(self, now_ms: int) -> None:
        """Drop what is too old, by a clock that does not step. To be called about once a second."""
        self._now_ms = now_ms
        before_ms = now_ms - self.bounds.age_ms
        for key in list(self._used):
            rings = self._rooms[key]
            for ring in rings.values():
                held = len(ring.events)
                self.bytes -= ring.expire(before_ms)
                self.evicted += held - len(ring.events)
            self._forget_empty(key, rings)

    def _trim(self, ring: Ring) -> None:
        bounds = self.bounds
        while len(ring.events) > bounds.events or ring.bytes > bounds.bytes:
            self._evict(ring, max(len(ring.events) // _DROPPED, 1))

    def _shrink(self) -> None:
        """Drop the older half of the rooms that nobody asked for longest."""
        while self.bytes > self.bounds.total_bytes and self._used:
            key = next(iter(self._used))
            rings = self._rooms[key]
            for ring in rings.values():
                self._evict(ring, (len(ring.events) + 1) // 2)
            self._forget_empty(key, rings)

    def _evict(self, ring: Ring, count: int) -> None:
        held = len(ring.events)
        self.bytes -= ring.drop(count)
        self.evicted += held - len(ring.events)

    def _forget_empty(self, key: RoomKey, rings: Mapping[str, Ring]) -> None:
        if not any(ring.events for ring in rings.values()):
            self._used.pop(key, None)
