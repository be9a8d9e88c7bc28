"""Waiting until an edge takes clients (again)."""

import asyncio

from websockets.exceptions import InvalidStatus

from tests.raw import Raw
from tests.world import World


async def serving(world: World, edge: str, timeout_s: float = 30.0) -> None:
    """Wait until an edge takes clients, under its old address."""
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                async with Raw(world.edges[edge].url):
                    return
            except (OSError, InvalidStatus):  # 503 while it starts or is cut off
                await asyncio.sleep(0.2)
