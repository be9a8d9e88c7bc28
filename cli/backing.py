"""What a console gets besides what it hears, by where it was started."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from cli.doors import Fleet
from console.backing import Backing
from console.past.file import FilePast
from console.past.moment import Past
from console.past.streams import open_streams
from regions.operations.office import open_office
from regions.world import World
from relay.errors import RelayError


def backing_of(fleet: Fleet, world: World | None, by: str | None) -> Backing:
    """Of a console that listens to a fleet.

    Args:
        fleet: what it listens to.
        world: what the fleet is made of, and its logins; None: not known here.
        by: who acts; None: nobody may.
    """
    past = partial(open_streams, fleet.doors)
    if world is None or by is None:
        return Backing(past=past)
    topology = world.topology()
    try:
        control = world.doors("control")
    except RelayError:  # no login that may change anything
        return Backing(past=past, topology=topology)
    office = partial(open_office, topology, fleet.doors, control)
    return Backing(past=past, office=office, topology=topology, by=by)


def recording(past: FilePast) -> Backing:
    """Of a console that looks at a recording."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Past]:
        yield past

    return Backing(past=opened, recorded=True)
