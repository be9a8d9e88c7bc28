"""A WebSocket's handshake as nearly all clients send it, read and answered in a few steps.

What is not plain, or not right, is left to `websockets`, which says what is wrong: this reads less,
and never more, than that takes.
"""

import re
from base64 import b64encode
from email.utils import formatdate
from hashlib import sha1
from typing import NamedTuple

from relay.edge import clock

MOST_BYTES = 16 * 1024
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
# Request line and headers (RFC 9112), no longer and no more lenient than `websockets` has them.
_REQUEST = re.compile(
    rb"GET (/[\x21-\x7e]{0,7900}) HTTP/1\.1\r\n"
    rb"((?:[-!#$%&'*+.^_`|~0-9a-zA-Z]{1,100}:[\x09\x20-\x7e\x80-\xff]{0,7800}\r\n){4,64})\r\n"
)
_HEADER = re.compile(rb"([^:]+):[ \t]*(.*?)[ \t]*\r\n")
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")  # of 16 bytes
_ONCE = frozenset(
    (b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version", b"origin")
)
_NOT_PLAIN = frozenset((b"transfer-encoding", b"content-length", b"sec-websocket-protocol"))


class Upgrade(NamedTuple):
    """A request for a WebSocket."""

    target: str  # path and query
    key: bytes
    origin: str | None
    forwarded: list[str]  # X-Forwarded-For
    agent: str  # User-Agent


def read_upgrade(data: bytes) -> Upgrade | None:
    """The request that these bytes are, the whole of it and nothing else; None: it is another, or
    one that has to be read with more care.
    """
    if len(data) > MOST_BYTES:
        return None
    request = _REQUEST.fullmatch(data)
    if request is None:
        return None
    found: dict[bytes, bytes] = {}
    forwarded: list[str] = []
    for name, value in _HEADER.findall(request[2]):
        lower = name.lower()
        if lower in _NOT_PLAIN or (lower in _ONCE and lower in found):
            return None
        if lower == b"x-forwarded-for":
            forwarded.append(value.decode("latin-1"))
        found.setdefault(lower, value)
    key = found.get(b"sec-websocket-key", b"")
    if (
        found.get(b"upgrade", b"").lower() != b"websocket"
        or not _has_upgrade(found.get(b"connection", b""))
        or found.get(b"sec-websocket-version") != b"13"
        or _KEY.fullmatch(key) is None
    ):
        return None
    origin = found.get(b"origin")
    return Upgrade(
        request[1].decode("ascii"),
        key,
        None if origin is None else origin.decode("latin-1"),
        forwarded,
        found.get(b"user-agent", b"").decode("latin-1"),
    )


def _has_upgrade(connection: bytes) -> bool:
    options = connection.lower().split(b",")
    return any(each.strip(b" \t") == b"upgrade" for each in options)


class _Date:
    """The header, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = b""

    def header(self) -> bytes:
        second = clock.wall_ms() // 1000
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True).encode()
        return self._text


_date = _Date()


def accepting(upgrade: Upgrade) -> bytes:
    """The answer that makes it a WebSocket."""
    accept = b64encode(sha1(upgrade.key + _GUID).digest())  # noqa: S324 (as RFC 6455 has it)
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nDate: %b\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % (_date.header(), accept)
    )
