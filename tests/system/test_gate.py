"""The gate: an origin that lost its tail gets it back before it takes a write."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from regions.faults.client import Faults
from regions.jetstream import JetStream
from relay.bus.connection import open_connection
from relay.bus.copies import Copies
from relay.bus.home import EPOCH, HomeStream
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.bus.replay import Pages, Source, StreamRanges
from relay.bus.sharing import SharedReader
from relay.client import connect
from relay.core.codes import Op
from relay.core.gate import StartEpoch
from relay.core.names import events_stream
from relay.errors import BusError
from tests.raw import Raw, token
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
ROOM = ("_", "gate:room")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[World]:
    """Two regions with an edge each, for this test alone: it loses data on purpose."""
    running = World(tmp_path / "state", TOPOLOGY)
    running.launch()
    yield running
    running.clean()


@asynccontextmanager
async def reader(world: World, region: str) -> AsyncIterator[Reader]:
    """A reader of a region's copies."""
    connection = await open_connection(world.nats_config(region), "test", "_INBOX_edge")
    try:
        inbox = Inbox(connection)
        await inbox.start()
        yield Reader(inbox, 4)
    finally:
        await connection.close()


async def copy_of(world: World, region: str, origin: str) -> list[tuple[int, str | None, bytes]]:
    """The room's events of `origin`, as `region` holds them."""
    async with reader(world, region) as reads:
        info = await reads.info(events_stream(origin))
        ranges = StreamRanges(
            SharedReader(reads), Pages(), (), region, Copies(reads, region, [origin])
        )
        parts = ranges.read(Source(origin, 1), {ROOM}, info.first - 1, info.last)
        return [(e.seq, e.id, e.data) async for part in parts for e in part]


async def mirrored(world: World, region: str, origin: str, seq: int) -> None:
    """Wait until `region`'s copy of `origin` holds `seq`."""
    async with reader(world, region) as reads, asyncio.timeout(20):
        while (await reads.info(events_stream(origin))).last < seq:
            await asyncio.sleep(0.1)


async def publish(world: World, first: int, count: int) -> int:
    """Publish in us; the last sequence."""
    seq = 0
    async with connect(world.edges["us-1"].url, token=token(world, "p"), listen=False) as client:
        for number in range(first, first + count):
            ack = await client.publish(ROOM[1], number, id=f"e{number}")
            assert ack.origin == "us", "it stays, whatever is declared lost meanwhile"
            seq = ack.seq or 0
    return seq


async def test_a_lost_tail_is_written_back_from_the_mirror_before_writes_open(
    pair: World,
) -> None:
    store = pair.state_dir / "nats" / "us-n1"
    backup = pair.state_dir.with_name("backup")
    await publish(pair, 0, 20)
    await pair.ctl("stop", "nats:us-n1")
    shutil.copytree(store, backup)
    await pair.ctl("start", "nats:us-n1")
    last = await publish(pair, 20, 30)
    await mirrored(pair, "eu", "us", last)
    before = await copy_of(pair, "eu", "us")
    assert [e[1] for e in before] == [f"e{number}" for number in range(50)]

    await pair.ctl("stop", "nats:us-n1")
    shutil.rmtree(store)
    shutil.copytree(backup, store)
    await pair.ctl("start", "nats:us-n1")

    after_loss = await publish(pair, 50, 1)
    assert after_loss > last, "no sequence is given out twice"
    at_home = await copy_of(pair, "us", "us")
    assert at_home[:50] == before, "same sequences, same ids, same bytes"
    await mirrored(pair, "eu", "us", after_loss)
    assert await copy_of(pair, "eu", "us") == at_home
    async with reader(pair, "us") as reads:
        info = await reads.info(events_stream("us"))
        assert info.metadata.get(EPOCH, "1") == "1", "nothing was lost: the epoch stands"


async def test_a_lost_disk_is_filled_from_where_the_mirror_begins(pair: World) -> None:
    """Not from 1: after a long life that would be as many voids as there ever were events."""
    store = pair.state_dir / "nats" / "us-n1" / "store"
    last = await publish(pair, 0, 600)
    await mirrored(pair, "eu", "us", last)
    async with asyncio.timeout(20):
        for region in ("us", "eu"):
            config = pair.nats_config(region, "control")
            admin = await JetStream.connect(region, config)
            await admin.purge(events_stream("us"), last - 299)  # as limits do in the end
            await admin.close()
    before = await copy_of(pair, "eu", "us")
    assert len(before) >= 250
    await pair.ctl("stop", "nats:us-n1")
    shutil.rmtree(store)
    await pair.ctl("start", "nats:us-n1")
    again = await publish(pair, 600, 1)
    assert again > last, "no sequence is given out twice"
    async with reader(pair, "us") as reads:
        info = await reads.info(events_stream("us"))
        assert last - 299 <= info.first <= before[0][0], "nothing stands before what the mirror had"
        assert info.metadata.get(EPOCH, "1") == "1", "nothing was lost: the epoch stands"
    assert (await copy_of(pair, "us", "us"))[: len(before)] == before
    await mirrored(pair, "eu", "us", again)
    assert await copy_of(pair, "eu", "us") == await copy_of(pair, "us", "us")


async def test_a_lost_disk_goes_on_in_the_epoch_that_the_stream_was_in(pair: World) -> None:
    """It is made anew in the first one: what it holds, and who saw it, know better."""
    before = await publish(pair, 0, 10)
    async with reader(pair, "us") as reads:
        info = await reads.info(events_stream("us"))
        await HomeStream(reads._inbox, reads, "us").carry_out(StartEpoch(2, info.last), info)
    url = pair.edges["us-1"].url
    async with connect(url, token=token(pair, "q"), listen=False) as client, asyncio.timeout(20):
        while (ack := await client.publish(ROOM[1], 1)).epoch != 2:
            await asyncio.sleep(0.2)
    await mirrored(pair, "eu", "us", ack.seq or 0)
    await pair.ctl("stop", "nats:us-n1")
    shutil.rmtree(pair.state_dir / "nats" / "us-n1" / "store")
    await pair.ctl("start", "nats:us-n1")
    async with connect(url, token=token(pair, "q"), listen=False) as client:
        after = await client.publish(ROOM[1], 2)
    assert (after.origin, after.epoch) == ("us", 2)
    assert before < (ack.seq or 0) < (after.seq or 0)
    async with reader(pair, "us") as reads:
        assert (await reads.info(events_stream("us"))).metadata[EPOCH] == "2"


async def test_a_tail_that_nobody_holds_starts_a_new_epoch_and_old_cursors_are_refused(
    pair: World,
) -> None:
    """The mirror never got it: what the edge acknowledged is gone, and that is said."""
    store = pair.state_dir / "nats" / "us-n1"
    backup = pair.state_dir.with_name("backup")
    await publish(pair, 0, 20)
    await pair.ctl("stop", "nats:us-n1")
    shutil.copytree(store, backup)
    await pair.ctl("stop", "nats:eu-n1")
    await pair.ctl("start", "nats:us-n1")
    await serving(pair, "us-1")
    async with Raw(pair.edges["us-1"].url) as raw:
        ready = await raw.identify(token(pair, "reader"), ROOM[1])
        session_id = ready["d"]["session_id"]
        last = await publish(pair, 20, 30)
        cursor = (await raw.messages(30))[-1]["c"]

        await pair.ctl("stop", "nats:us-n1")
        shutil.rmtree(store)
        shutil.copytree(backup, store)
        await pair.ctl("start", "nats:us-n1")
        await pair.ctl("start", "nats:eu-n1")

        after_loss = await publish(pair, 50, 1)
        assert after_loss > last, "the new epoch is above all that was acknowledged"
        gap = await raw.dispatched("GAP")
        assert gap["d"]["reason"] == "epoch"
        assert gap["d"]["first"] > last, "a marker may have come after the last event"
        message = await raw.dispatched("MESSAGE")
        assert (message["d"]["epoch"], message["d"]["seq"]) == (2, after_loss)

    async with Raw(pair.edges["us-1"].url) as raw:
        await raw.resume(token(pair, "reader"), session_id, cursor=cursor, rooms=[ROOM[1]])
        refused = await raw.op(Op.INVALID_SESSION)
        assert (refused["d"], refused["e"]) == (False, {"reason": "epoch"})


async def test_cut_off_and_without_a_witness_one_new_epoch_starts_and_the_region_serves(
    tmp_path: Path,
) -> None:
    async with (
        World(tmp_path / "state", TOPOLOGY, "--links", "relay") as world,
        Faults(world.state_dir) as faults,
    ):
        url = world.edges["us-1"].url
        async with connect(url, token=token(world, "ana"), listen=False) as ana:
            before = await ana.publish("gate:room", 1)
        await faults.isolate("us")
        lost = await faults.lose("us")
        await faults.heal(lost)
        await faults.until_up("us-1")
        async with connect(url, token=token(world, "ana"), listen=False) as ana:
            after = await ana.publish("gate:room", 2)
        assert (before.epoch, after.epoch) == (1, 2)
        async with reader(world, "us") as reads:
            info = await reads.info(events_stream("us"))
        assert info.metadata[EPOCH] == "2", "and no epoch after it"


async def test_every_edge_goes_on_in_an_epoch_that_one_has_started_and_stores_nothing_in(
    tmp_path: Path,
) -> None:
    """Edges came back at once, cut off: some opened, and one started an epoch, and is idle."""
    world = World(tmp_path / "state", '[[regions]]\nname = "us"\nedges = 3\n')
    try:
        world.launch()
        connection = await open_connection(world.nats_config("us"), "test", "_INBOX_edge")
        try:
            inbox = Inbox(connection)
            await inbox.start()
            reads = Reader(inbox, 1)
            info = await reads.info(events_stream("us"))
            with suppress(BusError):  # an edge that looks meanwhile finishes what was begun
                await HomeStream(inbox, reads, "us").carry_out(StartEpoch(2, info.last), info)
        finally:
            await connection.close()
        for name, edge in world.edges.items():
            async with (
                connect(edge.url, token=token(world, name)) as client,
                asyncio.timeout(10),
            ):
                while (ack := await client.publish(ROOM[1], name)).epoch != 2:
                    assert (client.edge, ack.origin) == (name, "us")
                    await asyncio.sleep(0.2)
    finally:
        world.clean()
