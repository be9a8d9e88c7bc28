"""`jetrelay steer` on a running world: what is judged, and where clients are sent."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from relay.client import connect
from tests.countries import write_cities
from tests.places import three
from tests.raw import token
from tests.ready import serving
from tests.world import World, running

TOPOLOGY = """
[clients]
geoip = "cities.mmdb"
""" + three(2, 1, 1)
NEAREST = {
    "192.0.2.1": "us",  # the United States
    "192.0.2.129": "us",  # Brazil
    "198.51.100.1": "eu",  # Germany
    "2001:db8::1": "eu",  # France
    "203.0.113.1": "ap",  # Singapore
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions, and a database of cities."""
    directory = tmp_path_factory.mktemp("steered")
    write_cities(directory / "cities.mmdb")
    with running(directory, TOPOLOGY, orderly=True) as started:
        yield started


async def steer(world: World, code: int, *arguments: str) -> Any:
    """The JSON of a command that ends with this exit code."""
    done = await asyncio.to_thread(
        world.run, "steer", *arguments, "--json", "--state", str(world.state_dir)
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def states(found: Any) -> dict[str, str]:
    """By region and edge."""
    regions = {region["name"]: region["state"] for region in found["regions"]}
    return regions | {
        edge["name"]: edge["state"] for one in found["regions"] for edge in one["edges"]
    }


async def all_ok(world: World) -> None:
    """Everything is ok, as soon as all hear all, which takes a while on a busy machine."""
    async with asyncio.timeout(30):
        while True:
            done = await asyncio.to_thread(
                world.run, "steer", "status", "--json", "--state", str(world.state_dir)
            )
            if done.returncode == 0:
                break
    assert set(states(json.loads(done.stdout)).values()) == {"ok"}


async def test_each_network_is_sent_to_the_nearest_region_and_to_the_next_without_it(
    world: World,
) -> None:
    await all_ok(world)
    for address, region in NEAREST.items():
        found = await steer(world, 0, "explain", address, "--no-try")
        assert found["order"][0] == region, address
        assert found["shares"][0]["share"] == 1
    await world.ctl("hold", "eu-1")
    try:
        found = states(await steer(world, 1, "status"))
        assert {name for name, state in found.items() if state != "ok"} == {"eu", "eu-1"}
        # Heard a moment ago, and its door fails: when its lease runs out as well, it is down.
        assert found["eu-1"] in ("degraded", "down")
        sent = await steer(world, 0, "explain", "198.51.100.1")
        assert sent["order"] == ["us", "ap"]
        await asyncio.sleep(6.5)
        assert states(await steer(world, 1, "status"))["eu"] == "down"
        assert states(await steer(world, 1, "status", "--no-try"))["eu"] == "dark", "nobody tried"
    finally:
        await world.ctl("start", "eu-1")
    await serving(world, "eu-1")
    await all_ok(world)


async def test_an_edge_that_was_stopped_in_order_is_down_and_its_region_serves_on(
    world: World,
) -> None:
    await world.ctl("stop", "us-1")
    try:
        found = await steer(world, 0, "status")
        assert states(found)["us-1"] == "down"
        (us,) = [region for region in found["regions"] if region["name"] == "us"]
        assert (us["state"], us["admits"], us["room"]) == ("ok", True, 18_000)
        assert us["reason"] == "1 of 2 edges ok; us-1: it has ended, and said so"
    finally:
        await world.ctl("start", "us-1")
    await serving(world, "us-1")


async def test_what_if_says_where_the_clients_of_a_region_would_go(world: World) -> None:
    url = world.edges["eu-1"].url
    async with (
        connect(url, token=token(world, "ana"), listen=False),
        connect(url, token=token(world, "bo"), listen=False),
    ):
        await asyncio.sleep(1.5)  # each edge says once a second how many it has
        found = await steer(world, 0, "what-if", "eu")
    assert (found["region"], found["connections"], found["fits"]) == ("eu", 2, True)
    assert {each["region"]: each["connections"] for each in found["arrivals"]} == {"us": 2, "ap": 0}


async def test_mistakes_are_said_in_a_line(world: World) -> None:
    for arguments, said in (
        (("explain", "300.0.0.1"), "'300.0.0.1' is no IP address"),
        (("what-if", "sa"), "no region 'sa'; it has us, eu, ap"),
    ):
        done = await asyncio.to_thread(
            world.run, "steer", *arguments, "--state", str(world.state_dir)
        )
        assert done.returncode == 2
        assert said in done.stderr
