"""A region that is cut off goes on alone, and afterwards every region has everything."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from regions.faults.client import Faults
from regions.faults.spaces import why_not
from regions.topology import LinkMode, server_name
from relay.client import Ack, connect
from tests.copies import check_copies, heads, reading, until_everywhere
from tests.crowd import ROOMS, Crowd, Listener, crowd, until
from tests.raw import Raw, token
from tests.ready import serving
from tests.world import World

REGIONS = ("us", "eu", "ap")
CUT_S = 20.0
HEALED_S = 10.0


TOPOLOGY = "\n".join(
    f'[[regions]]\nname = "{region}"\nedges = {edges}\n'
    for region, edges in zip(REGIONS, (1, 2, 1), strict=True)
)


def _running(state: Path, links: LinkMode) -> Iterator[World]:
    world = World(state, TOPOLOGY, "--links", links)
    try:
        yield world.launch()
    finally:
        world.clean()
    assert not world.leftovers()


@pytest.fixture(scope="module")
def relayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose leaf links go through TCP relays."""
    yield from _running(tmp_path_factory.mktemp("relayed") / "state", "relay")


@pytest.fixture(scope="module")
def spaced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose regions are in network namespaces of their own."""
    if why := why_not():
        pytest.skip(f"{why}; the same is tested with TCP relays on the leaf links")
    yield from _running(tmp_path_factory.mktemp("spaced") / "state", "netns")


# --- the tests ---------------------------------------------------------------------------------


async def survive(world: World, lost: str) -> None:
    """Cut `lost` off, kill its nats-server meanwhile, heal, and compare everything."""
    async with (
        reading(world, REGIONS) as readers,
        crowd(world, REGIONS, lost) as clients,
        Faults(world.state_dir) as faults,
    ):
        talkers, listeners = clients.talkers, clients.listeners
        for talker in talkers.values():
            await talker.more(25, 10)

        cut = await faults.isolate(lost)
        try:
            cut_s = cut.at_s
            before = clients.acked
            await lives_alone(world, lost, clients)
            quiet_s = talkers[lost].longest_silence_s(cut_s)
            await asyncio.sleep(max(0.0, cut_s + CUT_S - time.monotonic()))
            apart = {region: clients.acked[region] - before[region] for region in REGIONS}
            for region in REGIONS:  # it was a cut: nothing that was said meanwhile came through
                for origin in REGIONS:
                    if lost in (region, origin) and region != origin:
                        came = len(listeners[region].of(origin)) - before[origin]
                        assert came < 10 < apart[origin], (region, origin)
            wanted, said = await heads(readers), clients.said
        finally:
            healed_s = await faults.heal(cut)
        stored_s, heard_s = await asyncio.gather(
            until_everywhere(readers, wanted, HEALED_S), clients.all_heard(said, HEALED_S)
        )
        print(
            f"\ncut {lost} off for {healed_s - cut_s:.1f} s: {apart} acknowledged meanwhile, "
            f"longest wait for an ACK in {lost} {quiet_s:.1f} s (nats-server killed); after "
            f"healing everything stored everywhere in {stored_s:.1f} s, heard in {heard_s:.1f} s"
        )

        for talker in talkers.values():
            await talker.more(25, 10)
        await clients.hush()
        await clients.all_heard(clients.said, HEALED_S)
        clients.check(await check_copies(readers, HEALED_S))


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


async def listed(url: str) -> list[str]:
    """The regions that an edge points its clients to."""
    async with Raw(url) as raw:
        return [region["name"] for region in raw.hello["d"]["regions"]]


async def test_a_session_goes_on_where_the_mirror_is_behind_it(relayed: World) -> None:
    # Before eu is cut off here: clients are not pointed to a region that has just come back.
    world, room, behind = relayed, "ahead:a", 40
    us, eu, ap = (world.regions[region].edges[0] for region in ("us", "eu", "ap"))
    said: dict[str, list[Ack]] = {"us": [], "eu": [], "ap": []}
    async with asyncio.timeout(30):
        while await listed(us.url) != ["us", "eu", "ap"]:  # it hears the others a moment later
            await asyncio.sleep(0.2)

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
        Faults(world.state_dir) as faults,
        asyncio.TaskGroup() as group,
    ):
        listener = Listener(ana)
        hearing = group.create_task(listener.listen())
        await say(us.url, 5)
        await say(eu.url, 5)
        await hear("us")
        await hear("eu")
        await world.ctl("hold", ap.name)  # else us points there, once it does not hear eu
        cut = await faults.cut("us", "eu")
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
            await faults.heal(cut)
            await world.ctl("start", ap.name)
            await serving(world, ap.name)
        for origin, url in (("us", us.url), ("eu", eu.url), ("ap", ap.url)):
            await say(url, 5)
            await hear(origin)
        assert ana.region == "eu"
        async with reading(world, REGIONS) as readers:
            await check_copies(readers, HEALED_S)
        for origin, acks in said.items():
            assert [m.seq for m in listener.of(origin)] == [ack.seq for ack in acks]
            assert [m.data for m in listener.of(origin)] == list(range(len(acks)))
        assert listener.wrong == []
        assert ana.stats.duplicates == 0
        hearing.cancel()


async def test_a_region_cut_off_by_its_links_lives_on_and_heals(relayed: World) -> None:
    await survive(relayed, "eu")


async def test_a_region_cut_off_by_the_network_lives_on_and_heals(spaced: World) -> None:
    await survive(spaced, "eu")
