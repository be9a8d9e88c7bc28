"""What the crowd publishes: data with a number in it, and the hash by which it is compared."""

import hashlib

import msgspec

_canonical = msgspec.json.Encoder(order="sorted").encode


def data_of(number: int, padding: str) -> dict[str, object]:
    """The data of a publish; `number` counts this publisher's in this room."""
    return {"n": number, "pad": padding}


def number_of(data: object) -> int:
    """The number in the data; 0 where there is none."""
    number = data.get("n") if isinstance(data, dict) else None
    return number if isinstance(number, int) else 0


def hash_of(data: object) -> str:
    """16 hex digits over the data, the same whatever encoding brought it."""
    return hashlib.blake2b(_canonical(data), digest_size=8).hexdigest()
