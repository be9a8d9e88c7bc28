"""What happened, in one row: of edges, alerts, operations and drills. Newest last, bounded."""

from dataclasses import dataclass
from typing import Literal

from console.model.track import EdgeTrack
from relay.core.telemetry import ENDED

MAX_HAPPENINGS = 1_000
TOLD_MS = 15_000  # within which all keepers see the same

Kind = Literal["edge", "alert", "operation", "drill", "link"]
Weight = Literal["good", "plain", "warn", "bad"]


@dataclass(frozen=True, slots=True, order=True)
class Happening:
    """One thing that happened."""

    at_ms: int  # Unix ms, by the clock of who says it
    kind: Kind
    on: str  # what it is about: an edge, a region, a pair; empty: the fleet
    text: str
    weight: Weight = "plain"
    told: str = ""  # what several keepers tell, each a little later and in words of its own


Timeline = tuple[Happening, ...]


def with_happenings(timeline: Timeline, *new: Happening) -> Timeline:
    """The timeline with `new` in its place by time; what stands there already counts once."""
    fresh: list[Happening] = []
    for each in new:
        if not any(_same(each, other) for other in (*timeline, *fresh)):
            fresh.append(each)
    if not fresh:
        return timeline
    if timeline and min(fresh).at_ms < timeline[-1].at_ms:
        return tuple(sorted((*timeline, *fresh), key=_at))[-MAX_HAPPENINGS:]
    return (*timeline, *sorted(fresh, key=_at))[-MAX_HAPPENINGS:]


def _same(one: Happening, other: Happening) -> bool:
    told = bool(one.told) and one.told == other.told
    return one == other or (told and abs(one.at_ms - other.at_ms) <= TOLD_MS)


def _at(happening: Happening) -> int:
    return happening.at_ms


_GOOD, _MILD = ("ready",), ("starting", "cordoned", "draining", "drained", ENDED)


def of_edge(before: EdgeTrack | None, after: EdgeTrack) -> list[Happening]:
    """What an edge's newest frame says that the one before did not."""
    frame = after.frame
    if frame is None:
        return []
    found: list[Happening] = []

    def happened(text: str, weight: Weight) -> None:
        found.append(Happening(frame.at_ms, "edge", after.name, text, weight))

    last = None if before is None else before.frame
    if last is not None and last.epoch != frame.epoch:
        happened("began anew", "warn")
    if last is not None and last.state != frame.state:
        weight: Weight = (
            "good" if frame.state in _GOOD else "plain" if frame.state in _MILD else "bad"
        )
        happened(f"{last.state.replace('_', ' ')} → {frame.state.replace('_', ' ')}", weight)
    if last is not None:
        for alarm in frame.alarms:
            if alarm not in last.alarms:
                happened(alarm, "bad")
        for alarm in last.alarms:
            if alarm not in frame.alarms:
                happened(f"no more: {alarm}", "good")
    return found
