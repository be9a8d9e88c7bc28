"""The books as one region holds them, read again and again by who only looks."""

from collections.abc import Sequence

from regions.operations.entry import Entry, Run, decode_entry, runs_of
from regions.operations.holder import Holder
from regions.operations.lease import holder_in
from regions.operations.lock import FLEET
from relay.bus.events import SUBJECT, rfc3339, stamp_ms
from relay.bus.orders import OrderBook
from relay.bus.reader import Reader
from relay.core.names import LEASE_STREAM, RUNNING, book_stream, duty_subject, run_subject
from relay.core.orders import Order

DAY_MS = 86_400_000
PAGE = 256
MOST = 5_000  # entries that are kept


class Reading:
    """What operators ordered and did, and who is at work, by the books in one region.

    Args:
        region: in which they are read.
        origins: all regions.
        reader: there.
    """

    def __init__(self, region: str, origins: Sequence[str], reader: Reader) -> None:
        self._region = region
        self._reader = reader
        self._book = OrderBook(reader, origins)
        self._next: dict[str, int | None] = dict.fromkeys(origins)  # sequence; None: by time
        self._entries: list[Entry] = []

    @property
    def orders(self) -> list[Order]:
        """Those that stand, and want something."""
        return [order for order in self._book.orders if not order.idle]

    async def read(self) -> None:
        """Read what is new.

        Raises:
            BusError: NATS did not answer, or may not be asked.
        """
        await self._book.read()
        for origin in self._next:
            await self._read(origin)

    async def _read(self, origin: str) -> None:
        stream, subject = book_stream(origin), run_subject(origin, "*")
        seq = self._next[origin]
        if seq is None:
            start = rfc3339(await self.now_ms() - DAY_MS)
            page = await self._reader.since(stream, start, batch=PAGE, subject=subject)
        else:
            page = await self._reader.page(stream, seq, batch=PAGE, subject=subject)
        while page.messages:
            entries = [decode_entry(data) for _, data in page.messages]
            self._entries += [entry for entry in entries if entry is not None]
            self._next[origin] = page.last + 1
            if page.pending == 0:
                break
            page = await self._reader.page(stream, page.last + 1, batch=PAGE, subject=subject)
        del self._entries[:-MOST]

    @property
    def runs(self) -> list[Run]:
        """The operations of the last day, oldest first."""
        return runs_of(self._entries)

    async def holders(self) -> dict[str, Holder]:
        """Who is at work, by region, as far as it is known here.

        Raises:
            BusError: NATS did not answer, or may not be asked.
        """
        everywhere = duty_subject(self._region, RUNNING, "*")
        page = await self._reader.newest(LEASE_STREAM, everywhere)
        if not page.messages:
            return {}
        now_ms = await self.now_ms()
        found: dict[str, Holder] = {}
        for headers, data in page.messages:
            scope = headers.get(SUBJECT, "").rpartition(".")[2]
            holder = holder_in(headers, data, now_ms)
            if holder is not None and scope != FLEET:
                found[scope] = holder
        return found

    async def now_ms(self) -> int:
        """The time by the region's NATS (Unix ms).

        Raises:
            BusError: NATS did not answer, or may not be asked.
        """
        return stamp_ms((await self._reader.api(f"STREAM.INFO.{LEASE_STREAM}", {}))["ts"])
