"""WebSocket frames as a client writes and reads them, with no more than that takes.

Frames are masked with zeros, which leaves the bytes as they are: masks are there to confuse
proxies that take WebSockets for HTTP, and a swarm has none in between.
"""

import base64
from collections.abc import Callable

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
_ZERO_KEY = b"\0\0\0\0"
_TOO_LONG = 1 << 16


def request(host: str, path: str, key: bytes) -> bytes:
    """What asks for the upgrade.

    Args:
        host: `Host`.
        path: with its query.
        key: 16 random bytes.
    """
    lines = (
        f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(key).decode()}", "Sec-WebSocket-Version: 13", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


def masked(first: int, body: bytes) -> bytes:
    """A frame of a client; `first` is one of the constants above."""
    size = len(body)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < _TOO_LONG:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    return head + _ZERO_KEY + body


def cut(data: bytes, take: Callable[[int, bytes], None]) -> bytes:
    """Give each whole frame of a server in `data` to `take(first byte, body)`; what is left."""
    at, end = 0, len(data)
    while end - at >= 2:
        size, body = data[at + 1], at + 2
        if size >= 126:
            body += 2 if size == 126 else 8
            if end < body:
                break
            size = int.from_bytes(data[at + 2 : body], "big")
        if end - body < size:
            break
        take(data[at], data[body : body + size])
        at = body + size
    return data[at:] if at else data
