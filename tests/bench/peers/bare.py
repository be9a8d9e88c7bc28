"""What bounds every server in Python: `transport.write` of ready bytes to each connection.

`python -m tests.bench.peers.bare PORT`. No rooms, no checks, no slow readers.
"""

import asyncio
import base64
import hashlib
import sys
from typing import cast

import uvloop

from regions.swarm import frames

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_members: set["_Member"] = set()


class _Member(asyncio.Protocol):
    def __init__(self) -> None:
        self._rest = b""
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        _members.discard(self)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            key = head.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
            accept = base64.b64encode(hashlib.sha1(key + _MAGIC).digest())
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            self._upgraded = True
        self._rest = self._read(data)

    def _read(self, data: bytes) -> bytes:
        """The masked frames of a client; masks are zeros."""
        while len(data) >= 2:
            size, at = data[1] & 0x7F, 2
            if size == 126:
                size, at = int.from_bytes(data[2:4], "big"), 4
            if len(data) < at + 4 + size:
                break
            body, data = data[at + 4 : at + 4 + size], data[at + 4 + size :]
            if body == b"J":
                _members.add(self)
                self.transport.write(ready(b"J"))
            elif body.startswith(b"P"):
                framed = ready(body[1:])
                for member in _members:
                    member.transport.write(framed)
        return data


def ready(body: bytes) -> bytes:
    """A text frame of a server."""
    size = len(body)
    head = bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return bytes((frames.TEXT,)) + head + body


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        _Member, "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
