"""A week of the world's earthquakes: where each belongs and when it is due. Values only.

The data are the United States Geological Survey's, in the public domain.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

import msgspec

from relay.core.places import great_circle_km

ROOM_ALL = "quakes:all"
LARGEST = 7  # the rooms are quakes:m0 to quakes:m7


class Quake(msgspec.Struct, frozen=True):
    """An earthquake; `time_ms` is Unix ms, `lat` and `lon` are degrees."""

    id: str
    time_ms: int
    mag: float
    place: str
    lat: float
    lon: float
    depth_km: float


@dataclass(frozen=True, slots=True)
class Site:
    """A region and where it is, in degrees."""

    name: str
    lat: float
    lon: float


def load_quakes() -> list[Quake]:
    """The week, in the order of time."""
    data = (files("cli") / "data" / "quakes.jsonl").read_bytes()
    return msgspec.json.decode(b"[" + b",".join(data.splitlines()) + b"]", type=list[Quake])


def rooms_of(quake: Quake) -> tuple[str, str]:
    """`quakes:all`, and the room of its magnitude: below 0 counts as 0, above 7 as 7."""
    return ROOM_ALL, f"quakes:m{min(LARGEST, max(0, math.floor(quake.mag)))}"


def nearest(quake: Quake, sites: Sequence[Site]) -> Site:
    """The site nearest to the epicentre, along the great circle."""
    return min(sites, key=lambda site: great_circle_km(quake.lat, quake.lon, site.lat, site.lon))


def schedule(quakes: Iterable[Quake], speed: float) -> Iterable[tuple[float, Quake]]:
    """Each quake with its time from the start in s; `speed` 0: all at once."""
    first_ms: int | None = None
    for quake in quakes:
        first_ms = quake.time_ms if first_ms is None else first_ms
        yield ((quake.time_ms - first_ms) / 1000 / speed if speed else 0.0), quake
