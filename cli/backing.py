"""What a console gets besides what it hears, by where it was started."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from cli.doors import Fleet
from console.backing import Backing
from console.past.file import FilePast
from console.past.moment import Past
from console.past.streams import open_streams
from regions.drills.site import Site
from regions.inquiries.opening import open_asker
from regions.operations.office import open_office
from regions.world import World
from relay.errors import RelayError

PROGRAM = (sys.executable, "-m", "cli")  # `jetrelay`, by the Python that runs here
READER = "console"  # who asks, where nobody acts


def backing_of(
    fleet: Fleet, world: World | None, by: str | None, state: Path | None = None
) -> Backing:
    """Of a console that listens to a fleet.

    Args:
        fleet: what it listens to.
        world: what the fleet is made of, and its logins; None: not known here.
        by: who acts; None: nobody may.
        state: the world's state directory.
    """
    past = partial(open_streams, fleet.doors)
    asker = partial(open_asker, fleet.doors, by or READER)
    if world is None:
        return Backing(past=past, asker=asker)
    drills = None
    if state is not None and world.record.supervisor is not None:
        drills = Site(state.absolute(), PROGRAM)
    if by is None:
        return Backing(past=past, asker=asker, drills=drills)
    topology = world.topology()
    try:
        control = world.doors("control")
    except RelayError:  # no login that may change anything
        return Backing(past=past, asker=asker, topology=topology, drills=drills)
    return Backing(
        past=past,
        office=partial(open_office, topology, fleet.doors, control),
        asker=asker,
        control=partial(open_asker, control, by, control=True),
        topology=topology,
        drills=drills,
        by=by,
    )


def recording(past: FilePast) -> Backing:
    """Of a console that looks at a recording."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Past]:
        yield past

    return Backing(past=opened, recorded=True)
