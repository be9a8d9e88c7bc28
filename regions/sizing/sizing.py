"""Edges, memory, NATS, disks and bandwidth for a load. Pure: a demand and costs in, figures out."""

import math
from bisect import bisect_left
from collections.abc import Mapping

import msgspec

from regions.sizing.costs import Costs
from regions.sizing.demand import Demand, DemandError

FULL = 0.6  # of a core that an edge is to use: the rest is for spikes, resumes and the kernel
FULL_CONNECTIONS = 0.8  # of what it admits
CONNECTIONS = 18_000
MOST_EDGES = 10_000  # of a region
FDS_BESIDES = 64
RING_MIB = 128.0  # what an edge may hold to replay from


class EdgeSize(msgspec.Struct, frozen=True):
    """One edge of a region, when most is asked of it."""

    connections: int
    cpu: float  # of a core
    memory_mib: float  # of the process
    kernel_mib: float  # sockets, of the kernel's
    fds: int
    delivered_per_s: float
    out_mbit: float


class RegionSize(msgspec.Struct, frozen=True):
    """A region, when most is asked of it: with its part of the users of a region that is lost."""

    name: str
    users: int  # as a rule
    users_most: int
    edges: int
    bound: str  # what decides how many: connections | CPU
    edge: EdgeSize
    nats_cpu: float  # cores, as a rule
    disk_gib: float  # of events, of all regions
    wan_out_mbit: float  # to all other regions
    published_per_s: float


class Sizing(msgspec.Struct, frozen=True):
    """All of it."""

    members: float  # of a room
    delivered_per_s: float  # in all
    edges: int  # in all
    regions: list[RegionSize]
    stream_gib: float  # `max_bytes` of [streams] that keeps the events of the busiest region
    notes: list[str]


def size(demand: Demand, costs: Costs) -> Sizing:
    """What a load takes.

    Raises:
        DemandError: it can't be served so: one room's events are more than an edge can write.
    """
    _check(demand)
    regions = [_region(name, demand, costs) for name in demand.shares]
    stored = demand.size + costs.stored_bytes
    busiest = max(demand.shares.values())
    return Sizing(
        members=demand.members,
        delivered_per_s=demand.rate * demand.members,
        edges=sum(region.edges for region in regions),
        regions=regions,
        stream_gib=demand.rate * busiest * stored * demand.kept_s / 1024**3,
        notes=_notes(demand),
    )


def _check(demand: Demand) -> None:
    if not demand.shares:
        raise DemandError("no region")
    if demand.users < 1 or demand.rooms < 1 or demand.each < 1:
        raise DemandError("users, rooms and the rooms of each are 1 at least")
    if demand.each > demand.rooms:
        raise DemandError(f"each user is in {demand.each} rooms, and there are {demand.rooms}")


def _notes(demand: Demand) -> list[str]:
    notes = []
    if demand.spare and len(demand.shares) == 1:
        notes.append("one region: nobody takes its users when it is lost")
    if demand.spare and len(demand.shares) == 2:
        notes.append("two regions: each must be able to take all")
    return notes


def _share_most(name: str, demand: Demand) -> float:
    """Of all users, with the part that falls to it of those of the largest other region."""
    others = [other for each, other in demand.shares.items() if each != name]
    lost = max(others) if demand.spare and others else 0.0
    return demand.shares[name] / (1 - lost)


def _edges(name: str, fewest: int, users: float, demand: Demand, costs: Costs) -> int:
    """The fewest from `fewest` on of which each has enough of a core."""
    if _cpu(fewest, users, demand, costs) <= FULL:
        return fewest
    if _cpu(MOST_EDGES, users, demand, costs) > FULL:
        raise DemandError(
            f"{name}: what every edge has to hear is more than it can do; use more rooms, so that "
            "each is at fewer edges, or a window (--window)"
        )
    return bisect_left(
        range(MOST_EDGES + 1), x=True, lo=fewest,
        key=lambda edges: _cpu(edges, users, demand, costs) <= FULL,
    )  # fmt: skip


def _region(name: str, demand: Demand, costs: Costs) -> RegionSize:
    share, most = demand.shares[name], demand.users * _share_most(name, demand)
    by_connections = math.ceil(most / (CONNECTIONS * FULL_CONNECTIONS))
    edges = _edges(name, by_connections, most, demand, costs)
    stored, others = demand.size + costs.stored_bytes, len(demand.shares) - 1
    here = demand.rate * share
    connections = math.ceil(most / edges)
    members = most * demand.each / demand.rooms
    rooms = demand.rooms * (1 - (1 - 1 / edges) ** members)
    delivered = demand.rate * most * demand.each / demand.rooms / edges
    return RegionSize(
        name=name,
        users=round(demand.users * share),
        users_most=math.ceil(most),
        edges=edges,
        bound="CPU" if edges > by_connections else "connections",
        edge=EdgeSize(
            connections=connections,
            cpu=_cpu(edges, most, demand, costs),
            memory_mib=costs.edge_base_mib
            + RING_MIB
            + (connections * costs.connection_kib + rooms * costs.room_kib) / 1024,
            kernel_mib=connections * costs.kernel_kib / 1024,
            fds=connections + FDS_BESIDES,
            delivered_per_s=delivered,
            out_mbit=delivered * (demand.size + costs.framed_bytes) * 8 / 1e6,
        ),
        nats_cpu=costs.nats_base
        + (here * costs.nats_stored_us * max(others, 1)) / 1e6
        + ((demand.rate - here) * costs.nats_mirrored_us) / 1e6,
        disk_gib=demand.rate * stored * demand.kept_s / 1024**3,
        wan_out_mbit=here * stored * others * 8 / 1e6,
        published_per_s=here,
    )


def _cpu(edges: int, users: float, demand: Demand, costs: Costs) -> float:
    """Of a core, for each of so many edges that have these users."""
    here = users / demand.users  # of all users, and of what they publish
    members = users * demand.each / demand.rooms  # of a room, in this region
    # Members are anywhere: how likely is one of a room at this edge?
    heard = demand.rate * (1 - (1 - 1 / edges) ** members)
    delivered = demand.rate * members / edges
    in_window = demand.rate / demand.rooms * demand.window_ms / 1000
    writes = delivered / (1 + in_window)
    each_s = (
        users / edges * costs.idle_us_a_s
        + heard * max(costs.heard_us - costs.write_us, 0.0)
        + writes * costs.write_us
        + demand.rate * here / edges * costs.published_us
        + demand.opens * here / edges * costs.handshake_us
    )
    return float(costs.edge_base + each_s / 1e6)


def as_rows(found: Sizing) -> list[Mapping[str, str]]:
    """A row for each region, as text."""
    return [
        {
            "region": each.name,
            "users": f"{each.users:,}",
            "at most": f"{each.users_most:,}",
            "edges": f"{each.edges:,}",
            "for": each.bound,
            "connections": f"{each.edge.connections:,}",
            "CPU": f"{each.edge.cpu:.0%}",
            "memory": f"{each.edge.memory_mib:,.0f} MiB",
            "kernel": f"{each.edge.kernel_mib:,.0f} MiB",
            "fds": f"{each.edge.fds:,}",
            "delivered/s": f"{each.edge.delivered_per_s:,.0f}",
            "out": f"{each.edge.out_mbit:,.1f} Mbit/s",
        }
        for each in found.regions
    ]
