"""What a session asks of the shell that holds its socket. Values only."""

from dataclasses import dataclass

from relay.core.cursor import Cursor
from relay.core.grants import Grants
from relay.core.presence import Shown
from relay.core.wire import Nonce, Payload


@dataclass(frozen=True, slots=True)
class Send:
    """Write this payload. `with_cursor`: with the session's current cursor as `c`."""

    payload: Payload
    with_cursor: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection with this code."""

    code: int


@dataclass(frozen=True, slots=True)
class Wish:
    """A room to join, and from where: a cursor, the last n events, or from now on.

    `presence`: with frames of who is there.
    """

    room: str
    since: Cursor | None = None
    last: int = 0
    presence: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A room that is not joined, and why."""

    room: str
    code: str


@dataclass(frozen=True, slots=True)
class Enter:
    """IDENTIFY was accepted: join these rooms, then `session.entered`."""

    grants: Grants
    session_id: str
    rooms: tuple[Wish, ...]
    refused: tuple[Refused, ...]
    device: str = ""  # what the client says it runs on


@dataclass(frozen=True, slots=True)
class Resume:
    """RESUME was accepted as far as the session can tell: replay, then `session.resumed`."""

    grants: Grants
    session_id: str
    cursor: Cursor | None
    seq: int | None  # where there is no cursor
    rooms: tuple[Wish, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """SUBSCRIBE: join these rooms, then `session.joined`."""

    rooms: tuple[Wish, ...]
    refused: tuple[Refused, ...]
    nonce: Nonce | None
    settled: tuple[str, ...] = ()  # rooms asked for that the session is in already
    number: int = 0  # of the join, for `session.not_joined`


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave these rooms."""

    rooms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Store:
    """Store an event, then `session.stored` or `session.failed`."""

    room: str
    id: str
    data: bytes
    nonce: Nonce | None
    received_s: float  # when the frame came, or may have come, by the monotonic clock


@dataclass(frozen=True, slots=True)
class Emit:
    """Send an ephemeral event."""

    room: str
    id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ReadHistory:
    """HISTORY: read a page, then `Send` the ACK."""

    room: str
    limit: int
    before: Cursor | None
    after: Cursor | None
    nonce: Nonce | None


@dataclass(frozen=True, slots=True)
class Attend:
    """What the session shows, where it is, or at whom it looks has changed: see the session."""


@dataclass(frozen=True, slots=True)
class Watch:
    """WATCH: the session looks at these users, too; or it can't, and the request is refused."""

    users: frozenset[str]
    nonce: Nonce | None


@dataclass(frozen=True, slots=True)
class Appear:
    """PRESENCE_UPDATE: show this (None: nothing), then `session.appear`; or it was too often."""

    shown: Shown | None


@dataclass(frozen=True, slots=True)
class Typing:
    """TYPING: tell the room, unless it was told less than 2 s ago."""

    room: str


Effect = (
    Send | Close | Enter | Resume | Join | Leave | Store | Emit | ReadHistory
    | Attend | Watch | Appear | Typing
)  # fmt: skip
