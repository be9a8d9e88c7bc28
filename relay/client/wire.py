"""The payload on the wire, and its two encodings."""

import json
from typing import Any, Protocol

import msgpack
import msgspec

from relay.client.errors import Refused, Undecodable
from relay.core.codes import ErrorCode, Op


class Frame(msgspec.Struct, frozen=True):
    """One payload of the edge's (protocol section 2); `e` comes with INVALID_SESSION only."""

    op: int
    d: Any = None
    s: int | None = None
    t: str | None = None
    c: str | None = None
    e: Any = None


class Codec(Protocol):
    """Bytes of a client's payload, and back from an edge's."""

    name: str
    text: bool

    def encode(self, op: Op, d: object) -> bytes:
        """The payload `{op, d}`.

        Raises:
            Refused: `invalid_data`: `d` has something that JSON cannot carry.
        """

    def decode(self, data: bytes) -> Frame:
        """The payload in one WebSocket message.

        Raises:
            Undecodable: it is none.
        """


class Json:
    """Text frames of JSON."""

    name = "json"
    text = True
    _decoder = msgspec.json.Decoder(Frame)

    def encode(self, op: Op, d: object) -> bytes:
        try:
            # The standard encoder, since it refuses NaN instead of writing null for it.
            text = json.dumps(
                {"op": int(op), "d": d}, ensure_ascii=False, allow_nan=False, separators=(",", ":")
            )
            return text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise Refused(ErrorCode.INVALID_DATA, f"JSON cannot carry it: {error}") from error

    def decode(self, data: bytes) -> Frame:
        try:
            return self._decoder.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Undecodable(f"not a JSON payload: {error}") from error


class Msgpack:
    """Binary frames of msgpack: the same map and keys."""

    name = "msgpack"
    text = False

    def encode(self, op: Op, d: object) -> bytes:
        try:
            packed = msgpack.packb({"op": int(op), "d": d})
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise Refused(ErrorCode.INVALID_DATA, f"msgpack cannot carry it: {error}") from error
        assert isinstance(packed, bytes)
        return packed

    def decode(self, data: bytes) -> Frame:
        try:
            return msgspec.convert(msgpack.unpackb(data), Frame)
        except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
            raise Undecodable(f"not a msgpack payload: {error}") from error


CODECS: dict[str, type[Json] | type[Msgpack]] = {"json": Json, "msgpack": Msgpack}
