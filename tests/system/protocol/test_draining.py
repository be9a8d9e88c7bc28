"""A drain."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from relay.core.codes import Op
from tests.raw import Raw, acquainted, token
from tests.system.protocol.talk import heard, say, status, url
from tests.world import World


async def test_a_drain_sends_everybody_elsewhere(world: World) -> None:
    await acquainted(world, "us-1", "us-2")
    await acquainted(world, "us-2", "us-1")
    since = len(world.events)
    async with AsyncExitStack() as stack:
        far = await stack.enter_async_context(Raw(url(world, "eu-1")))
        named = far.hello["d"]["regions"][1]["url"]  # the edge that eu tells this client of
        edge = next(edge for edge in world.found().edges if edge.url == named)
        (other,) = {"us-1", "us-2"} - {edge.name}
        assert edge.pid is not None
        obeys = await stack.enter_async_context(Raw(edge.url))
        stays = await stack.enter_async_context(Raw(edge.url, "msgpack"))
        ready = (await obeys.identify(token(world, "ana"), "drain:a"))["d"]
        await stays.identify(token(world, "bo"), "drain:a")
        await far.identify(token(world, "cy"))
        os.kill(edge.pid, signal.SIGTERM)
        for raw in (obeys, stays):
            regions = await raw.op(Op.REGIONS)
            assert regions["d"][0] == {"name": "us", "url": url(world, other)}, "told where to go"
            reconnect = await raw.op(Op.RECONNECT)
            assert reconnect == {"op": 7, "d": None, "s": None, "t": None}

        with pytest.raises(InvalidStatus) as refused:
            async with connect(edge.url, proxy=None):
                pass
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) >= 1
        assert await asyncio.to_thread(status, edge.http + "/readyz") == 503
        assert await asyncio.to_thread(status, edge.http + "/healthz") == 200

        # Whoever is still there is served until the end.
        await say(stays, "drain:a", "still here")
        await heard(obeys, "drain:a", "still here")
        async with Raw(ready["resume_gateway_url"]) as again:
            cursor = (await obeys.acked())["c"]
            await obeys.ws.close(4200)
            await again.resume(
                token(world, "ana"), ready["session_id"], cursor=cursor, rooms=["drain:a"]
            )
            resumed = await again.dispatched("RESUMED")
            assert resumed["d"]["replayed"] == 0
            regions = await far.op(Op.REGIONS)
            assert {"name": "us", "url": url(world, other)} in regions["d"]
            assert await stays.close_code() == 4021
            await say(again, "drain:a", "elsewhere")
            await heard(again, "drain:a", "elsewhere")
    back = await world.event("edge_up", since=since, edge=edge.name)
    assert back.pid != edge.pid
    async with Raw(edge.url) as raw:  # under its old address
        await raw.identify(token(world, "ana"))


async def test_a_second_signal_ends_an_edge_that_drains_at_once(world: World) -> None:
    edge = world.found().edge("eu-1")
    assert edge.pid is not None
    since = len(world.events)
    async with Raw(edge.url) as stays:
        await stays.identify(token(world, "ana"))
        os.kill(edge.pid, signal.SIGTERM)
        await stays.op(Op.RECONNECT)
        os.kill(edge.pid, signal.SIGTERM)
        assert await stays.close_code() == 4021
        down = await world.event("edge_down", since=since, edge="eu-1")
        assert down.code == 0
    await world.event("edge_up", since=since, edge="eu-1")
