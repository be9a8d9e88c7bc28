"""Payloads on the wire, in JSON and msgpack: decoding validates, encoding knows the two forms."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from relay.core.codes import EventName, Op
from relay.core.event import Event
from relay.errors import RelayError

MAX_DATA_DEPTH = 64
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1

T = TypeVar("T")
Nonce = str | int


class WireError(RelayError):
    """A client frame can't be decoded, or `data` is nothing that JSON can carry."""


# --- what clients send -------------------------------------------------------------------------


class Envelope(Struct):
    """A client's payload; `d` is read once the opcode has said what it is."""

    op: int
    d: Raw = Raw()  # empty: there was none, which is as good as null


class Last(Struct, forbid_unknown_fields=True):
    """`since: {last: n}`."""

    last: int


class RoomRequest(Struct):
    """A room to subscribe, and from where."""

    room: str
    since: str | Last | None = None
    presence: bool = False


class Identify(Struct):
    """IDENTIFY.d"""

    token: str
    properties: dict[str, Any] | None = None
    rooms: list[str | RoomRequest] = []
    presence: dict[str, Any] | None = None


class Resume(Struct):
    """RESUME.d: with a cursor (exact), else with a `seq`."""

    token: str
    session_id: str
    seq: int | None = None
    cursor: str | None = None
    rooms: list[str | RoomRequest] | None = None
    presence: dict[str, Any] | None = None


class Subscribe(Struct):
    """SUBSCRIBE.d"""

    rooms: list[str | RoomRequest]
    nonce: Nonce | None = None


class Unsubscribe(Struct):
    """UNSUBSCRIBE.d"""

    rooms: list[str]
    nonce: Nonce | None = None


class Publish(Struct):
    """PUBLISH.d"""

    room: str
    data: Any = None
    id: str | int | None = None
    ephemeral: bool = False
    nonce: Nonce | None = None


class History(Struct):
    """HISTORY.d"""

    room: str
    limit: int
    before: str | None = None
    after: str | None = None
    nonce: Nonce | None = None


class Refresh(Struct):
    """REFRESH.d"""

    token: str
    nonce: Nonce | None = None


class Nonced(Struct):
    """What is common to requests that may be refused unread."""

    nonce: Nonce | None = None


# --- what the edge sends -----------------------------------------------------------------------


class Payload(Struct):
    """A payload of the edge. `c` and `e` stand only where they are set."""

    op: int
    d: Any = None
    s: int | None = None
    t: str | None = None
    c: str | UnsetType = UNSET
    e: Any = UNSET


class Message(Struct):
    """MESSAGE.d"""

    room: str
    data: Any
    user: str | None
    id: str | None
    origin: str
    epoch: int
    seq: int
    ts: int


class Signal(Struct):
    """SIGNAL.d"""

    room: str
    data: Any
    user: str | None
    id: str | None
    origin: str
    ts: int


class Codec(Generic[T]):
    """One encoding. `JSON` and `MSGPACK` are the two there are."""

    def __init__(self, name: str, module: Any, *, binary: bool) -> None:
        self.name = name
        self.binary = binary
        self._module = module
        self._envelopes = module.Decoder(Envelope)
        self._decoders: dict[type, Any] = {}
        self._encoder = module.Encoder()
        self._null = Raw(self._encoder.encode(None))

    def envelope(self, frame: bytes) -> Envelope:
        """The outer payload of a client frame.

        Raises:
            WireError: not this encoding, not a payload, or nested too deep.
        """
        try:
            envelope: Envelope = self._envelopes.decode(frame)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OverflowError) as error:
            raise WireError(f"not a {self.name} payload") from error
        return envelope

    def read(self, raw: Raw, kind: type[T]) -> T:
        """`d`, as `kind`.

        Raises:
            WireError: it is not.
        """
        decoder = self._decoders.get(kind)
        if decoder is None:
            decoder = self._decoders[kind] = self._module.Decoder(kind)
        try:
            decoded: T = decoder.decode(raw or self._null)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OverflowError) as error:
            raise WireError(f"d: {error}") from error
        return decoded

    def number(self, raw: Raw) -> int | None:
        """`d`, as HEARTBEAT has it: a number or null.

        Raises:
            WireError: it is neither.
        """
        try:
            value = self._module.decode(raw or self._null)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OverflowError) as error:
            raise WireError(f"d: {error}") from error
        if value is None or type(value) is int:
            return value
        raise WireError("d: a number or null")

    def encode(self, payload: Payload) -> bytes:
        """A payload in this encoding."""
        encoded: bytes = self._encoder.encode(payload)
        return encoded

    def data(self, data: bytes) -> Raw:
        """An event's stored JSON, in this encoding, ready to stand in a payload.

        Raises:
            WireError: it is not JSON, or this encoding can't carry it.
        """
        try:
            value = msgspec.json.decode(data)
            return Raw(self._encoder.encode(value) if self.binary else data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, OverflowError) as error:
            raise WireError("stored data is not JSON") from error

    def message(self, event: Event, s: int | None, cursor: str | UnsetType) -> bytes:
        """A MESSAGE of a stored event.

        Raises:
            WireError: its data is not JSON.
        """
        d = message_of(event, self.data(event.data))
        return self.encode(Payload(Op.DISPATCH, d, s, EventName.MESSAGE, cursor))

    def signal(self, event: Event, s: int | None) -> bytes:
        """A SIGNAL of an ephemeral event.

        Raises:
            WireError: its data is not JSON.
        """
        d = Signal(
            event.room, self.data(event.data), event.user, event.id, event.origin, event.ts_ms
        )
        return self.encode(Payload(Op.DISPATCH, d, s, EventName.SIGNAL))


def message_of(event: Event, data: Raw) -> Message:
    """MESSAGE.d of a stored event; `data` is already in the encoding it will stand in."""
    return Message(
        event.room,
        data,
        event.user,
        event.id,
        event.origin,
        event.epoch,
        event.seq,
        event.ts_ms,
    )


JSON: Codec[Any] = Codec("json", msgspec.json, binary=False)
MSGPACK: Codec[Any] = Codec("msgpack", msgspec.msgpack, binary=True)
CODECS: Mapping[str, Codec[Any]] = {codec.name: codec for codec in (JSON, MSGPACK)}


def stored_data(value: Any) -> bytes:
    """`data` of a publish as the UTF-8 JSON that is stored.

    Raises:
        WireError: JSON can't carry it (bytes, extensions, keys that are no strings, NaN, integers
            of more than 64 bits, a depth of more than 64).
    """
    _check(value, MAX_DATA_DEPTH)
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise WireError("data is nothing that JSON can carry") from error


def _check(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is dict:
        for key in value:
            if type(key) is not str:
                raise WireError("data has a key that is no string")
        _check_all(value.values(), depth)
    elif kind is list:
        _check_all(value, depth)
    elif kind is int:
        if not _INT_MIN <= value <= _INT_MAX:
            raise WireError("data has an integer of more than 64 bits")
    elif kind is float:
        if not math.isfinite(value):
            raise WireError("data has a number that is not finite")
    elif kind not in (str, bool, type(None)):
        raise WireError(f"data has a {kind.__name__}, which JSON can't carry")


def _check_all(values: Iterable[Any], depth: int) -> None:
    if depth == 0:
        raise WireError(f"data is nested deeper than {MAX_DATA_DEPTH}")
    for value in values:
        _check(value, depth - 1)
