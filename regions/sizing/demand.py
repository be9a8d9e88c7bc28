"""What is wanted of a deployment. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_REGIONS = 32


class DemandError(ValueError):
    """It can't be sized; the text says why."""


@dataclass(frozen=True, slots=True)
class Demand:
    """The load of a deployment.

    Args:
        users: connected at once, in all regions.
        rooms: in which something is published.
        each: rooms that a user is in.
        rate: events published in a second, in all.
        size: bytes of an event's data.
        shares: region -> its share of the users, and of what is published; they sum up to 1.
        opens: connections opened in a second, in all.
        window_ms: of `fanout_window_ms`.
        kept_s: for which events are to be kept.
        spare: whether any one region may be lost, and the others take its users.
    """

    users: int
    rooms: int
    each: int = 1
    rate: float = 100.0
    size: int = 128
    shares: Mapping[str, float] = field(default_factory=lambda: {"us": 1.0})
    opens: float = 0.0
    window_ms: float = 0.0
    kept_s: float = 86_400.0
    spare: bool = True

    @property
    def members(self) -> float:
        """Of a room, in all regions."""
        return self.users * self.each / self.rooms


def shares_of(text: str) -> dict[str, float]:
    """The regions in a text: a number of equal ones, or `us=50,eu=30,ap=20`.

    Raises:
        DemandError: it is neither.
    """
    if text.isascii() and text.isdigit():
        count = int(text)
        if not 1 <= count <= MOST_REGIONS:
            raise DemandError(f"{text} regions: 1 to {MOST_REGIONS}")
        return {f"r{number}": 1 / count for number in range(1, count + 1)}
    parts: dict[str, float] = {}
    for each in text.split(","):
        name, _, share = each.strip().partition("=")
        try:
            value = float(share)
        except ValueError:
            value = 0.0
        if not name or name in parts or not 0 < value < float("inf"):
            raise DemandError(
                f"{each.strip()!r}: a region and its share, each once, like us=50,eu=30"
            )
        parts[name] = value
    if len(parts) > MOST_REGIONS:
        raise DemandError(f"{len(parts)} regions: {MOST_REGIONS} at most")
    whole = sum(parts.values())
    return {name: value / whole for name, value in parts.items()}
