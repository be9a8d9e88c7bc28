"""Clients that are sent away go where there is room, as planned; else they stay where they are."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from relay.client import State
from tests.operators import Crowd, begin, ctl, open_all
from tests.places import three
from tests.raw import ClosedError, Raw, token
from tests.ready import serving
from tests.world import World, running

ELSEWHERE = ("eu-1", "ap-1")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions."""
    with running(tmp_path_factory.mktemp("paced"), three(1, 1, 1), orderly=True) as started:
        yield started


@pytest.fixture(autouse=True)
async def _opened(world: World) -> AsyncIterator[None]:
    """After each test nothing is wanted of anybody any more."""
    yield
    await open_all(world)


def at(crowd: Crowd, region: str) -> int:
    """Clients that are connected there."""
    return sum(each.region == region and each.state is State.READY for each in crowd.clients)


async def test_nobody_is_sent_away_while_nobody_takes_clients(world: World) -> None:
    async with Crowd.at(world, ("us-1",), 24) as crowd:
        going = await begin(world, "evacuate", "us", "--yes", "--within", "12")
        await going.said("clients left")
        for edge in ELSEWHERE:
            await world.ctl("hold", edge)
        try:
            await going.said("nobody takes them, they wait")
            await asyncio.sleep(1.0)  # one may have been on his way
            stay = at(crowd, "us")
            assert stay > 6, "they were sent away all the same"
            await asyncio.sleep(3.0)
            assert at(crowd, "us") == stay
        finally:
            for edge in ELSEWHERE:
                await world.ctl("start", edge)
        code, said = await going.end()
        assert code == 0, said
        await crowd.arrive("eu", "ap")
    await serving(world, "eu-1")


async def test_an_override_sends_them_away_all_the_same(world: World) -> None:
    for region in ("eu", "ap"):
        await ctl(world, 0, "cordon", region, "--yes")
    for edge in ELSEWHERE:
        await world.ctl("hold", edge)
    try:
        async with Raw(world.edges["us-1"].url) as raw:
            await raw.identify(token(world, "ana"), "r")
            refused = await ctl(world, 2, "evacuate", "us", "--yes", "--within", "1")
            assert "us is the last region that takes clients" in refused
            said = await ctl(
                world, 0, "evacuate", "us", "--yes", "--within", "1", "--override", "it is on fire"
            )
            assert "done" in said
            with pytest.raises(ClosedError, match="4021"):
                await raw.until(lambda _: False)
    finally:
        for edge in ELSEWHERE:
            await world.ctl("start", edge)


async def test_clients_go_where_the_plan_says_that_they_go(world: World) -> None:
    await ctl(world, 0, "weight", "us", "50", "--yes")
    async with Crowd.at(world, ("eu-1",), 24) as crowd:
        said = await ctl(world, 0, "evacuate", "eu", "--yes", "--within", "3")
        await crowd.arrive("us", "ap")
        went = Counter(client.region for client in crowd.clients)
        assert 6 <= went["us"] <= 18, (went, said)
        assert went["us"] + went["ap"] == 24
