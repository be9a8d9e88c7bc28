"""Alarms: what an edge found wrong with a stream, told to every region while it lasts."""

from enum import StrEnum

import msgspec


class Wrong(StrEnum):
    """What is wrong."""

    DIVERGED = "diverged"  # the region's mirror and its origin hold different events
    WEDGED = "wedged"  # the region's mirror stands still


class Alarm(msgspec.Struct, frozen=True):
    """One finding; told again each second while it stands."""

    region: str  # where it was found
    origin: str  # whose stream
    wrong: Wrong
    first: int = 0  # diverged: the first sequence that differs; below it the two are equal
    last: int = 0  # diverged: a sequence that differs, the last one known

    def __str__(self) -> str:
        """For people."""
        where = f", from {self.first} on" if self.wrong is Wrong.DIVERGED else ""
        return f"the mirror of {self.origin} in {self.region} is {self.wrong}{where}"


_decoder = msgspec.json.Decoder(Alarm)


def decode_alarm(data: bytes) -> Alarm | None:
    """The alarm in `data`, or None."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
