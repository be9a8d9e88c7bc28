"""What one watcher in a region proves of an origin's live feed, event by event.

A stream republishes each event it stores, in order. So sequences that were jumped over were stored
and never published (the leader died in between), or are not in this copy at all. And the hash in
each marker says what the origin holds: a copy with other bytes under the same sequences has
diverged, which NATS itself never says.
"""

from collections import deque
from dataclasses import dataclass, field

from relay.core.marker import Marker, Segment


@dataclass(frozen=True, slots=True)
class Skipped:
    """The live feed jumped over these sequences: read them, and deliver what is there.

    Not `sure`: this watcher was away, and others may have heard them.
    """

    first: int
    last: int
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Again:
    """A sequence came a second time: a stream that lost its end gives them out again."""

    seq: int


@dataclass(frozen=True, slots=True)
class Check:
    """The marker's segment was not heard whole, or has another hash: compare the copies."""

    marker: Marker


Finding = Skipped | Again | Check


@dataclass(slots=True)
class Watch:
    """One origin's live feed in one region."""

    origin: str
    buffer_events: int = 50_000
    buffer_bytes: int = 32 * 1024 * 1024
    proved: int = 0  # sequence up to which the live feed had what the markers say
    _next: int = 0  # the sequence that comes next; 0: not known yet
    _early: tuple[int, int] | None = None  # what came in a row until now, while that is not known
    _whole_from: int = 0  # everything from here on is in `_events`
    _events: deque[tuple[int, str, bytes]] = field(default_factory=deque)
    _bytes: int = 0

    def joined(self, last: int, heard: int = 0) -> tuple[Finding, ...]:
        """The subscription works (again), and the stream ended at `last` after that.

        Args:
            last: sequence.
            heard: up to where somebody watched before; 0: not known.
        """
        first = self._next or (heard + 1 if heard else 0)
        missed = [Skipped(first, last, sure=False)] if 0 < first <= last else []
        self._next = max(self._next, last + 1)
        if self._early is not None:
            # The answer came on another connection: what was stored after it may be here already.
            begin, end = self._early
            if begin > self._next:
                missed.append(Skipped(self._next, begin - 1, sure=False))
            self._next = max(self._next, end + 1)
            self._early = None
        self._forget(self._next)
        return tuple(missed)

    def heard(self, seq: int, subject: str, data: bytes) -> tuple[Finding, ...]:
        """An event came.

        Args:
            seq: its sequence.
            subject: under which it is stored.
            data: its payload.
        """
        if self._next == 0:
            begin, end = self._early or (seq, seq)
            self._early = (begin, seq) if seq == end + 1 else (seq, seq)
            return ()
        if seq < self._next:
            return (Again(seq),)
        missed = (Skipped(self._next, seq - 1),) if seq > self._next else ()
        if missed:
            self._forget(seq)
        self._next = seq + 1
        self._events.append((seq, subject, data))
        self._bytes += len(data)
        if len(self._events) > self.buffer_events or self._bytes > self.buffer_bytes:
            self._forget(self._next)
        return missed

    def marked(self, marker: Marker) -> tuple[Finding, ...]:
        """The event that came is a marker: what it covers is compared with what was heard."""
        if self._next == 0:
            return ()
        whole = self._whole_from <= marker.first and marker.last < self._next
        segment = Segment(marker.first)
        while self._events and self._events[0][0] <= marker.last:
            seq, subject, data = self._events.popleft()
            self._bytes -= len(data)
            self._whole_from = seq + 1
            if seq >= marker.first:
                segment.add(seq, subject, data)
        if not whole or (segment.count, segment.hexdigest()) != (marker.count, marker.hash):
            return (Check(marker),)
        self.proved = marker.last
        return ()

    def _forget(self, whole_from: int) -> None:
        self._events.clear()
        self._bytes = 0
        self._whole_from = whole_from
