"""What a swarm can be like: who comes when, who is in which room, who talks, who leaves."""

import math
import random
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

Arrival = Literal["first", "launch", "meanwhile"]
LAUNCH_SHARE, LAUNCH_S = 0.8, 1.0  # of all who come, so many come within so long
LATER_S = 15.0  # the mean time after which the others do


@dataclass(frozen=True, slots=True)
class Profile:
    """A way in which a swarm behaves.

    Args:
        name: as it is called on the command line.
        what: for people.
        arrive: `first`: everybody at an even pace, before anything is measured; `launch`: most at
            once, at the begin of what is measured; `meanwhile`: evenly, as long as it is measured.
        skewed: rooms have sizes by a power law instead of one size.
        talks: events are published.
        stay_s: how long a client stays on average, before it goes and comes back; None: to the end.
        slow: share of the clients that, again and again, read nothing for 20 s and then all.
    """

    name: str
    what: str
    arrive: Arrival = "first"
    skewed: bool = False
    talks: bool = True
    stay_s: float | None = None
    slow: float = 0.0


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("steady", "everybody is there, and events come at an even rate"),
        Profile(
            "spike",
            f"{LAUNCH_SHARE:.0%} of the clients come within {LAUNCH_S:g} s, as at a launch",
            arrive="launch",
        ),
        Profile("ramp", "clients come one after the other, and events with them", "meanwhile"),
        Profile("rooms", "a few rooms are large and most are small (a power law)", skewed=True),
        Profile("churn", "clients stay for half a minute, and come back", stay_s=30.0),
        Profile("idle", "clients are there, and nobody says anything", talks=False),
        Profile("slow-readers", "one client in ten reads nothing for 20 s at a time", slow=0.1),
    )
}


def arrivals(
    arrive: Arrival, clients: int, per_s: float, measured_s: float, dice: random.Random
) -> list[float]:
    """When each client is to connect: seconds, rising, from the begin of all connecting.

    Args:
        arrive: see `Profile`.
        clients: how many.
        per_s: the pace, where they come first.
        measured_s: how long the run is, where they come meanwhile.
        dice: chooses when those come who come after a launch.
    """
    if arrive == "first":
        return [number / per_s for number in range(clients)]
    if arrive == "meanwhile":
        return [measured_s * number / clients for number in range(clients)]
    at_once = math.ceil(clients * LAUNCH_SHARE)
    times = [LAUNCH_S * number / at_once for number in range(at_once)]
    later = [LAUNCH_S + dice.expovariate(1 / LATER_S) for _ in range(clients - at_once)]
    return times + sorted(later)


def chooser(rooms: int, each: int, *, skewed: bool, seed: int) -> Callable[[int], list[int]]:
    """What tells in which rooms a client is: its number to the numbers of `each` different rooms.

    Args:
        rooms: how many there are.
        each: how many a client is in; all where there are fewer.
        skewed: the room of rank k has members in proportion to 1 / k, instead of as many as any.
        seed: whom it sends where.
    """
    each = min(each, rooms)
    if not skewed:
        apart = rooms // each
        return lambda client: [(client + turn * apart) % rooms for turn in range(each)]
    weights = list(accumulate(1 / (rank + 1) for rank in range(rooms)))

    def choose(client: int) -> list[int]:
        dice = random.Random(f"{seed}/{client}")  # noqa: S311 (to be repeated)
        found: dict[int, None] = {}
        while len(found) < each:
            found[min(bisect(weights, dice.random() * weights[-1]), rooms - 1)] = None
        return list(found)

    return choose
