"""The past in the streams of one region: its copy of all frames and news, for a day."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import msgspec

from console.errors import NoLinkError
from console.feed import BooksRead
from console.past.moment import Extent, Moment, alert_times
from regions.doors import Door
from regions.operations.entry import Run
from regions.operations.reading import Reading
from regions.readers import first_reader, messages
from relay.bus.events import STAMP, SUBJECT, stamp_ms
from relay.bus.reader import Reader
from relay.core.names import TELEMETRY_STREAM, news_subject
from relay.errors import UnavailableError


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
        stored = messages(self._reader, TELEMETRY_STREAM, since_ms=since_ms)
        async with aclosing(stored):
            async for headers, data in stored:
                at_ms = _stamp(headers)
                if at_ms >= until_ms:
                    return
                yield Moment(at_ms, headers.get(SUBJECT, ""), data)

    async def books(self, until_ms: int) -> BooksRead | None:
        """What operators had done by then. Which orders stood then is not kept.

        Raises:
            BusError: NATS did not answer.
        """
        await self._books.read()
        return BooksRead(tuple(cut(self._books.runs, until_ms)), None, {})

    async def drills(self, until_ms: int) -> list[Moment]:
        """All that was told of drills before a time, in order.

        Raises:
            BusError: NATS did not answer.
        """
        told = messages(self._reader, TELEMETRY_STREAM, subject=news_subject("*", "drill"))
        moments = [Moment(_stamp(headers), headers.get(SUBJECT, ""), data)
                   async for headers, data in told]  # fmt: skip
        return [moment for moment in moments if moment.at_ms < until_ms]

    async def alerts(self) -> list[int]:
        """When alerts began to fire, or were over, in order.

        Raises:
            BusError: NATS did not answer.
        """
        changes = messages(self._reader, TELEMETRY_STREAM, subject=news_subject("*", "alert"))
        return alert_times([(_stamp(headers), data) async for headers, data in changes])


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
    try:
        async with first_reader(doors, "jetrelay console") as (region, reader):
            yield StreamPast(region, [door.region for door in doors], reader)
    except UnavailableError as error:
        raise NoLinkError(str(error)) from error


def _stamp(headers: dict[str, str]) -> int:
    return stamp_ms(headers.get(STAMP, ""))
