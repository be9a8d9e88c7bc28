"""`GET /v1/negotiate` on running edges: the same decision as DNS, for who asks by HTTP."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.countries import write_cities
from tests.metrics import metrics
from tests.places import three
from tests.raw import Raw
from tests.ready import serving
from tests.world import World, running

TOPOLOGY = """
[clients]
geoip = "cities.mmdb"
trusted_proxies = ["127.0.0.0/8"]
""" + three(1, 2, 1)
NEAREST = {
    "192.0.2.1": ("US", "us"),
    "198.51.100.1": ("DE", "eu"),
    "2001:db8::1": ("FR", "eu"),
    "203.0.113.1": ("SG", "ap"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions, and a database of cities."""
    directory = tmp_path_factory.mktemp("negotiated")
    write_cities(directory / "cities.mmdb")
    with running(directory, TOPOLOGY, orderly=True) as started:
        yield started


async def ask(world: World, edge: str, address: str = "", rtt: str = "", **headers: str) -> Any:
    """An edge's answer to a client with this address, and what it has measured."""
    url = f"{world.edges[edge].http}/v1/negotiate?rtt={rtt}"
    if address:
        headers["X-Forwarded-For"] = address
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cache-Control"] == "no-store"
        return await answer.json()


async def first(world: World, address: str, region: str, timeout_s: float = 15.0) -> None:
    """Wait until this region is the first for an address, at every edge that answers."""
    async with asyncio.timeout(timeout_s):
        for edge in world.edges:
            if edge.startswith("eu") and region != "eu":
                continue
            while (await ask(world, edge, address))["regions"][0]["name"] != region:
                await asyncio.sleep(0.2)


async def explained(world: World, address: str, names: list[str]) -> None:
    """`steer explain` says the same. It listens for 2.5 s at most, which may be too short here."""
    async with asyncio.timeout(20):
        while True:
            done = await asyncio.to_thread(
                world.run, "steer", "explain", address, "--no-try", "--json"
            )
            if json.loads(done.stdout)["order"] == names:
                return


async def test_every_edge_ranks_the_regions_for_who_asks_and_the_first_takes_him(
    world: World,
) -> None:
    for address, (country, region) in NEAREST.items():
        await first(world, address, region)
        for edge in world.edges:
            answer = await ask(world, edge, address)
            assert (answer["v"], answer["country"]) == (1, country)
            names = [each["name"] for each in answer["regions"]]
            assert (names[0], sorted(names)) == (region, ["ap", "eu", "us"])
            await explained(world, address, names)
        measured = await ask(world, "us-1", address, "us:50,eu:60,ap:9.5")
        assert [each["name"] for each in measured["regions"]] == ["ap", "us", "eu"]
        assert measured["regions"][0]["distance_ms"] == 9.5
        (transport,) = answer["transports"]
        assert transport == {
            "name": "websocket", "path": "/gateway", "encodings": ["json", "msgpack"],
        }  # fmt: skip
        async with Raw(answer["regions"][0]["url"]) as raw:
            assert raw.hello["d"]["region"] == region


async def test_it_follows_what_lives_and_what_is_ordered(world: World) -> None:
    berlin = "198.51.100.1"
    await first(world, berlin, "eu")
    done = await asyncio.to_thread(world.run, "ctl", "drain", "eu-1", "--yes", "--within", "0")
    assert done.returncode == 0, done.stderr
    drained = await ask(world, "eu-1", berlin)
    assert drained["regions"][0] == {
        "name": "eu", "url": world.edges["eu-2"].url,
        "distance_ms": drained["regions"][0]["distance_ms"],
    }  # fmt: skip
    done = await asyncio.to_thread(world.run, "ctl", "uncordon", "eu-1", "--yes")
    assert done.returncode == 0, done.stderr
    for edge in ("eu-1", "eu-2"):
        await world.ctl("hold", edge)
    try:
        await first(world, berlin, "us", timeout_s=10)
    finally:
        for edge in ("eu-1", "eu-2"):
            await world.ctl("start", edge)
    for edge in ("eu-1", "eu-2"):
        await serving(world, edge)
    # It is believed when it has lasted, and then takes more and more.
    firsts = set[str]()
    async with asyncio.timeout(45):
        while firsts != {"us", "eu"}:
            await asyncio.sleep(0.2)
            answers = [await ask(world, "us-1", f"2001:db8:{n:x}::1") for n in range(48)]
            firsts = {answer["regions"][0]["name"] for answer in answers}


async def test_an_address_that_is_none_is_nowhere(world: World) -> None:
    answer = await ask(world, "us-1", "no address")
    assert answer["country"] is None
    assert answer["regions"][0]["distance_ms"] is None


async def test_a_measurement_that_is_none_is_refused_and_says_why(world: World) -> None:
    url = f"{world.edges['us-1'].http}/v1/negotiate?rtt=us:fast"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 400
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        error = (await answer.json())["error"]
    assert error == {"code": "invalid_data", "message": "rtt: 'us:fast' is not REGION:MS"}


async def test_one_address_that_asks_too_often_is_told_when_to_come_again(world: World) -> None:
    url = f"{world.edges['us-1'].http}/v1/negotiate"
    headers = {"X-Forwarded-For": "192.0.2.77"}
    async with aiohttp.ClientSession() as session:

        async def asked() -> int:
            async with session.get(url, headers=headers) as answer:
                if answer.status == 429:
                    assert int(answer.headers["Retry-After"]) == 1
                    assert (await answer.json())["error"]["code"] == "rate_limited"
                return answer.status

        answers = await asyncio.gather(*(asked() for _ in range(60)))
        assert 10 <= answers.count(200) < 60
        assert set(answers) == {200, 429}
    refused = (await metrics(world, "us-1"))["negotiations_refused_total"]
    assert refused == answers.count(429)
    await ask(world, "us-1", "192.0.2.78")  # another one is answered


async def test_a_page_may_ask_before_it_asks(world: World) -> None:
    url = f"{world.edges['us-1'].http}/v1/negotiate"
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
    async with (
        aiohttp.ClientSession() as session,
        session.options(url, headers=headers) as answer,
    ):
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Methods"] == "GET"
    async with aiohttp.ClientSession() as session, session.post(url) as answer:
        assert answer.status == 405
