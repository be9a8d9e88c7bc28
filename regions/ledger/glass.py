"""Looks into a cursor without its key: clients may not, but an examiner has to.

It is written from the format alone (base64url of a MAC of 16 bytes and a msgpack array of format,
region, {origin: [epoch, seq]} and maybe one number more), not with the edges' code.
"""

import base64

import msgspec

from regions.ledger.record import Places

_MAC_BYTES = 16


class _Cursor(msgspec.Struct, array_like=True):
    version: int
    region: str
    places: dict[str, tuple[int, int]]


_decode = msgspec.msgpack.Decoder(_Cursor).decode


def look(cursor: str | None) -> Places:
    """Origin -> (epoch, seq) that the cursor stands at; empty for no cursor.

    Raises:
        ValueError: it is no cursor of the format 1.
    """
    if cursor is None:
        return {}
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    try:
        read = _decode(raw[_MAC_BYTES:])
    except msgspec.DecodeError as error:
        raise ValueError(f"not a cursor: {error}") from error
    if read.version != 1:
        raise ValueError(f"cursor format {read.version}")
    return read.places
