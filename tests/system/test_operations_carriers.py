"""Who carries an operation out: killed, interrupted, followed by another, or too late."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.operators import TOPOLOGY, Crowd, begin, ctl, open_all, orders
from tests.ready import serving
from tests.world import World, running


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions."""
    with running(tmp_path_factory.mktemp("carried"), TOPOLOGY, orderly=True) as started:
        yield started


@pytest.fixture(autouse=True)
async def _opened(world: World) -> AsyncIterator[None]:
    """After each test nothing is wanted of anybody any more."""
    yield
    await open_all(world)


async def test_who_takes_up_an_operation_whose_carrier_was_killed_finishes_it(
    world: World,
) -> None:
    async with Crowd.at(world, ("eu-1", "eu-2"), 3) as crowd:
        killed = await begin(world, "evacuate", "eu", "--yes", "--within", "4")
        await killed.said("clients left")
        killed.interrupt(signal.SIGKILL)
        await killed.end()
        name = next(line.split()[-1] for line in killed.lines if "-evacuate-eu-" in line)
        await crowd.arrive("us", "ap")  # edges go on by themselves
        async with asyncio.timeout(30):
            while "nobody carries it out" not in await ctl(world, 0, "status"):
                await asyncio.sleep(0.5)
        await ctl(world, 0, "resume", name)
        assert "done" in await ctl(world, 0, "log", name)
        said = await ctl(world, 2, "abort", name)
        assert f"{name} has ended: done" in said


async def test_who_aborts_what_nobody_carries_out_any_more_does_it_himself(world: World) -> None:
    """Its carrier was killed a moment ago: its lease lives on for some seconds."""
    async with Crowd.at(world, ("eu-1", "eu-2"), 3) as crowd:
        killed = await begin(world, "evacuate", "eu", "--yes", "--within", "120", "--by", "dead")
        await killed.said("clients left")
        killed.interrupt(signal.SIGKILL)
        await killed.end()
        name = next(line.split()[-1] for line in killed.lines if "-evacuate-eu-" in line)
        said = await ctl(world, 0, "abort", name, "--by", "alive")
        assert "dead is told to stop" in said
        assert "aborted by alive" in said
        assert "eu" in crowd.regions()
        await serving(world, "eu-1")
        # What was ordered since, is not undone by who takes up what was before.
        await ctl(world, 0, "uncordon", "eu", "--yes", "--by", "other")
        refused = await ctl(world, 2, "resume", name)
        assert f"{name} has ended: aborted" in refused


async def test_what_was_ordered_since_is_not_overwritten_by_who_takes_up_the_old(
    world: World,
) -> None:
    await ctl(world, 0, "drain", "eu-1", "--yes", "--within", "0", "--by", "before")
    async with Crowd.at(world, ("eu-2",), 3):
        killed = await begin(world, "evacuate", "eu", "--yes", "--within", "120")
        await killed.said("clients left")
        killed.interrupt(signal.SIGKILL)
        await killed.end()
        name = next(line.split()[-1] for line in killed.lines if "-evacuate-eu-" in line)
        async with asyncio.timeout(40):
            while "nobody carries it out" not in await ctl(world, 0, "status"):
                await asyncio.sleep(0.5)
        await ctl(world, 0, "uncordon", "eu-2", "--yes", "--by", "other")
        said = await ctl(world, 2, "resume", name)
        assert "other has ordered something else of eu-2 since" in said
        await ctl(world, 0, "abort", name)
        wanted = await orders(world)
        assert set(wanted) == {"eu", "eu-1"}
        assert wanted["eu-1"].by == "before", "an abort does not open what others had drained"


async def test_ctrl_c_aborts(world: World) -> None:
    async with Crowd.at(world, ("eu-1", "eu-2"), 3):
        one = await begin(world, "drain", "eu-1", "--yes", "--within", "60")
        await one.said("clients left")
        one.interrupt()
        code, said = await one.end()
        assert (code, "by a signal: eu-1 keep the clients that are left" in said) == (1, True), said
    assert await orders(world) == {}
