"""A real week of earthquakes through three regions: each event once, in order per origin.

Published at full speed in the region nearest to each epicentre, compared event by event with the
file, at subscribers in every region; with the subscriber's edge killed in the middle, resumed in
another region by cursor and by `seq`, twice in a row, and in the middle of a replay.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from cli.quakes import ROOM_ALL, Quake, Site, load_quakes, nearest, rooms_of
from relay.bus.connection import open_connection
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.bus.records import Record, find_record
from relay.client import Message, connect
from relay.core.codes import Op
from tests.raw import Payload, Raw, auto, token
from tests.ready import serving
from tests.world import World, running

QUAKES = load_quakes()
TOPOLOGY = """
[[regions]]
name = "us"
lat = 39.04
lon = -77.49
edges = 1

[[regions]]
name = "eu"
lat = 50.11
lon = 8.68
edges = 1

[[regions]]
name = "ap"
lat = 1.35
lon = 103.82
edges = 1
"""
DEADLINE_S = 60


@pytest.fixture(scope="module")
def quake_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions with one edge each: who loses the edge resumes in another region."""
    with running(tmp_path_factory.mktemp("quakes"), TOPOLOGY) as world:
        yield world


def by_region(world: World) -> dict[str, list[Quake]]:
    """The week, split by the region nearest to the epicentre."""
    sites = [Site(r.name, r.lat, r.lon) for r in world.found().regions]
    split: dict[str, list[Quake]] = {site.name: [] for site in sites}
    for quake in QUAKES:
        split[nearest(quake, sites).name].append(quake)
    assert all(split.values()), "every region has earthquakes"
    return split


def room(prefix: str, name: str) -> str:
    """A room of this run alone."""
    return f"{prefix}:{name}"


async def publish_week(world: World, prefix: str) -> None:
    """Every quake in its region, to both of its rooms, as fast as acknowledged."""

    async def region(name: str, quakes: Sequence[Quake]) -> None:
        url = world.regions[name].edges[0].url
        async with connect(url, token=token(world, "usgs"), listen=False) as client:
            pending: set[asyncio.Task[Any]] = set()
            for quake in quakes:
                for target in rooms_of(quake):
                    data = {"mag": quake.mag, "place": quake.place, "time_ms": quake.time_ms}
                    work = client.publish(room(prefix, target), data, id=quake.id)
                    pending.add(asyncio.get_running_loop().create_task(work))
                if len(pending) > 128:
                    done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        assert not task.result().duplicate
            for task in pending:
                assert not (await task).duplicate

    async with asyncio.TaskGroup() as group:
        for name, quakes in by_region(world).items():
            group.create_task(region(name, quakes))


def check(
    world: World, prefix: str, got: Iterable[tuple[str, str, int, str, Any]], target: str
) -> None:
    """Compare what arrived in a room with the file, event by event.

    Args:
        world: where.
        prefix: the run.
        got: (origin, room, sequence, id, data) in the order of arrival.
        target: the room, as the file names it.
    """
    arrived: dict[str, list[tuple[int, str, Any]]] = defaultdict(list)
    for origin, name, seq, quake_id, data in got:
        if name == room(prefix, target):
            arrived[origin].append((seq, quake_id, data))
    for region, quakes in by_region(world).items():
        expected = [quake for quake in quakes if target in rooms_of(quake)]
        sequences = [seq for seq, _, _ in arrived[region]]
        assert sequences == sorted(set(sequences)), f"{region} in {target}: out of order"
        assert [
            (quake_id, data["mag"], data["place"], data["time_ms"])
            for _, quake_id, data in arrived[region]
        ] == [(q.id, q.mag, q.place, q.time_ms) for q in expected], f"{region} in {target}"


async def test_every_quake_arrives_once_and_in_order_in_every_region(quake_world: World) -> None:
    prefix = "plain"
    rooms = [room(prefix, name) for name in (ROOM_ALL, *(f"quakes:m{m}" for m in range(8)))]
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(
                connect(region.edges[0].url, token=token(quake_world, f"r-{name}"), rooms=rooms)
            )
            for name, region in quake_world.regions.items()
        }
        publishing = asyncio.get_running_loop().create_task(publish_week(quake_world, prefix))
        for client in clients.values():
            got: list[Message] = []
            async with asyncio.timeout(DEADLINE_S):
                async for event in client:
                    assert isinstance(event, Message), event
                    got.append(event)
                    if len(got) == 2 * len(QUAKES):
                        break
            flat = [(e.origin, e.room, e.seq, e.id or "", e.data) for e in got]
            for name in (ROOM_ALL, *(f"quakes:m{m}" for m in range(8))):
                check(quake_world, prefix, flat, name)
            assert client.stats.duplicates == 0
            assert client.stats.lost == 0
        await publishing


# --- resuming elsewhere, frame by frame ----------------------------------------------------------


def flatten(payloads: Iterable[Payload]) -> list[tuple[str, str, int, str, Any]]:
    """The MESSAGEs among payloads, for `check`."""
    return [
        (p["d"]["origin"], p["d"]["room"], p["d"]["seq"], p["d"]["id"], p["d"]["data"])
        for p in payloads
        if p["t"] == "MESSAGE"
    ]


class Follower:
    """A raw client that follows the rooms of a run and keeps what it saw over all connections."""

    def __init__(self, world: World, prefix: str) -> None:
        self.world = world
        self.token = token(world, f"f-{prefix}", *auto(room(prefix, ROOM_ALL)))
        self.room = room(prefix, ROOM_ALL)
        self.seen: list[Payload] = []
        self.session_id = ""
        self.cursor = ""
        self.s = 0

    def take(self, payloads: Sequence[Payload]) -> None:
        """Keep what a connection saw: messages, the newest cursor, the newest `s`."""
        for payload in payloads:
            if payload["t"] == "MESSAGE":
                self.seen.append(payload)
            if payload["t"] in ("READY", "RESUMED"):
                self.cursor = payload["d"]["cursor"]
            self.cursor = payload.get("c") or self.cursor
            self.s = payload["s"] if payload["s"] is not None else self.s

    async def begin(self, edge: str) -> Raw:
        """IDENTIFY at an edge."""
        raw = await Raw(self.world.edges[edge].url).__aenter__()
        self.session_id = (await raw.identify(self.token))["d"]["session_id"]
        return raw

    async def until(self, raw: Raw, count: int) -> None:
        """Read until `count` messages were seen in all, and keep not one more."""
        have = len(self.seen)
        start = len(raw.seen)
        if have < count:
            await raw.messages(count - have)
        self.take(raw.seen if start == 0 else raw.seen[start:])

    @asynccontextmanager
    async def by_cursor(self, edge: str) -> AsyncIterator[Raw]:
        """RESUME in the cursor form."""
        async with Raw(self.world.edges[edge].url, query="v=10&resume=1") as raw:
            await raw.resume(self.token, self.session_id, cursor=self.cursor, rooms=[self.room])
            yield raw

    @asynccontextmanager
    async def by_seq(self, edge: str) -> AsyncIterator[Raw]:
        """RESUME in the `seq` form."""
        async with Raw(self.world.edges[edge].url) as raw:
            await raw.resume(self.token, self.session_id, seq=self.s)
            yield raw


async def kill(world: World, edge: str) -> None:
    """SIGKILL an edge; the supervisor starts it again."""
    since = len(world.events)
    await world.ctl("kill", edge)
    await world.event("edge_down", since=since, edge=edge)


async def test_the_edge_is_killed_and_the_client_resumes_by_cursor_in_another_region(
    quake_world: World,
) -> None:
    prefix = "cursor"
    follower = Follower(quake_world, prefix)
    raw = await follower.begin("eu-1")
    follower.take(raw.seen)
    publishing = asyncio.get_running_loop().create_task(publish_week(quake_world, prefix))
    await follower.until(raw, 500)
    await kill(quake_world, "eu-1")
    async with follower.by_cursor("us-1") as resumed:
        # What the dead edge had sent beyond the 500 counts as never received.
        await follower.until(resumed, len(QUAKES))
        answer = [p for p in resumed.seen if p["t"] == "RESUMED"]
        assert answer, "RESUMED comes"
        await publishing
        await resumed.acked()
        follower.take(resumed.seen[-1:])
    check(quake_world, prefix, flatten(follower.seen), ROOM_ALL)
    await raw.ws.wait_closed()
    await serving(quake_world, "eu-1")


async def test_twice_in_a_row_over_two_edges_and_in_the_middle_of_a_replay(
    quake_world: World,
) -> None:
    prefix = "twice"
    follower = Follower(quake_world, prefix)
    raw = await follower.begin("eu-1")
    follower.take(raw.seen)
    await raw.drop()
    await publish_week(quake_world, prefix)
    async with follower.by_cursor("us-1") as first:
        await follower.until(first, 300)
        assert not [p for p in first.seen if p["t"] == "RESUMED"], "still replaying"
        assert all(p["s"] is None for p in first.seen if p["t"] == "MESSAGE")
        await kill(quake_world, "us-1")
    async with follower.by_cursor("ap-1") as second:
        await follower.until(second, 900)
        await kill(quake_world, "ap-1")
    async with follower.by_cursor("eu-1") as third:
        await follower.until(third, len(QUAKES))
        resumed = await third.dispatched("RESUMED")
        assert resumed["d"]["replayed"] == len(QUAKES) - 900
        assert resumed["d"]["behind"] == {}
    check(quake_world, prefix, flatten(follower.seen), ROOM_ALL)
    await serving(quake_world, "us-1")
    await serving(quake_world, "ap-1")


async def record_before(world: World, region: str, home: str, s: int) -> Record:
    """The record that a RESUME of `s` in `region` starts from; `home` issued `s`."""
    connection = await open_connection(world.nats_config(region), "test", "_INBOX_edge")
    try:
        inbox = Inbox(connection)
        await inbox.start()
        record = await find_record(Reader(inbox, 4), home, s, coming=False)
        assert record is not None
        return record
    finally:
        await connection.close()


async def test_the_edge_is_killed_and_the_client_resumes_by_seq_in_another_region(
    quake_world: World,
) -> None:
    prefix = "seq"
    follower = Follower(quake_world, prefix)
    raw = await follower.begin("eu-1")
    follower.take(raw.seen)
    publishing = asyncio.get_running_loop().create_task(publish_week(quake_world, prefix))
    await follower.until(raw, 500)
    await kill(quake_world, "eu-1")
    before, s = list(follower.seen), follower.s
    record = await record_before(quake_world, "us", "eu", s)
    async with follower.by_seq("us-1") as resumed:
        await resumed.dispatched("RESUMED")
        answer = resumed.seen[-1]
        assert answer["s"] > s
        await publishing
        mine = {(p["d"]["origin"], p["d"]["seq"]) for p in before}
        wanted = len(QUAKES) - len(mine)
        async with asyncio.timeout(DEADLINE_S):
            while len(fresh(resumed.seen, mine)) < wanted:
                await resumed.receive()
        after = [p for p in resumed.seen if p["t"] == "MESSAGE"]
    repeated = [p for p in after if (p["d"]["origin"], p["d"]["seq"]) in mine]
    # Only what came after the newest record that the region reached holds.
    for payload in repeated:
        origin, seq = payload["d"]["origin"], payload["d"]["seq"]
        assert seq > record.positions[origin][1], "repeated, and the record says it was delivered"
    check(quake_world, prefix, flatten([*before, *fresh(after, mine)]), ROOM_ALL)
    for origin in quake_world.regions:
        sequences = [p["d"]["seq"] for p in after if p["d"]["origin"] == origin]
        assert sequences == sorted(set(sequences)), "in order, none twice on one connection"
    await serving(quake_world, "eu-1")


def fresh(payloads: Iterable[Payload], known: set[tuple[str, int]]) -> list[Payload]:
    """The MESSAGEs that are not among those known."""
    return [
        p
        for p in payloads
        if p["t"] == "MESSAGE" and (p["d"]["origin"], p["d"]["seq"]) not in known
    ]


async def test_a_library_that_keeps_only_s_is_alive_again_on_the_restarted_edge(
    quake_world: World,
) -> None:
    prefix = "again"
    follower = Follower(quake_world, prefix)
    raw = await follower.begin("ap-1")
    follower.take(raw.seen)
    async with connect(
        quake_world.edges["us-1"].url, token=token(quake_world, "p"), listen=False
    ) as publisher:
        await publisher.publish(follower.room, 1, id="one")
        await follower.until(raw, 1)
        await kill(quake_world, "ap-1")
        await publisher.publish(follower.room, 2, id="two")
        await serving(quake_world, "ap-1")
        await publisher.publish(follower.room, 3, id="three")
        async with follower.by_seq("ap-1") as resumed:
            await resumed.dispatched("RESUMED")
            async with asyncio.timeout(10):
                while "three" not in [
                    p["d"].get("id") for p in resumed.seen if p["op"] == Op.DISPATCH
                ]:
                    await resumed.receive()
            ids = [p["d"]["id"] for p in resumed.seen if p["t"] == "MESSAGE"]
    assert [i for i in ids if i != "one"] == ["two", "three"]
