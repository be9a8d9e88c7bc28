"""The order of publishes: one in flight per session and room; a failure takes those behind it."""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class PublishQueue(Generic[T]):
    """What one session has given to publish, per room."""

    _rooms: dict[str, deque[T]] = field(default_factory=dict)
    waiting: int = 0

    def submit(self, room: str, item: T) -> T | None:
        """A new publish. Returns it when it may start now."""
        self.waiting += 1
        queue = self._rooms.get(room)
        if queue is None:
            self._rooms[room] = deque()
            return item
        queue.append(item)
        return None

    def stored(self, room: str) -> T | None:
        """The one in flight was stored. Returns the next to start."""
        self.waiting -= 1
        queue = self._rooms[room]
        if queue:
            return queue.popleft()
        del self._rooms[room]
        return None

    def failed(self, room: str) -> tuple[T, ...]:
        """The one in flight failed. Returns those behind it, which fail with it."""
        behind = tuple(self._rooms.pop(room))
        self.waiting -= 1 + len(behind)
        return behind
