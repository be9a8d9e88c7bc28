"""An edge that was stopped and continued: its lease ran out, so it says nothing but goodbye."""

import asyncio
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from relay.core.codes import Op
from tests.raw import Raw, token
from tests.ready import serving
from tests.world import World


async def test_a_continued_edge_closes_its_sessions_before_it_does_anything_else(
    world: World,
) -> None:
    room = "fence:room"
    mine, other = world.edges["eu-1"].url, world.edges["eu-2"].url
    user = token(world, "frozen")
    async with Raw(mine) as frozen, Raw(other) as publisher:
        ready = await frozen.identify(user, room)
        session_id, cursor = ready["d"]["session_id"], ready["d"]["cursor"]
        await publisher.identify(token(world, "publisher"), room)
        await world.ctl("pause", "eu-1")
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):  # what it sent before it was stopped
                    await frozen.close_code()
            before = len(frozen.seen)
            ack = await publisher.request(Op.PUBLISH, room=room, data="one")
            # All of this waits in the stopped edge's socket.
            pong = await frozen.ws.ping()
            await frozen.send(Op.HEARTBEAT, None)
            await frozen.send(Op.PUBLISH, {"room": room, "data": "stale", "nonce": 1})
            await asyncio.sleep(6.5)  # longer than the lease lives: this is the fault itself
            async with Raw(other, query="v=10&resume=1") as resumed:
                await resumed.resume(user, session_id, cursor=cursor, rooms=[room])
                message = await resumed.dispatched("MESSAGE")
                assert message["d"]["seq"] == ack["d"]["seq"]
                await resumed.dispatched("RESUMED")
                assert (await resumed.request(Op.PUBLISH, room=room, data="two"))["op"] == Op.ACK
        finally:
            await world.ctl("continue", "eu-1")
        assert await frozen.close_code() == 4000
        assert frozen.seen[before:] == [], "nothing stale was sent"
        with pytest.raises(ConnectionClosed):  # not a pong
            await pong
        await serving(world, "eu-1")
        await publisher.request(Op.PUBLISH, room=room, data="three")
        page = await publisher.request(Op.HISTORY, room=room, limit=10)
        stored = [event["data"] for event in page["d"]["events"]]
        assert stored == ["one", "two", "three"], "nothing stale was stored"


async def test_what_waited_in_the_socket_of_a_stopped_edge_is_too_old_to_be_stored(
    world: World,
) -> None:
    """Its lease and its sessions run on: but their clients may have been elsewhere meanwhile."""
    room = "fence:short"
    await serving(world, "ap-1")
    async with Raw(world.edges["ap-1"].url) as raw:
        await raw.identify(token(world, "waits"), room)
        await world.ctl("pause", "ap-1")
        try:
            await raw.send(Op.PUBLISH, {"room": room, "data": "old", "id": "old", "nonce": 1})
            await asyncio.sleep(3)  # the fault itself
        finally:
            await world.ctl("continue", "ap-1")
        refused = await raw.op(Op.ERROR)
        assert (refused["d"]["nonce"], refused["d"]["code"]) == (1, "unavailable")
        async with asyncio.timeout(15):
            while (await raw.request(Op.PUBLISH, room=room, data="new"))["op"] != Op.ACK:
                await asyncio.sleep(0.1)
        page = await raw.request(Op.HISTORY, room=room, limit=10)
        assert [event["data"] for event in page["d"]["events"]] == ["new"]
