"""How a client of each contender connects, joins the room, publishes, and knows an event."""

import json
from dataclasses import dataclass
from typing import Protocol

import msgspec

ROOM = "bench:0"


@dataclass(frozen=True, slots=True)
class Heard:
    """What a message was: what to answer, whether the client is in the room now, and events."""

    answer: bytes | None = None
    ready: bool = False
    events: int = 0


_NOTHING, _EVENT, _READY = Heard(), Heard(events=1), Heard(ready=True)


class Dialect(Protocol):
    """One contender's protocol, in text frames."""

    path: str

    def first(self) -> bytes | None:
        """What a client says when the WebSocket is open."""

    def heard(self, body: bytes) -> Heard:
        """What a message of the server means to a client that joins the room."""

    def publish(self, data: bytes) -> bytes:
        """What publishes an event with this JSON as its data."""


class Plain:
    """A server of a few lines: who connects is in the room, and `P` publishes what follows."""

    path = "/"

    def first(self) -> bytes | None:
        """Say that we are here: the server's answer says that it knows."""
        return b"J"

    def heard(self, body: bytes) -> Heard:
        """An event, or the answer."""
        return _READY if body == b"J" else _EVENT

    def publish(self, data: bytes) -> bytes:
        """The event as it goes out."""
        return b"P" + data


class SocketIo:
    """Socket.IO 4 over Engine.IO 4, WebSocket alone. The server joins clients to the room."""

    path = "/socket.io/?EIO=4&transport=websocket"

    def first(self) -> bytes | None:
        """The server speaks first."""
        return None

    def heard(self, body: bytes) -> Heard:
        """`0`: open, `2`: ping, `40`: connected, `42`: an event."""
        if body.startswith(b"42"):
            return _EVENT
        if body.startswith(b"40"):
            return _READY
        if body.startswith(b"0"):
            return Heard(answer=b"40")
        return Heard(answer=b"3") if body == b"2" else _NOTHING

    def publish(self, data: bytes) -> bytes:
        """An event for the server, which sends it to the room."""
        return b'42["publish",' + data + b"]"


class Centrifugo:
    """Centrifugo's JSON protocol: replies and pushes by lines."""

    path = "/connection/websocket"

    def first(self) -> bytes | None:
        """Connect."""
        return b'{"id":1,"connect":{}}'

    def heard(self, body: bytes) -> Heard:
        """Pushes of publications are events; `{}` is a ping."""
        if body.startswith(b'{"push"'):
            return Heard(events=body.count(b'{"push":{"channel"'))
        if body == b"{}":
            return Heard(answer=b"{}")
        if b'"id":1,' in body and b'"connect"' in body:
            subscribe = {"id": 2, "subscribe": {"channel": ROOM}}
            return Heard(answer=json.dumps(subscribe).encode())
        if b'"id":2,' in body and b'"subscribe"' in body:
            return _READY
        return _NOTHING

    def publish(self, data: bytes) -> bytes:
        """Publish over the connection."""
        return b'{"id":3,"publish":{"channel":"' + ROOM.encode() + b'","data":' + data + b"}}"


class _Payload(msgspec.Struct):
    op: int
    t: str | None = None


class Jetrelay:
    """The gateway protocol.

    Args:
        token: of a user who may do all of it.
    """

    path = "/gateway?v=10&encoding=json"
    _decode = msgspec.json.Decoder(_Payload).decode

    def __init__(self, token: str) -> None:
        self._identify = json.dumps({"op": 2, "d": {"token": token, "rooms": [ROOM]}}).encode()

    def first(self) -> bytes | None:
        """The edge speaks first."""
        return None

    def heard(self, body: bytes) -> Heard:
        """HELLO is answered, READY is told; what else is dispatched is an event."""
        if not body.startswith(b'{"op":0,'):
            return Heard(answer=self._identify) if body.startswith(b'{"op":10,') else _NOTHING
        return _READY if b'"t":"READY"' in body[-600:] else _EVENT

    def publish(self, data: bytes) -> bytes:
        """PUBLISH, without an answer."""
        return b'{"op":22,"d":{"room":"' + ROOM.encode() + b'","data":' + data + b"}}"
