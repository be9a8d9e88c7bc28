"""A connection that ends is freed at once: nothing of it waits for the collector of cycles."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from regions.state import StateDir
from relay.config import load_config
from relay.core.session import Session
from relay.edge.connection import ClientConnection
from relay.edge.membership import Membership
from relay.edge.process import EdgeProcess
from relay.edge.websocket import GatewayProtocol
from relay.edge.workers import is_ready
from tests.metrics import metrics
from tests.raw import Raw, token
from tests.world import World, running

CLIENTS = 50
GRACE_S = 10.0  # for which a session that was cut off is there still
KINDS = (ClientConnection, Session, Membership, GatewayProtocol)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One region, whose edge is held: this process takes its place."""
    topology = '[[regions]]\nname = "us"\nedges = 1\n'
    with running(tmp_path_factory.mktemp("collecting"), topology) as started:
        yield started


def living() -> dict[str, int]:
    """How many of each kind there are."""
    found = [type(each) for each in gc.get_objects()]
    return {kind.__name__: sum(issubclass(each, kind) for each in found) for kind in KINDS}


async def test_a_connection_that_ends_leaves_nothing_to_the_collector(world: World) -> None:
    await world.ctl("hold", "us-1")
    config = load_config(StateDir(world.state_dir).edge_config("us-1"))
    process = EdgeProcess(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        async with asyncio.timeout(20):
            while not await is_ready(config.admin_host, config.admin_port):
                await asyncio.sleep(0.1)
        gc.disable()
        try:
            for drops in (False, True):
                async with AsyncExitStack() as stack:
                    raws = [
                        await stack.enter_async_context(Raw(world.edges["us-1"].url))
                        for _ in range(CLIENTS)
                    ]
                    for number, raw in enumerate(raws):
                        user = token(world, f"u{number}")
                        await raw.identify(user, {"room": "chat:a", "presence": True})
                    assert set(living().values()) == {CLIENTS}
                    for raw in raws if drops else ():
                        await raw.drop()
                raws.clear()
                async with asyncio.timeout(GRACE_S + 10):
                    while any(living().values()):
                        await asyncio.sleep(0.2)
        finally:
            gc.enable()
        seen = await metrics(world, "us-1")
        assert seen["gc_longest_ms"] >= 0
        assert seen["gc_seconds_total"] >= 0
        process._end()
