"""How a running world stands, for commands that say so once."""

import time
from functools import partial
from pathlib import Path

from regions.issuer import DOOR
from regions.state import find_world
from regions.steering.canary import Canaries
from regions.steering.fleet import Fleet, Outlook
from regions.steering.health import EdgeKey, Observer, Try
from regions.steering.observing import Posts
from regions.steering.trying import doors_of, try_door, try_doors
from regions.topology import Topology

HEAR_S = 2.5  # every edge says how it is once a second
ARRIVE_S = 2.0  # what is said in one region, in the others


async def look(state: Path, *, tries: bool) -> tuple[Topology, Outlook]:
    """Listen in all regions for a moment, and try the edges' doors.

    Args:
        state: the world's directory.
        tries: whether doors are tried.

    Raises:
        WorldError: no world runs there.
    """
    world = find_world(state)
    topology, issuer = world.topology(), world.issuer(DOOR)
    urls = doors_of(world)
    async with (
        Posts(world.doors("console")) as posts,
        Canaries(issuer, urls if tries else {}) as canaries,
    ):
        await posts.heard(urls, HEAR_S)
        tried: dict[EdgeKey, Try] = {}
        if tries:
            through = partial(try_door, issuer)
            tried = await try_doors(through, urls, canaries.note, {})
            again = {key: urls[key] for key, each in tried.items() if each.failed}
            tried |= await try_doors(through, again, canaries.note, tried)
            canaries.take(tried)
            await canaries.settled(ARRIVE_S)
        # Doors are tried from this machine, whatever region that is.
        observers = [*posts.observers, Observer("here", connected=False, tries=tried)]
        outlook = Fleet(topology).look(
            observers,
            posts.loads,
            time.monotonic(),
            posts.orders,
            int(time.time() * 1000),
            canaries.flights,
        )
        return topology, outlook
