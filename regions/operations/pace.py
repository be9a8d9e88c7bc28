"""How fast clients may leave: by what those let in who take them, as it is while they go. Pure."""

import math
from collections.abc import Collection
from typing import NamedTuple

from regions.operations.plan import PACE
from regions.steering.fleet import Outlook
from regions.steering.health import EdgeKey

SPARE = 1.2  # a window that is too short by less than this, and some seconds, is long enough
SPARE_S = 5.0


class Takers(NamedTuple):
    """Who takes clients that leave."""

    edges: int
    per_s: float  # connections that they let in
    room: int  # connections that they can still hold


def takers(outlook: Outlook, leaving: Collection[EdgeKey]) -> Takers:
    """Who takes the clients of some edges: the others of their region, else those of other ones."""
    mine = {key.region for key in leaving}
    open_ = {
        each.name
        for each in outlook.regions
        if each.verdict.admits and not each.cordoned and each.weight > 0
    }
    admitting = [key for key, each in outlook.edges.items() if each.admits and key not in leaving]
    near = [key for key in admitting if key.region in mine]
    found = near or [key for key in admitting if key.region in open_ - mine]
    room = sum(max(outlook.room(key) - (outlook.at_edge(key) or 0), 0) for key in found)
    return Takers(len(found), len(found) * outlook.edge_admits_per_s, room)


def longer(left: int, within_s: float, who: Takers) -> float | None:
    """Over how many seconds the clients that are left should go; None: as fast as they do.

    Args:
        left: clients.
        within_s: what is left of the time over which they go.
        who: takes them.
    """
    if not who.per_s:
        return None
    needed_s = left / (PACE * who.per_s)
    return float(math.ceil(needed_s)) if needed_s > within_s * SPARE + SPARE_S else None
