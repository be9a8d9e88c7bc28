"""What one seed runs: a topology, limits, clients and faults, by its dice (swarm testing).

Each seed has only some kinds of fault, at rates of its own: rare combinations come up that a run
with everything at once would drown.
"""

import random
from dataclasses import dataclass

from relay.bus.copies import MOST_DELETED
from relay.config import Limits

REGIONS = ("eu", "us", "ap")
PLACES = {"eu": (50.1, 8.7), "us": (39.0, -77.5), "ap": (35.7, 139.7)}
SKEW_S = 0.45  # edges assume that their clocks differ by less than 1 s (relay/edge/gateway.py)
LINKS_S = {("eu", "us"): 0.04, ("ap", "eu"): 0.11, ("ap", "us"): 0.08}


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """One region."""

    name: str
    edges: int
    servers: int


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """One client; `kind`: library, cursor or seq."""

    name: str
    kind: str
    region: str
    rooms: tuple[str, ...]
    encoding: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is decided before the run."""

    seed: int
    steps: int
    regions: tuple[RegionPlan, ...]
    clients: tuple[ClientPlan, ...]
    rooms: tuple[str, ...]
    faults: tuple[str, ...]  # the kinds that may happen
    fault_rate: float  # of all steps
    pause_s: float  # between two steps, on average
    skew_s: float  # of the clocks of edges, at most
    keeper: bool
    most_deleted: int  # sequences that a server is asked to name
    limits: Limits


def make_plan(seed: int, steps: int, kinds: tuple[str, ...]) -> Plan:
    """The plan of a seed.

    Args:
        seed: everything follows from it.
        steps: acts of clients and faults.
        kinds: the kinds of fault that there are.
    """
    dice = random.Random(seed)
    regions = tuple(
        RegionPlan(name, 2 if dice.random() < 0.3 else 1, 3 if dice.random() < 0.25 else 1)
        for name in REGIONS[: 3 if dice.random() < 0.3 else 2]
    )
    rooms = tuple(f"room{at}" for at in range(dice.choice((1, 2, 3, 5))))
    clients = tuple(_client(dice, at, regions, rooms) for at in range(dice.randint(3, 7)))
    count = dice.choice((1, 2, 3, 4, 6, len(kinds)))
    return Plan(
        seed=seed,
        steps=steps,
        regions=regions,
        clients=clients,
        rooms=rooms,
        faults=tuple(sorted(dice.sample(kinds, min(count, len(kinds))))),
        fault_rate=dice.choice((0.02, 0.04, 0.08)),
        pause_s=dice.choice((0.02, 0.05, 0.08)),
        skew_s=dice.choice((0.0, 0.0, 0.2, SKEW_S)),
        keeper=dice.random() < 0.5,
        most_deleted=(MOST_DELETED, MOST_DELETED, MOST_DELETED, 0)[seed % 4],
        limits=Limits(
            join_buffer_events=dice.choice((1, 4, 2_048)),
            feed_buffer_events=dice.choice((2, 50_000)),
            replay_page_events=dice.choice((3, 16, 256)),
            replay_reads=dice.choice((2, 32)),
            takeovers_per_minute=dice.choice((3, 1_000)),
        ),
    )


def _client(
    dice: random.Random, at: int, regions: tuple[RegionPlan, ...], rooms: tuple[str, ...]
) -> ClientPlan:
    return ClientPlan(
        name=f"c{at}",
        kind=dice.choice(("library", "library", "cursor", "cursor", "seq")),
        region=dice.choice(regions).name,
        rooms=tuple(sorted(dice.sample(rooms, dice.randint(1, len(rooms))))),
        encoding=dice.choice(("json", "msgpack")),
    )
