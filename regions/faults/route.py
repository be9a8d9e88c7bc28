"""How a topology is led through relays or network namespaces. Values only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from regions.errors import TopologyError
from regions.faults.flow import Flow, Pair, distance_ms
from regions.topology import Link, Region, Topology

LINKS = "wan"  # the name of the process that carries them
HERE = "127.0.0.1"  # where relays listen


@dataclass(frozen=True, slots=True)
class Hop:
    """One address of a link, behind a relay of its own."""

    source: str  # dials
    target: str
    number: int

    @property
    def listener(self) -> str:
        """Its name among the ports of the links' process."""
        return f"{self.source}-{self.target}-{self.number}"


def check(topology: Topology) -> None:
    """See that the regions can be joined as `faults.links` says.

    Raises:
        TopologyError: they can't.
    """
    mode = topology.faults.links
    for region in topology.regions if mode != "direct" else ():
        at = f'{topology.where}: regions.{region.name}: with links = "{mode}"'
        if region.netns is not None:
            raise TopologyError(f"{at} a region can't have a `netns` of its own")
        if mode == "netns" and region.bind != Region.__dataclass_fields__["bind"].default:
            raise TopologyError(f"{at} the addresses are chosen here: leave `bind` out")
    if mode == "netns" and topology.links:
        raise TopologyError(f'{topology.where}: links: with links = "netns" there is no `via`')


def hops(topology: Topology) -> Iterator[Hop]:
    """Every address that some region dials."""
    for one, other in combinations(topology.names, 2):
        source, target = (one, other) if topology.dials(one, other) else (other, one)
        via = topology.via(source, target)
        count = len(via) if via else len(topology.region(target).servers)
        for number in range(1, count + 1):
            yield Hop(source, target, number)


def address_behind(topology: Topology, hop: Hop, ports: Mapping[str, int]) -> tuple[str, int]:
    """Where a relay leads: to the address in `via`, else to the target's own leaf port."""
    via = topology.via(hop.source, hop.target)
    if via:
        host, _, port = via[hop.number - 1].rpartition(":")
        return host.strip("[]"), int(port)
    target = topology.region(hop.target)
    server = target.servers[hop.number - 1]
    return target.bind, ports[f"{server.name}/leaf"]


def through_relays(topology: Topology, ports: Mapping[str, int]) -> Topology:
    """The same world, its links dialled at the relays."""
    via: dict[Pair, list[str]] = {}
    for hop in hops(topology):
        address = f"{HERE}:{ports[f'{LINKS}/{hop.listener}']}"
        via.setdefault((hop.source, hop.target), []).append(address)
    links = tuple(Link(*pair, tuple(addresses)) for pair, addresses in via.items())
    return replace(topology, links=links)


def in_spaces(topology: Topology, spaces: Mapping[str, tuple[str, str]]) -> Topology:
    """The same world, each region in its namespace; `spaces`: region -> (netns, address)."""
    regions = []
    for region in topology.regions:
        netns, address = spaces[region.name]
        regions.append(replace(region, netns=netns, bind=address))
    return replace(topology, regions=tuple(regions))


def base_flows(topology: Topology) -> dict[Pair, Flow]:
    """Every direction as it is without faults."""
    flows: dict[Pair, Flow] = {}
    for one in topology.regions:
        for other in topology.regions:
            if one is other:
                continue
            delay_ms = 0.0
            if topology.faults.wan:
                delay_ms = round(distance_ms((one.lat, one.lon), (other.lat, other.lon)), 1)
            flows[one.name, other.name] = Flow(delay_ms=delay_ms)
    return flows
