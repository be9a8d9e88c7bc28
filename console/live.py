"""The live feed: telemetry of the whole fleet, heard through the NATS of any one region."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from console.feed import FeedEvent, FrameHeard, FrameRefused, LinkChanged
from console.model import LinkState
from regions.doors import Door
from relay.config import NatsConfig
from relay.core.names import telemetry_subject
from relay.core.telemetry import decode_frame
from relay.tasks import Tasks

if TYPE_CHECKING:
    from nats.aio.msg import Msg

SUBJECT = telemetry_subject("*", "*")
INBOX_PREFIX = "_INBOX_console"
CONNECT_S = 3.0
PING_S = 5  # two unanswered ones end the connection
RETRY_S = 1.0  # after every server was tried in vain
QUEUE_EVENTS = 10_000  # then frames are dropped, and counted as refused


class LiveFeed:
    """Hears telemetry through the first door that opens, and goes on to the next when it shuts.

    It reconnects for ever and raises nothing: what goes wrong is a `LinkChanged`. Each server is
    dialled by itself, because regions have credentials of their own.
    """

    def __init__(self, doors: Sequence[Door]) -> None:
        self._servers = [(door, server) for door in doors for server in door.nats.servers]
        self._queue: asyncio.Queue[FeedEvent] = asyncio.Queue(QUEUE_EVENTS)
        self._at = 0  # index of the server in use
        self._reason = ""

    async def events(self) -> AsyncGenerator[FeedEvent, None]:
        """Frames and changes of the link, for ever. One generator at a time."""
        tasks = Tasks("console.live")
        tasks.spawn(self._run(), "run")
        try:
            while True:
                yield await self._queue.get()
        finally:
            await tasks.close()

    async def _run(self) -> None:
        failures = 0
        while True:
            door, server = self._servers[self._at]
            heard = False
            try:
                heard = await self._listen(door, server)
                self._reason = self._reason or "the server closed the connection"
            except (OSError, TimeoutError, NatsError, ValueError) as error:
                self._reason = self._reason or describe(error)
            await self._queue.put(LinkChanged(LinkState.LOST, door.region, self._reason))
            self._at = (self._at + 1) % len(self._servers)
            failures = 0 if heard else failures + 1
            if failures and failures % len(self._servers) == 0:
                await asyncio.sleep(RETRY_S)

    async def _listen(self, door: Door, server: str) -> bool:
        """Hear frames from `server` until its connection ends; True if it ever stood."""
        self._reason = ""
        closed = asyncio.Event()
        client = Client()
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._connect(client, door.nats, server, closed)
                await client.subscribe(SUBJECT, cb=self._on_message)
                await client.flush()
            await self._queue.put(LinkChanged(LinkState.CONNECTED, door.region))
            await closed.wait()
            return True
        finally:
            await client.close()

    async def _connect(
        self, client: Client, config: NatsConfig, server: str, closed: asyncio.Event
    ) -> None:
        async def on_error(error: Exception) -> None:
            self._reason = describe(error)
            if "permissions violation" in str(error).lower():
                closed.set()  # connected, but deaf

        async def on_closed() -> None:
            closed.set()

        await client.connect(
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

    async def _on_message(self, message: "Msg") -> None:
        try:
            frame = decode_frame(message.data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._put(FrameRefused())
            return
        # NATS decides by subject who may publish: a frame can't speak for another edge.
        named = message.subject.split(".")[1:] == [frame.region, frame.edge]
        self._put(FrameHeard(frame) if named else FrameRefused())

    def _put(self, event: FeedEvent) -> None:
        if self._queue.full():
            self._queue.get_nowait()
            event = FrameRefused()
        self._queue.put_nowait(event)


def describe(error: BaseException) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, TimeoutError):
        return f"no answer in {CONNECT_S:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).removeprefix("nats: ").strip("'\" ") or type(error).__name__
