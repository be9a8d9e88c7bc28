"""Events as NATS messages: the headers that carry who, when and under which id."""

from datetime import UTC, datetime

from relay.bus.connection import Headers
from relay.core.event import Event
from relay.core.names import is_publish_id, is_user, msg_id, room_of

USER, ID, SESSION, EPOCH, TS = "Jr-User", "Jr-Id", "Jr-Session", "Jr-Epoch", "Jr-Ts"
MSG_ID = "Nats-Msg-Id"
SUBJECT = "Nats-Subject"
TYPING = b""  # the data of an ephemeral event that says no more than that its user types
SEQUENCE = "Nats-Sequence"
STAMP = "Nats-Time-Stamp"
LAST_SEQUENCE = "Nats-Last-Sequence"


def event_headers(
    tenant: str, room: str, user: str, publish_id: str, session: str, epoch: int, ts_ms: int
) -> Headers:
    """Headers of an event that is published; the id makes a retry harmless for 120 s."""
    return {
        MSG_ID: msg_id(tenant, user, room, publish_id),
        USER: user,
        ID: publish_id,
        SESSION: session,
        EPOCH: str(epoch),
        TS: str(ts_ms),
    }


def signal_headers(user: str, publish_id: str, ts_ms: int) -> Headers:
    """Headers of an ephemeral event."""
    return {USER: user, ID: publish_id, TS: str(ts_ms)}


def rfc3339(unix_ms: float) -> str:
    """A time as NATS reads and writes it."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def stamp_ms(text: str) -> int:
    """Unix ms of an RFC 3339 stamp; 0 when it is none."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return 0


def _number(headers: Headers, name: str, default: int) -> int:
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else default


def epoch_in(headers: Headers) -> int:
    """The epoch that a message is stamped with; 1 without."""
    return _number(headers, EPOCH, 1)


def event_of(headers: Headers, data: bytes, epoch: int) -> Event:
    """The stored event in a republished message or in an answer of direct get.

    Args:
        headers: of the message.
        data: its payload.
        epoch: of the stream, for events of backends that stamp none.

    Raises:
        ValueError: the message is none of our streams'.
    """
    origin, tenant, room = room_of(headers.get(SUBJECT, ""))
    seq = _number(headers, SEQUENCE, 0)
    if seq == 0:
        raise ValueError("a stored message without a sequence")
    stored_ms = stamp_ms(headers.get(STAMP, ""))
    user, publish_id = headers.get(USER), headers.get(ID)
    return Event(
        origin=origin,
        epoch=_number(headers, EPOCH, epoch),
        seq=seq,
        tenant=tenant,
        room=room,
        user=user if is_user(user) else None,
        id=publish_id if is_publish_id(publish_id) else None,
        ts_ms=_number(headers, TS, stored_ms),
        data=data,
        previous=_number(headers, LAST_SEQUENCE, 0),
        stored_ms=stored_ms,
    )


def signal_of(subject: str, headers: Headers, data: bytes) -> Event:
    """The ephemeral event in a message on `siglive.<region>.<tenant>.<shard>.<room>`.

    Raises:
        ValueError: the subject has another form.
    """
    parts = subject.split(".")
    if len(parts) != 5:
        raise ValueError(f"not a signal subject: {subject!r}")
    user, publish_id = headers.get(USER), headers.get(ID)
    return Event(
        origin=parts[1],
        epoch=0,
        seq=0,
        tenant=parts[2],
        room=parts[4],
        user=user if is_user(user) else None,
        id=publish_id if is_publish_id(publish_id) else None,
        ts_ms=_number(headers, TS, 0),
        data=data,
    )
