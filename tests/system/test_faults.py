"""Faults in a running world: made, measured, and healed whatever becomes of who asked for them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from regions.control import ProcessStatus
from regions.errors import WorldError
from regions.faults.client import Faults
from regions.faults.spaces import why_not
from tests.crossing import crossing
from tests.world import World

TOPOLOGY = "\n".join(f'[[regions]]\nname = "{name}"\nedges = 1\n' for name in ("us", "eu"))
HUNG = "[supervisor]\nhung_s = 1.5\n"
MODES = ("relay", "netns")


@pytest.fixture(scope="module", params=MODES)
def linked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A world of two regions whose links can be broken, in each way in which that is done."""
    if request.param == "netns" and (why := why_not()):
        pytest.skip(f"{why}; the same is tested with TCP relays")
    world = World(
        tmp_path_factory.mktemp(request.param) / "state", HUNG + TOPOLOGY, "--links", request.param
    )
    try:
        yield world.launch()
        assert world.end() == 0
        assert world.leftovers() == []
    finally:
        world.clean()


@contextmanager
def held(world: World, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`jetrelay ctl fault ARGUMENTS` as a process; it holds its fault when the block begins."""
    program = str(Path(sys.executable).with_name("jetrelay"))
    command = [program, "ctl", "fault", *arguments, "--state", str(world.state_dir)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert b"Ctrl-C heals it" in said, said
            yield process
        finally:
            process.kill()


async def status(world: World, name: str) -> ProcessStatus:
    """One process of the world."""
    return next(one for one in await world.ctl("status") if one.name == name)


async def until_status(world: World, name: str, **keys: object) -> None:
    """Wait until a process is so."""
    async with asyncio.timeout(20):
        while True:
            now = await status(world, name)
            if all(getattr(now, key) == value for key, value in keys.items()):
                return
            await asyncio.sleep(0.05)


async def test_a_delay_is_there_when_the_call_returns_and_gone_when_it_is_healed(
    linked: World,
) -> None:
    async with crossing(linked, "us", "eu") as across, Faults(linked.state_dir) as faults:
        before = sorted([await across.trip_ms() or 1e9 for _ in range(9)])[4]
        slow = await faults.wan("us", "eu", delay_ms=60)
        assert slow.at_s <= time.monotonic()
        trips = sorted([await across.trip_ms() or 1e9 for _ in range(9)])
        print(
            f"\nround trip {before:.1f} ms, with 60 ms each way {trips[0]:.1f} to {trips[-1]:.1f}"
        )
        assert before < 60
        assert 120 <= trips[0] < 180
        assert slow.at_s < await faults.heal(slow) <= time.monotonic()
        assert (await across.trip_ms() or 1e9) < 120


async def test_cut_nothing_gets_through_and_one_way_the_other_direction_does(
    linked: World,
) -> None:
    async with crossing(linked, "us", "eu") as across, Faults(linked.state_dir) as faults:
        assert await across.hears(b"before")
        # First the one-way cut: a connection that has lost packets sends few without an answer.
        one_way = await faults.one_way("us", "eu")
        assert await across.hears(b"one way")
        assert await across.trip_ms() is None
        await faults.heal(one_way)
        assert await across.is_open()

        cut = await faults.cut("us", "eu")
        assert await across.trip_ms() is None
        assert not await across.hears(b"cut")
        await faults.heal(cut)
        assert await across.is_open()


async def test_two_faults_on_one_link_are_healed_one_by_one(linked: World) -> None:
    async with crossing(linked, "us", "eu") as across:
        async with Faults(linked.state_dir) as faults, Faults(linked.state_dir) as others:
            await faults.isolate("eu")
            second = await others.cut("us", "eu")
            await faults.heal()
            assert await across.trip_ms() is None
            _, now = await faults.overview()
            assert [one.number for one in now] == [second.number]
            with pytest.raises(WorldError, match="of this connection"):
                await faults.heal(second)
        assert await across.is_open()


async def test_whoever_is_killed_leaves_nothing_broken(linked: World) -> None:
    async with crossing(linked, "us", "eu") as across:
        with held(linked, "isolate", "eu") as holder, held(linked, "pause", "us-1") as pauser:
            assert await across.trip_ms() is None
            assert (await status(linked, "us-1")).paused
            async with Faults(linked.state_dir) as faults:
                _, now = await faults.overview()
            assert {one.holder for one in now} == {holder.pid, pauser.pid}
            with held(linked, "lose", "us") as loser:
                assert (await status(linked, "us-n1")).state == "held"
                loser.kill()
            await until_status(linked, "us-n1", state="up")
            pauser.kill()
            holder.kill()
        await until_status(linked, "us-1", state="up", paused=False)
        assert await across.is_open()
        async with Faults(linked.state_dir) as faults:
            assert (await faults.overview())[1] == []


async def test_the_links_process_dies_and_the_cut_holds(linked: World) -> None:
    async with crossing(linked, "us", "eu") as across, Faults(linked.state_dir) as faults:
        cut = await faults.cut("us", "eu")
        since = len(linked.events)
        await linked.ctl("kill", "wan")
        assert await across.trip_ms(0.3) is None  # also without that process nothing gets through
        await linked.event("wan_down", since=since)
        await linked.event("wan_up", since=since)
        assert await across.trip_ms() is None
        await faults.heal(cut)
        assert await across.is_open()


async def test_a_region_is_lost_at_once_and_comes_back(linked: World) -> None:
    async with crossing(linked, "us", "eu") as across, Faults(linked.state_dir) as faults:
        before = {one.name: one.starts for one in await faults.processes()}
        lost = await faults.lose("eu")
        assert lost.at_s <= time.monotonic()
        down = {one.name: one.state for one in await faults.processes() if one.region == "eu"}
        assert down == {"eu-n1": "held", "eu-1": "held"}
        assert await across.trip_ms(0.3) is None
        await faults.bring_back("eu")
        after = {one.name: one.starts for one in await faults.processes()}
        assert after == before | {"eu-n1": before["eu-n1"] + 1, "eu-1": before["eu-1"] + 1}


async def test_a_paused_process_is_told_hung_and_then_told_awake(linked: World) -> None:
    since = len(linked.events)
    async with Faults(linked.state_dir) as faults:
        await faults.pause("eu-1", "us-n1")
        await linked.event("edge_hung", edge="eu-1", since=since)
        await linked.event("nats_hung", server="us-n1", since=since)
        assert (await status(linked, "eu-1")).hung
        starts = (await status(linked, "eu-1")).starts
    again = await linked.event("edge_up", edge="eu-1", since=since)
    assert again.reason == "answers again"
    await linked.event("nats_up", server="us-n1", since=since)
    now = await status(linked, "eu-1")
    assert (now.hung, now.paused, now.starts) == (False, False, starts)


async def test_what_can_not_be_made_says_why(linked: World) -> None:
    mode = linked.arguments[1]
    async with Faults(linked.state_dir) as faults:
        possible = await faults.possible()
        assert possible["cut"] is None
        if mode == "relay":
            with pytest.raises(WorldError, match="--links netns"):
                await faults.wan("us", "eu", loss=0.1)
        else:
            with pytest.raises(WorldError, match="not stalled"):
                await faults.stall("us", "eu")
        with pytest.raises(WorldError, match="no region 'ap'; the world has us, eu"):
            await faults.cut("us", "ap")
        with pytest.raises(WorldError, match="no process 'us-9'"):
            await faults.pause("us-9")
        with pytest.raises(WorldError, match="delay_ms: -1 is not in 0 to 60000"):
            await faults.wan("us", "eu", delay_ms=-1)
        assert (await faults.overview())[1] == []


async def test_the_command_holds_a_fault_for_a_time(linked: World) -> None:
    began = time.monotonic()
    done = await asyncio.to_thread(linked.run, "ctl", "fault", "cut", "us", "eu", "--for", "300ms")
    assert time.monotonic() - began >= 0.3
    assert done.returncode == 0
    assert done.stdout == ""
    assert "cut us->eu eu->us; for 0.3 s\njetrelay: healed" in done.stderr
    listed = await asyncio.to_thread(linked.run, "ctl", "fault", "list")
    assert "cut" in listed.stdout
    assert "IN EFFECT" not in listed.stdout


async def test_a_killed_supervisor_leaves_no_cut_and_the_next_one_cleans_up(
    tmp_path: Path,
) -> None:
    mode = "relay" if why_not() else "netns"
    world = World(tmp_path / "state", TOPOLOGY, "--links", mode)
    try:
        await world.start()
        async with crossing(world, "us", "eu") as across:
            with held(world, "cut", "us", "eu"):
                assert await across.trip_ms() is None
                world.kill_supervisor()
                assert await across.is_open()
        await world.start()
        assert len(world.leftovers()) == 5  # two nats-servers, two edges, what carries the links
        assert await world.stop() == 0
        assert world.leftovers() == []
    finally:
        world.clean()
    if mode == "netns":
        spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
        assert f"jetrelay{world.pid}-" not in spaces.stdout


async def test_direct_links_can_not_be_broken_but_processes_can(tmp_path: Path) -> None:
    async with World(tmp_path / "state", TOPOLOGY) as world:
        done = await asyncio.to_thread(world.run, "ctl", "fault", "cut", "us", "eu")
        assert done.returncode == 2
        assert done.stderr == (
            "jetrelay: cut: this world's links are direct: start it with "
            "`jetrelay up --links relay`\n"
        )
        with held(world, "pause", "us-1") as holder:
            assert (await status(world, "us-1")).paused
            os.kill(holder.pid, signal.SIGINT)
            holder.wait(10)
            assert holder.returncode == 0
        assert not (await status(world, "us-1")).paused


async def test_a_hung_process_is_started_again_where_that_is_set(tmp_path: Path) -> None:
    setting = "[supervisor]\nhung_s = 1\nrestart_hung_s = 2\n"
    async with World(
        tmp_path / "state", setting + '[[regions]]\nname = "us"\nedges = 1\n'
    ) as world:
        since = len(world.events)
        await world.ctl("pause", "us-1")
        down = await world.event("edge_down", edge="us-1", since=since)
        assert (down.reason, down.code) == ("hung", -signal.SIGKILL)
        await world.event("edge_up", edge="us-1", since=since)
