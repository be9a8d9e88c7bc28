"""Frames of a client's connection as an operator may see them: who traces sees what passes, and its
payload only with the right to. Tokens are never shown, nor a session's whole id.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from relay.core.names import is_room
from relay.core.wire import Codec

HANDLE = 16  # characters of a session's id that name it, as in the headers of its events
MOST_PAYLOAD = 4 * 1024  # characters of JSON
MASK = "…"
_SECRETS = ("token",)
_NAMES = 64  # characters of a `t`


class TracedFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One frame."""

    at_ms: int  # Unix ms
    sent: bool = False  # to the client; else it came from it
    size: int  # bytes of its payload
    op: int | None = None  # None: it is no payload
    t: str | None = None
    s: int | None = None
    room: str | None = None
    d: str | None = None  # JSON, where it may be seen; cut


class _Seen(msgspec.Struct):
    op: int
    d: Any = None
    s: Any = None
    t: Any = None


_decoders: dict[str, Any] = {
    "json": msgspec.json.Decoder(_Seen),
    "msgpack": msgspec.msgpack.Decoder(_Seen),
}


def handle_of(session_id: str) -> str:
    """What names a session without being its id: nobody can resume with it."""
    return session_id[:HANDLE]


def traced(
    payload: bytes, codec: Codec[Any], at_ms: int, *, sent: bool, payloads: bool
) -> TracedFrame:
    """What of a frame is shown.

    Args:
        payload: its bytes.
        codec: of the connection.
        at_ms: Unix ms.
        sent: to the client.
        payloads: whether `d` may be seen.
    """
    try:
        seen = _decoders[codec.name].decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OverflowError):
        return TracedFrame(at_ms=at_ms, sent=sent, size=len(payload))
    d = seen.d
    room = d.get("room") if isinstance(d, dict) else None
    return TracedFrame(
        at_ms=at_ms,
        sent=sent,
        size=len(payload),
        op=seen.op,
        t=seen.t[:_NAMES] if isinstance(seen.t, str) else None,
        s=seen.s if type(seen.s) is int else None,
        room=room if is_room(room) else None,
        d=_shown(d) if payloads else None,
    )


def _shown(d: Any) -> str | None:
    if isinstance(d, dict):
        d = {key: _masked(key, value) for key, value in d.items()}
    try:
        return cut(msgspec.json.encode(d))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None  # msgpack has more than JSON can say


def cut(data: bytes) -> str:
    """The beginning of a payload, as text."""
    text = data[: 4 * MOST_PAYLOAD].decode("utf-8", "replace")
    return text if len(text) <= MOST_PAYLOAD else text[: MOST_PAYLOAD - 1] + MASK


def _masked(key: Any, value: Any) -> Any:
    if key in _SECRETS:
        return MASK
    if key == "session_id" and isinstance(value, str):
        return handle_of(value) + MASK
    return value


def payloads_in(written: bytes) -> Iterator[bytes]:
    """The payloads of the frames that an edge writes: unmasked, whole (RFC 6455, 5.2)."""
    at = 0
    while at + 2 <= len(written):
        size, begin = written[at + 1], at + 2
        if size == 126:
            size, begin = int.from_bytes(written[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, begin = int.from_bytes(written[at + 2 : at + 10], "big"), at + 10
        yield written[begin : begin + size]
        at = begin + size
