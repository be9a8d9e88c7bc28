"""One WebSocket to an edge: the only place that knows the WebSocket library."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.asyncio.connection import broadcast
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from relay.client.effects import OpenFailed
from relay.client.errors import ClientError, Undecodable
from relay.client.wire import Codec, Frame
from relay.core.codes import Op

MAX_FRAME = 4 * 1024 * 1024  # of the edge's; a page of history has up to 256 KiB of events
QUEUED_FRAMES = 128  # parsed ahead of the session, then the socket is not read
CLOSE_S = 1.0
REASON = 200  # characters of what a server says about a failure
_LOCAL = {"127.0.0.1", "localhost", "::1"}
_BUSY = {429, 503}


class OpenError(ClientError):
    """The WebSocket could not be opened; `event` says it to the session."""

    def __init__(self, event: OpenFailed) -> None:
        super().__init__(event.reason)
        self.event = event


@dataclass(frozen=True, slots=True)
class End:
    """How a connection ended; `code` None: without a close frame."""

    code: int | None
    reason: str


class Connection:
    """An open WebSocket that carries payloads."""

    def __init__(self, socket: ClientConnection, codec: Codec) -> None:
        self._socket = socket
        self._codec = codec

    def send(self, raw: bytes) -> None:
        """Write an encoded payload; on a socket that is closing it goes nowhere."""
        broadcast((self._socket,), raw, text=self._codec.text)

    async def ping(self, on_pong: Callable[[], None]) -> None:
        """Send a ping and call `on_pong` when, and if, its answer comes."""
        try:
            await (await self._socket.ping())
        except ConnectionClosed:
            return
        on_pong()

    async def receive(self) -> Frame | End:
        """The next payload, or how the connection ended.

        Raises:
            Undecodable: the message is no payload.
        """
        try:
            return self._codec.decode(await self._socket.recv(decode=False))
        except ConnectionClosed as error:
            if error.rcvd is not None:
                return End(error.rcvd.code, _printable(error.rcvd.reason))
            return End(None, "the connection broke")

    def abort(self) -> None:
        """End the TCP connection without a word, as a network that fails."""
        self._socket.transport.abort()

    async def close(self, code: int, reason: str) -> None:
        """Close with `code`; a peer that does not answer is left after a second."""
        await self._socket.close(code, reason)


async def open_connection(url: str, codec: Codec, timeout_s: float) -> Connection:
    """Open a WebSocket.

    Args:
        url: with its query.
        codec: the encoding that the query names.
        timeout_s: for TCP, TLS and the WebSocket handshake together.

    Raises:
        OpenError: it did not open.
    """
    try:
        socket = await websocket(
            url,
            compression=None,
            proxy=None if urlsplit(url).hostname in _LOCAL else True,
            open_timeout=timeout_s,
            ping_interval=None,
            close_timeout=CLOSE_S,
            max_size=MAX_FRAME,
            max_queue=QUEUED_FRAMES,
        )
    except InvalidStatus as error:
        raise OpenError(_refusal(error)) from error
    except TimeoutError as error:
        raise OpenError(OpenFailed(f"did not open within {timeout_s:g} s")) from error
    except (OSError, ssl.SSLError, WebSocketException, ValueError) as error:
        reason = _printable(str(error)) or type(error).__name__
        raise OpenError(OpenFailed(reason)) from error
    return Connection(socket, codec)


def _printable(text: str) -> str:
    """Text from the network, for messages that end up on terminals and in logs."""
    return "".join(character for character in text[:REASON] if character.isprintable())


def _refusal(error: InvalidStatus) -> OpenFailed:
    response = error.response
    body = _printable(response.body.decode(errors="replace")) if response.body else ""
    reason = f"HTTP {response.status_code}" + (f": {body}" if body else "")
    try:
        retry_after_s = float(response.headers.get("Retry-After", ""))
    except ValueError:
        retry_after_s = None
    return OpenFailed(reason, response.status_code in _BUSY, retry_after_s)


async def probe(url: str, codec: Codec, timeout_s: float) -> bool:
    """Whether an edge at `url` says HELLO within `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            connection = await open_connection(url, codec, timeout_s)
            try:
                first = await connection.receive()
            finally:
                await connection.close(1000, "")
    except (OpenError, Undecodable, TimeoutError):
        return False
    return isinstance(first, Frame) and first.op == Op.HELLO
