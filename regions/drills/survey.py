"""What the world that a drill finds, or would start, has to be broken."""

from dataclasses import dataclass
from pathlib import Path

from regions.drills.catalogue import Drill
from regions.drills.places import Place, Places
from regions.faults import disks, spaces
from regions.faults.client import Faults
from regions.faults.possible import possible
from regions.state import StateDir
from regions.topology import FaultSettings, LinkMode, Topology
from regions.topology_file import builtin_topology, load_topology
from regions.world import World

DISK_MB = 256


@dataclass(frozen=True, slots=True)
class Wanted:
    """The world that a drill would start on this machine."""

    topology: Topology
    links: LinkMode
    disk_mb: int | None

    def places(self) -> Places:
        """What there would be in it."""
        found = possible(
            FaultSettings(self.links, self.links != "direct", self.disk_mb),
            regions=len(self.topology.regions),
            own_nats=True,
            no_disks=disks.why_not(),
        )
        return Places(
            tuple(
                Place(
                    region.name,
                    tuple(edge.name for edge in region.edges),
                    tuple(server.name for server in region.servers),
                )
                for region in self.topology.regions
            ),
            {one.fault: one.why_not for one in found if one.why_not is not None},
        )


def running(state: Path) -> World | None:
    """The world that runs in a state directory, if one does."""
    directory = StateDir(state)
    record = directory.world()
    world = None if record is None else World(record, directory.secrets())
    return world if world is not None and world.is_alive else None


def wanted(drill: Drill, topology: Path | None, links: LinkMode | None) -> Wanted:
    """The world that `drill` would start: as much can be broken in it as this machine allows.

    Raises:
        TopologyError: the topology file is wrong.
    """
    if links is None:
        links = "relay" if spaces.why_not() else "netns"
    found = builtin_topology(drill.map) if topology is None else load_topology(topology)
    disk_mb = DISK_MB if drill.disks and disks.why_not() is None else None
    return Wanted(found, links, disk_mb)


async def survey(faults: Faults, world: World) -> Places:
    """What there is in a running world.

    Raises:
        WorldError: its supervisor does not answer.
    """
    found = await faults.possible()
    return Places(
        tuple(
            Place(
                region.name,
                tuple(edge.name for edge in region.edges),
                tuple(server.name for server in region.nats),
            )
            for region in world.regions
        ),
        {name: why for name, why in found.items() if why is not None},
        deployment=world.is_deployment,
    )
