"""Drills as a user runs them: in a world that runs, in one of their own, and interrupted."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from console.feed import FeedEvent, NewsHeard
from console.live import LiveFeed
from console.past.replay import WARM_UP_MS, Replay
from console.past.streams import open_streams
from regions.drills.catalogue import find_drill
from regions.drills.prospect import look_ahead
from regions.drills.run import Order
from regions.errors import WorldError
from regions.faults.client import Faults
from regions.identity import is_alive
from regions.news import DrillNews, decode_news
from regions.state import StateDir
from regions.stats.reading import open_past
from tests.operators import ctl, orders
from tests.ready import serving
from tests.world import World

TOPOLOGY = "\n".join(f'[[regions]]\nname = "{name}"\nedges = 2\n' for name in ("us", "eu"))
SMALL = ("--clients", "24", "--rate", "30")
PROGRAM = str(Path(sys.executable).with_name("jetrelay"))


def drill(*arguments: object, timeout_s: float = 150) -> subprocess.CompletedProcess[str]:
    """`jetrelay drill ARGUMENTS`."""
    return subprocess.run(
        [PROGRAM, "drill", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


def until_fault(process: subprocess.Popen[Any]) -> None:
    """Wait until a drill that says its stages as JSON breaks something."""
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["stage"]["name"] == "fault":
            return
    raise AssertionError("it broke nothing")


async def news_of(world: World) -> list[DrillNews]:
    """What consoles were told of drills, once: the last word may be told in one region only."""
    async with open_past(world.found().doors("console")) as past:
        page = await past._reader.page("TELE", 1, batch=500, subject="news.*.drill")
        news = [decode_news(data) for _, data in page.messages]
    return once(each for each in news if isinstance(each, DrillNews))


def once(news: Iterable[DrillNews]) -> list[DrillNews]:
    by_number = {each.number: each for each in news}
    return [by_number[number] for number in sorted(by_number)]


async def kept_of(world: World) -> list[tuple[DrillNews, ...]]:
    """What a console that starts now knows of the only drill: live, and in the past."""
    doors = world.found().doors("console")
    async with aclosing(LiveFeed(doors).events()) as events, asyncio.timeout(60):
        live = [
            event.news
            async for event in until_end(events)
            if isinstance(event, NewsHeard) and isinstance(event.news, DrillNews)
        ]
    async with open_streams(doors) as past:
        now_ms = int(time.time() * 1000)
        replay = Replay(past, {}, "us")
        await replay.seek(now_ms + WARM_UP_MS)  # as if it had ended long ago
    [then] = replay.view.drills.values()
    return [tuple(once(live)), then]


async def until_end(events: AsyncIterator[FeedEvent]) -> AsyncIterator[FeedEvent]:
    """Up to how a drill ended."""
    async for event in events:
        yield event
        if isinstance(event, NewsHeard) and isinstance(event.news, DrillNews) and event.news.word:
            return


def verdict_in(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((report / "verdict.json").read_bytes())
    return found


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two regions whose links can be cut."""
    running = World(tmp_path_factory.mktemp("drills") / "state", TOPOLOGY, "--links", "relay")
    running.launch()
    try:
        yield running
        assert running.end() == 0
        assert running.leftovers() == []
    finally:
        running.clean()


def test_an_edge_is_killed_in_a_running_world(linked: World, tmp_path: Path) -> None:
    report = tmp_path / "report"
    done = drill(
        "run", "edge-kill", "--state", linked.state_dir, "--report", report, *SMALL,
        "--by", "ann", "--why", "OPS-7",
    )  # fmt: skip
    verdict = verdict_in(report)
    # How long it took depends on the machine; what was lost does not.
    assert verdict["violations"] == {}, verdict["examples"]
    codes = {"pass": 0, "missed": 1, "failed": 2}  # failed: the machine had no time for the load
    assert done.returncode == codes[verdict["verdict"]], done.stderr
    assert (verdict["missing"], verdict["undeclared_gaps"], verdict["repeated"]) == (0, 0, 0)
    assert verdict["clients"] == 24
    assert verdict["clients_hit"] == verdict["resumes"] == 6
    assert verdict["resume_success"] == 1
    assert verdict["acked"] > 300
    assert verdict["world"]["own"] is False
    assert verdict["phases"]["reconnect_s"] > 0
    stages = [stage["name"] for stage in verdict["stages"]]
    assert next(name for name in stages if name in ("fault", "detect", "reconnect", "heal")) == (
        "fault"
    )
    assert {"preflight", "detect", "decide", "reconnect", "converge", "scan", "check"} <= set(
        stages
    )
    assert "detect" in done.stderr
    assert "acknowledged" in done.stdout
    assert (report / "index.html").stat().st_size > 10_000
    told = asyncio.run(news_of(linked))
    assert [each.number for each in told] == [*range(1, len(told) + 1)]
    assert [each.stage for each in told[:-1]] == stages
    assert (told[-1].word, told[-1].report) == (verdict["verdict"], str(report))
    assert {(each.drill, each.by, each.why) for each in told} == {("edge-kill", "ann", "OPS-7")}
    found = told[-1].found
    assert found is not None
    assert (found.clients, found.lost, found.repeated) == (24, 0, 0)
    assert found.detect_s == verdict["phases"]["detect_s"]
    assert [bound.met for bound in found.bounds] == [one["met"] for one in verdict["objectives"]]
    assert asyncio.run(kept_of(linked)) == [tuple(told), tuple(told)]
    again = drill("report", report)
    assert again.returncode == done.returncode
    assert again.stdout.strip() == done.stdout.strip()
    checked = subprocess.run([PROGRAM, "check", str(report)], capture_output=True, check=False)
    assert checked.returncode == 0


def test_two_regions_are_cut_from_each_other_and_every_client_is_current_again(
    linked: World, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    done = drill(
        "run", "pair-partition", "--state", linked.state_dir, "--report", report, *SMALL,
        "--for", "4s", "--json",
    )  # fmt: skip
    verdict = verdict_in(report)
    assert verdict["violations"] == {}, verdict["examples"]
    assert verdict["faults"][0]["times"]["text"] == "cut eu->us us->eu"
    assert verdict["gap_ms"]["max"] >= 3_500  # as long as the cut
    assert verdict["phases"]["current_s"] is not None
    assert [lag["source"] for lag in verdict["lags"]] == ["eu", "us"]
    assert max(lag["peak_ms"] for lag in verdict["lags"]) > 2_500  # seen once a second
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["verdict"]["history"] == verdict["history"]
    assert [line["stage"]["name"] for line in lines[:-1]] == [
        stage["name"] for stage in verdict["stages"]
    ]


async def test_ctrl_c_heals_what_was_broken_and_leaves_a_partial_report(
    linked: World, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    command = [PROGRAM, "drill", "run", "edge-hang", "--state", str(linked.state_dir), "--json"]
    with subprocess.Popen(
        [*command, "--report", str(report), *SMALL],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            until_fault(process)
            paused = [one.name for one in await linked.ctl("status") if one.paused]
            assert len(paused) == 1
            order = Order(find_drill("herd"), linked.state_dir, tmp_path / "other")
            prospect = await look_ahead(order)
            assert prospect.why_not == f"something is broken already: pause {paused[0]}"
            os.killpg(process.pid, signal.SIGINT)
            async with asyncio.timeout(5):  # it does not wait for the clients to go
                while any(one.paused for one in await linked.ctl("status")):
                    await asyncio.sleep(0.05)
            assert process.wait(40) == 130
        finally:
            process.kill()
    assert not [one.name for one in await linked.ctl("status") if one.paused]
    async with Faults(linked.state_dir) as faults:
        assert (await faults.overview())[1] == []
    assert verdict_in(report)["verdict"] == "interrupted"
    assert (report / "index.html").is_file()
    left = subprocess.run(["pgrep", "-f", str(report)], capture_output=True, check=False)
    assert left.stdout == b""


async def test_ctrl_c_opens_a_region_that_it_had_emptied(linked: World, tmp_path: Path) -> None:
    report = tmp_path / "report"
    command = [
        PROGRAM, "drill", "run", "evacuate", "--state", str(linked.state_dir), "--json",
        "--report", str(report), "--region", "eu", *SMALL,
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            until_fault(process)
            async with asyncio.timeout(30):
                while "eu-1" not in await orders(linked):  # its clients are sent away
                    await asyncio.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=60)
            assert process.returncode == 130
        finally:
            process.kill()
    assert verdict_in(report)["why"] == ["interrupted; what was broken is healed"], said
    wanted = await orders(linked)
    assert not [name for name, order in wanted.items() if order.cordoned or order.drain_s]
    for edge in linked.edges:
        await serving(linked, edge)
    log = json.loads(await ctl(linked, 0, "log", "--json"))
    ends = [run["entries"][-1]["what"] for run in log if run["request"]["region"] == "eu"]
    assert set(ends) <= {"done", "aborted"}, ends


def test_a_drill_ends_the_world_that_it_started_also_when_it_is_killed(tmp_path: Path) -> None:
    report = tmp_path / "report"
    topology = tmp_path / "two.toml"
    topology.write_text(TOPOLOGY)
    command = [
        PROGRAM, "drill", "run", "herd", "--state", str(tmp_path / "none"), "--json",
        "--report", str(report), "--topology", str(topology), "--links", "direct", *SMALL,
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if json.loads(line)["stage"]["name"] == "calm":
                    break
            record = StateDir(report / "world").world()
            assert record is not None
            assert record.supervisor is not None
            started = [record.supervisor, *record.processes()]
            assert len(started) == 7
        finally:
            process.kill()
    deadline = time.monotonic() + 30
    while any(is_alive(one) for one in started):
        assert time.monotonic() < deadline, "the world outlived its drill"
        time.sleep(0.1)


async def test_what_a_drill_is_going_to_do_is_known_before(linked: World, tmp_path: Path) -> None:
    order = Order(find_drill("pair-partition"), linked.state_dir, tmp_path / "r", seed=1)
    prospect = await look_ahead(order)
    assert prospect.why_not is None
    assert "cut eu->us us->eu → for 10 s → heal" in prospect.steps
    assert prospect.seconds == 6 + 10 + 6
    full = await look_ahead(Order(find_drill("disk-full"), linked.state_dir, tmp_path / "r"))
    assert "store at its limit" in full.steps
    with pytest.raises(WorldError, match="no world runs"):
        await look_ahead(Order(find_drill("herd"), tmp_path, tmp_path / "r"))


def test_what_can_not_be_run_says_why_and_breaks_nothing(tmp_path: Path) -> None:
    none = tmp_path / "none"
    unknown = drill("run", "edge-kil", "--state", none)
    assert unknown.returncode == 2
    assert unknown.stderr == "jetrelay: no drill 'edge-kil'; did you mean edge-kill?\n"
    direct = drill("run", "pair-partition", "--state", none, "--links", "direct")
    assert direct.returncode == 2
    assert direct.stderr.splitlines()[-1] == (
        "jetrelay: pair-partition: cut: this world's links are direct: start it with "
        "`jetrelay up --links relay`"
    )
    nowhere = drill("run", "herd", "--state", none, "--region", "mars")
    assert nowhere.returncode == 2
    assert "no region 'mars'" in nowhere.stderr
    nothing = drill("report", tmp_path)
    assert nothing.returncode == 2
    assert "verdict.json" in nothing.stderr
    listed = drill("list", "--state", none)
    assert listed.returncode == 0
    assert "edge-rolling" in listed.stdout
    assert "Traceback" not in unknown.stderr + direct.stderr + nowhere.stderr + nothing.stderr
