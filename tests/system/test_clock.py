"""An edge whose clock jumps by five minutes: nobody goes, and the log keeps time."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from console.clock import Clock
from console.feed import apply
from console.live import LiveFeed
from console.model import Fleet, RegionView, observe
from relay.core.tokens import mint
from relay.tasks import Tasks
from tests.raw import EVERYTHING, Raw
from tests.ready import serving
from tests.views import View, looking
from tests.world import World

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
TOPOLOGY = """
[limits]
visit_beat_s = 2.0
visit_timeout_s = 20.0
[[regions]]
name = "us"
edges = 2
[[regions]]
name = "eu"
edges = 1
"""
JUMP_S = 301.3  # so that windows and frames are out of step, too
HOLDS_S = 7.0  # longer than a lease

pytestmark = pytest.mark.skipif(
    not FAKETIME.exists(), reason="an edge's clock can't be set: Debian's libfaketime is not there"
)


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two regions; the test runs one edge of them by itself."""
    world = World(tmp_path_factory.mktemp("timed") / "state", TOPOLOGY)
    world.launch()
    try:
        yield world
        assert world.end() == 0
        assert world.leftovers() == []
    finally:
        world.clean()


def faked(clock: Path) -> dict[str, str]:
    """The environment of a process whose clock is ahead by what stands in a file."""
    return os.environ | {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


@asynccontextmanager
async def unsteady(world: World, directory: Path, edge: str) -> AsyncIterator[Path]:
    """`edge` with a clock that is ahead by what stands in a file."""
    await world.ctl("hold", edge)
    clock = directory / "clock"
    clock.write_text("+0\n")
    config = world.state_dir / "edges" / f"{edge}.json"
    command = [sys.executable, "-m", "cli", "edge", "--config", str(config)]
    with (directory / "edge.log").open("wb") as log:
        process = subprocess.Popen(command, env=faked(clock), stdout=log, stderr=log)
    try:
        await serving(world, edge)
        yield clock
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.wait, 20)
        await world.ctl("start", edge)
        await serving(world, edge)


def earlier(world: World, user: str) -> str:
    """A token that was issued ten minutes ago: also by a clock that is five minutes behind."""
    return mint(world.token_key(), user, (EVERYTHING,), int(time.time()) - 600, 3600)


async def stats(world: World) -> Any:
    """`jetrelay stats --json`."""
    done = await asyncio.to_thread(world.run, "stats", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def seen(world: World, jump_s: float) -> None:
    """A console names the clock, and says all else as it is."""
    feed, clock, fleet = LiveFeed(world.found().doors("console")), Clock(), Fleet()
    named = f"us-2 has a clock {JUMP_S:.0f} s {'ahead' if jump_s > 0 else 'behind'}"
    regions: dict[str, RegionView] = {}
    said: dict[str, str] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(30), aclosing(feed.events()) as events:
            async for event in events:
                fleet = apply(fleet, event, clock.steady_ms())
                regions = {each.name: each for each in observe(fleet, clock.steady_ms()).regions}
                # It is told of one after the other, and an edge may read another region late for
                # a moment, with much to do.
                said = {name: region.reason for name, region in regions.items()}
                if len(fleet.edges) == 3 and said == {"us": named, "eu": ""}:
                    break
    assert said == {"us": named, "eu": ""}
    assert regions["eu"].state == "ok"
    edges = [edge for region in regions.values() for edge in region.edges]
    assert {edge.state for edge in edges} == {"ready"}
    assert max(edge.age_ms or 0 for edge in edges) < 3_000


@pytest.mark.parametrize("jump_s", [JUMP_S, -JUMP_S])
async def test_nothing_moves_when_an_edge_has_another_time(
    timed: World, tmp_path: Path, jump_s: float
) -> None:
    room = f"clock:{abs(jump_s):.0f}{'ahead' if jump_s > 0 else 'behind'}"
    began_ms = int(time.time() * 1000)
    async with (
        unsteady(timed, tmp_path, "us-2") as clock,
        Raw(timed.edges["eu-1"].url) as ana,
        aiohttp.ClientSession() as http,
    ):
        await ana.identify(earlier(timed, "ana"), looking(room))
        view = View(ana, room)
        async with Raw(timed.edges["us-2"].url) as bo:
            await bo.identify(earlier(timed, "bo"), room)
            both = {"ana": "online", "bo": "online"}
            await view.until(both)
            visits = f"{timed.found().edge('us-2').http}/v1/visits"
            async with http.post(f"{visits}/open") as answer:
                visit = (await answer.json())["visit"]
            async with asyncio.timeout(10):
                while True:
                    before = (await stats(timed))["total"]
                    if (before["sessions"], before["visits"], before["users"]) == (2, 1, 2):
                        break
                    await asyncio.sleep(0.3)
            frames = len(view.frames)
            clock.write_text(f"{jump_s:+g}\n")
            looking_on = Tasks("console")
            console = looking_on.spawn(seen(timed, jump_s), "console")
            await view.read_for(HOLDS_S)
            await console
            now = await stats(timed)
            assert view.online == both
            assert [f for f in view.frames[frames:] if f["offline"]] == []
            for figure in ("sessions", "users", "visits", "edges"):
                assert now["total"][figure] == before[figure], figure
            assert now["silent"] == []
            async with http.post(f"{visits}/beat", json={"visit": visit}) as answer:
                assert answer.status == 204
            # Others come and go, and are seen, as if nothing had been.
            async with Raw(timed.edges["us-2"].url) as cy:
                await cy.identify(earlier(timed, "cy"), room)
                await view.until(both | {"cy": "online"})
                await cy.ws.close(1000)
            await view.until(both)
            async with http.post(f"{visits}/close", json={"visit": visit}) as answer:
                assert answer.status == 204
            clock.write_text("+0\n")
            await view.read_for(4)
            assert view.online == both
            await bo.ws.close(1000)
        await view.until({"ana": "online"})
        ended_ms = int(time.time() * 1000)
    await asyncio.sleep(3)
    since, until = (
        datetime.fromtimestamp(ms / 1000, UTC).isoformat() for ms in (began_ms, ended_ms)
    )
    arguments = ("audit", "user", "bo", "--json", "--since", since, "--until", until)
    done = await asyncio.to_thread(timed.run, *arguments)
    (online,) = json.loads(done.stdout)["times"]
    assert began_ms < online["start_ms"] < online["end_ms"] < ended_ms
    assert online["ended"] == "logged"
    assert 14 < online["seconds"] < (ended_ms - began_ms) / 1000


async def test_a_console_whose_own_clock_is_wrong_says_all_but_the_time_as_it_is(
    timed: World, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    clock.write_text(f"+{JUMP_S}\n")
    options = ("console", "--once", "--format", "json", "--state", str(timed.state_dir))
    now_ms = int(time.time() * 1000)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "cli", *options], env=faked(clock),
        capture_output=True, check=True,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert said["at_ms"] - now_ms > (JUMP_S - 1) * 1000
    edges = [edge for region in said["regions"] for edge in region["edges"]]
    assert {(edge["state"], edge["clock_off_ms"]) for edge in edges} == {("ready", 0)}
    assert max(edge["age_ms"] for edge in edges) < 3_000
    assert max(ms for row in said["lag_ms"].values() for ms in row.values()) < 3_000
