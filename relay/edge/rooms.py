"""Which rooms are open at this edge: opened for the first member, closed after the last."""

import asyncio
import logging
from dataclasses import dataclass

from relay.core.event import RoomKey
from relay.edge.feeds import Feeds
from relay.errors import BusError, UnavailableError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.rooms")


@dataclass(slots=True)
class _Entry:
    opening: asyncio.Task[UnavailableError | None]
    holders: int = 0
    closing: asyncio.TimerHandle | None = None  # set while it lingers


class Rooms:
    """Counts who holds a room open.

    A room lingers: it stays open for a while after its last member, so that a herd that was
    dropped and comes back finds its ring.
    """

    def __init__(self, feeds: Feeds, linger_s: float, lingering: int) -> None:
        """Open rooms with `feeds`; `lingering` of them at most are open without a member."""
        self._feeds = feeds
        self._linger_s = linger_s
        self._most_lingering = lingering
        self._entries: dict[RoomKey, _Entry] = {}
        self._lingering: dict[RoomKey, _Entry] = {}  # those left first come first
        self._tasks = Tasks("rooms")

    @property
    def held(self) -> int:
        """Rooms with local members."""
        return len(self._entries) - len(self._lingering)

    @property
    def lingering(self) -> int:
        """Rooms that are open without one."""
        return len(self._lingering)

    async def close(self) -> None:
        """End what is being opened or closed."""
        for entry in self._lingering.values():
            if entry.closing is not None:
                entry.closing.cancel()
        await self._tasks.close()

    async def acquire(self, key: RoomKey) -> None:
        """Hold a room open; it is when this returns. Each `acquire` needs one `release`.

        Raises:
            UnavailableError: NATS did not answer; nothing is held then.
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = _Entry(self._tasks.spawn(self._open(key), "open"))
            self._entries[key] = entry
        entry.holders += 1
        self._keep(key, entry)
        try:
            if (failure := await asyncio.shield(entry.opening)) is not None:
                raise failure
        except BaseException:
            self.release(key)
            raise

    async def _open(self, key: RoomKey) -> UnavailableError | None:
        try:
            await self._feeds.open_room(key)
        except BusError as error:
            return UnavailableError(f"room {key[1]}: {error}")  # for all who wait
        except Exception:
            _log.exception("opening room %s failed", key[1])
            return UnavailableError(f"room {key[1]} could not be opened")
        else:
            return None
        finally:
            if self._entries[key].holders == 0:
                self._drop(key)

    def release(self, key: RoomKey) -> None:
        """Hold it no more."""
        entry = self._entries[key]
        entry.holders -= 1
        if entry.holders == 0 and entry.opening.done():
            opened = not entry.opening.cancelled() and entry.opening.result() is None
            if opened and self._linger_s > 0:
                self._linger(key, entry)
            else:
                self._drop(key)

    def _linger(self, key: RoomKey, entry: _Entry) -> None:
        loop = asyncio.get_running_loop()
        entry.closing = loop.call_later(self._linger_s, self._drop, key)
        self._lingering[key] = entry
        while len(self._lingering) > self._most_lingering:
            self._drop(next(iter(self._lingering)))

    def _keep(self, key: RoomKey, entry: _Entry) -> None:
        self._lingering.pop(key, None)
        if entry.closing is not None:
            entry.closing.cancel()
            entry.closing = None

    def _drop(self, key: RoomKey) -> None:
        self._keep(key, self._entries.pop(key))
        subscriptions = self._feeds.detach(key)
        self._tasks.spawn(self._feeds.unlisten(subscriptions), "unlisten")
