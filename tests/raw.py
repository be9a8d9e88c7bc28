"""A raw gateway client: it sends what a test gives it, right or wrong, and shows bare payloads."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from relay.core.codes import Op
from relay.core.grants import Act, RoomGrant
from relay.core.tokens import mint
from tests.world import World

Encoding = Literal["json", "msgpack"]
Payload = dict[str, Any]
ANSWER_S = 15.0
RETRY_S = 0.5
EVERYTHING = RoomGrant("*", frozenset(Act))


class ClosedError(Exception):
    """The edge closed the connection while the test waited for a payload."""

    def __init__(self, code: int | None, reason: str, seen: Sequence[Payload]) -> None:
        super().__init__(f"closed with {code} ({reason}) after {seen}")
        self.code = code


def token(
    world: World, user: str, *grants: RoomGrant, ttl_s: int = 3600, watch: Sequence[str] = ()
) -> str:
    """A token of the world's own key; without grants it grants everything on all rooms.

    `watch`: patterns of users who may be watched.
    """
    granted = grants or (EVERYTHING,)
    return mint(world.token_key(), user, granted, int(time.time()), ttl_s, watch=watch)


def auto(*rooms: str) -> tuple[RoomGrant, ...]:
    """Grants of everything on these rooms, joined without being asked for."""
    return tuple(RoomGrant(room, frozenset(Act), auto=True) for room in rooms)


class Raw:
    """One WebSocket to an edge: `async with Raw(url) as raw`. HELLO is read at once."""

    def __init__(
        self, url: str, encoding: Encoding = "json", query: str = "v=10", forwarded: str = ""
    ) -> None:
        """Connect to `url` with this query; `encoding` is added to it.

        `forwarded`: for whom, as a proxy says it.
        """
        self.encoding = encoding
        self.hello: Payload = {}
        self.seen: list[Payload] = []  # every payload, in the order of arrival
        self._url = f"{url}?{query}&encoding={encoding}"
        self._headers = {"X-Forwarded-For": forwarded} if forwarded else {}
        self._next_nonce = 0

    async def __aenter__(self) -> "Raw":
        self.ws: ClientConnection = await connect(
            self._url,
            compression=None,
            max_size=None,
            max_queue=None,
            ping_interval=None,
            close_timeout=2,
            proxy=None,
            additional_headers=self._headers,
        )
        self.hello = await self.receive()
        assert self.hello["op"] == Op.HELLO
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.ws.state is not State.CLOSED:
            await self.ws.close()

    # --- sending -------------------------------------------------------------------------------

    async def send(self, op: int, d: object = None) -> None:
        """Send a payload."""
        await self.send_bytes(pack(self.encoding, {"op": int(op), "d": d}))

    async def send_bytes(self, data: bytes) -> None:
        """Send a message of these bytes, in the frame type of the encoding."""
        await self.ws.send(data, text=self.encoding == "json")

    async def send_parts(self, parts: Iterable[bytes]) -> None:
        """Send one message as a fragment for each part, and an empty last one."""
        await self.ws.send(list(parts), text=self.encoding == "json")

    async def request(self, op: int, **d: object) -> Payload:
        """Send a request with a nonce and return its ACK or ERROR."""
        self._next_nonce += 1
        nonce = self._next_nonce
        await self.send(op, d | {"nonce": nonce})
        return await self.until(
            lambda p: p["op"] in (Op.ACK, Op.ERROR) and p["d"].get("nonce") == nonce
        )

    async def identify(self, token: str, *rooms: object, **d: object) -> Payload:
        """IDENTIFY; returns READY."""
        await self.send(Op.IDENTIFY, {"token": token, "rooms": list(rooms), **d})
        return await self.dispatched("READY")

    async def resume(self, token: str, session_id: str, **d: object) -> None:
        """RESUME with `cursor=` and `rooms=`, or with `seq=`."""
        await self.send(Op.RESUME, {"token": token, "session_id": session_id} | d)

    async def resumed(self, token: str, session_id: str, **d: object) -> None:
        """RESUME until RESUMED, again where the edge says that its region can't be read yet.

        Raises:
            AssertionError: the edge refuses it for good, or for another reason.
        """
        while True:
            await self.resume(token, session_id, **d)
            answer = await self.until(
                lambda p: p["op"] == Op.INVALID_SESSION or p["t"] == "RESUMED"
            )
            if answer["op"] == Op.DISPATCH:
                return
            said = (answer["d"], answer["e"]["reason"])
            assert said == (True, "unavailable"), answer
            await asyncio.sleep(RETRY_S)

    # --- receiving -----------------------------------------------------------------------------

    async def receive(self, timeout_s: float = ANSWER_S) -> Payload:
        """The next payload.

        Raises:
            ClosedError: the edge closed the connection instead.
        """
        try:
            async with asyncio.timeout(timeout_s):
                message = await self.ws.recv()
        except ConnectionClosed as error:
            closing = error.rcvd
            code, reason = (closing.code, closing.reason) if closing else (None, "")
            raise ClosedError(code, reason, self.seen[-3:]) from error
        except TimeoutError:
            raise AssertionError(f"no payload in {timeout_s} s, after {self.seen[-3:]}") from None
        assert isinstance(message, str) == (self.encoding == "json"), "a frame of the wrong type"
        payload: Payload = (
            json.loads(message) if isinstance(message, str) else msgpack.unpackb(message)
        )
        self.seen.append(payload)
        return payload

    async def until(self, fits: Callable[[Payload], bool], timeout_s: float = ANSWER_S) -> Payload:
        """The next payload that fits; those before it are only in `seen`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not fits(payload := await self.receive(timeout_s)):
                    pass
                return payload
        except TimeoutError:
            raise AssertionError(f"not it in {timeout_s} s, last {self.seen[-3:]}") from None

    async def op(self, op: Op) -> Payload:
        """The next payload with this opcode."""
        return await self.until(lambda p: p["op"] == op)

    async def dispatched(self, name: str) -> Payload:
        """The next DISPATCH called `name`."""
        return await self.until(lambda p: p["op"] == Op.DISPATCH and p["t"] == name)

    async def messages(self, count: int) -> list[Payload]:
        """The next `count` MESSAGEs."""
        return [await self.dispatched("MESSAGE") for _ in range(count)]

    def data(self) -> list[Any]:
        """The data of all MESSAGEs seen."""
        return [payload["d"]["data"] for payload in self.seen if payload["t"] == "MESSAGE"]

    async def acked(self) -> Payload:
        """The ACK of a heartbeat sent now: what came before it is in `seen`."""
        await self.send(Op.HEARTBEAT, None)
        return await self.op(Op.HEARTBEAT_ACK)

    async def close_code(self, timeout_s: float = ANSWER_S) -> int | None:
        """The code with which the edge closes; payloads before that are only in `seen`."""
        try:
            await self.until(lambda _: False, timeout_s)
        except ClosedError as closed:
            return closed.code
        raise AssertionError("unreachable")

    async def drop(self) -> None:
        """Cut the TCP connection, without a closing handshake."""
        self.ws.transport.abort()
        await self.ws.wait_closed()


async def acquainted(world: World, edge: str, other: str) -> None:
    """Wait until `edge` has heard of `other`, and sends its clients there to resume."""
    async with asyncio.timeout(ANSWER_S):
        while True:
            async with Raw(world.edges[edge].url) as raw:
                ready = await raw.identify(token(world, "nobody"))
            if ready["d"]["resume_gateway_url"] == world.edges[other].url:
                return
            await asyncio.sleep(0.1)


def pack(encoding: Encoding, payload: object) -> bytes:
    """A payload in an encoding."""
    if encoding == "json":
        return json.dumps(payload, ensure_ascii=False).encode()
    packed = msgpack.packb(payload)
    assert isinstance(packed, bytes)
    return packed
