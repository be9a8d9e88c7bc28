"""A lean gateway client for load: a WebSocket over bare TCP, without reconnects."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import cast
from urllib.parse import urlsplit

import msgspec

from regions.swarm import frames
from relay.core.codes import Op
from relay.tasks import Tasks

READY_S = 20.0


class Frame(msgspec.Struct):
    """A payload of the edge; `d` is read by whoever wants it."""

    op: int
    t: str | None = None
    d: msgspec.Raw = msgspec.Raw(b"null")
    c: str | None = None


class _Hello(msgspec.Struct):
    heartbeat_interval: int


_frames = msgspec.json.Decoder(Frame)


class Gateway(asyncio.Protocol):
    """One session. `handle(frame)` is called for each ACK, ERROR and DISPATCH after READY."""

    def __init__(self, host: str, token: str, rooms: Sequence[str], query: str = "") -> None:
        self._query = query
        self.handle: Callable[[Frame], None] = lambda _: None
        self.lost: str | None = None
        self._host, self._token, self._rooms = host, token, list(rooms)
        self._buffer = bytearray()
        self._upgraded = False
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks = Tasks("bench")
        self._transport: asyncio.Transport | None = None

    async def ready(self, timeout_s: float = READY_S) -> None:
        """Wait for READY or RESUMED."""
        async with asyncio.timeout(timeout_s):
            await self._ready

    async def close(self) -> None:
        """End the session."""
        self.lost = "closed"
        await self._tasks.close()
        if self._transport is not None:
            self._write(frames.CLOSE, (1000).to_bytes(2, "big"))
            self._transport.close()

    async def fall_silent(self) -> None:
        """Say and hear nothing more, and hold the connection."""
        await self._tasks.close()
        if self._transport is not None:
            self._transport.pause_reading()

    def send(self, op: Op, d: object) -> None:
        """Send a payload."""
        self._write(frames.TEXT, msgspec.json.encode({"op": int(op), "d": d}))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        path = f"/gateway?v=10&encoding=json{self._query}"
        self._transport.write(frames.request(self._host, path, secrets.token_bytes(16)))

    def connection_lost(self, exc: Exception | None) -> None:
        """A load without this connection is not the load that was asked for."""
        self.lost = self.lost or str(exc or "the edge closed the connection")
        if not self._ready.done():
            self._ready.set_exception(ConnectionError(self.lost))

    def data_received(self, data: bytes) -> None:
        """Cut frames out of what came."""
        self._buffer += data
        if not self._upgraded and not self._upgrade():
            return
        self._buffer = bytearray(frames.cut(bytes(self._buffer), self._receive))

    def _upgrade(self) -> bool:
        head, end, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 101 "):
            self.lost = head.split(b"\r\n", 1)[0].decode("latin-1")
            assert self._transport is not None
            self._transport.close()
            return False
        self._upgraded, self._buffer = True, bytearray(rest)
        return True

    def _receive(self, opcode: int, body: bytes) -> None:
        if opcode == frames.PING:
            self._write(frames.PONG, body)
        elif opcode == frames.CLOSE:
            self.lost = self.lost or f"closed with {int.from_bytes(body[:2], 'big')}"
        if opcode != frames.TEXT:
            return
        frame = _frames.decode(body)
        if frame.op == Op.HELLO:
            interval_ms = msgspec.json.decode(frame.d, type=_Hello).heartbeat_interval
            self._tasks.spawn(self._beat(interval_ms / 1000), "heartbeat")
            self.greet()
        elif frame.t in ("READY", "RESUMED"):
            self.welcomed(frame)
            if not self._ready.done():
                self._ready.set_result(None)
        else:
            self.handle(frame)

    def greet(self) -> None:
        """The edge said HELLO."""
        self.send(Op.IDENTIFY, {"token": self._token, "rooms": self._rooms})

    def welcomed(self, frame: Frame) -> None:
        """READY or RESUMED came."""

    async def _beat(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            self.send(Op.HEARTBEAT, None)

    def _write(self, opcode: int, body: bytes) -> None:
        assert self._transport is not None
        self._transport.write(frames.masked(opcode, body))


async def connect(url: str, token: str, rooms: Sequence[str] = ()) -> Gateway:
    """A session on the edge at `url` that has got READY.

    Raises:
        ConnectionError, TimeoutError: it did not get there.
    """
    parts = urlsplit(url)
    _, gateway = await asyncio.get_running_loop().create_connection(
        lambda: Gateway(parts.netloc, token, rooms), parts.hostname or "", parts.port or 80
    )
    await gateway.ready()
    return gateway
