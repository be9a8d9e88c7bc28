"""Who is where, as the edge tells it, and what others are to see of us. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from relay.client.bodies import read
from relay.client.events import Presence, Typing, UserPresence, Who
from relay.client.wire import Frame
from relay.core.codes import EventName

AGAIN_S = 5.0  # where an update was too early, and the edge did not say when


class _Batch(msgspec.Struct, frozen=True):
    """PRESENCE_BATCH.d"""

    room: str
    online: dict[str, str] = {}
    offline: tuple[str, ...] = ()
    total: int = 0
    custom: dict[str, Any] = {}
    first: bool = False
    page: int = 1
    pages: int = 1
    partial: bool = False


class _Single(msgspec.Struct, frozen=True):
    """PRESENCE.d"""

    user: str
    status: str
    custom: Any = None


class _Typing(msgspec.Struct, frozen=True):
    """TYPING.d"""

    room: str
    user: str
    ts: int = 0


class Views:
    """The rooms that were asked for with `presence`, as far as the edge has told."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, Who]] = {}
        self._pages: dict[str, dict[str, Who]] = {}  # of a first list that comes in several

    def online(self, room: str) -> Mapping[str, Who]:
        """Who is there; of a room too large to be listed, those that were named."""
        return dict(self._rooms.get(room, {}))

    def forget(self, room: str) -> None:
        """The room was left."""
        self._rooms.pop(room, None)
        self._pages.pop(room, None)

    def take(self, frame: Frame) -> Presence | UserPresence | Typing | None:
        """The event in a DISPATCH about presence; None where it is about something else.

        Raises:
            Undecodable: its `d` is not as it should be.
        """
        match frame.t:
            case EventName.PRESENCE_BATCH:
                return self._batch(read(frame.d, _Batch))
            case EventName.PRESENCE:
                one = read(frame.d, _Single)
                return UserPresence(one.user, Who(one.status, one.custom))
            case EventName.TYPING:
                typing = read(frame.d, _Typing)
                return Typing(typing.room, typing.user, typing.ts)
            case _:
                return None

    def _batch(self, batch: _Batch) -> Presence | None:
        online = {
            user: Who(status, batch.custom.get(user)) for user, status in batch.online.items()
        }
        view = self._rooms.get(batch.room)
        if view is None and not batch.first:
            return None  # of a room that was left
        view = view or {}
        if batch.first:
            # Told anew, maybe in pages: who is not named in any of them has gone meanwhile; but
            # of a room that is too large to be listed nobody can tell.
            named = {} if batch.page == 1 else self._pages.pop(batch.room, {})
            named |= online
            if batch.page < batch.pages:
                self._pages[batch.room] = named
                return None
            gone = {} if batch.partial else dict.fromkeys(u for u in view if u not in named)
            changes = named
            view = view if not batch.partial else {u: who for u, who in view.items() if u in named}
        else:
            changes, gone = online, dict.fromkeys(u for u in batch.offline if u in view)
        changed = {user: who for user, who in changes.items() if view.get(user) != who}
        view = {user: who for user, who in view.items() if user not in gone} | changes
        self._rooms[batch.room] = view
        return Presence(batch.room, changed, tuple(gone), batch.total, batch.partial)


class Appearance:
    """What others are to see of us: said again on each connection, and when it was too early."""

    def __init__(self) -> None:
        self.wire: dict[str, Any] | None = None  # None: the application said nothing
        self.due_at: float | None = None  # when to say it again

    def show(self, status: str, custom: dict[str, Any] | None) -> dict[str, Any]:
        """Show this from now on; the `d` to send."""
        self.wire = {"status": status} | ({} if custom is None else {"custom": custom})
        self.due_at = None
        return self.wire

    def refused(self, now: float, retry_after: float | None) -> None:
        """The edge said that it was too early."""
        if self.wire is not None:
            self.due_at = now + (AGAIN_S if retry_after is None else retry_after)

    def due(self, now: float) -> dict[str, Any] | None:
        """The `d` to send now, if it is time for it."""
        if self.due_at is None or now < self.due_at:
            return None
        self.due_at = None
        return self.wire

    def unsaid(self, now: float) -> None:
        """It came while the connection was not ready: it is said as soon as it is."""
        self.due_at = now

    def connected(self) -> None:
        """IDENTIFY or RESUME has said it."""
        self.due_at = None
