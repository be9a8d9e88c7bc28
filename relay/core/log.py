"""The log of who was here: batches of comings and goings that an edge stores, and what is in them.

A batch has a number, so that one that is lacking is known, and the count after it, so that nothing
has to be summed up to be checked. Times in it are before the moment it was sent, by the monotonic
clock: the stream's own stamp makes a time of them, so no edge's wall clock matters.
"""

import base64
import zlib
from collections.abc import Iterable

import msgspec

KEY_BYTES = 8


class Came(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """A session came to the edge."""

    ago_ms: int
    key: bytes
    how: str  # identify | resume
    tenant: str
    user: str
    transport: str
    country: str
    device: str


class Went(msgspec.Struct, frozen=True, array_like=True, tag="w"):
    """A session is not at the edge any more."""

    ago_ms: int
    key: bytes
    code: int


class Batch(msgspec.Struct, frozen=True, array_like=True, tag="b"):
    """What happened at an edge since the batch before."""

    v: int
    region: str
    edge: str
    epoch: int  # Unix ms of the edge's start
    number: int  # from 1, without a gap
    changes: int  # comings and goings since the edge's start, these included
    sessions: int  # open after them
    lost: int  # records since the edge's start that did not get into the log
    final: bool  # the edge ends: nothing follows
    records: list[Came | Went]


class Snapshot(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """The sessions that are open after so many changes; in parts, where they are many."""

    v: int
    region: str
    edge: str
    epoch: int
    changes: int
    part: int  # from 0
    parts: int
    keys: bytes  # see `pack_keys`


Entry = Batch | Snapshot
V = 1

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """As it is stored: msgpack."""
    return _encoder.encode(entry)


def decode_entry(data: bytes) -> Entry:
    """What `data` says.

    Raises:
        msgspec.DecodeError: it is no entry of the log.
    """
    return _decoder.decode(data)


def session_key(session_id: str) -> bytes:
    """The name of a session in the log: the first bytes of its random part, of which nobody can
    make the id.
    """
    return base64.urlsafe_b64decode(session_id[:12])[:KEY_BYTES]


def pack_keys(keys: Iterable[bytes]) -> bytes:
    """Session keys in few bytes: sorted, as differences, the like bytes beside each other."""
    last, raw = 0, bytearray()
    for number in sorted(int.from_bytes(key) for key in keys):
        raw += (number - last).to_bytes(KEY_BYTES)
        last = number
    return zlib.compress(b"".join(raw[at::KEY_BYTES] for at in range(KEY_BYTES)))


def unpack_keys(packed: bytes, most: int = 1_000_000) -> list[bytes]:
    """The keys that were packed, sorted.

    Args:
        packed: by `pack_keys`.
        most: keys that there can be.

    Raises:
        ValueError: it is nothing packed, or more.
    """
    inflater = zlib.decompressobj()
    try:
        planes = inflater.decompress(packed, most * KEY_BYTES)
    except zlib.error as error:
        raise ValueError("packed session keys can't be read") from error
    if inflater.unconsumed_tail or not inflater.eof or len(planes) % KEY_BYTES:
        raise ValueError("packed session keys are cut off, or too many")
    count, last, keys = len(planes) // KEY_BYTES, 0, []
    for at in range(count):
        last += int.from_bytes(planes[at::count])
        keys.append(last.to_bytes(KEY_BYTES))
    return keys
