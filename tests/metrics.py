"""An edge's metrics, as its admin listener serves them."""

import asyncio
import urllib.request

from tests.world import World


async def metrics(world: World, edge: str) -> dict[str, float]:
    """Name -> value of what has no labels but the region's and the edge's."""
    found: dict[str, float] = {}
    for line in (await _read(world, edge)).splitlines():
        name, brace, rest = line.partition("{")
        labels, _, value = rest.partition("} ")
        if brace and labels.count("=") == 2:
            found[name.removeprefix("jetrelay_")] = float(value.split(" ")[0])
    return found


async def refused(world: World, edge: str) -> dict[str, int]:
    """Why -> how many handshakes an edge has refused."""
    lines = (await _read(world, edge)).splitlines()
    name = "jetrelay_handshakes_refused_total{"
    texts = [line for line in lines if line.startswith(name)]
    return {
        text.partition('reason="')[2].partition('"')[0]: int(float(text.rpartition(" ")[2]))
        for text in texts
    }


async def _read(world: World, edge: str) -> str:
    admin = world.found().edge(edge).admin

    def read() -> str:
        with urllib.request.urlopen(f"{admin}/metrics", timeout=10) as answer:
            text: bytes = answer.read()
            return text.decode()

    return await asyncio.to_thread(read)
