"""What goes into the session (inputs) and what it asks of its shell (effects)."""

from dataclasses import dataclass
from typing import Any

from relay.client.answers import Ack, Page
from relay.client.errors import ClientError
from relay.client.events import Event
from relay.client.wire import Frame
from relay.core.codes import Op

# --- inputs ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Begin; comes once."""


@dataclass(frozen=True, slots=True)
class TokenGiven:
    """The token asked for by `FetchToken`."""

    token: str


@dataclass(frozen=True, slots=True)
class TokenFailed:
    """The application's token function failed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The WebSocket is open."""


@dataclass(frozen=True, slots=True)
class OpenFailed:
    """The WebSocket could not be opened.

    `busy`: the edge is there and asks to come later, after `retry_after_s` where it said so.
    """

    reason: str
    busy: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """One payload."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Garbled:
    """A message that is no payload."""

    reason: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A pong."""


@dataclass(frozen=True, slots=True)
class Hung:
    """The WebSocket ended; `code` None: without a close frame."""

    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Stalled:
    """Reading stopped (`on`) or went on, because the application is behind."""

    on: bool


@dataclass(frozen=True, slots=True)
class Probed:
    """Whether the address given to `Probe` answered with a HELLO."""

    alive: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """The session's deadline has come."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """The application wants a room; `since` is on the wire's form: a cursor or `{last: n}`."""

    ticket: int
    room: str
    since: str | dict[str, int] | None = None
    presence: bool = False


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """The application no longer wants a room."""

    ticket: int
    room: str


@dataclass(frozen=True, slots=True)
class ReadHistory:
    """The application wants a page of a room's past."""

    ticket: int
    room: str
    limit: int
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """The application wants to be told of these users, or (`on` False) no more."""

    ticket: int
    users: tuple[str, ...]
    on: bool = True


@dataclass(frozen=True, slots=True)
class Show:
    """The application says what others are to see."""

    status: str
    custom: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Type:
    """The user types."""

    room: str


@dataclass(frozen=True, slots=True)
class Publish:
    """The application publishes; `raw` is the encoded payload, the same for every try."""

    ticket: int
    room: str
    id: str
    ephemeral: bool
    raw: bytes


@dataclass(frozen=True, slots=True)
class Quit:
    """The application is done."""


Input = (
    Start | TokenGiven | TokenFailed | Opened | OpenFailed | Received | Garbled | Heard | Hung
    | Stalled | Probed | Tick | Subscribe | Unsubscribe | ReadHistory | Watch | Show | Type
    | Publish | Quit
)  # fmt: skip

# --- effects -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FetchToken:
    """Ask the application for a fresh token."""


@dataclass(frozen=True, slots=True)
class Open:
    """Open a WebSocket to `url`, within `timeout_s`."""

    url: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Send:
    """Send `{op, d}`."""

    op: Op
    d: object


@dataclass(frozen=True, slots=True)
class SendRaw:
    """Send a payload that is encoded already."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a ping; its pong comes back as `Heard`."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the WebSocket, or give up opening it; nothing more is to come from it."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Try whether an edge at `url` answers with a HELLO, within `timeout_s`."""

    url: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand an event to the application."""

    event: Event


@dataclass(frozen=True, slots=True)
class Resolve:
    """A request of the application's is answered."""

    ticket: int
    value: Ack | Page | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A request of the application's has failed."""

    ticket: int
    error: ClientError


@dataclass(frozen=True, slots=True)
class Usable:
    """The first session is ready: `connect` may return."""


@dataclass(frozen=True, slots=True)
class Stop:
    """It is over; `error` None: because the application wanted it."""

    error: ClientError | None


Effect = (
    FetchToken | Open | Send | SendRaw | Ping | HangUp | Probe | Emit | Resolve | Reject | Usable
    | Stop
)  # fmt: skip
