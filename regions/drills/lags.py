"""The lag of every ordered pair of regions during a drill, and when telemetry showed a fault."""

from collections.abc import Sequence

import msgspec

from regions.drills.signs import Watchman
from regions.drills.telemetry import Heard
from regions.drills.timeline import Outage

Point = tuple[float, float]  # s since the drill's first record, ms


class PairLag(msgspec.Struct, frozen=True):
    """How far `target` was behind `source` when a fault began, and at the worst."""

    source: str
    target: str
    lag_ms: float | None  # the newest marker's age at its arrival, just before the fault
    lag_events: int | None
    peak_ms: float
    peak_events: int
    points: tuple[Point, ...] = ()


class Seen(msgspec.Struct, frozen=True):
    """The first sign of a fault in any edge's telemetry; None: there was none."""

    after_s: float | None
    sign: str


def pair_lags(frames: Sequence[Heard], first_ns: int, fault_ns: int) -> list[PairLag]:
    """Every ordered pair, sorted.

    Args:
        frames: in the order in which they came.
        first_ns: what `points` count from.
        fault_ns: when the first fault began.
    """
    points: dict[tuple[str, str], dict[int, float]] = {}
    before: dict[tuple[str, str], tuple[float | None, int]] = {}
    peak_events: dict[tuple[str, str], int] = {}
    for heard in frames:
        frame = heard.frame
        for origin, lag in frame.lag_ms.items():
            if origin == frame.region:
                continue
            pair = (origin, frame.region)
            events = frame.lag_events.get(origin, 0)
            if heard.t < fault_ns:
                before[pair] = (lag, events)
            else:
                peak_events[pair] = max(events, peak_events.get(pair, 0))
            if lag is not None and heard.t >= first_ns:
                second = (heard.t - first_ns) // 1_000_000_000
                series = points.setdefault(pair, {})
                series[second] = max(lag, series.get(second, 0.0))
    found = []
    for pair in sorted(points):
        lag, count = before.get(pair, (None, 0))
        series = points[pair]
        fault_s = (fault_ns - first_ns) / 1e9
        peak = max((value for second, value in series.items() if second >= fault_s), default=0.0)
        found.append(
            PairLag(
                *pair,
                lag_ms=lag,
                lag_events=count if pair in before else None,
                peak_ms=round(peak, 1),
                peak_events=peak_events.get(pair, 0),
                points=tuple((float(second), series[second]) for second in sorted(series)),
            )
        )
    return found


def first_signs(frames: Sequence[Heard], outages: Sequence[Outage]) -> list[Seen]:
    """When telemetry first showed each fault. A tick of 0.1 s finds silence, too."""
    found: list[Seen] = []
    for number, outage in enumerate(outages):
        later = [one.from_ns for one in outages[number + 1 :] if one.from_ns > outage.from_ns]
        until = min(later, default=outage.from_ns + 60_000_000_000)
        last = frames[-1].t if frames else 0  # after it everything is silent
        found.append(_first_sign(frames, outage.from_ns, min(until, last)))
    return found


def _first_sign(frames: Sequence[Heard], from_ns: int, until_ns: int) -> Seen:
    watchman = Watchman()
    after = iter([heard for heard in frames if from_ns <= heard.t < until_ns])
    for heard in frames:
        if heard.t >= from_ns:
            break
        watchman.hear(heard.t / 1e9, heard.frame)
    watchman.remember()
    stale = set(watchman.signs(from_ns / 1e9))
    upcoming = next(after, None)
    for now_ns in range(from_ns, until_ns, 100_000_000):
        while upcoming is not None and upcoming.t <= now_ns:
            watchman.hear(upcoming.t / 1e9, upcoming.frame)
            upcoming = next(after, None)
        new = [sign for sign in watchman.signs(now_ns / 1e9) if sign not in stale]
        if new:
            return Seen(round((now_ns - from_ns) / 1e9, 1), new[0])
    return Seen(None, "")
