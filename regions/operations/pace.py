"""How fast clients may leave: by what those let in who take them, as it is while they go. Pure."""

from collections.abc import Collection
from typing import NamedTuple

from regions.operations.plan import PACE
from regions.steering.fleet import Outlook
from regions.steering.health import EdgeKey

SLOWER = 1.2  # times as long for each client: that is slower


class Takers(NamedTuple):
    """Who takes clients that leave."""

    room: int  # connections that they can still hold
    client_s: float  # seconds for each client, so that nobody has to let in too many; 0: not known


def takers(outlook: Outlook, leaving: Collection[EdgeKey], left: int) -> Takers:
    """Who takes the clients of some edges: the others of their region, else those of other ones.

    Args:
        outlook: the fleet.
        leaving: edges of one region.
        left: clients that have not left yet.
    """
    admitting = [key for key, each in outlook.edges.items() if each.admits and key not in leaving]
    (region,) = {key.region for key in leaving} or {""}
    near = [key for key in admitting if key.region == region and _room(outlook, key)]
    if near:
        rate = len(near) * outlook.edge_admits_per_s
        return Takers(sum(_room(outlook, key) for key in near), _each_s(1.0, rate))
    arrivals = outlook.if_left(region, max(left, 1), 1.0).arrivals
    coming = {each.region: each for each in arrivals if each.connections}
    found = [key for key in admitting if key.region in coming]
    slowest = max(
        (_each_s(each.connections / max(left, 1), each.admitted_per_s) for each in coming.values()),
        default=0.0,
    )
    return Takers(sum(_room(outlook, key) for key in found), slowest)


def _room(outlook: Outlook, key: EdgeKey) -> int:
    return max(outlook.room(key) - (outlook.at_edge(key) or 0), 0)


def _each_s(share: float, admits_per_s: float) -> float:
    """For how long each client that leaves keeps busy who takes this share of them."""
    return share / (PACE * admits_per_s) if admits_per_s else 0.0
