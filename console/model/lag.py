"""How far one region's copy of another's events is behind, in ms."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

OK_MS = 1_000  # markers come once a second: up to that, a mirror is current
BAD_MS = 3_000
BROKEN = ("wedged", "diverged")


class LagLevel(Enum):
    """What a lag means."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    NONE = "none"  # no edge that was heard of late has a figure


@dataclass(frozen=True, slots=True)
class LagCell:
    """The lag of the ordered pair (origin, region): `region` reads what `origin` stored."""

    origin: str
    region: str
    lag_ms: float | None = None
    age_ms: int | None = None  # of the figure
    mirror: str | None = None  # how the mirror stands, as an edge there says (MirrorState)
    lag_events: int | None = None

    @property
    def broken(self) -> bool:
        """Whether the mirror stands still behind its origin, or holds other events than it."""
        return self.mirror in BROKEN

    @property
    def is_cut(self) -> bool:
        """Whether the origin is not heard there: how far the mirror is behind, nobody knows."""
        return self.mirror == "cut"

    @property
    def is_late(self) -> bool:
        """Whether it is not current: a marker is overdue, or took long."""
        return self.lag_ms is not None and self.lag_ms > OK_MS

    @property
    def level(self) -> LagLevel:
        """The lag against `OK_MS` and `BAD_MS`."""
        if self.lag_ms is None:
            return LagLevel.NONE
        if self.lag_ms > BAD_MS:
            return LagLevel.BAD
        return LagLevel.WARN if self.lag_ms > OK_MS else LagLevel.OK


def best(
    origin: str, region: str, readings: Iterable[tuple[int, float | None]], stale_ms: int
) -> LagCell:
    """The cell from the `readings` (age in ms, lag in ms or None) of the region's edges.

    The smallest lag is the mirror's own: what an edge has on top of it is the edge's. Figures
    older than `stale_ms` count only where there is no younger one.
    """
    known = [(age, max(0.0, lag)) for age, lag in readings if lag is not None]
    if not known:
        return LagCell(origin, region)
    fresh = [(age, lag) for age, lag in known if age <= stale_ms]
    age, lag = min(fresh or known, key=lambda reading: (reading[1], reading[0]))
    return LagCell(origin, region, lag, age)


def stand(cell: LagCell, said: Iterable[tuple[int, str | None, int | None]]) -> LagCell:
    """The cell with how its mirror stands: as said (age in ms, state, lag in events) last.

    One edge of a region finds out that a mirror diverged: its word counts before the others'.
    """
    known = sorted(
        ((age, state, events) for age, state, events in said if state is not None),
        key=lambda one: (one[0], one[1], -1 if one[2] is None else one[2]),
    )
    if not known:
        return cell
    first = next((one for one in known if one[1] == "diverged"), known[0])
    return replace(cell, mirror=first[1], lag_events=first[2])


def worst(cells: Iterable[LagCell]) -> LagCell | None:
    """The cell with the largest lag, or None where none has a figure."""
    known = [cell for cell in cells if cell.lag_ms is not None]
    return max(known, key=lambda cell: cell.lag_ms or 0.0, default=None)
