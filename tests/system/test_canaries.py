"""Canaries between the regions of a running world: they fly, and their absence is seen."""

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from regions.faults.client import Faults
from regions.issuer import DOOR
from regions.steering.canary import Canaries
from regions.steering.health import LATE_S
from regions.steering.steerer import TRY_S, Steerer
from regions.steering.trying import doors_of, try_door
from relay.geo.atlas import Atlas
from tests.places import three
from tests.world import World, running

REGIONS = ("us", "eu", "ap")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions whose links can be cut."""
    topology = '[faults]\nlinks = "relay"\n' + three(1, 1, 1)
    with running(tmp_path_factory.mktemp("canaries"), topology, orderly=True) as started:
        yield started


async def until(look: Callable[[], bool], seconds: float) -> float:
    """Wait until it is so; how long that took."""
    began_s = time.monotonic()
    async with asyncio.timeout(seconds):
        while not look():
            await asyncio.sleep(0.1)
    return time.monotonic() - began_s


async def test_canaries_fly_between_all_regions_and_a_cut_pair_is_degraded(world: World) -> None:
    found = world.found()
    urls, issuer = doors_of(found), found.issuer(DOOR)
    canaries = Canaries(issuer, urls)
    steerer = Steerer(
        found.topology(), found.doors("console"), Atlas(), urls, partial(try_door, issuer), canaries
    )

    def states() -> dict[str, str]:
        assert steerer.outlook is not None
        return {each.name: each.verdict.state for each in steerer.outlook.regions}

    def reason(region: str) -> str:
        assert steerer.outlook is not None
        return steerer.outlook.region(region).verdict.reason

    async with canaries, steerer:
        pairs = {(one, other) for one in REGIONS for other in REGIONS}
        await until(lambda: canaries.flights.arrived.keys() == pairs, 30)
        await until(lambda: set(states().values()) == {"ok"}, 30)
        async with Faults(world.state_dir) as faults:
            cut = await faults.cut("us", "eu")
            try:
                await until(lambda: "does not arrive in eu" in reason("us"), 60)
                assert states()["us"] == "degraded"
                assert steerer.outlook is not None
                assert steerer.outlook.region("us").verdict.admits
                assert "does not arrive" not in reason("ap")
            finally:
                await faults.heal(cut)
        # An edge that was not heard in one region has to be heard for a while before it counts.
        await until(lambda: set(states().values()) == {"ok"}, 60)
        newest = canaries.flights.arrived["us", "eu"]
        assert time.monotonic() - newest.at_s < LATE_S + TRY_S
