"""Publishing, as far as one session decides it: what may be stored, and in which order."""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from relay.core.answers import RefusalError
from relay.core.codes import ErrorCode
from relay.core.effects import Store
from relay.core.grants import Act, Grants
from relay.core.names import is_publish_id, is_room
from relay.core.wire import Publish, WireError, stored_data

T = TypeVar("T")

MAX_STORED_BYTES = 60_000  # of `data`, under the streams' 64 KiB with headers


def read_publish(request: Publish, grants: Grants, made_id: str, received_s: float) -> Store:
    """The event in a PUBLISH.

    Args:
        request: what the client sent.
        grants: of its token.
        made_id: the id, where the client gives none.
        received_s: when it came, by the monotonic clock.

    Raises:
        RefusalError: it can't be stored; the text says why.
    """
    if not is_room(request.room):
        raise RefusalError(ErrorCode.INVALID_ROOM, "a room is 1 to 128 of A-Z a-z 0-9 _ - :")
    if not grants.allows(Act.PUBLISH, request.room):
        raise RefusalError(ErrorCode.NOT_PERMITTED, "publishing there is not granted")
    publish_id = made_id if request.id is None else request.id
    if not isinstance(publish_id, str) or not is_publish_id(publish_id):
        raise RefusalError(ErrorCode.INVALID_ID, "an id is 1 to 64 of A-Z a-z 0-9 _ - : .")
    try:
        data = stored_data(request.data)
    except WireError as error:
        raise RefusalError(ErrorCode.INVALID_DATA, str(error)) from error
    if len(data) > MAX_STORED_BYTES:
        message = f"data is {len(data)} bytes of JSON, at most {MAX_STORED_BYTES}"
        raise RefusalError(ErrorCode.TOO_LARGE, message)
    return Store(request.room, publish_id, data, request.nonce, received_s)


@dataclass(slots=True)
class PublishQueue(Generic[T]):
    """What one session has given to publish: one in flight per room; a failure takes the rest."""

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
