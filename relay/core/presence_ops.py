"""What a session does about presence: PRESENCE_UPDATE, TYPING, WATCH and UNWATCH."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from relay.core.answers import RefusalError, ack, error, nonce_refusal
from relay.core.codes import ErrorCode
from relay.core.effects import Appear, Attend, Effect, Typing, Watch
from relay.core.grants import Act, Grants
from relay.core.names import is_room, is_user
from relay.core.presence import Shown, Status
from relay.core.wire import Envelope, Nonce, WireError, stored_data

if TYPE_CHECKING:
    from relay.core.session import Instant, Session

CUSTOM_BYTES = 256


class PresenceUpdate(Struct):
    """PRESENCE_UPDATE.d; keys of other gateways are ignored."""

    status: Any = None
    custom: Any = None


class TypingRequest(Struct):
    """TYPING.d"""

    room: str


class WatchRequest(Struct):
    """WATCH.d and UNWATCH.d"""

    users: list[str]
    nonce: Nonce | None = None


def update_presence(session: "Session", envelope: Envelope, now: "Instant") -> list[Effect]:
    """PRESENCE_UPDATE: `Appear`, which the shell grants unless the user changes too often."""
    request = session.codec.read(envelope.d, PresenceUpdate)
    try:
        asked = {"status": request.status, "custom": request.custom}
        return [Appear(read_presence(asked, now.wall_ms))]
    except RefusalError as refusal:
        return [error(None, refusal.code, str(refusal))]


def type_in(session: "Session", envelope: Envelope, _now: "Instant") -> list[Effect]:
    """TYPING: the same right as to publish there."""
    room = session.codec.read(envelope.d, TypingRequest).room
    if not is_room(room):
        return [error(None, ErrorCode.INVALID_ROOM, "invalid room")]
    if session.grants is None or not session.grants.allows(Act.PUBLISH, room):
        return [error(None, ErrorCode.NOT_PERMITTED, f"typing in {room} is not permitted")]
    return [Typing(room)]


def watch(session: "Session", envelope: Envelope, _now: "Instant") -> list[Effect]:
    """WATCH: all of the users, or none; `Watch`, which the shell carries out if it has room."""
    request = session.codec.read(envelope.d, WatchRequest)
    if (nonce_error := nonce_refusal(request.nonce)) is not None:
        return [nonce_error]
    try:
        assert session.grants is not None, "only a session that has begun gets here"
        wanted = _granted(request.users, session.grants)
        most = session.rules.limits.watched_users
        if len(session.watched | wanted) > most:
            raise RefusalError(ErrorCode.TOO_MANY_USERS, f"at most {most} users are watched")
    except RefusalError as refusal:
        return [error(request.nonce, refusal.code, str(refusal))]
    return [Watch(frozenset(wanted), request.nonce)]


def unwatch(session: "Session", envelope: Envelope, _now: "Instant") -> list[Effect]:
    """UNWATCH: users who are not watched do no harm."""
    request = session.codec.read(envelope.d, WatchRequest)
    if (nonce_error := nonce_refusal(request.nonce)) is not None:
        return [nonce_error]
    session.watched -= set(request.users)
    return [*ack(request.nonce), Attend()]


def _granted(users: Sequence[str], grants: Grants) -> set[str]:
    wanted = set(users)
    if not all(map(is_user, wanted)):
        raise RefusalError(ErrorCode.INVALID_DATA, "users: 1 to 128 of A-Z a-z 0-9 _ - : each")
    for user in users:
        if not grants.watches(user):
            raise RefusalError(ErrorCode.NOT_PERMITTED, f"{user} may not be watched")
    return wanted


def read_presence(asked: Mapping[str, Any] | None, now_ms: int) -> Shown | None:
    """What a client wants to be seen of him; None: nothing, he is invisible.

    Args:
        asked: `{status, custom?}`; keys of other gateways (`activities`, `since`, `afk`) are
            ignored. None or empty: online.
        now_ms: Unix ms.

    Raises:
        RefusalError: there is no such status, or `custom` is no object, or too large.
    """
    asked = asked or {}
    status, custom = asked.get("status", Status.ONLINE), asked.get("custom")
    if not isinstance(status, str) or status not in set(Status):
        known = ", ".join(Status)
        raise RefusalError(ErrorCode.INVALID_DATA, f"status: one of {known}")
    if custom is not None and not isinstance(custom, dict):
        raise RefusalError(ErrorCode.INVALID_DATA, "custom: an object")
    try:
        data = stored_data(custom) if custom else None
    except WireError as error:
        raise RefusalError(ErrorCode.INVALID_DATA, f"custom: {error}") from error
    if data is not None and len(data) > CUSTOM_BYTES:
        message = f"custom: {len(data)} bytes of JSON, at most {CUSTOM_BYTES}"
        raise RefusalError(ErrorCode.TOO_LARGE, message)
    if status == Status.INVISIBLE:
        return None
    return Shown(Status(status), data, now_ms if data is not None else 0)
