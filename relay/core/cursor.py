"""The cursor: one string that means the same in every region.

It names, for each origin, the epoch and sequence up to which everything in a session's rooms has
been delivered. Mirrors keep sequences, so any edge of any region can go on from it.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from relay.errors import RelayError

MAX_CURSOR_BYTES = 512
OWES_MOST = 3  # regions that a cursor names as those that may owe something
_FORMAT = 1
_MAC_BYTES = 16


class CursorError(RelayError):
    """The text is no cursor, or not one of ours."""


class Position(NamedTuple):
    """A place in one origin's stream. Ordered: a later epoch is after every place of an earlier."""

    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """The region that issued it, a position per origin, and the region's holes that it knows.

    `holes` is the number of the newest recorded hole whose events were delivered before it was
    issued (`relay.core.hole`); 0: none. `owes` is the same of regions from which the session came
    lately: what their live feeds passed over may be found yet.
    """

    region: str
    positions: Mapping[str, Position]
    holes: int = 0
    owes: Mapping[str, int] = field(default_factory=dict)

    @property
    def debts(self) -> "list[Cursor]":
        """It, and what it says of each region that the session came from: whose holes count."""
        others = [Cursor(name, self.positions, holes) for name, holes in sorted(self.owes.items())]
        return [self, *others]


def furthest(a: Mapping[str, Position], b: Mapping[str, Position]) -> dict[str, Position]:
    """Per origin the later of both; origins of either."""
    merged = dict(a)
    for origin, position in b.items():
        if origin not in merged or merged[origin] < position:
            merged[origin] = position
    return merged


class _Body(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    format: int
    region: str
    positions: dict[str, tuple[int, int]]
    holes: int = 0
    owes: dict[str, int] = {}


def longest_cursor(regions: Iterable[str]) -> int:
    """How long a cursor over these regions can get, in bytes."""
    names = list(regions)
    far = {name: Position(2**31, 2**62) for name in names}
    by_length = sorted(names, key=len, reverse=True)
    owes = dict.fromkeys(by_length[1 : 1 + OWES_MOST], 2**53)
    longest = Cursor(by_length[0] if names else "", far, 2**53, owes)
    return len(CursorCodec(bytes(32)).encode(longest))


class CursorCodec:
    """Signs and reads cursors with the edges' shared key (keyed BLAKE2b, RFC 7693)."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("cursor key: 32 bytes at least")
        self._key = key[:64]
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Body)

    def encode(self, cursor: Cursor) -> str:
        """The cursor as URL-safe text of at most 512 bytes."""
        parts = (_FORMAT, cursor.region, cursor.positions)
        if cursor.owes:
            body = self._encoder.encode((*parts, cursor.holes, cursor.owes))
        else:
            body = self._encoder.encode((*parts, cursor.holes) if cursor.holes else parts)
        mac = hashlib.blake2b(body, digest_size=_MAC_BYTES, key=self._key).digest()
        return base64.urlsafe_b64encode(mac + body).rstrip(b"=").decode()

    def decode(self, text: str) -> Cursor:
        """The cursor in `text`.

        Raises:
            CursorError: too long, undecodable, or not signed with our key.
        """
        if len(text) > MAX_CURSOR_BYTES or not text.isascii():
            raise CursorError("not a cursor")
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise CursorError("not a cursor") from error
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        expected = hashlib.blake2b(body, digest_size=_MAC_BYTES, key=self._key).digest()
        if not hmac.compare_digest(mac, expected):
            raise CursorError("not a cursor of these edges")
        try:
            decoded = self._decoder.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise CursorError("not a cursor") from error
        if decoded.format != _FORMAT:
            raise CursorError(f"cursor format {decoded.format} is not known")
        positions = {origin: Position(*pair) for origin, pair in decoded.positions.items()}
        return Cursor(decoded.region, positions, decoded.holes, decoded.owes)
