"""The past in the streams of one region: its copy of all frames and news, for a day."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from nats.errors import Error as NatsError

from console.errors import NoLinkError
from console.feed import BooksRead
from console.past.moment import Extent, Moment
from regions.doors import Door
from regions.operations.entry import Run
from regions.operations.reading import Reading
from regions.permissions import inbox_of
from relay.bus.connection import open_connection
from relay.bus.events import STAMP, SUBJECT, rfc3339, stamp_ms
from relay.bus.inbox import Inbox
from relay.bus.reader import Page, Reader
from relay.core.names import TELEMETRY_STREAM, news_subject
from relay.errors import BusError

READS = 4
PAGE = 1_000
TIMEOUT_S = 5.0


class StreamPast:
    """What one region's NATS holds. `open_streams` makes it.

    Args:
        region: it.
        origins: all regions.
        reader: there.
    """

    def __init__(self, region: str, origins: Sequence[str], reader: Reader) -> None:
        self.region = region
        self._reader = reader
        self._books = Reading(region, origins, reader)

    async def extent(self) -> Extent:
        """From when until when there is something.

        Raises:
            BusError: NATS did not answer.
        """
        first = await self._reader.page(TELEMETRY_STREAM, 1, batch=1)
        info = await self._reader.info(TELEMETRY_STREAM)
        began_ms = _stamp(first.messages[0][0]) if first.messages else info.last_ms
        return Extent(began_ms, info.last_ms)

    async def read(self, since_ms: int, until_ms: int) -> AsyncGenerator[Moment, None]:
        """What was heard from a time on, and before another one, in order.

        Raises:
            BusError: NATS did not answer.
        """
        page = await self._reader.since(TELEMETRY_STREAM, rfc3339(since_ms), batch=PAGE)
        while page.messages:
            for headers, data in page.messages:
                at_ms = _stamp(headers)
                if at_ms >= until_ms:
                    return
                yield Moment(at_ms, headers.get(SUBJECT, ""), data)
            if page.pending == 0:
                return
            page = await self._reader.page(TELEMETRY_STREAM, page.last + 1, batch=PAGE)

    async def books(self, until_ms: int) -> BooksRead | None:
        """What operators had done by then. Which orders stood then is not kept.

        Raises:
            BusError: NATS did not answer.
        """
        await self._books.read()
        return BooksRead(tuple(cut(self._books.runs, until_ms)), (), {})

    async def alerts(self) -> list[int]:
        """When alerts began to fire, or were over, in order.

        Raises:
            BusError: NATS did not answer.
        """
        subject, found = news_subject("*", "alert"), set[int]()
        page: Page = await self._reader.page(TELEMETRY_STREAM, 1, batch=PAGE, subject=subject)
        while page.messages:
            found.update(_stamp(headers) for headers, _ in page.messages)
            if page.pending == 0:
                break
            page = await self._reader.page(
                TELEMETRY_STREAM, page.last + 1, batch=PAGE, subject=subject
            )
        return sorted(found)


def cut(runs: Sequence[Run], until_ms: int) -> list[Run]:
    """The operations as they stood at a time."""
    found = []
    for run in runs:
        entries = [entry for entry in run.entries if entry.at_ms <= until_ms]
        if entries:
            found.append(msgspec.structs.replace(run, entries=entries))
    return found


@asynccontextmanager
async def open_streams(doors: Sequence[Door]) -> AsyncIterator[StreamPast]:
    """The streams of the first region that answers.

    Raises:
        NoLinkError: none does.
    """
    why = "no region is known"
    for door in doors:
        try:
            connection = await open_connection(
                door.nats, "jetrelay console", inbox_of(door.nats, "console")
            )
        except (OSError, NatsError, TimeoutError) as error:
            why = f"{door.region}: {str(error) or type(error).__name__}"
            continue
        try:
            inbox = Inbox(connection)
            await inbox.start()
            past = StreamPast(
                door.region, [each.region for each in doors], Reader(inbox, READS, TIMEOUT_S)
            )
            try:
                await past.extent()
            except BusError as error:
                why = f"{door.region}: {error}"
                continue
            yield past
        finally:
            await connection.close()
        return
    raise NoLinkError(f"no NATS answers: {why}")


def _stamp(headers: dict[str, str]) -> int:
    return stamp_ms(headers.get(STAMP, ""))
