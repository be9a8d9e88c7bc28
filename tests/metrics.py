"""An edge's metrics, as its admin listener serves them."""

import asyncio
import urllib.request

from tests.world import World


async def metrics(world: World, edge: str) -> dict[str, float]:
    """Name -> value of what has no labels but the region's and the edge's."""
    admin = world.found().edge(edge).admin

    def read() -> str:
        with urllib.request.urlopen(f"{admin}/metrics", timeout=10) as answer:
            text: bytes = answer.read()
            return text.decode()

    found: dict[str, float] = {}
    for line in (await asyncio.to_thread(read)).splitlines():
        name, brace, rest = line.partition("{")
        labels, _, value = rest.partition("} ")
        if brace and labels.count("=") == 2:
            found[name.removeprefix("jetrelay_")] = float(value.split(" ")[0])
    return found
