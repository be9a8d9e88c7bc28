"""What a client says it runs on: a short line of plain text, whatever was sent."""

from collections.abc import Mapping
from typing import Any

DEVICE_CHARS = 64
_KEYS = ("os", "browser", "device", "library")  # as the gateway documentation names them


def device_of(properties: Mapping[str, Any] | None) -> str:
    """The device in the `properties` of an IDENTIFY: printable ASCII, 64 characters at most."""
    words: list[str] = []
    for key in _KEYS:
        value = (properties or {}).get(key)
        if isinstance(value, str) and (word := plain(value)) and word not in words:
            words.append(word)
    return " ".join(words)[:DEVICE_CHARS].rstrip()


def plain(text: str) -> str:
    """The printable ASCII in the first 64 characters of a text."""
    return "".join(c for c in text[:DEVICE_CHARS] if c.isascii() and c.isprintable()).strip()
