"""Which faults can be made in a world, and why the others can't. Values only."""

from collections.abc import Mapping
from typing import get_args

from regions.faults.fault import FaultName, Possible
from regions.topology import LinkMode

_LINKS: tuple[FaultName, ...] = ("cut", "one-way", "stall", "delay", "rate", "loss")


def possible(
    links: LinkMode, *, regions: int, more: Mapping[FaultName, str | None]
) -> list[Possible]:
    """Every fault. `more`: why those that are no link faults can't be made, where they can't."""
    return [
        Possible(name, more.get(name) or _link_problem(name, links, regions))
        for name in get_args(FaultName)
    ]


def _link_problem(name: FaultName, links: LinkMode, regions: int) -> str | None:
    if name not in _LINKS:
        return None
    if regions < 2:
        return "this world has one region, so no links"
    if links == "direct":
        return "this world's links are direct: start it with `jetrelay up --links relay`"
    if links == "relay" and name == "loss":
        return (
            "a TCP relay can't lose packets: start the world with `jetrelay up --links netns` "
            "(Linux, root)"
        )
    if links == "netns" and name == "stall":
        return (
            "packets are not stalled: TCP repeats those of a cut, which comes to the same; "
            "relays can (`jetrelay up --links relay`)"
        )
    return None
