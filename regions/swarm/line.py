"""One connection of a virtual client: bytes in, messages out, and how it ended."""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Protocol, cast

from regions.swarm import frames

_OK = b"HTTP/1.1 101 "
_MOST_HEAD = 16 * 1024


@dataclass(frozen=True, slots=True)
class End:
    """How a connection ended: an HTTP status instead of an upgrade, a close code, or neither."""

    status: int | None = None
    code: int | None = None
    retry_after_s: float | None = None

    def __str__(self) -> str:
        if self.status is not None:
            return f"HTTP {self.status}"
        return "broken" if self.code is None else f"close {self.code}"


class Owner(Protocol):
    """Who has a connection."""

    def heard(self, line: "Line", body: bytes) -> None:
        """A message came."""

    def ended(self, line: "Line", end: End) -> None:
        """It is over, and its owner did not end it."""


class Line(asyncio.Protocol):
    """A WebSocket, as a swarm's client has it.

    Args:
        owner: who is told.
        host: `Host`.
        path: with its query.
        first: the first byte of what is sent, see `frames`.
    """

    __slots__ = ("_first", "_host", "_owner", "_path", "_rest", "_transport", "_upgraded", "end")

    def __init__(self, owner: Owner, host: str, path: str, first: int) -> None:
        self._owner: Owner | None = owner
        self._host, self._path, self._first = host, path, first
        self._rest = b""
        self._upgraded = False
        self._transport: asyncio.Transport | None = None
        self.end = End()

    # --- what its owner does -------------------------------------------------------------------

    def send(self, body: bytes) -> None:
        """Send a message."""
        self._write(self._first, body)

    def close(self, code: int) -> None:
        """End it in order; its owner hears no more of it."""
        self._owner = None
        self._write(frames.CLOSE, code.to_bytes(2, "big"))
        if self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """End it without a word; its owner hears no more of it."""
        self._owner = None
        if self._transport is not None:
            self._transport.abort()

    def read(self, reading: bool) -> None:
        """Read what comes, or let it lie in the kernel."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if reading:
            transport.resume_reading()
        else:
            transport.pause_reading()

    # --- what its transport does ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands: ask for the upgrade."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        if self._owner is None:
            self._transport.abort()  # it was ended before it stood
            return
        self._transport.write(frames.request(self._host, self._path, secrets.token_bytes(16)))

    def data_received(self, data: bytes) -> None:
        """Something came."""
        if self._rest:
            data = self._rest + data
        if not self._upgraded:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = data
                if len(data) > _MOST_HEAD:
                    self._hang_up()
                return
            if not head.startswith(_OK):
                self.end = _refusal(head)
                self._hang_up()
                return
            self._upgraded, data = True, rest
        self._rest = frames.cut(data, self._take)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._transport = None
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.ended(self, self.end)

    def _take(self, first: int, body: bytes) -> None:
        if self._owner is None:
            return
        if first in (frames.TEXT, frames.BINARY):
            self._owner.heard(self, body)
        elif first == frames.PING:
            self._write(frames.PONG, body)
        elif first == frames.CLOSE:
            self.end = End(code=int.from_bytes(body[:2], "big") if len(body) >= 2 else 1005)
            self._write(frames.CLOSE, body[:2])
            self._hang_up()

    def _write(self, first: int, body: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames.masked(first, body))

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _refusal(head: bytes) -> End:
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "retry-after" and value.strip().isdigit():
            return End(status=status, retry_after_s=float(value))
    return End(status=status)
