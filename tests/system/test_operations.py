"""`jetrelay ctl` on a running world: cordon, drain, evacuate, return, and what is refused."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from websockets.exceptions import InvalidStatus

from relay.client import connect
from relay.core.codes import Op
from tests.operators import TOPOLOGY, Crowd, begin, ctl, open_all, orders, readiness
from tests.raw import Raw, token
from tests.ready import serving
from tests.world import World, running


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions."""
    with running(tmp_path_factory.mktemp("operated"), TOPOLOGY, orderly=True) as started:
        yield started


@pytest.fixture(autouse=True)
async def _opened(world: World) -> AsyncIterator[None]:
    """After each test nothing is wanted of anybody any more."""
    yield
    await open_all(world)


async def test_a_region_is_evacuated_and_returns_and_nobody_misses_anything(world: World) -> None:
    async with Crowd.at(world, ("eu-1", "eu-2"), 6) as crowd:
        said = await ctl(
            world, 0, "evacuate", "eu", "--yes", "--within", "2", "--why", "a test", "--by", "ops"
        )
        assert "12 clients go elsewhere within 2 s" in said
        await crowd.arrive("us")
        assert [await readiness(world, edge) for edge in ("eu-1", "eu-2")] == [(503, "drained")] * 2
        wanted = await orders(world)
        assert wanted["eu"].cordoned
        assert (wanted["eu-1"].drain_s, wanted["eu-1"].why) == (2.0, "a test")
        again = await ctl(world, 0, "evacuate", "eu", "--yes")
        assert "nothing to do" in again
        await ctl(world, 0, "return", "eu", "--yes", "--over", "0")
        await crowd.arrive("eu")
        assert await readiness(world, "eu-1") == (200, "")
    log = json.loads(await ctl(world, 0, "log", "--json"))
    first = next(run for run in log if run["request"]["verb"] == "evacuate")
    assert (first["request"]["by"], first["request"]["why"]) == ("ops", "a test")
    assert [each["what"] for each in first["entries"]] == ["submitted", "given", "given", "done"]
    assert first["plan"]["moves"] == 12


async def test_it_is_aborted_in_the_middle_and_stops_where_it_is(world: World) -> None:
    async with Crowd.at(world, ("eu-1", "eu-2"), 6) as crowd:
        running_one = await begin(world, "evacuate", "eu", "--yes", "--within", "60", "--by", "one")
        await running_one.said("clients left")
        name = next(line.split()[-1] for line in running_one.lines if "-evacuate-eu-" in line)
        busy = await ctl(world, 2, "drain", "eu-1", "--yes")
        assert re.search(rf"one is at work on eu since \S+ \S+Z: {name}", busy)
        assert name in await ctl(world, 0, "status")
        await ctl(world, 0, "abort", name, "--by", "two", "--why", "enough")
        code, said = await running_one.end()
        assert (code, "aborted by two: enough" in said) == (1, True), said
        assert "eu stays cordoned" in said
        here = sum(client.region == "eu" for client in crowd.clients)
        assert here >= 6, "hardly anybody was sent away"
        await asyncio.sleep(2.5)
        assert sum(client.region == "eu" for client in crowd.clients) == here
        await serving(world, "eu-1")
        wanted = await orders(world)
        assert set(wanted) == {"eu"}


async def test_an_edge_under_a_cordon_lets_in_who_comes_back_and_nobody_else(world: World) -> None:
    url = world.edges["eu-1"].url
    async with connect([url], token=token(world, "ana"), listen=False) as client:
        await ctl(world, 0, "cordon", "eu-1", "--yes")
        assert await readiness(world, "eu-1") == (503, "cordoned")
        with pytest.raises(InvalidStatus):
            async with Raw(url):
                pass
        async with Raw(url, query="v=10&resume=1") as back:
            assert back.hello["d"]["edge"] == "eu-1"
        assert client.edge == "eu-1"
    assert "cordoned" in await ctl(world, 0, "status")
    alone = await ctl(world, 0, "status", "eu-1")
    assert "cordoned" in alone
    assert "eu-2" not in alone
    found = json.loads(await ctl(world, 0, "status", "us", "--json"))
    assert [region["name"] for region in found["regions"]] == ["us"]
    assert found["orders"] == []
    assert "no region and no edge 'mars'" in await ctl(world, 2, "status", "mars")
    await ctl(world, 0, "uncordon", "eu-1", "--yes")
    await serving(world, "eu-1")


async def told(raw: Raw, *names: str) -> None:
    """Wait until a client is told of these regions, in this order."""
    raw.seen.clear()
    while [each["name"] for each in (await raw.op(Op.REGIONS))["d"]] != [*names]:
        pass


async def test_who_is_connected_is_told_when_a_region_closes_and_opens(world: World) -> None:
    async with Raw(world.edges["us-1"].url) as raw:
        await raw.identify(token(world, "told"))

        assert [each["name"] for each in raw.hello["d"]["regions"]] == ["us", "eu", "ap"]
        await ctl(world, 0, "cordon", "ap", "--yes")
        await told(raw, "us", "eu")
        await ctl(world, 0, "uncordon", "ap", "--yes")
        await told(raw, "us", "eu", "ap")


async def test_an_edge_that_starts_under_a_drain_starts_empty(world: World) -> None:
    await ctl(world, 0, "drain", "eu-2", "--yes", "--within", "0")
    since = len(world.events)
    await world.ctl("kill", "eu-2")
    await world.event("edge_up", since=since, edge="eu-2")
    assert await readiness(world, "eu-2") == (503, "drained")


async def test_steering_and_the_edges_lists_follow_at_once(world: World) -> None:
    async with Raw(world.edges["us-1"].url) as before:
        names = [each["name"] for each in before.hello["d"]["regions"]]
    assert names == ["us", "eu", "ap"]
    await ctl(world, 0, "cordon", "eu", "--yes", "--why", "power work")
    async with Raw(world.edges["us-1"].url) as after:
        assert [each["name"] for each in after.hello["d"]["regions"]] == ["us", "ap"]
    async with Raw(world.edges["eu-1"].url) as there:
        # Its own doors are open, and who is here may come back.
        assert there.hello["d"]["regions"][0]["name"] == "eu"
    explained = await asyncio.to_thread(
        world.run, "steer", "explain", "198.51.100.1", "--no-try", "--json"
    )
    assert sorted(json.loads(explained.stdout)["order"]) == ["ap", "us"]


async def test_what_would_hurt_is_refused_unless_it_is_said_why(world: World) -> None:
    for region in ("us", "ap"):
        await ctl(world, 0, "cordon", region, "--yes")
    said = await ctl(world, 2, "evacuate", "eu", "--yes")
    assert "against it: eu is the last region that takes clients" in said
    assert "refused" in said
    dry = await ctl(world, 2, "cordon", "eu", "--dry-run")
    assert "against it" in dry
    assert set(await orders(world)) == {"us", "ap"}
    await ctl(world, 0, "cordon", "eu", "--yes", "--override", "all at once, in the night")
    assert set(await orders(world)) == {"us", "eu", "ap"}


async def test_any_region_that_lives_will_do(world: World) -> None:
    """The first region's NATS is gone: orders go through the others, and it hears them later."""
    await world.ctl("hold", "us-n1")
    try:
        said = await ctl(world, 0, "cordon", "eu", "--yes", "--why", "us is dead")
        assert "every edge knows" in said
    finally:
        await world.ctl("start", "us-n1")
    async with asyncio.timeout(30):
        while True:
            try:
                async with Raw(world.edges["us-1"].url) as raw:
                    if "eu" not in [each["name"] for each in raw.hello["d"]["regions"]]:
                        break
            except (OSError, InvalidStatus):
                pass
            await asyncio.sleep(0.3)


async def test_mistakes_are_said_in_a_line(world: World) -> None:
    wrong = (
        (("cordon", "mars", "--yes"), "no region and no edge is called 'mars'"),
        (("cordon", "eu/eu-9", "--yes"), "no edge 'eu-9' in eu"),
        (("cordon", "eu"), "nobody can be asked here"),
        (("weight", "eu", "101", "--yes"), "0 to 100, or topology: not '101'"),
        (("resume", "nothing"), "no operation is called nothing"),
        (("abort", "a.b c"), "no operation is called"),
        (("cordon", "eu", "--yes", "--why", "x" * 513), "512 characters"),
        (("drain", "eu", "--yes", "--within", "1e9"), "a drain takes"),
    )
    texts = await asyncio.gather(*(ctl(world, 2, *arguments) for arguments, _ in wrong))
    for text, (_, said) in zip(texts, wrong, strict=True):
        assert said in text
        assert "Traceback" not in text
    assert await orders(world) == {}


async def test_who_is_connected_is_told_when_a_region_dies(world: World) -> None:
    """The last one of this world: a region that returns has to last before it counts again."""
    async with Raw(world.edges["us-1"].url) as raw:
        await raw.identify(token(world, "told"))
        for edge in ("eu-1", "eu-2"):
            await world.ctl("hold", edge)
        try:
            await told(raw, "us", "ap", "eu")  # it may come back: it is tried last
        finally:
            for edge in ("eu-1", "eu-2"):
                await world.ctl("start", edge)
    await serving(world, "eu-1")
    await serving(world, "eu-2")
