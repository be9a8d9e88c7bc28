"""Who is where in a crowd: all of it follows from the seed."""

import random
from collections.abc import Sequence

import msgspec

from regions.ledger.spec import CrowdSpec, client_names, room_names


class Part(msgspec.Struct, frozen=True):
    """One client of a crowd."""

    name: str
    region: str
    edge: int  # which of the region's edges it tries first, modulo their number
    rooms: tuple[str, ...]
    publishes: bool
    encoding: str


def cast(spec: CrowdSpec, regions: Sequence[str]) -> list[Part]:
    """Everybody in the crowd.

    Args:
        spec: what it is told.
        regions: all regions of the world.
    """
    dice = random.Random(spec.seed)  # noqa: S311 (choices that can be repeated, no secrets)
    names, homes = room_names(spec), spec.regions or tuple(regions)
    return [
        Part(
            name=name,
            region=homes[number % len(homes)],
            edge=number // len(homes),
            rooms=tuple(dice.sample(names, min(spec.rooms_each, len(names)))),
            publishes=dice.random() < spec.publishers or number == 0,
            encoding="msgpack" if dice.random() < spec.msgpack else "json",
        )
        for number, name in enumerate(client_names(spec))
    ]
