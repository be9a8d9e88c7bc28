"""Markers: once a second a home stream says how far it is, and what it holds.

A marker is an event of the reserved tenant. It moves every edge's position in quiet rooms, measures
the lag of the ordered pair of regions, and its hash lets every other region prove that its mirror
holds the same bytes.
"""

import hashlib
from dataclasses import dataclass, field

import msgspec


class Marker(msgspec.Struct, frozen=True):
    """One marker. The segment it covers is the sequences `first` to `last`, both included."""

    number: int
    at_ms: int  # Unix ms at the edge that stored it
    epoch: int
    first: int
    last: int  # first - 1: an empty segment
    count: int
    hash: str  # of the segment, 32 hex digits
    edge: str  # who stored it


class Head(msgspec.Struct, frozen=True):
    """The copy of a marker over core NATS: where the origin's stream ended, and what it held."""

    origin: str
    seq: int  # of the marker itself
    marker: Marker


_marker_decoder = msgspec.json.Decoder(Marker)
_head_decoder = msgspec.json.Decoder(Head)


def decode_marker(data: bytes) -> Marker | None:
    """The marker in `data`, or None: an older or newer edge's marker must not stop a feed."""
    try:
        return _marker_decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def decode_head(data: bytes) -> Head | None:
    """The head in `data`, or None."""
    try:
        return _head_decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


@dataclass(slots=True)
class Segment:
    """Hashes a segment of a stream, message by message, in order."""

    first: int
    last: int = 0
    count: int = 0
    _hash: "hashlib.blake2b" = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def __post_init__(self) -> None:
        self.last = self.first - 1

    def add(self, seq: int, subject: str, data: bytes) -> None:
        """The next message: its sequence, subject and payload."""
        self._hash.update(b"%d %d %d\n" % (seq, len(subject), len(data)))
        self._hash.update(subject.encode())
        self._hash.update(data)
        self.last = seq
        self.count += 1

    def hexdigest(self) -> str:
        """The hash so far, 32 hex digits."""
        return self._hash.hexdigest()
