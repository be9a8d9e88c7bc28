"""What one direction between two regions does to what crosses it. Values only."""

from collections.abc import Iterable, Mapping
from math import asin, cos, radians, sin, sqrt

import msgspec

EARTH_KM = 6_371.0
FIBRE_KM_PER_MS = 200.0  # light in glass
DETOUR = 1.4  # cables do not lie on great circles: Ashburn to Frankfurt takes 45 ms, not 33

Pair = tuple[str, str]  # from, to: each direction is one of its own


class Flow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of one direction."""

    cut: bool = False  # what is sent is lost, and nobody is told
    stall: bool = False  # what is sent waits until it ends
    delay_ms: float = 0.0  # one way
    jitter_ms: float = 0.0  # up to so much more, never out of order
    loss: float = 0.0  # share of packets, 0 to 1; only in network namespaces
    rate_kbit: float | None = None  # per second; None: as fast as the machine


class Change(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a fault makes of a direction; None leaves a value as it is."""

    cut: bool | None = None
    stall: bool | None = None
    delay_ms: float | None = None
    jitter_ms: float | None = None
    loss: float | None = None
    rate_kbit: float | None = None

    def over(self, flow: Flow) -> Flow:
        """`flow` with this change made."""
        given = {
            name: value
            for name in self.__struct_fields__
            if (value := getattr(self, name)) is not None
        }
        return msgspec.structs.replace(flow, **given)

    def problem(self) -> str | None:
        """What is wrong with it; None if nothing is."""
        for name, value in (("delay_ms", self.delay_ms), ("jitter_ms", self.jitter_ms)):
            if value is not None and not 0 <= value <= 60_000:
                return f"{name}: {value:g} is not in 0 to 60000"
        if self.loss is not None and not 0 <= self.loss <= 1:
            return f"loss: {self.loss:g} is not in 0 to 1"
        if self.rate_kbit is not None and not 8 <= self.rate_kbit <= 100_000_000:
            return f"rate_kbit: {self.rate_kbit:g} is not in 8 to 100000000"
        return None


def composed(
    base: Mapping[Pair, Flow], changes: Iterable[tuple[Iterable[Pair], Change]]
) -> dict[Pair, Flow]:
    """`base` with changes made one after the other: of two that name a value the later one counts.

    A cut or stall that one change makes is not undone by another.
    """
    flows = dict(base)
    for pairs, change in changes:
        for pair in pairs:
            before = flows[pair]
            after = change.over(before)
            flows[pair] = msgspec.structs.replace(
                after, cut=before.cut or after.cut, stall=before.stall or after.stall
            )
    return flows


def distance_ms(one: tuple[float, float], other: tuple[float, float]) -> float:
    """How long light takes one way between two places (lat, lon in degrees) as cables lie."""
    (lat1, lon1), (lat2, lon2) = one, other
    half = (
        sin(radians(lat2 - lat1) / 2) ** 2
        + cos(radians(lat1)) * cos(radians(lat2)) * sin(radians(lon2 - lon1) / 2) ** 2
    )
    return 2 * EARTH_KM * asin(min(1.0, sqrt(half))) / FIBRE_KM_PER_MS * DETOUR
