"""What a swarm is told, and what follows from it. Values only."""

import math
from collections.abc import Sequence
from itertools import zip_longest

import msgspec

from regions.swarm.profiles import PROFILES, Profile

CLIENTS_A_PROCESS = 10_000  # well below what a process may have open
DELIVERIES_A_PROCESS = 30_000  # a second, that one process can look into, with room to spare
# Events a second of one session. Edges take 1,000, but store one after the other of each room: at
# 5 ms each, a session alone gets no more than 200 into one.
VOICE_RATE = 100.0
LEAST_VOICES, MOST_VOICES = 4, 500


class SwarmSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A swarm: `clients` in `rooms` rooms, to which `rate` events a second come in all."""

    run: str  # begins the names of its rooms and users; new for each run
    profile: str = "steady"
    clients: int = 1_000
    rooms: int = 100
    rooms_each: int = 1
    rate: float = 100.0
    size: int = 128  # bytes of an event's data
    connect_per_s: float = 300.0  # by all processes; edges let in 500 each
    warm_up_s: float = 3.0
    measured_s: float = 30.0
    encoding: str = "json"
    ears: float = 1.0  # share of the clients that look into each event; the others count frames
    seed: int = 1
    processes: int = 1

    @property
    def behaviour(self) -> Profile:
        """The profile of that name."""
        return PROFILES[self.profile]

    @property
    def deliveries_per_s(self) -> float:
        """Events that are delivered in a second, where rooms have one size."""
        if not self.behaviour.talks:
            return 0.0
        return self.rate * self.clients * min(self.rooms_each, self.rooms) / self.rooms


class Place(msgspec.Struct, frozen=True):
    """An edge that clients connect to."""

    url: str
    region: str = ""  # empty: it says so itself


def processes_for(clients: int, deliveries_per_s: float) -> int:
    """How many processes carry a swarm."""
    by_clients = math.ceil(clients / CLIENTS_A_PROCESS)
    return max(by_clients, math.ceil(deliveries_per_s / DELIVERIES_A_PROCESS), 1)


def voices_for(rate: float) -> int:
    """How many sessions of one process publish so many events a second."""
    return min(max(math.ceil(rate / VOICE_RATE), LEAST_VOICES), MOST_VOICES)


def interleaved(places: Sequence[Place]) -> tuple[Place, ...]:
    """The same edges, so that those of one region do not stand together."""
    groups: dict[str, list[Place]] = {}
    for place in places:
        groups.setdefault(place.region, []).append(place)
    rounds = zip_longest(*groups.values())
    return tuple(place for one in rounds for place in one if place is not None)


def room_name(spec: SwarmSpec, number: int) -> str:
    """A room of the swarm."""
    return f"{spec.run}:{number}"


def user_name(spec: SwarmSpec, number: int) -> str:
    """Who a client is."""
    return f"{spec.run}-{number}"


def voice_name(spec: SwarmSpec, index: int, number: int) -> str:
    """Who publishes, in the process `index`."""
    return f"{spec.run}-voice-{index}-{number}"
