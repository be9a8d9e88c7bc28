"""If clients left a region now: where they would go, how fast, and whether they would fit. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from relay.core.steering import Candidate, State, Verdict, Whence, shares

RECONNECT_S = 10.0  # in which clients whose region died have come elsewhere
STEPS = 50  # the clients come in so many parts: where a region gets full, the next takes more
GONE = Verdict(State.DOWN, "if it were left now", admits=False)


class Arrival(NamedTuple):
    """What would come to a region."""

    region: str
    connections: int  # that come
    after: int  # connections then
    room: int  # 0: not known
    per_s: float  # on average, while they come
    admitted_per_s: float  # by its edges, at most; 0.0: not known
    closed: str = ""  # why it lets nobody in; empty: it does

    @property
    def fits(self) -> bool:
        """Whether it can hold them."""
        if self.closed and self.connections:
            return False
        return not self.room or self.after <= self.room

    @property
    def in_time(self) -> bool:
        """Whether it lets them in as fast as they come; else they wait, and come again."""
        return not self.admitted_per_s or self.per_s <= self.admitted_per_s


class WhatIf(NamedTuple):
    """What would happen."""

    region: str
    connections: int  # that would have to move
    arrivals: list[Arrival]

    @property
    def fits(self) -> bool:
        """Whether there is room for all of them."""
        return sum(each.connections for each in self.arrivals) == self.connections and all(
            each.fits for each in self.arrivals
        )


def if_left(
    candidates: Sequence[Candidate],
    region: str,
    connections: int,
    *,
    within_s: float,
    admitted_per_s: float,
    edges: Mapping[str, int],
) -> WhatIf:
    """What would happen if clients left a region now, and it took none.

    They are taken to be where the region is: they came to it for that.

    Args:
        candidates: all regions as they are.
        region: the one that is left.
        connections: how many leave.
        within_s: seconds in which they come elsewhere.
        admitted_per_s: connections that one edge lets in a second; 0.0: not known.
        edges: how many edges of each region admit.
    """
    dying = next(each for each in candidates if each.name == region)
    whence = Whence(dying.place)
    now = {
        each.name: replace(each, verdict=GONE, connections=0) if each is dying else each
        for each in candidates
    }
    coming = dict.fromkeys(now, 0)
    left = connections
    if len(now) > 1:
        for step in range(STEPS, 0, -1):
            part = left // step
            left -= part
            given = [each for each in shares(list(now.values()), whence) if each.region != region]
            total = sum(each.share for each in given)
            for at, share in enumerate(given):
                last = at == len(given) - 1
                taken = part if last else min(part, round(part * share.share / (total or 1.0)))
                total, part = total - share.share, part - taken
                coming[share.region] += taken
                one = now[share.region]
                now[share.region] = replace(one, connections=one.connections + taken)
    arrivals = [
        Arrival(
            name, count, now[name].connections, now[name].room,
            count / within_s, admitted_per_s * edges.get(name, 0), _closed(now[name]),
        )
        for name, count in coming.items()
        if name != region
    ]  # fmt: skip
    return WhatIf(region, connections, arrivals)


def _closed(region: Candidate) -> str:
    """Why nobody is let in; empty: somebody is."""
    return region.cordoned if region.verdict.admits else region.verdict.reason
