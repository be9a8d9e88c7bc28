"""Reading the streams of the first region that answers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from nats.errors import Error as NatsError

from regions.doors import Door
from regions.permissions import inbox_of
from relay.bus.connection import Headers, open_connection
from relay.bus.events import rfc3339
from relay.bus.inbox import Inbox
from relay.bus.reader import API, Reader
from relay.core.names import TELEMETRY_STREAM
from relay.errors import BusError, UnavailableError

CONNECT_S = 3.0
TIMEOUT_S = 5.0  # of an answer
READS = 4
PAGE = 1_000


@asynccontextmanager
async def first_reader(doors: Sequence[Door], name: str) -> AsyncIterator[tuple[str, Reader]]:
    """A region whose telemetry can be read, and a reader there, as the user `console`.

    Args:
        doors: one a region, tried in turn.
        name: of the connection, as the server's monitoring shows it.

    Raises:
        UnavailableError: none answers.
    """
    why = "no region is known"
    for door in doors:
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await open_connection(door.nats, name, inbox_of(door.nats, "console"))
        except (OSError, NatsError, TimeoutError) as error:
            why = f"{door.region}: {str(error) or type(error).__name__}"
            continue
        try:
            replies = Inbox(connection)
            await replies.start()
            reader = Reader(replies, READS, TIMEOUT_S)
            try:
                await reader.page(TELEMETRY_STREAM, 1, batch=1)
            except BusError as error:
                why = f"{door.region}: {error}"
                continue
            yield door.region, reader
        finally:
            await connection.close()
        return
    raise UnavailableError(f"no region answers: {why}")


async def messages(
    reader: Reader,
    stream: str,
    *,
    since_ms: int | None = None,
    subject: str | None = None,
    api: str = API,
) -> AsyncGenerator[tuple[Headers, bytes], None]:
    """What a stream holds, in order, page by page.

    Args:
        reader: of the region.
        stream: its name.
        since_ms: what was stored from then on (Unix ms); None: all of it.
        subject: only of it, wildcards allowed.
        api: where it is asked.

    Raises:
        BusError: NATS did not answer.
    """
    if since_ms is None:
        page = await reader.page(stream, 1, batch=PAGE, subject=subject, api=api)
    else:
        start = rfc3339(since_ms)
        page = await reader.since(stream, start, batch=PAGE, subject=subject, api=api)
    while page.messages:
        for message in page.messages:
            yield message
        if page.pending == 0:
            return
        page = await reader.page(stream, page.last + 1, batch=PAGE, subject=subject, api=api)
