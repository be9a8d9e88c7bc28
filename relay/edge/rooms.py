"""Which rooms are open at this edge: opened for the first member, closed after the last."""

import asyncio
from dataclasses import dataclass

from relay.core.event import RoomKey
from relay.edge.feeds import Feeds
from relay.errors import UnavailableError
from relay.tasks import Tasks


@dataclass(slots=True)
class _Entry:
    opening: asyncio.Task[UnavailableError | None]
    holders: int = 0


class Rooms:
    """Counts who holds a room open."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds
        self._entries: dict[RoomKey, _Entry] = {}
        self._tasks = Tasks("rooms")

    def __len__(self) -> int:
        return len(self._entries)

    async def close(self) -> None:
        """End what is being opened or closed."""
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
        try:
            if (failure := await asyncio.shield(entry.opening)) is not None:
                raise failure
        except BaseException:
            self.release(key)
            raise

    async def _open(self, key: RoomKey) -> UnavailableError | None:
        try:
            await self._feeds.open_room(key)
        except UnavailableError as error:
            return error  # for all who wait
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
            self._drop(key)

    def _drop(self, key: RoomKey) -> None:
        del self._entries[key]
        subscriptions = self._feeds.detach(key)
        self._tasks.spawn(self._feeds.unlisten(subscriptions), "unlisten")
