"""The edge's NATS connection, simulated: what `relay.bus.connection.Connection` is to the bus."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from nats.errors import ConnectionClosedError, FlushTimeoutError, OutboundBufferLimitError

from tests.simulation.loop import Handle, ProcessLoop

if TYPE_CHECKING:
    from tests.simulation.nats import System

Headers = dict[str, str]
Handler = Callable[[str, str, Headers, bytes], None]
NOBODY = -1  # not attached to a server
LOCAL_S = 0.0003
RECONNECT_S = 0.2
NO_HEADERS: Headers = {}


async def _nothing() -> None:
    pass


class SimConnection:
    """One client connection of a process to its region's NATS; ordered in both directions."""

    def __init__(self, system: "System", loop: ProcessLoop, name: str, seed: int) -> None:
        self.on_lost: Callable[[], Awaitable[None]] = _nothing
        self.on_back: Callable[[], Awaitable[None]] = _nothing
        self.on_ended: Callable[[str], None] = lambda _why: None
        self.handler_errors = 0
        self.server = NOBODY  # as the server sees it
        self.name = name
        self.loop = loop
        self._system = system
        self._number = seed
        self._dice = random.Random(seed)
        self._handlers: dict[int, tuple[str, Handler]] = {}
        self._sid = 0
        self._connected = False
        self._closed = False
        self._generation = 0
        self._out_s = 0.0
        self._in_s = 0.0
        self._pongs: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    # --- what the bus calls --------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """As far as the client knows."""
        return self._connected

    @property
    def hears(self) -> bool:
        """Whether what the server says is read."""
        return self._connected

    @property
    def server_id(self) -> str:
        """The id of the server's process."""
        return self._system.server_id(self.server)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed for good."""
        return self._closed

    def new_inbox(self) -> str:
        """A subject of its own."""
        return f"_INBOX.{self._number}"

    async def listen(self, subject: str, handler: Handler) -> int:
        self._sid += 1
        self._handlers[self._sid] = (subject, handler)
        if self._connected:
            self._send(self._system.subscribe, self, self._sid, subject)
        return self._sid

    async def unlisten(self, sid: int) -> None:
        if self._handlers.pop(sid, None) is not None and self._connected:
            self._send(self._system.unsubscribe, self, sid)

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: Headers | None = None
    ) -> None:
        if self._closed:
            raise ConnectionClosedError
        if not self._connected:
            raise OutboundBufferLimitError
        self._send(self._system.arrive, self, subject, reply, headers or NO_HEADERS, payload)

    async def flush(self, timeout: float = 10) -> None:
        if self._closed:
            raise ConnectionClosedError
        pong: asyncio.Future[None] = self.loop.create_future()
        if self._connected:
            self._pongs.append(pong)
            self._send(self._system.ping, self)
        try:
            await asyncio.wait_for(pong, timeout)
        except TimeoutError as error:
            raise FlushTimeoutError from error

    async def close(self) -> None:
        self._closed = True
        self._connected = False
        self._generation += 1
        self._system.forget(self)
        if self._task is not None:
            self._task.cancel()

    # --- connecting ----------------------------------------------------------------------------

    async def open(self) -> None:
        """The first connection."""
        while not await self._attach():
            await asyncio.sleep(RECONNECT_S)

    async def _attach(self) -> bool:
        await asyncio.sleep(4 * LOCAL_S * (1.0 + self._dice.random()))
        if self._closed or not self._system.accept(self, self._dice):
            return False
        self._connected = True
        self._in_s = self._out_s = self.loop.scheduler.now
        for sid, (subject, _) in self._handlers.items():
            self._send(self._system.subscribe, self, sid, subject)
        try:
            await self.flush(5)
        except FlushTimeoutError:
            self._system.forget(self)
            self._connected = False
            return False
        return self._connected

    async def _again(self) -> None:
        await self.on_lost()
        while not self._closed:
            await asyncio.sleep(RECONNECT_S * (0.9 + 0.2 * self._dice.random()))
            if await self._attach():
                await self.on_back()
                return

    def drop(self, *, keep: bool) -> None:
        """The server's side ends. `keep`: what is on its way to the client still arrives."""
        self.server = NOBODY
        if not keep:
            self._generation += 1
        self._push(self._lost, self._generation)

    def _lost(self, generation: int) -> None:
        if generation != self._generation or not self._connected:
            return
        self._connected = False
        self._generation += 1
        self._pongs.clear()
        self._task = self.loop.create_task(self._again())

    # --- the wire ------------------------------------------------------------------------------

    def _send(self, call: Callable[..., object], *args: Any) -> None:
        scheduler = self.loop.scheduler
        when = scheduler.now + LOCAL_S * (0.5 + self._dice.random())
        self._out_s = when = max(when, self._out_s)
        scheduler.at(when, self._arrive, self._generation, call, args)

    def _arrive(self, generation: int, call: Callable[..., object], args: tuple[Any, ...]) -> None:
        if generation == self._generation and self.server != NOBODY:
            self._system.take(call, args)

    def deliver(
        self, sid: int, subject: str, reply: str, messages: list[tuple[Headers, bytes]],
        extra_s: float = 0.0,
    ) -> None:  # fmt: skip
        """The server writes messages of one subscription."""
        self._push(self._handle, self._generation, sid, subject, reply, messages, extra_s=extra_s)

    def pong(self) -> None:
        """The server answers a ping."""
        self._push(self._pong, self._generation)

    def _push(self, call: Callable[..., object], *args: Any, extra_s: float = 0.0) -> None:
        scheduler = self.loop.scheduler
        when = scheduler.now + LOCAL_S * (0.5 + self._dice.random()) + extra_s
        self._in_s = when = max(when, self._in_s)
        scheduler.push(when, Handle(call, args, self.loop, when))

    def _pong(self, generation: int) -> None:
        if generation == self._generation and self._pongs:
            pong = self._pongs.pop(0)
            if not pong.done():
                pong.set_result(None)

    def _handle(
        self,
        generation: int,
        sid: int,
        subject: str,
        reply: str,
        messages: list[tuple[Headers, bytes]],
    ) -> None:
        if generation != self._generation:
            return
        for headers, data in messages:
            known = self._handlers.get(sid)
            if known is None:
                return
            try:
                known[1](subject, reply, headers, data)
            except Exception as error:
                self.handler_errors += 1
                self.loop.scheduler.failures.append(f"handler of {subject}: {error!r}")
