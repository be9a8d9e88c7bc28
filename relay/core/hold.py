"""Live events that wait until what came before them was read: bounded in number and in bytes."""

from collections import deque
from dataclasses import dataclass, field

from relay.core.event import Event
from relay.core.ring import size_of


@dataclass(slots=True)
class Hold:
    """A queue of (event, when it arrived in ms).

    Args:
        events: that fit.
        bytes: that they may take, with what each costs besides its data.
    """

    events: int
    bytes: int
    _queue: deque[tuple[Event, int]] = field(default_factory=deque)
    _size: int = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def newest(self) -> int:
        """The highest sequence that it holds; 0: none."""
        return max((event.seq for event, _ in self._queue), default=0)

    def fits(self, event: Event) -> bool:
        """Whether there is room for one more."""
        return len(self._queue) < self.events and self._size + size_of(event) <= self.bytes

    def add(self, event: Event, arrived_ms: int) -> None:
        """Behind the others."""
        self._queue.append((event, arrived_ms))
        self._size += size_of(event)

    def add_first(self, event: Event, arrived_ms: int) -> None:
        """Before the others, also where it does not fit: it is the one that all wait for."""
        self._queue.appendleft((event, arrived_ms))
        self._size += size_of(event)

    def take(self) -> tuple[Event, int]:
        """The first.

        Raises:
            IndexError: it is empty.
        """
        event, arrived_ms = self._queue.popleft()
        self._size -= size_of(event)
        return event, arrived_ms

    def clear(self) -> None:
        """Drop all."""
        self._queue.clear()
        self._size = 0
