"""What the application gets from `async for event in client`."""

from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True):
    """A durable event of a room.

    (`origin`, `epoch`, `seq`) names the same event in every region, for ever; (`user`, `room`,
    `id`) names the same publish; both are None where a backend published without naming them. `ts`
    is Unix ms, stamped by the edge that accepted it.
    """

    room: str
    data: Any
    user: str | None
    id: str | None
    origin: str
    epoch: int
    seq: int
    ts: int


class Signal(msgspec.Struct, frozen=True):
    """An ephemeral event: delivered at most once, never replayed."""

    room: str
    data: Any
    user: str | None = None
    id: str | None = None
    ts: int | None = None
    origin: str | None = None


class Who(msgspec.Struct, frozen=True):
    """What a user shows: `online`, `idle`, `dnd` or `offline`, and the application's own state."""

    status: str
    custom: Any = None


class Presence(msgspec.Struct, frozen=True):
    """Who came to a room or shows something else, and who has gone, since the last such event.

    `total` users are there now. `partial`: the room is too large for all of them to be named.
    """

    room: str
    online: dict[str, Who]
    offline: tuple[str, ...]
    total: int
    partial: bool = False


class UserPresence(msgspec.Struct, frozen=True):
    """What a user that is watched shows now."""

    user: str
    who: Who


class Typing(msgspec.Struct, frozen=True):
    """A user types in a room: to be shown for 3 s. `ts` is Unix ms."""

    room: str
    user: str
    ts: int = 0


class Gap(msgspec.Struct, frozen=True):
    """Events `first` to `last` of an origin's stream that this session will not get.

    `last` is None where nobody knows how many they are: the origin lost its end, or is gone.
    """

    origin: str
    epoch: int
    first: int
    last: int | None
    reason: str
    room: str | None = None


class Lost(msgspec.Struct, frozen=True):
    """The session could not be continued: events from `cursor` to the next event may be missing.

    `reason` is `e.reason` of INVALID_SESSION (`relay.core.codes.Invalid`) or `cursor` after close
    code 4007; `missing` has (first, last) sequence per origin as far as the edge said.
    """

    reason: str
    missing: dict[str, tuple[int, int]]
    cursor: str | None


class RoomRefused(msgspec.Struct, frozen=True):
    """A room that the client had, and that the token presented later does not grant."""

    room: str
    code: str


class Connected(msgspec.Struct, frozen=True):
    """A new session began (READY)."""

    region: str
    edge: str
    session_id: str


class Resumed(msgspec.Struct, frozen=True):
    """The session went on: `replayed` missed events came, `gap_ms` after the connection was lost.

    `behind` says per origin how many events the region reached lacks of what the client has.
    """

    replayed: int
    behind: dict[str, int]
    region: str
    edge: str
    gap_ms: int


class Disconnected(msgspec.Struct, frozen=True):
    """The connection ended; `code` is the close code, None when it broke without one."""

    code: int | None
    reason: str


class Reconnecting(msgspec.Struct, frozen=True):
    """The next attempt (0 is the first after a loss), `delay_ms` from now, to `url`."""

    url: str
    delay_ms: int
    attempt: int


# About data: always yielded. About the connection: yielded with `states=True`.
DataEvent = Message | Signal | Presence | UserPresence | Typing | Gap | Lost | RoomRefused
StateEvent = Connected | Resumed | Disconnected | Reconnecting
Event = DataEvent | StateEvent
STATE_EVENTS = (Connected, Resumed, Disconnected, Reconnecting)
