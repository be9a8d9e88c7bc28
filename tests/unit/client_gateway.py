"""A small gateway that says what a test tells it to, on a loopback port of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from relay.client.wire import CODECS, Codec
from relay.core.codes import Op

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One connection of a client, seen from the gateway."""

    def __init__(self, socket: ServerConnection, codec: Codec, gateway: "Gateway") -> None:
        self.socket = socket
        self.gateway = gateway
        self._codec = codec

    async def say(self, op: Op, d: object = None, **keys: object) -> None:
        """Send a payload."""
        import json

        import msgpack

        payload = {"op": int(op), "d": d, "s": None, "t": None, **keys}
        packed = json.dumps(payload) if self._codec.text else msgpack.packb(payload)
        await self.socket.send(packed)

    async def hear(self, op: Op) -> Any:
        """`d` of the next payload of this opcode; heartbeats between are answered."""
        while True:
            frame = self._codec.decode(await self.socket.recv(decode=False))
            self.gateway.heard.append((frame.op, frame.d))
            if frame.op == op:
                return frame.d
            if frame.op == Op.HEARTBEAT:
                await self.say(Op.HEARTBEAT_ACK, c="c-beat")

    async def hello(self) -> None:
        """Greet."""
        regions = [{"name": name, "url": url} for name, url in self.gateway.regions.items()]
        reconnect = {"base_ms": 10, "jitter_ms": 10, "max_ms": 50}
        d = {
            "heartbeat_interval": 20_000,
            "region": self.gateway.region,
            "edge": f"{self.gateway.region}-1",
            "regions": regions,
            "reconnect": reconnect,
            "resume_window_s": 60,
        }
        await self.say(Op.HELLO, d)

    async def welcome(self, *rooms: str) -> Any:
        """HELLO, IDENTIFY, READY; returns what IDENTIFY said."""
        await self.hello()
        identify = await self.hear(Op.IDENTIFY)
        ready = {
            "v": 10,
            "user": {"id": "ana"},
            "session_id": "S1",
            "resume_gateway_url": self.gateway.url,
            "cursor": "c0",
            "rooms": [*identify["rooms"], *rooms],
            "region": self.gateway.region,
            "edge": f"{self.gateway.region}-1",
            "regions": [],
        }
        await self.say(Op.DISPATCH, ready, t="READY", s=1)
        return identify

    async def resume(self) -> Any:
        """HELLO, RESUME, RESUMED; returns what RESUME said."""
        await self.hello()
        resume = await self.hear(Op.RESUME)
        d = {"replayed": 0, "behind": {}, "rooms": [], "refused": [], "cursor": resume["cursor"]}
        await self.say(Op.DISPATCH, d, t="RESUMED", s=2)
        return resume

    async def message(self, seq: int, room: str = "chat:a") -> None:
        """A durable event."""
        d = {
            "room": room,
            "data": {"n": seq},
            "user": "bob",
            "id": f"id-{seq}",
            "origin": "eu",
            "epoch": 1,
            "seq": seq,
            "ts": 1_700_000_000_000,
        }
        await self.say(Op.DISPATCH, d, t="MESSAGE", c=f"c{seq}", s=seq)

    async def stay(self) -> None:
        """Answer until the client leaves."""
        while True:
            await self.hear(Op.HEARTBEAT)
            await self.say(Op.HEARTBEAT_ACK, c="c-beat")

    def cut(self) -> None:
        """Drop the connection without a word."""
        self.socket.transport.abort()


@dataclass
class Gateway:
    """A gateway; connection number n is served by script n, later ones by the last."""

    scripts: list[Script]
    region: str = "eu"
    url: str = ""
    regions: dict[str, str] = field(default_factory=dict)
    refusals: list[Response] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    heard: list[tuple[int, Any]] = field(default_factory=list)
    closes: list[int | None] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    server: Server | None = None

    def _admit(self, _socket: ServerConnection, request: Request) -> Response | None:
        self.queries.append(request.path.partition("?")[2])
        return self.refusals.pop(0) if self.refusals else None

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        name = "msgpack" if "encoding=msgpack" in socket.request.path else "json"
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        try:
            await script(Peer(socket, CODECS[name](), self))
        except ConnectionClosed:
            pass
        except (AssertionError, KeyError) as error:
            self.failures.append(error)
            raise
        finally:
            await socket.wait_closed() if socket.close_code is not None else None
            self.closes.append(socket.close_code)


def refusal(status: HTTPStatus, **headers: str) -> Response:
    """An HTTP answer instead of an upgrade."""
    from websockets.datastructures import Headers

    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    fields["Content-Length"] = "0"
    return Response(status.value, status.phrase, fields, b"")


@asynccontextmanager
async def gateway(*scripts: Script, region: str = "eu") -> AsyncIterator[Gateway]:
    """Serve `scripts` on an ephemeral port of the loopback."""
    it = Gateway(list(scripts), region)
    async with serve(
        it._serve, "127.0.0.1", 0, process_request=it._admit, compression=None, close_timeout=1
    ) as server:
        it.server = server
        port = next(iter(server.sockets)).getsockname()[1]
        it.url = f"ws://127.0.0.1:{port}/gateway"
        it.regions = {region: it.url}
        yield it
        server.close(close_connections=True)
        await asyncio.sleep(0)
    assert not it.failures, it.failures
