"""A model of one origin's stream and of its republished events, as one region sees them."""

from collections import deque
from dataclasses import dataclass, field, replace

from relay.core.event import Event, RoomKey
from relay.core.feed import MARK
from relay.core.names import DEFAULT_TENANT

Wire = deque[Event]


def key(room: str) -> RoomKey:
    """A room of the default tenant."""
    return (DEFAULT_TENANT, room)


@dataclass
class StreamModel:
    """Stores events; what is stored while the wire is whole comes out on it, in stream order."""

    origin: str
    epoch: int = 1
    now_ms: int = 1_800_000_000_000
    events: list[Event] = field(default_factory=list)
    wire: Wire = field(default_factory=deque)

    @property
    def head(self) -> int:
        """The last sequence."""
        return len(self.events)

    def store(self, room: RoomKey, *, republished: bool = True, after_ms: int = 10) -> Event:
        """Store one event, `after_ms` after the last."""
        self.now_ms += after_ms
        previous = next((e.seq for e in reversed(self.events) if e.key == room), 0)
        tenant, name = room
        event = Event(
            origin=self.origin,
            epoch=self.epoch,
            seq=self.head + 1,
            tenant=tenant,
            room=name,
            user="u",
            id=f"{self.origin}-{self.head + 1}",
            ts_ms=self.now_ms,
            data=b"%d" % (self.head + 1),
            previous=previous,
            stored_ms=self.now_ms,
        )
        self.events.append(event)
        if republished:
            self.wire.append(event)
        return event

    def mark(self, *, republished: bool = True) -> Event:
        """Store a marker, a second after the last event."""
        return self.store(MARK, republished=republished, after_ms=1_000)

    def page(self, first: int, size: int, room: RoomKey | None = None) -> tuple[list[Event], bool]:
        """Up to `size` events from `first` on, and whether more match behind them.

        As in direct get, they do not tell the room's event before them.
        """
        found = [
            replace(e, previous=0) for e in self.events if e.seq >= first and room in (None, e.key)
        ]
        return found[:size], len(found) > size
