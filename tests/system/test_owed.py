"""Events that a region's live feed had passed over: who moved on with their cursor gets them."""

import asyncio

from relay.bus.connection import open_connection
from relay.bus.holes import store_hole
from relay.bus.inbox import Inbox
from relay.core.codes import Op
from relay.core.hole import Hole
from tests.raw import Raw, token
from tests.world import World


async def record(world: World, hole: Hole) -> None:
    """Record a hole as the edges of its region do, and wait until other regions can know it."""
    connection = await open_connection(world.nats_config(hole.region), "test", "_INBOX_edge")
    try:
        inbox = Inbox(connection)
        await inbox.start()
        await store_hole(inbox, hole)
    finally:
        await connection.close()


async def test_who_moved_on_before_a_hole_was_known_gets_what_was_in_it(world: World) -> None:
    """It was in eu when it could have been told, and eu did not know yet."""
    rooms, user = ["moved:quiet", "moved:busy"], token(world, "moved")
    async with Raw(world.edges["us-1"].url) as raw:
        session_id = (await raw.identify(user, *rooms))["d"]["session_id"]
        acks = [
            (await raw.request(Op.PUBLISH, room=room, data=data))["d"]
            for data, room in enumerate(["moved:quiet", "moved:busy", "moved:busy"])
        ]
        while len(raw.data()) < 3:
            await raw.receive()
        cursor = (await raw.acked())["c"]
    for edge in ("eu-1", "ap-1"):
        async with Raw(world.edges[edge].url, query="v=10&resume=1") as raw:
            await raw.resume(user, session_id, cursor=cursor, rooms=rooms)
            assert (await raw.dispatched("RESUMED"))["d"]["replayed"] == 0
            cursor = (await raw.acked())["c"]
            if edge == "ap-1":
                await record(world, Hole("us", "us", acks[0]["seq"], acks[1]["seq"]))
                gap = await raw.dispatched("GAP")
                (paid,) = await raw.messages(1)
                assert paid["d"]["data"] == 0
                assert (gap["d"]["room"], gap["d"]["first"]) == ("moved:busy", acks[1]["seq"])


async def test_a_cursor_that_passed_a_hole_gets_what_was_in_it(world: World) -> None:
    """The hole is only said to be one: what the client is owed, it has in truth."""
    rooms = ["owed:quiet", "owed:busy"]
    user = token(world, "owed")
    async with Raw(world.edges["us-1"].url) as raw:
        ready = await raw.identify(user, *rooms)
        session_id = ready["d"]["session_id"]
        acks = [
            (await raw.request(Op.PUBLISH, room=room, data=data))["d"]
            for data, room in enumerate(["owed:quiet", "owed:busy", "owed:quiet", "owed:busy"])
        ]
        while len(raw.data()) < 4:
            await raw.receive()
        cursor = [p for p in raw.seen if p["t"] == "MESSAGE"][-1]["c"]
    other = token(world, "owed-too")
    async with Raw(world.edges["us-2"].url) as raw:
        other_id = (await raw.identify(other, *rooms))["d"]["session_id"]
        other_cursor = (await raw.acked())["c"]
    # In the quiet room nothing came after the hole; in the busy one 3 did, and showed it.
    hole = Hole("us", "us", acks[0]["seq"], acks[2]["seq"])
    async with Raw(world.edges["eu-1"].url, query="v=10&resume=1") as raw:
        await raw.resume(user, session_id, cursor=cursor, rooms=rooms)
        resumed = await raw.dispatched("RESUMED")
        assert resumed["d"]["replayed"] == 0
        await record(world, hole)
        paid = await raw.messages(2)
        assert [message["d"]["data"] for message in paid] == [0, 2], "found after the resume"
        cursor = (await raw.acked())["c"]
    async with Raw(world.edges["eu-2"].url, query="v=10&resume=1") as raw:
        await raw.resume(user, session_id, cursor=cursor, rooms=rooms)
        resumed = await raw.dispatched("RESUMED")
        assert resumed["d"]["replayed"] == 0, "its cursor says that it was paid"
    async with asyncio.timeout(10):
        while True:  # until the edge has read the record
            async with Raw(world.edges["ap-1"].url, query="v=10&resume=1") as raw:
                await raw.resume(other, other_id, cursor=other_cursor, rooms=rooms)
                resumed = await raw.dispatched("RESUMED")
            if resumed["d"]["replayed"] == 2:
                assert raw.data() == [0, 2], "known before the resume: sent with the replay"
                break
    async with asyncio.timeout(10):
        while True:  # until an edge of the region has dealt with it
            async with Raw(world.edges["us-2"].url) as raw:
                session_id = (await raw.identify(other, *rooms))["d"]["session_id"]
                cursor = (await raw.acked())["c"]
            async with Raw(world.edges["ap-1"].url, query="v=10&resume=1") as raw:
                await raw.resume(other, session_id, cursor=cursor, rooms=rooms)
                resumed = await raw.dispatched("RESUMED")
            if resumed["d"]["replayed"] == 0:
                break  # its cursors know the hole now: nothing is paid twice
