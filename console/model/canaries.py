"""The canaries that fail, as keepers see them: doors that are shut, flights that do not arrive."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from regions.news import EdgeNews, SteeringNews

LATE_MS = 12_000  # they fly every 5 s: two did not arrive
GONE_MS = 15_000  # a keeper says every 2 s how they are
_ORDERED = ("cordoned", "drain", "full")  # why a door may be shut


@dataclass(frozen=True, slots=True)
class CanaryView:
    """One that does not come through."""

    on: str  # `eu-1`: its door; `us>eu`: what is published in us does not come out in eu
    why: str
    by: str  # the region whose keeper says so
    age_ms: int  # since it did
    is_door: bool


def failing(told: Mapping[str, tuple[int, SteeringNews]], now_ms: int) -> tuple[CanaryView, ...]:
    """Those that fail, as keepers said not long ago; doors that are shut as ordered do not."""
    found: list[CanaryView] = []
    for by, (at_ms, news) in told.items():
        age_ms = max(0, now_ms - at_ms)
        if age_ms <= GONE_MS:
            found += _doors(by, news, age_ms)
            found += _flights(by, news, age_ms)
    return tuple(found)


def _doors(by: str, news: SteeringNews, age_ms: int) -> Iterator[CanaryView]:
    for edge in news.edges:
        if edge.door and not _as_ordered(edge):
            yield CanaryView(edge.name, edge.door, by, age_ms, is_door=True)


def _flights(by: str, news: SteeringNews, age_ms: int) -> Iterator[CanaryView]:
    for flight in news.flights:
        if flight.age_ms > LATE_MS:
            why = f"nothing arrives, since {flight.age_ms // 1000} s"
            yield CanaryView(f"{flight.origin}>{flight.region}", why, by, age_ms, is_door=False)


def _as_ordered(edge: EdgeNews) -> bool:
    return any(word in edge.reason for word in _ORDERED)
