"""Which faults can be made in a world, and why the others can't. Values only."""

from typing import get_args

from regions.faults.fault import FaultName, Possible
from regions.topology import FaultSettings

_LINKS: tuple[FaultName, ...] = ("cut", "one-way", "stall", "delay", "rate", "loss")
_STORES: tuple[FaultName, ...] = ("fill-disk", "store-limit", "rewind", "wedge")


def possible(
    faults: FaultSettings, *, regions: int, own_nats: bool, no_disks: str | None
) -> list[Possible]:
    """Every fault.

    `own_nats`: the nats-servers are this world's; `no_disks`: why no store can have a file system
    of its own on this machine.
    """
    found: list[Possible] = []
    for name in get_args(FaultName):
        why_not = None
        if name in _LINKS:
            why_not = _link_problem(name, faults, regions)
        elif name in _STORES and not own_nats:
            why_not = "NATS is not this world's own (--nats)"
        elif name == "wedge" and regions < 2:
            why_not = "this world has one region, so no mirrors"
        elif name == "fill-disk" and faults.disk_mb is None:
            why_not = no_disks or (
                "the stores lie on the machine's own disk: start the world with "
                "`jetrelay up --small-disks 256`"
            )
            why_not += "; JetStream's own limit can be reached: `fill-disk --limit`"
        found.append(Possible(name, why_not))
    return found


def _link_problem(name: FaultName, faults: FaultSettings, regions: int) -> str | None:
    if regions < 2:
        return "this world has one region, so no links"
    if faults.links == "direct":
        return "this world's links are direct: start it with `jetrelay up --links relay`"
    if faults.links == "relay" and name == "loss":
        return (
            "a TCP relay can't lose packets: start the world with `jetrelay up --links netns` "
            "(Linux, root)"
        )
    if faults.links == "netns" and name == "stall":
        return (
            "packets are not stalled: TCP repeats those of a cut, which comes to the same; "
            "relays can (`jetrelay up --links relay`)"
        )
    return None
