"""The `d` of what an edge sends, as typed values (protocol sections 2 to 5)."""

from typing import TypeVar

import msgspec

from relay.client.errors import Undecodable

T = TypeVar("T")


class Place(msgspec.Struct, frozen=True):
    """A region and the address of one of its edges."""

    name: str
    url: str


class ReconnectRule(msgspec.Struct, frozen=True):
    """Between attempts: `min(base * 2^attempt + random(0, jitter), max)`, in ms."""

    base_ms: int = 100
    jitter_ms: int = 1_000
    max_ms: int = 30_000


class Hello(msgspec.Struct, frozen=True):
    """The first payload on a connection."""

    heartbeat_interval: int
    region: str = ""
    edge: str = ""
    regions: tuple[Place, ...] = ()
    reconnect: ReconnectRule = ReconnectRule()
    resume_window_s: int = 0


class RefusedRoom(msgspec.Struct, frozen=True):
    """A room that the token does not grant."""

    room: str
    code: str = "not_permitted"


class User(msgspec.Struct, frozen=True):
    """Who the token says we are."""

    id: str


class Ready(msgspec.Struct, frozen=True):
    """A new session."""

    user: User
    session_id: str
    cursor: str
    rooms: tuple[str, ...] = ()
    refused: tuple[RefusedRoom, ...] = ()
    resume_gateway_url: str = ""
    region: str = ""
    edge: str = ""
    regions: tuple[Place, ...] = ()


class ResumedBody(msgspec.Struct, frozen=True):
    """The session goes on."""

    cursor: str | None = None
    replayed: int = 0
    behind: dict[str, int] = {}
    rooms: tuple[str, ...] | None = None
    refused: tuple[RefusedRoom, ...] = ()
    resume_gateway_url: str = ""


class InvalidBody(msgspec.Struct, frozen=True):
    """`e` of INVALID_SESSION."""

    reason: str = "unknown"
    missing: dict[str, tuple[int, int]] = {}


class Subscribed(msgspec.Struct, frozen=True):
    """ACK of SUBSCRIBE."""

    rooms: tuple[str, ...] = ()
    refused: tuple[RefusedRoom, ...] = ()


class Nonce(msgspec.Struct, frozen=True):
    """Which request an ACK answers."""

    nonce: int | str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """ERROR: a request refused, or a warning without a nonce; `retry_after` is in seconds."""

    code: str
    message: str = ""
    nonce: int | str | None = None
    retry_after: float | None = None
    # With not_permitted and no nonce: what a refreshed token grants no more.
    room: str | None = None
    presence: str | None = None  # a room, of which who is there is told no more
    user: str | None = None  # who is watched no more


def read(d: object, body: type[T]) -> T:
    """`d` as a `body`; keys that it does not know are ignored.

    Raises:
        Undecodable: a key is missing or has another type.
    """
    try:
        return msgspec.convert(d, body)
    except msgspec.ValidationError as error:
        raise Undecodable(f"{body.__name__}: {error}") from error
