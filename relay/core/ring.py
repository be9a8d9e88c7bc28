"""A ring: the newest events of one room and one origin, all of them from a sequence on."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter

from relay.core.event import Event

EVENT_BYTES = 512  # what an event costs in memory besides its data (CPython 3.11, measured)

_seq = attrgetter("seq")


def size_of(event: Event) -> int:
    """What holding an event costs, in bytes."""
    return len(event.data) + EVENT_BYTES


@dataclass(slots=True, eq=False)
class Ring:
    """Every event beyond `base` that the edge has delivered, in stream order.

    What comes live is appended, what is read is put before it (`extend`), what is found late goes
    to its place (`find`). Dropping the oldest moves `base` up: the ring never has a hole.
    """

    base: int
    events: list[Event] = field(default_factory=list)
    bytes: int = 0
    reads: int = 0  # of what lies before, in progress
    unfit: int = -1  # what follows this sequence was found to be larger than a ring
    # (when, the first sequence that entered then), oldest first; what was read comes before.
    # Found at or before the base while something is read: the read may lack them.
    _early: dict[int, Event] = field(default_factory=dict)
    _entered: deque[tuple[int, int]] = field(default_factory=deque)

    def append(self, event: Event, now_ms: int) -> int:
        """The edge delivers an event. Returns by how many bytes the ring grows."""
        if event.seq <= self.base or (self.events and event.seq <= self.events[-1].seq):
            return self.find(event)
        entered = self._entered
        if not entered or entered[-1][0] != now_ms or not self.events:
            entered.append((now_ms, event.seq))
        self.events.append(event)
        size = len(event.data) + EVENT_BYTES
        self.bytes += size
        return size

    def find(self, event: Event) -> int:
        """An event was found that had not come when it was due. Returns by how much it grows."""
        if event.seq <= self.base:
            if self.reads:
                self._early[event.seq] = event
            return 0
        at = bisect_left(self.events, event.seq, key=_seq)
        if at < len(self.events) and self.events[at].seq == event.seq:
            return 0
        self.events.insert(at, event)
        self.bytes += size_of(event)
        return size_of(event)

    def extend(self, after: int, events: Sequence[Event], now_ms: int) -> int:
        """Put what was read before the rest. Returns by how many bytes the ring grows.

        Args:
            after: `events` are all of the room in (`after`, `base`], or up to beyond it.
            events: in stream order.
            now_ms: when they were read.
        """
        if after >= self.base:
            return 0
        older = self.early(after, events)
        self.base = after
        if not older:
            return 0
        self.events[:0] = older
        self._entered.appendleft((now_ms, older[0].seq))
        size = sum(map(size_of, older))
        self.bytes += size
        return size

    def early(self, after: int, events: Sequence[Event]) -> list[Event]:
        """Of events that were read, and of those found meanwhile, those in (`after`, `base`]."""
        found = self._early | {event.seq: event for event in events}
        return [found[seq] for seq in sorted(found) if after < seq <= self.base]

    def ended(self) -> None:
        """A read of what lies before has ended, taken or not."""
        self.reads -= 1
        if self.reads == 0:
            self._early.clear()

    def covers(self, after: int) -> bool:
        """Whether all events after a sequence are here."""
        return after >= self.base

    def after(self, after: int, upto: int, limit: int) -> Sequence[Event]:
        """The oldest `limit` events in (`after`, `upto`]; ask `covers` first."""
        events = self.events
        first = bisect_right(events, after, key=_seq)
        if upto >= (events[-1].seq if events else 0):
            return events[first : first + limit]
        return events[first : min(first + limit, bisect_right(events, upto, key=_seq))]

    def newest(self, upto: int, limit: int) -> Sequence[Event] | None:
        """The newest `limit` events at or before `upto`; None where the ring holds fewer."""
        end = bisect_right(self.events, upto, key=_seq)
        return self.events[end - limit : end] if end >= limit else None

    def drop(self, count: int) -> int:
        """Drop the oldest `count` events. Returns by how many bytes the ring shrinks."""
        dropped = self.events[:count]
        if not dropped:
            return 0
        del self.events[:count]
        size = sum(map(size_of, dropped))
        self.bytes -= size
        self.base = max(self.base, dropped[-1].seq)
        first = self.events[0].seq if self.events else None
        while self._entered and (first is None or self._next_entered() <= first):
            self._entered.popleft()
        return size

    def _next_entered(self) -> float:
        """The first sequence of what entered after the oldest here did."""
        following = next(islice(self._entered, 1, None), None)
        return float("inf") if following is None else following[1]

    def expire(self, before_ms: int) -> int:
        """Drop what entered before a time. Returns by how many bytes the ring shrinks."""
        size = 0
        while self._entered and self._entered[0][0] < before_ms:
            following = self._next_entered()
            held = len(self.events)
            count = held if following == float("inf") else bisect_left(
                self.events, int(following), key=_seq
            )  # fmt: skip
            if count == 0:
                self._entered.popleft()
                continue
            size += self.drop(count)
        return size
