"""A mirror that lacks events: clients get them from the origin, and the copy is filled anew.

nats-server 2.15 can lose events in a mirror when a link comes back, without a word; the mirror then
counts them as deleted. Deleting them there makes the same state.
"""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from regions.jetstream import JetStream
from relay.client import connect
from relay.core.codes import Op
from relay.core.names import events_stream
from tests.raw import Payload, Raw, token
from tests.ready import serving
from tests.world import World

TOPOLOGY = """
[[regions]]
name = "us"
edges = 1

[[regions]]
name = "eu"
edges = 1
"""
STREAM = events_stream("us")
ROOM, QUIET = "holes:room", "holes:quiet"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[World]:
    """Two regions with an edge each, for one test: it loses data on purpose."""
    running = World(tmp_path / "state", TOPOLOGY)
    running.launch()
    yield running
    running.clean()


async def publish(world: World, room: str, first: int, count: int) -> list[int]:
    """Publish in us; the sequences."""
    async with connect(world.edges["us-1"].url, token=token(world, "p"), listen=False) as client:
        acks = [await client.publish(room, n, id=f"e{n}") for n in range(first, first + count)]
    return [ack.seq or 0 for ack in acks]


async def mirrored(admin: JetStream, seq: int) -> None:
    """Wait until the mirror holds `seq`, and lacks nothing."""
    async with asyncio.timeout(15):
        while True:
            info = await admin.info(STREAM)
            state = info["state"] if info else {"last_seq": 0}
            if state["last_seq"] >= seq and not state.get("num_deleted"):
                return
            await asyncio.sleep(0.1)


def seqs(payloads: list[Payload], room: str) -> list[int]:
    """The sequences of the room's MESSAGEs."""
    return [p["d"]["seq"] for p in payloads if p["t"] == "MESSAGE" and p["d"]["room"] == room]


async def test_what_a_mirror_skipped_is_replayed_from_the_origin_and_the_copy_is_mended(
    pair: World,
) -> None:
    eu = pair.edges["eu-1"].url
    admin = await JetStream.connect("eu", pair.nats_config("eu", "control"))
    async with Raw(eu) as live, Raw(eu) as gone:
        await live.identify(token(pair, "live"), ROOM)
        ready = await gone.identify(token(pair, "gone"), ROOM)
        session_id, cursor = ready["d"]["session_id"], ready["d"]["cursor"]
        await gone.drop()
        quiet = await publish(pair, QUIET, 0, 30)
        stored = await publish(pair, ROOM, 30, 30)
        await mirrored(admin, stored[-1])
        await live.messages(30)
        for seq in quiet[10:20]:
            await admin.delete_message(STREAM, seq)
        async with Raw(eu, query="v=10&resume=1") as back:
            rooms = [ROOM, QUIET]
            await back.resumed(token(pair, "gone"), session_id, cursor=cursor, rooms=rooms)
            assert seqs(back.seen, QUIET) == quiet, "also what the mirror lacks"
            assert seqs(back.seen, ROOM) == stored
            page = await back.request(Op.HISTORY, room=QUIET, limit=100)
            assert [event["seq"] for event in page["d"]["events"]] == quiet
            await mirrored(admin, stored[-1])
            more = await publish(pair, ROOM, 60, 20)
            await back.messages(20)
            await live.messages(20)
            await back.acked()
            await live.acked()
            assert seqs(back.seen, ROOM) == [*stored, *more], "none twice while it was filled anew"
        assert seqs(live.seen, ROOM) == [*stored, *more]
        assert not [p for p in live.seen if p["t"] == "GAP"]
    await admin.close()


async def test_a_region_that_lost_its_disk_is_filled_again(pair: World) -> None:
    admin = await JetStream.connect("eu", pair.nats_config("eu", "control"))
    stored = await publish(pair, ROOM, 0, 30)
    await mirrored(admin, stored[-1])
    await admin.close()
    await pair.ctl("stop", "nats:eu-n1")
    shutil.rmtree(pair.state_dir / "nats" / "eu-n1" / "store")
    await pair.ctl("start", "nats:eu-n1")
    await serving(pair, "eu-1")
    admin = await JetStream.connect("eu", pair.nats_config("eu", "control"))
    await mirrored(admin, stored[-1])
    async with connect(pair.edges["eu-1"].url, token=token(pair, "r")) as client:
        page = await client.history(ROOM, limit=100)
        assert [event.seq for event in page.events] == stored
    await admin.close()
