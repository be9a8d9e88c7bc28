"""The books: what operators ordered and did; each region has one, and mirrors those of the others.

What is written goes into the books of all regions that are reached: each of them may be cut off
from the others, or lose what it holds. What was written is read from every copy that is reached.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import Any

from regions.errors import OperationError
from regions.operations.entry import Entry, Run, decode_entry, encode_entry, runs_of
from regions.operations.station import Station
from relay.bus.events import rfc3339
from relay.bus.orders import OrderBook
from relay.core.names import book_stream, is_run, order_subject, run_subject
from relay.core.orders import Order, Orders, encode_order
from relay.errors import BusError, UnavailableError

PAGE = 256


class Book:
    """All books.

    Args:
        stations: the regions that are reached.
        origins: all regions.
    """

    def __init__(self, stations: Sequence[Station], origins: Sequence[str]) -> None:
        self._stations = list(stations)
        self._origins = origins
        self._orders = Orders()
        self._books = [OrderBook(each.reader, origins, self._orders) for each in stations]
        self._last_ms = 0
        self._offset_ms = 0

    async def set_clock(self) -> None:
        """Go by the regions' own clock from now on: operators' clocks may differ by minutes.

        Raises:
            OperationError: no region says what time it is.
        """
        offsets = []
        for station in self._stations:
            try:
                offsets.append(await station.now_ms() - int(time.time() * 1000))
            except BusError:
                continue
        if not offsets:
            raise OperationError("no region says what time it is")
        self._offset_ms = sorted(offsets)[len(offsets) // 2]

    async def orders(self) -> Orders:
        """What stands.

        Raises:
            OperationError: no book could be read.
        """
        await self._each(book.read() for book in self._books)
        return self._orders

    async def runs(self, since_ms: int) -> list[Run]:
        """The operations of which anything was stored since a time (Unix ms).

        Raises:
            OperationError: no book could be read.
        """
        return runs_of(await self._entries("*", since_ms))

    async def run(self, name: str) -> Run:
        """One operation, whole.

        Raises:
            OperationError: there is none of this name, or no book could be read.
        """
        runs = runs_of(await self._entries(name)) if is_run(name) else []
        if not runs:
            raise OperationError(f"no operation is called {name}")
        return runs[0]

    async def _entries(self, run: str, since_ms: int | None = None) -> list[Entry]:
        found: list[Entry] = []

        async def read(station: Station) -> None:
            for origin in self._origins:
                async for entry in _entries(station, origin, run, since_ms):
                    found.append(entry)  # noqa: PERF401 (others add theirs meanwhile)

        await self._each(read(station) for station in self._stations)
        return found

    async def _each(self, readings: Iterable[Coroutine[Any, Any, object]]) -> None:
        """Read in all regions at once; one that can be read is enough."""
        ended = await asyncio.gather(*readings, return_exceptions=True)
        failures = [each for each in ended if isinstance(each, BaseException)]
        for failure in failures:
            if not isinstance(failure, BusError):
                raise failure
        if len(failures) == len(self._stations):
            raise OperationError(f"no book can be read: {failures[0]}")

    @property
    def now_ms(self) -> int:
        """The time by the regions' clock (Unix ms)."""
        return int(time.time() * 1000) + self._offset_ms

    def stamp_ms(self, after_ms: int = 0) -> int:
        """The time for what is written next (Unix ms): later than all that was written here."""
        self._last_ms = max(self.now_ms, self._last_ms + 1, after_ms + 1)
        return self._last_ms

    async def write(self, entry: Entry) -> None:
        """Add an entry to an operation.

        Raises:
            OperationError: no region stored it.
        """
        await self._store(lambda origin: run_subject(origin, entry.run), encode_entry(entry))

    async def give(self, order: Order) -> None:
        """Give an order; its time has to be later than that of the one before.

        Raises:
            OperationError: no region stored it.
        """
        await self._store(
            lambda origin: order_subject(origin, order.region, order.edge), encode_order(order)
        )

    async def _store(self, subject_in: Callable[[str], str], data: bytes) -> None:
        """In the books of all regions that are reached; one is enough."""

        async def one(station: Station) -> str:
            try:
                ack = await station.store(subject_in(station.region), data)
            except UnavailableError as error:
                return f"{station.region}: {error}"
            return "" if ack.error is None else f"{station.region}: {ack.error.description}"

        failures = await asyncio.gather(*(one(station) for station in self._stations))
        if all(failures):
            raise OperationError(f"no region stored it: {'; '.join(failures)}")


async def _entries(
    station: Station, origin: str, run: str, since_ms: int | None
) -> AsyncIterator[Entry]:
    """What one copy holds of an operation, or of all (`*`), from a time on."""
    stream, subject = book_stream(origin), run_subject(origin, run)
    if since_ms is None:
        page = await station.reader.page(stream, 1, batch=PAGE, subject=subject)
    else:
        start = rfc3339(since_ms)
        page = await station.reader.since(stream, start, batch=PAGE, subject=subject)
    while page.messages:
        for _, data in page.messages:
            entry = decode_entry(data)
            if entry is not None:
                yield entry
        if page.pending == 0:
            return
        page = await station.reader.page(stream, page.last + 1, batch=PAGE, subject=subject)
