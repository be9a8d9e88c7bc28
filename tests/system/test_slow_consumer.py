"""NATS gives up on an edge that reads nothing: what it dropped is read when the edge is back."""

import asyncio
import json

from regions import http
from relay.core.codes import Op
from tests.raw import Raw, token
from tests.ready import serving
from tests.world import World

ROOM = "slow:room"
DATA = "x" * 30_000
EVENTS = 400  # more than the sockets of two processes hold
DEADLINE_S = 10.0  # nats-server's own, of one write to a client


async def test_an_edge_that_its_server_gave_up_passes_nothing_that_it_lacks(world: World) -> None:
    await serving(world, "ap-1")
    user = token(world, "slow")
    async with Raw(world.edges["ap-1"].url) as raw, Raw(world.edges["ap-2"].url) as publisher:
        ready = await raw.identify(user, ROOM)
        await publisher.identify(token(world, "publisher"), ROOM)
        given_up = await slow_consumers(world, "ap")
        await world.ctl("pause", "ap-1")
        try:
            for number in range(EVENTS):
                ack = await publisher.request(Op.PUBLISH, room=ROOM, data=f"{number} {DATA}")
                assert ack["op"] == Op.ACK
            async with asyncio.timeout(3 * DEADLINE_S):
                while await slow_consumers(world, "ap") == given_up:
                    await asyncio.sleep(0.2)
        finally:
            await world.ctl("continue", "ap-1")
        assert await raw.close_code() == 4000, "its lease ran out meanwhile"
    await serving(world, "ap-1")
    session_id, cursor = ready["d"]["session_id"], ready["d"]["cursor"]
    async with (
        Raw(world.edges["ap-1"].url, query="v=10&resume=1") as raw,
        Raw(world.edges["ap-2"].url) as publisher,
    ):
        await raw.resume(user, session_id, cursor=cursor, rooms=[ROOM])
        await raw.dispatched("RESUMED")
        await publisher.identify(token(world, "publisher"), ROOM)
        await publisher.request(Op.PUBLISH, room=ROOM, data="after")
        while not raw.data() or raw.data()[-1] != "after":
            await raw.receive()
    numbers = [data.split(" ")[0] for data in raw.data()]
    assert numbers == [*map(str, range(EVENTS)), "after"], "each once, in order"


async def slow_consumers(world: World, region: str) -> int:
    """How many connections the region's server has given up."""
    (server,) = world.found().region(region).nats
    answer = await http.get(f"{server.monitor_url}/varz")
    assert answer is not None, "its server tells"
    found = json.loads(answer.body)["slow_consumers"]
    assert isinstance(found, int)
    return found
