"""A region that is cut off goes on alone, and afterwards every region has everything."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Protocol

import pytest

from regions.permissions import inbox
from regions.topology import server_name
from relay.bus.connection import open_connection
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.client import Ack, Client, Message, Resumed, connect
from relay.core import names
from tests.links import Links
from tests.netns import Namespaces, why_not
from tests.raw import token
from tests.world import World

REGIONS = ("us", "eu", "ap")
ROOMS = tuple(f"cut:{number}" for number in range(5))
CUT_S = 20.0
HEALED_S = 10.0
PAUSE_S = 0.02  # between two publishes of one talker
STREAMS = (names.events_stream, names.records_stream)
_VARYING = {"Nats-Num-Pending", "Nats-Last-Sequence"}  # of the answer, not of the message


class Cuts(Protocol):
    """Something that can part two regions."""

    def cut(self, one: str, other: str) -> None:
        """Let nothing through."""

    def heal(self, one: str, other: str) -> None:
        """Let everything through."""


@dataclass
class Parted:
    """A world, and what cuts its links."""

    world: World
    cuts: Cuts

    def isolate(self, region: str) -> None:
        """Cut `region` off from all others."""
        for other in REGIONS:
            if other != region:
                self.cuts.cut(region, other)

    def rejoin(self, region: str) -> None:
        """Join it with all others again."""
        for other in REGIONS:
            if other != region:
                self.cuts.heal(region, other)


def _regions(keys: Callable[[str], str] = lambda _: "") -> str:
    edges = {"us": 1, "eu": 2, "ap": 1}
    return "\n".join(
        f'[[regions]]\nname = "{region}"\nedges = {edges[region]}\n{keys(region)}'
        for region in REGIONS
    )


@pytest.fixture(scope="module")
def relayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parted]:
    """A world whose leaf links go through TCP relays."""
    state = tmp_path_factory.mktemp("relayed") / "state"
    with Links(REGIONS, state) as links:
        world = World(state, _regions() + links.topology)
        try:
            yield Parted(world.launch(), links)
        finally:
            world.clean()
    assert not world.leftovers()


@pytest.fixture(scope="module")
def spaced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parted]:
    """A world whose regions are in network namespaces of their own."""
    if why := why_not():
        pytest.skip(f"{why}; the same is tested with TCP relays on the leaf links")
    with Namespaces(REGIONS) as spaces:

        def keys(region: str) -> str:
            return f'bind = "{spaces.address(region)}"\nnetns = "{spaces.name(region)}"\n'

        world = World(tmp_path_factory.mktemp("spaced") / "state", _regions(keys))
        try:
            yield Parted(world.launch(), spaces)
        finally:
            world.clean()
    assert not world.leftovers()


# --- the clients -------------------------------------------------------------------------------


@dataclass
class Talker:
    """Somebody who says numbers, in one room after the other."""

    client: Client
    acks: list[Ack] = field(default_factory=list)
    acked_s: list[float] = field(default_factory=list)  # when each ACK came

    async def talk(self, quiet: asyncio.Event) -> None:
        """Publish until `quiet` is set."""
        for number in count():
            if quiet.is_set():
                return
            ack = await self.client.publish(ROOMS[number % len(ROOMS)], number)
            self.acks.append(ack)
            self.acked_s.append(time.monotonic())
            await asyncio.sleep(PAUSE_S)

    async def more(self, more: int, timeout_s: float) -> None:
        """Wait until `more` further publishes are acknowledged."""
        wanted = len(self.acks) + more
        await until(lambda: len(self.acks) >= wanted, timeout_s, "acknowledged publishes")

    def longest_silence_s(self, since_s: float) -> float:
        """The longest time without an ACK since then."""
        times = [since_s, *(at for at in self.acked_s if at >= since_s)]
        return max(later - earlier for earlier, later in pairwise(times))


@dataclass
class Listener:
    """Somebody who hears every room, and keeps what came in the order in which it came."""

    client: Client
    heard: list[Message] = field(default_factory=list)
    resumed: list[Resumed] = field(default_factory=list)
    wrong: list[object] = field(default_factory=list)  # gaps, lost sessions
    seqs: dict[str, int] = field(default_factory=dict)

    async def listen(self) -> None:
        """Hear until the client is closed."""
        async for event in self.client:
            match event:
                case Message():
                    self.heard.append(event)
                    self.seqs[event.origin] = event.seq
                case Resumed():
                    self.resumed.append(event)
                case _ if event.__class__.__name__ in {"Gap", "Lost", "RoomRefused", "Signal"}:
                    self.wrong.append(event)

    def of(self, origin: str) -> list[Message]:
        """What came of one origin."""
        return [message for message in self.heard if message.origin == origin]

    async def drop(self) -> None:
        """Break the connection; returns when the session has gone on over another one."""
        wanted = len(self.resumed) + 1
        assert self.client._connection is not None
        self.client._connection._socket.transport.abort()
        await until(lambda: len(self.resumed) >= wanted, 15, "a resumed session")


async def until(fits: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait until `fits`."""
    deadline = time.monotonic() + timeout_s
    while not fits():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        await asyncio.sleep(0.02)


@dataclass
class Crowd:
    """A talker and a listener in each region, and one more listener to be dropped."""

    talkers: dict[str, Talker]
    listeners: dict[str, Listener]
    roamer: Listener
    quiet: asyncio.Event


@asynccontextmanager
async def crowd(world: World, roamer_region: str) -> AsyncIterator[Crowd]:
    """Talkers talk and listeners hear, until the block ends."""
    async with AsyncExitStack() as stack:

        async def enter(region: str, user: str, *, listen: bool) -> Client:
            urls = [edge.url for edge in world.regions[region].edges]
            return await stack.enter_async_context(
                connect(
                    urls, token=token(world, user), rooms=ROOMS if listen else (),
                    listen=listen, states=True, home_after_s=3_600,
                )
            )  # fmt: skip

        listeners = {
            region: Listener(await enter(region, f"listener-{region}", listen=True))
            for region in REGIONS
        }
        roamer = Listener(await enter(roamer_region, "roamer", listen=True))
        talkers = {
            region: Talker(await enter(region, f"talker-{region}", listen=False))
            for region in REGIONS
        }
        quiet = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            tasks = [
                *(group.create_task(one.listen()) for one in (*listeners.values(), roamer)),
                *(group.create_task(talker.talk(quiet)) for talker in talkers.values()),
            ]
            try:
                yield Crowd(talkers, listeners, roamer, quiet)
            finally:
                for task in tasks:
                    task.cancel()


# --- the streams -------------------------------------------------------------------------------


@asynccontextmanager
async def reading(world: World) -> AsyncIterator[dict[str, Reader]]:
    """A reader of each region's own copies."""
    readers: dict[str, Reader] = {}
    async with AsyncExitStack() as stack:
        for region in REGIONS:
            config = world.nats_config(region)
            connection = await open_connection(config, f"test-{region}", inbox("edge"))
            stack.push_async_callback(connection.close)
            replies = Inbox(connection)
            await replies.start()
            readers[region] = Reader(replies, reads=8, timeout_s=5.0)
        yield readers


async def heads(readers: dict[str, Reader]) -> dict[str, int]:
    """The last sequence of every home stream now."""
    return {
        stream_of(origin): (await readers[origin].info(stream_of(origin))).last
        for origin in REGIONS
        for stream_of in STREAMS
    }


async def until_everywhere(
    readers: dict[str, Reader], wanted: dict[str, int], timeout_s: float
) -> None:
    """Wait until every region's copy of each stream has reached these sequences."""
    deadline = time.monotonic() + timeout_s
    missing = [(region, stream) for region in REGIONS for stream in wanted]
    while missing:
        state = [
            (region, stream, (await readers[region].info(stream)).last)
            for region, stream in missing
        ]
        missing = [(region, stream) for region, stream, last in state if last < wanted[stream]]
        if missing:
            behind = [one for one in state if one[2] < wanted[one[1]]]
            assert time.monotonic() < deadline, f"{behind}, wanted {wanted}"
            await asyncio.sleep(0.05)


Stored = dict[int, tuple[dict[str, str], bytes]]


async def stored(reader: Reader, stream: str, upto: int) -> Stored:
    """Every message of a region's copy: sequence -> headers and payload."""
    found: Stored = {}
    seq = 1
    while seq <= upto:
        page = await reader.page(stream, seq, batch=500)
        if not page.messages:
            break
        for headers, data in page.messages:
            kept = {name: value for name, value in headers.items() if name not in _VARYING}
            found[int(headers["Nats-Sequence"])] = (kept, data)
        seq = page.last + 1
    return {seq: message for seq, message in found.items() if seq <= upto}


async def check_copies(readers: dict[str, Reader]) -> dict[str, Stored]:
    """Every copy of every stream equals the origin's; returns the events by origin."""
    ends = await heads(readers)
    await until_everywhere(readers, ends, HEALED_S)
    events: dict[str, Stored] = {}
    for stream, end in ends.items():
        copies = {region: await stored(readers[region], stream, end) for region in REGIONS}
        origin = stream.partition("_")[2]
        home = copies.pop(origin)
        assert home, f"{stream} is empty"
        for region, copy in copies.items():
            assert copy == home, f"{stream} in {region} differs from {origin}"
        if stream == names.events_stream(origin):
            events[origin] = home
    return events


def check_acknowledged(talker: Talker, home: Stored) -> None:
    """What was acknowledged is stored, once, in the order in which it was said."""
    assert [ack.origin for ack in talker.acks] == [talker.client.region] * len(talker.acks)
    said = [ack.seq for ack in talker.acks if ack.seq is not None]
    assert said == sorted(set(said))
    assert len(said) == len(talker.acks)
    for number, seq in enumerate(said):
        assert home[seq][1] == str(number).encode()
    user = talker.client.user
    held = [seq for seq, (headers, _) in home.items() if headers.get("Jr-User") == user]
    assert set(said) <= set(held)
    assert len(held) == len(said), "a publish is stored twice"


def check_heard(listener: Listener, talkers: dict[str, Talker]) -> None:
    """Each event once, in order per origin, none missing; nothing was dropped as a repeat."""
    assert listener.wrong == []
    for origin, talker in talkers.items():
        heard = [(m.seq, m.data) for m in listener.of(origin)]
        said = [(ack.seq, number) for number, ack in enumerate(talker.acks)]
        start = next((at for at, one in enumerate(said) if one == heard[0]), len(said))
        assert start == 0
        assert heard == said, f"{listener.client.user}: {origin}"
    assert listener.client.stats.duplicates == 0


# --- the tests ---------------------------------------------------------------------------------


async def survive(parted: Parted, lost: str) -> None:
    """Cut `lost` off, kill its nats-server meanwhile, heal, and compare everything."""
    world = parted.world
    async with reading(world) as readers, crowd(world, lost) as clients:
        talkers, listeners, roamer = clients.talkers, clients.listeners, clients.roamer
        for talker in talkers.values():
            await talker.more(25, 10)

        parted.isolate(lost)
        try:
            cut_s = time.monotonic()
            alone_from = {region: len(talker.acks) for region, talker in talkers.items()}
            await lives_alone(world, lost, clients)
            quiet_s = talkers[lost].longest_silence_s(cut_s)
            await asyncio.sleep(max(0.0, cut_s + CUT_S - time.monotonic()))
            said_apart = {
                region: len(talker.acks) - alone_from[region] for region, talker in talkers.items()
            }
            for region in REGIONS:  # it was a cut: nothing that was said meanwhile came through
                for origin in REGIONS:
                    if lost in (region, origin) and region != origin:
                        came = len(listeners[region].of(origin)) - alone_from[origin]
                        assert came < 10 < said_apart[origin], (region, origin)
            wanted = await heads(readers)
            acked = {region: talker.acks[-1].seq or 0 for region, talker in talkers.items()}
        finally:
            parted.rejoin(lost)
        healed_s = time.monotonic()

        async def heard_by(listener: Listener) -> None:
            await until(
                lambda: all(listener.seqs.get(o, 0) >= seq for o, seq in acked.items()),
                HEALED_S, f"everything heard by {listener.client.user}",
            )  # fmt: skip

        hearing = asyncio.gather(*(heard_by(one) for one in (*listeners.values(), roamer)))
        await until_everywhere(readers, wanted, HEALED_S)
        stored_s = time.monotonic() - healed_s
        await hearing
        heard_s = time.monotonic() - healed_s
        print(
            f"\ncut {lost} off for {healed_s - cut_s:.1f} s: {said_apart} acknowledged meanwhile, "
            f"longest wait for an ACK in {lost} {quiet_s:.1f} s (nats-server killed); after "
            f"healing everything stored everywhere in {stored_s:.1f} s, heard in {heard_s:.1f} s"
        )

        for talker in talkers.values():
            await talker.more(25, 10)
        clients.quiet.set()
        await asyncio.sleep(PAUSE_S)
        for talker in talkers.values():
            await until(lambda t=talker: t.client._answers == {}, 10, "quiet")  # type: ignore[misc]
        acked.update({region: talker.acks[-1].seq or 0 for region, talker in talkers.items()})
        await asyncio.gather(*(heard_by(one) for one in (*listeners.values(), roamer)))
        events = await check_copies(readers)
        for region, talker in talkers.items():
            check_acknowledged(talker, events[region])
        for listener in (*listeners.values(), roamer):
            check_heard(listener, talkers)


async def lives_alone(world: World, lost: str, clients: Crowd) -> None:
    """Cut off, a region acknowledges, replays and reads the past, also after a restart."""
    talker, roamer = clients.talkers[lost], clients.roamer
    await talker.more(50, 10)
    edge = roamer.client.edge
    await replays(lost, clients)
    assert roamer.client.edge != edge
    since = len(world.events)
    server = server_name(lost, 1)
    await world.ctl("kill", f"nats:{server}")
    await world.event("nats_up", server=server, since=since)
    await talker.more(50, 10)
    await replays(lost, clients)
    assert all(resumed.region == lost for resumed in roamer.resumed)


async def replays(region: str, clients: Crowd) -> None:
    """A client of the region comes back by its cursor, and reads what was said a moment ago."""
    talker, roamer = clients.talkers[region], clients.roamer
    await roamer.drop()
    await talker.more(5, 10)
    seq = talker.acks[-1].seq or 0
    await until(lambda: roamer.seqs.get(region, 0) >= seq, 10, "live events after the resume")
    room = ROOMS[(len(talker.acks) - 1) % len(ROOMS)]
    number = len(talker.acks) - 1
    page = await roamer.client.history(room, limit=50)
    said = [event.data for event in page.events if event.origin == region]
    assert number in said
    assert said == list(range(said[0], said[-1] + 1, len(ROOMS)))


async def test_a_region_cut_off_by_its_links_lives_on_and_heals(relayed: Parted) -> None:
    await survive(relayed, "eu")


async def test_a_region_cut_off_by_the_network_lives_on_and_heals(spaced: Parted) -> None:
    await survive(spaced, "eu")


async def test_a_session_goes_on_where_the_mirror_is_behind_it(relayed: Parted) -> None:
    world, room, behind = relayed.world, "ahead:a", 40
    us, eu = (world.regions[region].edges[0] for region in ("us", "eu"))
    said: dict[str, list[Ack]] = {"us": [], "eu": []}

    async def say(url: str, times: int) -> None:
        async with connect(url, token=token(world, "bo"), listen=False) as client:
            assert client.region is not None
            acks = said[client.region]
            for _ in range(times):
                acks.append(await client.publish(room, len(acks)))

    async def hear(origin: str) -> None:
        seq = said[origin][-1].seq or 0
        await until(lambda: listener.seqs.get(origin, 0) >= seq, HEALED_S, f"all of {origin}")

    async with (
        connect(
            us.url, token=token(world, "ana"), rooms=[room], states=True, home_after_s=3_600
        ) as ana,
        asyncio.TaskGroup() as group,
    ):
        listener = Listener(ana)
        hearing = group.create_task(listener.listen())
        await say(us.url, 5)
        await say(eu.url, 5)
        await hear("us")
        await hear("eu")
        relayed.cuts.cut("us", "eu")
        try:
            await say(us.url, behind)
            await hear("us")
            await world.ctl("hold", us.name)
            try:
                await until(lambda: listener.resumed != [], 30, "a resumed session")
                (resumed,) = listener.resumed
                assert resumed.region == "eu"
                # What eu's copy lacks: these events, and the markers between them.
                assert set(resumed.behind) == {"us"}
                assert behind <= resumed.behind["us"] <= behind + 5
                await say(eu.url, 10)
                await hear("eu")
            finally:
                since = len(world.events)
                await world.ctl("start", us.name)
                await world.event("edge_up", edge=us.name, since=since)
            await say(us.url, 20)
            assert len(listener.of("us")) == 5 + behind
        finally:
            relayed.cuts.heal("us", "eu")
        await say(us.url, 5)
        await hear("us")
        await say(eu.url, 5)
        await hear("eu")
        assert ana.region == "eu"
        for origin, acks in said.items():
            assert [m.seq for m in listener.of(origin)] == [ack.seq for ack in acks]
            assert [m.data for m in listener.of(origin)] == list(range(len(acks)))
        assert listener.wrong == []
        assert ana.stats.duplicates == 0
        hearing.cancel()
