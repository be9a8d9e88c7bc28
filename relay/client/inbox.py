"""The queue between a session and its application; full, it stops the reading and drops nothing."""

import asyncio
from collections import deque

from relay.client.errors import ClientError
from relay.client.events import Event

HARD = 10  # times the limit, while a call waits for its answer behind the events


class Inbox:
    """Events for one reader, each with the cursor before it.

    Args:
        limit: from how many events on `is_full`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[tuple[Event, str | None]] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._error: ClientError | None = None
        self._finished = False

    def __len__(self) -> int:
        return len(self._items)

    @property
    def cursor(self) -> str | None:
        """The cursor before the first event that waits."""
        return self._items[0][1] if self._items else None

    def put(self, event: Event, cursor: str | None) -> None:
        """Append an event; `cursor` is the position before it."""
        self._items.append((event, cursor))
        _wake(self._reader)

    def finish(self, error: ClientError | None) -> None:
        """No more events will come: after those that are here, `error` or the end."""
        self._finished, self._error = True, error
        _wake(self._reader)

    def is_full(self, *, awaited: bool) -> bool:
        """Whether to stop reading.

        Args:
            awaited: a call waits for its answer, so the application may be waiting for us.
        """
        return len(self._items) >= self._limit * (HARD if awaited else 1)

    async def until_free(self) -> None:
        """Wait until half of the limit is free, or `nudge`."""
        if len(self._items) > self._limit // 2:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer

    def nudge(self) -> None:
        """Let `until_free` return."""
        _wake(self._writer)

    async def take(self) -> Event:
        """The next event.

        Raises:
            StopAsyncIteration: the client was closed.
            ClientError: the client has ended with this error.
        """
        while not self._items:
            if self._finished:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            assert self._reader is None, "one task iterates at a time"
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        event, _ = self._items.popleft()
        if len(self._items) <= self._limit // 2:
            _wake(self._writer)
        return event


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
