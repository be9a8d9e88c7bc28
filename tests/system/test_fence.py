"""An edge that was stopped and continued: its lease ran out, so it says nothing but goodbye."""

import asyncio

from relay.core.codes import Op
from tests.raw import Raw, token
from tests.world import World


async def test_a_continued_edge_closes_its_sessions_before_it_sends_anything_else(
    world: World,
) -> None:
    room = "fence:room"
    mine, other = world.edges["eu-1"].url, world.edges["eu-2"].url
    user = token(world, "frozen")
    async with Raw(mine) as frozen, Raw(other) as publisher:
        ready = await frozen.identify(user, room)
        session_id, cursor = ready["d"]["session_id"], ready["d"]["cursor"]
        await publisher.identify(token(world, "publisher"))
        await world.ctl("pause", "eu-1")
        try:
            ack = await publisher.request(Op.PUBLISH, room=room, data=1)
            await frozen.send(Op.HEARTBEAT, None)
            await asyncio.sleep(6.5)  # longer than the lease lives: this is the fault itself
        finally:
            await world.ctl("continue", "eu-1")
        before = len(frozen.seen)
        assert await frozen.close_code() == 4000
        assert frozen.seen[before:] == [], "nothing stale was sent"
    async with Raw(other, query="v=10&resume=1") as resumed:
        await resumed.resume(user, session_id, cursor=cursor, rooms=[room])
        message = await resumed.dispatched("MESSAGE")
        assert message["d"]["seq"] == ack["d"]["seq"]
        await resumed.dispatched("RESUMED")
