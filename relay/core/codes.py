"""Opcodes, event names, close codes and error codes of the gateway protocol: the one table.

Opcodes below 20 and close codes below 4015 mean what Discord's gateway (v10) means by them.
`docs/codes.md` is generated from this file.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum


class Op(IntEnum):
    """The `op` of a payload."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    PRESENCE_UPDATE = 3
    RESUME = 6
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11
    SUBSCRIBE = 20
    UNSUBSCRIBE = 21
    PUBLISH = 22
    TYPING = 23
    WATCH = 24
    UNWATCH = 25
    HISTORY = 26
    REGIONS = 27
    REFRESH = 28
    ACK = 30
    ERROR = 31


class EventName(StrEnum):
    """The `t` of a DISPATCH."""

    READY = "READY"
    RESUMED = "RESUMED"
    MESSAGE = "MESSAGE"
    SIGNAL = "SIGNAL"
    TYPING = "TYPING"
    PRESENCE_BATCH = "PRESENCE_BATCH"
    PRESENCE = "PRESENCE"
    GAP = "GAP"


class ErrorCode(StrEnum):
    """The `code` of an ERROR: the connection lives on."""

    INVALID_ROOM = "invalid_room"
    INVALID_ID = "invalid_id"
    INVALID_DATA = "invalid_data"
    NOT_PERMITTED = "not_permitted"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    TOO_MANY_ROOMS = "too_many_rooms"
    TOO_MANY_USERS = "too_many_users"
    TOO_LARGE = "too_large"
    TOKEN_EXPIRING = "token_expiring"  # noqa: S105 (a code, not a secret)


class Invalid(StrEnum):
    """Why a RESUME was refused: `e.reason` of INVALID_SESSION."""

    AHEAD = "ahead"  # beyond the head of the region's own home stream
    EXPIRED = "expired"  # the stream no longer holds the next event
    EPOCH = "epoch"  # the stream's epoch is newer than the cursor's
    BEHIND = "behind"  # the region does not know the cursor's epoch yet: retry
    SESSION = "session"  # the session_id is not of this user, or was taken over too often
    UNAVAILABLE = "unavailable"  # the region's streams could not be read: retry


class After(Enum):
    """What a client does after a close."""

    RESUME = "resume"
    IDENTIFY = "identify anew"
    STOP = "do not reconnect"


@dataclass(frozen=True, slots=True)
class Close:
    """A close code, the reason sent with it, and what the client does next."""

    code: int
    reason: str
    after: After


CLOSES = {
    close.code: close
    for close in (
        Close(1009, "frame too large", After.RESUME),
        Close(1013, "overloaded, come back later", After.RESUME),
        Close(4000, "internal error", After.RESUME),
        Close(4001, "unknown opcode", After.RESUME),
        Close(4002, "undecodable payload", After.RESUME),
        Close(4003, "not identified", After.RESUME),
        Close(4004, "authentication failed", After.STOP),
        Close(4005, "identified twice", After.RESUME),
        Close(4007, "invalid seq or cursor", After.IDENTIFY),
        Close(4008, "rate limited", After.RESUME),
        Close(4009, "session timed out", After.RESUME),
        Close(4012, "invalid version", After.STOP),
        Close(4014, "nothing granted", After.STOP),
        Close(4020, "too slow: the send buffer passed its limit", After.RESUME),
        Close(4021, "edge draining, resume elsewhere", After.RESUME),
        Close(4022, "replaced by a newer connection", After.STOP),
    )
}


OWN_CODE = 3000  # what a client closes with that means nothing here is counted as this


def known_code(code: int) -> int:
    """The close code as it is counted and logged: a client may choose any from 3000 to 4999."""
    return code if code < OWN_CODE or code in CLOSES else OWN_CODE


def after_close(code: int | None) -> After:
    """What a client does after `code` (None: the connection broke): unlisted ones resume."""
    close = CLOSES.get(code) if code is not None else None
    return close.after if close else After.RESUME
