"""A room as operators see it at one edge. Nothing is looked up before it is asked for."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from operator import attrgetter

import msgspec

from relay.core.event import RoomKey
from relay.core.inquiry_answers import OriginOfRoom, RoomFound
from relay.core.ring import Ring
from relay.core.room_row import RATE_S, RoomRow
from relay.edge import clock
from relay.edge.edge import Edge
from relay.edge.feeds import lag_ms
from relay.edge.hub import Room

FULL = 1_000  # events: a ring with so many may have dropped others that came in the same 10 s

_stored = attrgetter("stored_ms")


def rate_of(ring: Ring, now_ms: int) -> float:
    """Events a second of a room and origin, of the last 10 s.

    Args:
        ring: of them.
        now_ms: Unix ms by the clock that stamps them.
    """
    count = len(ring.events) - bisect_right(ring.events, now_ms - RATE_S * 1000, key=_stored)
    span_s = RATE_S
    if count == len(ring.events) >= FULL:
        span_s = min(max((now_ms - ring.events[0].stored_ms) / 1000, 1.0), RATE_S)
    return count / span_s


class RoomView:
    """One room.

    Args:
        edge: that it is at.
        key: its tenant and name.
        room: as the hub has it.
    """

    def __init__(self, edge: Edge, key: RoomKey, room: Room) -> None:
        self._edge = edge
        self._key = key
        self._room = room

    @property
    def tenant(self) -> str:
        """Whose."""
        return self._key[0]

    @property
    def room(self) -> str:
        """Its name."""
        return self._key[1]

    @property
    def region(self) -> str:
        """Of the edge."""
        return self._edge.config.region

    @property
    def edge(self) -> str:
        """Where it has members."""
        return self._edge.config.edge

    @property
    def members(self) -> int:
        """Sessions."""
        return sum(map(len, self._room.shared.values())) + len(self._room.private)

    @property
    def joining(self) -> int:
        """Joins in progress."""
        return len(self._room.joins)

    @cached_property
    def rate(self) -> float:
        """Events a second."""
        return round(sum(rate_of(ring, self._now_ms(o)) for o, ring in self._rings), 1)

    def _now_ms(self, origin: str) -> int:
        """The time of the origin's clock, as far as it has come over here."""
        now_ms, mark = clock.wall_ms(), self._edge.feeds.marks.get(origin)
        return now_ms if mark is None else now_ms - (mark[1] - mark[0])

    @property
    def idle_ms(self) -> int | None:
        """Since its newest event."""
        newest = [
            self._now_ms(origin) - ring.events[-1].stored_ms
            for origin, ring in self._rings
            if ring.events
        ]
        return max(min(newest), 0) if newest else None

    @property
    def events(self) -> int:
        """In its rings."""
        return sum(len(ring.events) for _, ring in self._rings)

    @property
    def ring_bytes(self) -> int:
        """Of its rings."""
        return sum(ring.bytes for _, ring in self._rings)

    @property
    def present(self) -> int | None:
        """Users on all edges."""
        roster = self._edge.presence.rosters.rosters.get(self._key)
        return None if roster is None else len(roster.now)

    @property
    def _rings(self) -> Iterator[tuple[str, Ring]]:
        for origin in self._edge.copies.origins:
            ring = self._edge.rings.get(self._key, origin)
            if ring is not None:
                yield origin, ring

    def row(self) -> RoomRow:
        """All of it, as it is now."""
        return msgspec.convert(self, RoomRow, from_attributes=True)

    def found(self) -> RoomFound:
        """All that is known of the room here."""
        return RoomFound(
            row=self.row(),
            encodings=self._encodings(),
            private=len(self._room.private),
            looking=sum(self._key in seat.looking for seat in self._room.everybody()),
            present_here=len(self._edge.presence.attendance.said.get(self._key, {})),
            origins=[self._origin(origin) for origin in sorted(self._edge.feeds.feeds)],
        )

    def _encodings(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for (name, _), seats in self._room.shared.items():
            found[name] += len(seats)
        return dict(+found)

    def _origin(self, origin: str) -> OriginOfRoom:
        feeds, ring = self._edge.feeds, self._edge.rings.get(self._key, origin)
        feed = feeds.feeds[origin]
        events = ring.events if ring is not None else []
        return OriginOfRoom(
            origin=origin,
            epoch=feed.epoch,
            position=feed.position,
            newest=feed.newest(self._key),
            lag_ms=lag_ms(feeds.marks.get(origin), clock.wall_ms()),
            repairing=feed.repairing,
            holes=feed.holes,
            ring_events=len(events),
            ring_bytes=ring.bytes if ring is not None else 0,
            ring_base=ring.base if ring is not None else 0,
            oldest_ms=events[0].ts_ms if events else 0,
        )
