"""Many clients come back at once: each gets what it missed, and few reads serve them all."""

from collections.abc import Iterator

import pytest

from tests.metrics import metrics
from tests.raw import token
from tests.ready import serving
from tests.soak.herd import Herd, Plan
from tests.soak.talk import Talk
from tests.world import World, running

TOPOLOGY = """
[[regions]]
name = "us"
edges = 2

[[regions]]
name = "eu"
edges = 1
"""
CLIENTS, ROOMS, ORIGINS = 300, 30, 2
MISSED = 10  # events in each room, of each origin
READS = 5  # the most for one room and origin


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("herd"), TOPOLOGY) as world:
        yield world


async def test_a_herd_comes_back_and_few_reads_serve_it(world: World) -> None:
    plan = Plan(token(world, "member"), ROOMS, rooms_each=3)
    herd = Herd(plan, 0, CLIENTS)
    urls = {"us": world.edges["us-2"].url, "eu": world.edges["eu-1"].url}
    async with Talk(world, urls) as talk:
        await herd.come(world.edges["us-1"].url, 1.0)
        await talk.say(plan.names, 2)
        assert await herd.caught_up(talk.said) == 0

        # All are dropped, and come back to the edge that they were on: its rings have it all.
        await herd.go()
        await talk.say(plan.names, MISSED)
        before = await metrics(world, "us-1")
        await herd.come(world.edges["us-1"].url, 0.5)
        assert await herd.caught_up(talk.said) == 0
        after = await metrics(world, "us-1")
        assert after["replayed_total"] > before["replayed_total"]
        assert after["replay_reads_total"] == before["replay_reads_total"]

        # Their edge dies: another one, where none of their rooms is open, serves them.
        before = await metrics(world, "us-2")
        await world.ctl("kill", "us-1")
        await herd.go()
        await talk.say(plan.names, MISSED)
        await herd.come(world.edges["us-2"].url, 0.5)
        await talk.say(plan.names, 1)
        assert await herd.caught_up(talk.said) == 0
        after = await metrics(world, "us-2")
        reads = after["replay_reads_total"] - before["replay_reads_total"]
        print(f"\n{CLIENTS} clients, {ROOMS} rooms, {ORIGINS} origins: {reads:.0f} reads")
        assert 0 < reads <= READS * ROOMS * ORIGINS
        assert len(herd.tally.resume_ms) == 2 * CLIENTS
        await serving(world, "us-1")
        await herd.go()
    tally = herd.tally
    assert (tally.missing, tally.repeated, tally.gaps, tally.problems) == (0, 0, 0, [])
