"""The live feed: frames, news and books of a whole fleet, heard through the NATS of one region."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from nats.errors import Error as NatsError
from nats.errors import StaleConnectionError, UnexpectedEOF

from console.feed import BooksRead, FeedEvent, FrameRefused, LinkChanged
from console.model import LinkState
from console.wire import event_of
from regions.doors import Door
from regions.operations.reading import Reading
from regions.readers import messages
from relay.bus.connection import Connection, Headers
from relay.bus.events import SUBJECT as SUBJECT_HEADER
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.config import NatsConfig
from relay.core.names import TELEMETRY_STREAM, below, news_subject, telemetry_subject
from relay.errors import BusError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.console")

SUBJECT = telemetry_subject("*", "*")
NEWS = below("news")
INBOX_PREFIX = "_INBOX_console"
CONNECT_S = 3.0
PING_S = 1  # the third one, where two are unanswered, ends the connection: after 3 s at most
RETRY_S = 1.0  # after every server was tried in vain
BOOKS_S = 1.0  # between two looks at the books
READS = 2
CLOSED = "the server closed the connection"
TOLD = ("drill", "alert", "ack")  # what is read back
QUEUE_EVENTS = 10_000  # then frames are dropped, and counted as refused


class LiveFeed:
    """Hears the fleet through the first door that opens, and goes on to the next when it shuts.

    It reconnects for ever and raises nothing: what goes wrong is a `LinkChanged`. Each server is
    dialled by itself, because regions have credentials of their own.

    Args:
        doors: the ways in, tried in turn; at least one.
        tap: is given every message as it comes, subject and bytes.
    """

    def __init__(
        self, doors: Sequence[Door], tap: Callable[[str, bytes], None] = lambda *_: None
    ) -> None:
        self._tap = tap
        self._servers = [(door, server) for door in doors for server in door.nats.servers]
        self._regions = [door.region for door in doors]
        self._queue: asyncio.Queue[FeedEvent] = asyncio.Queue(QUEUE_EVENTS)
        self._at = 0  # index of the server in use
        self._reason = ""
        self._lost = 0  # events for which there was no room, and which were not counted yet

    @property
    def round_s(self) -> float:
        """How long it may take until every server was tried once."""
        return CONNECT_S * len(self._servers)

    async def events(self) -> AsyncGenerator[FeedEvent, None]:
        """What comes, for ever. One generator at a time."""
        tasks = Tasks("console.live")
        tasks.spawn(self._run(), "run")
        try:
            while True:
                yield await self._queue.get()
                for _ in range(self._lost):
                    yield FrameRefused()
                self._lost = 0
        finally:
            await tasks.close()

    async def _run(self) -> None:
        failures = 0
        while True:
            door, server = self._servers[self._at]
            heard = False
            try:
                heard = await self._listen(door, server)
                self._reason = self._reason or CLOSED
            except (OSError, TimeoutError, NatsError, ValueError) as error:
                self._reason = self._reason or describe(error)
            except Exception as error:  # whatever it is: a deaf console says that it is
                _log.exception("listening failed")
                self._reason = self._reason or describe(error)
            await self._queue.put(LinkChanged(LinkState.LOST, door.region, self._reason))
            self._at = (self._at + 1) % len(self._servers)
            failures = 0 if heard else failures + 1
            if failures and failures % len(self._servers) == 0:
                await asyncio.sleep(RETRY_S)

    async def _listen(self, door: Door, server: str) -> bool:
        """Hear from `server` until its connection ends; True if it ever stood."""
        self._reason = ""
        closed = asyncio.Event()
        connection = Connection()
        tasks = Tasks("console.books")
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._connect(connection, door.nats, server, closed)
                await connection.listen(SUBJECT, self._on_message)
                await connection.listen(NEWS, self._on_message)
                inbox = Inbox(connection)
                await inbox.start()
                await connection.flush()
            await self._queue.put(LinkChanged(LinkState.CONNECTED, door.region))
            reader = Reader(inbox, READS)
            tasks.keep(lambda: self._read_told(reader), "told")
            reading = Reading(door.region, self._regions, reader)
            tasks.keep(lambda: self._read_books(reading), "books")
            await closed.wait()
            if connection.last_error is not None:
                self._reason = self._reason or describe(connection.last_error)
            return True
        finally:
            await tasks.close()
            await connection.close()

    async def _connect(
        self, connection: Connection, config: NatsConfig, server: str, closed: asyncio.Event
    ) -> None:
        async def on_error(error: Exception) -> None:
            text = str(error).lower()
            if "permissions violation" not in text:
                self._reason = describe(error)
            elif f'subscription to "{SUBJECT}"' in text:
                self._reason = describe(error)
                closed.set()  # connected, but deaf
            else:  # what it may not hear or ask is not on the screen
                _log.info("%s", describe(error))

        async def on_closed() -> None:
            closed.set()

        await connection.connect(
            [server],
            name="jetrelay console",
            user=config.user,
            password=config.password,
            user_credentials=config.creds,
            inbox_prefix=INBOX_PREFIX,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            ping_interval=PING_S,
            error_cb=on_error,
            closed_cb=on_closed,
        )

    def _on_message(self, subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        self._tap(subject, data)
        self._put(event_of(subject, data))

    async def _read_told(self, reader: Reader) -> None:
        """What was told of drills and alerts before we listened, in any region, as far as it is
        kept: the timeline begins with it.
        """
        for about in TOLD:
            told = messages(reader, TELEMETRY_STREAM, subject=news_subject("*", about))
            try:
                async with aclosing(told):
                    async for headers, data in told:
                        self._put(event_of(headers.get(SUBJECT_HEADER, ""), data))
            except BusError as error:
                _log.info("what was told (%s) can't be read: %s", about, error)

    async def _read_books(self, reading: Reading) -> None:
        while True:
            try:
                await reading.read()
                holders = await reading.holders()
            except BusError as error:
                _log.info("the books can't be read: %s", error)
            else:
                self._put(BooksRead(tuple(reading.runs), tuple(reading.orders), holders))
            await asyncio.sleep(BOOKS_S)

    def _put(self, event: FeedEvent) -> None:
        if not self._queue.full():
            self._queue.put_nowait(event)
            return
        # What is new goes, and is counted: of what waits, some says how the link is.
        self._lost += 1


def describe(error: BaseException) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, UnexpectedEOF):
        return CLOSED
    if isinstance(error, StaleConnectionError):
        return "it does not answer any more"
    if isinstance(error, TimeoutError):
        return f"no answer in {CONNECT_S:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).removeprefix("nats: ").strip("'\" ") or type(error).__name__
