"""`jetrelay keeper` in a local world: what it tells, raises, shows and posts."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cli import watching
from console.clock import Clock
from console.feed import apply
from console.live import LiveFeed
from console.model import Fleet, FleetView, observe
from console.model.fields import FIELDS
from regions.alerts.rules import read_rules
from regions.news import AlertsNews, SteeringNews
from regions.stats.reading import open_past
from relay.tasks import Tasks
from tests.operators import ctl
from tests.places import three
from tests.ready import serving
from tests.world import World, running

VERDICTS = {  # of the page, by the report's status
    "ok": "all is well",
    "warning": "not all is as it should be",
    "critical": "trouble: ",
    "unknown": "unknown: ",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions."""
    with running(tmp_path_factory.mktemp("kept"), three(1, 2, 1), orderly=True) as started:
        yield started


@asynccontextmanager
async def keeper(world: World, *options: str) -> AsyncIterator[str]:
    """The command; the address that it shows."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "keeper", "--listen", "127.0.0.1:0", "--state",
        str(world.state_dir), *options, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    tasks = Tasks("keeper")
    try:
        async with asyncio.timeout(20):
            line = (await process.stderr.readline()).decode()
        assert "the keeper of the world shows http://" in line, line
        tasks.spawn(process.stderr.read(), "stderr")
        yield line.split()[-1]
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
        await tasks.close()


class Console:
    """What a console hears, without a screen."""

    def __init__(self, world: World) -> None:
        self._feed = LiveFeed(world.found().doors("console"))
        self._clock = Clock()
        self._tasks = Tasks("console")
        self.fleet = Fleet()

    async def __aenter__(self) -> "Console":
        self._tasks.spawn(self._listen(), "listen")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.close()

    async def _listen(self) -> None:
        async with aclosing(self._feed.events()) as events:
            async for event in events:
                self.fleet = apply(self.fleet, event, self._clock.steady_ms())

    @property
    def view(self) -> FleetView:
        return observe(self.fleet, self._clock.steady_ms())

    async def sees(self, what: Callable[[FleetView], bool], seconds: float = 30) -> FleetView:
        async with asyncio.timeout(seconds):
            while not what(view := self.view):
                await asyncio.sleep(0.1)
        return view


async def get(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.text()


async def both(url: str) -> tuple[dict[str, Any], str]:
    """The report, and the page of the same status."""
    async with asyncio.timeout(30):
        while True:
            before = json.loads(await get(f"{url}.json"))
            page = await get(url)
            after = json.loads(await get(f"{url}.json"))
            if (before["status"], before["reasons"]) == (after["status"], after["reasons"]):
                return before, page


async def heard(url: str, edges: int) -> None:
    """Wait until the keeper has heard so many edges."""
    async with asyncio.timeout(30):
        while True:
            regions = json.loads(await get(f"{url}.json"))["regions"]
            states = [edge["state"] for region in regions for edge in region["edges"]]
            if states == ["ready"] * edges:
                return
            await asyncio.sleep(0.1)


async def test_consoles_hear_what_a_keeper_sees_and_what_operators_do(world: World) -> None:
    async with keeper(world, "--try") as url, Console(world) as console:
        view = await console.sees(lambda view: {*view.streams} == {*world.regions})
        streams = {each.name: each for each in view.streams["us"].value.streams}
        assert streams["EV_us"].origin == ""
        assert streams["EV_us"].epoch == 1
        assert streams["EV_eu"].origin == "eu"
        assert streams["EV_eu"].active_ms is not None
        assert streams["EV_us"].last > 0
        assert view.streams["us"].value.stored_bytes > 0
        assert {told.value.by for told in view.streams.values()} == {"us"}, "one keeper, of all"
        pairs = len(world.regions) ** 2
        view = await console.sees(
            lambda view: any(
                sum(each.took_ms is not None for each in told.value.flights) == pairs
                for told in view.steering.values()
            )
        )
        assert {each.name for each in view.steering["us"].value.regions} == {*world.regions}
        assert {told.value.by for told in view.steering.values()} == {"us"}
        assert view.alerts_age_ms.keys() == {"us"}
        await ctl(world, 0, "weight", "ap", "70", "--yes", "--why", "a test", "--by", "ops")
        view = await console.sees(lambda view: bool(view.books.orders))
        (order,) = view.books.orders or ()
        assert (order.region, order.weight, order.by) == ("ap", 70, "ops")
        view = await console.sees(
            lambda view: any("weight ap done" in each.text for each in view.timeline)
        )
        texts = [each.text for each in view.timeline if each.kind == "operation"]
        assert "ops: weight ap submitted, a test" in texts
        await ctl(world, 0, "weight", "ap", "topology", "--yes")
        await console.sees(lambda view: not view.books.orders)
        report, page = await both(url)
        assert [region["name"] for region in report["regions"]] == [*world.regions]
        assert [words for words in VERDICTS.values() if words in page] == [
            VERDICTS[report["status"]]
        ]
        assert all(escape(reason) in page for reason in report["reasons"][:1])
        assert "jetrelay_steering_hears" in await get(url.replace("/status", "/metrics"))


async def test_an_alert_fires_is_told_posted_and_over(world: World, tmp_path: Path) -> None:
    rules = tmp_path / "alerts.toml"
    rules.write_text(
        '[[alert]]\nname = "EdgeSilent"\neach = "edge"\nwhen = "age>3s"\nfor = "1s"\n'
        'severity = "page"\ntext = "{name} says nothing"\n'
    )
    bodies: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        bodies.append(json.loads(await request.text()))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    options = ("--alerts", str(rules), "--hook", f"http://{host}:{port}/")
    try:
        async with keeper(world, *options) as url, Console(world) as console:
            await heard(url, len(world.edges))
            await world.ctl("hold", "eu-2")
            try:
                view = await console.sees(
                    lambda view: any(each.state == "firing" for each in view.alerts)
                )
                ack = ("ctl", "ack", "EdgeSilent", "--why", "on my way", "--by", "night@host")
                done = await asyncio.to_thread(world.run, *ack)
                assert done.stdout == "night@host looks after EdgeSilent eu-2\n", done.stderr
                await console.sees(
                    lambda view: any(each.acked_by == "night@host" for each in view.alerts)
                )
                wrong = await asyncio.to_thread(world.run, "ctl", "ack", "RegionDark")
                assert (wrong.returncode, "does not stand: EdgeSilent eu-2" in wrong.stderr) == (
                    2, True,
                )  # fmt: skip
            finally:
                await world.ctl("start", "eu-2")
            firing = {(each.name, each.on) for each in view.alerts if each.state == "firing"}
            assert firing == {("EdgeSilent", "eu-2")}
            assert "eu-2 says nothing" in await get(url)
            await serving(world, "eu-2")
            view = await console.sees(
                lambda view: any("EdgeSilent is over" in each.text for each in view.timeline)
            )
            kinds = [each.text for each in view.timeline if each.kind == "alert"]
            assert kinds == [
                "EdgeSilent: eu-2 says nothing",
                "night@host looks after EdgeSilent: on my way",
                "EdgeSilent is over",
            ]
            async with asyncio.timeout(10):
                while len(bodies) < 2:
                    await asyncio.sleep(0.1)
    finally:
        await runner.cleanup()
    assert [(each["status"], each["by"]) for each in bodies] == [
        ("firing", "us"),
        ("resolved", "us"),
    ]
    assert bodies[0]["alerts"][0]["on"] == "eu-2"


async def test_the_fleet_is_seen_as_it_was(world: World, tmp_path: Path) -> None:
    async with keeper(world), Console(world) as console:
        await console.sees(lambda view: {*view.streams} == {*world.regions})
        recording = asyncio.to_thread(
            world.run, "console", "record", str(tmp_path / "r.gz"), "--for", "8s"
        )
        tasks = Tasks("record")
        written = tasks.spawn(recording, "record")
        await asyncio.sleep(3)
        before_ms = Clock().wall_ms()
        since = len(world.events)
        await world.ctl("hold", "eu-2")
        try:
            await asyncio.sleep(3)
            options = ("console", "--once", "--format", "json")
            past = await asyncio.to_thread(world.run, *options, "--at", moment(before_ms))
            assert past.returncode == 0, past.stderr
            states = states_of(past.stdout)
            assert set(states.values()) == {"ready"}, "it lived then"
            assert len(states) == len(world.edges)
            assert (await written).returncode == 0
        finally:
            await world.ctl("start", "eu-2")
        await world.event("edge_up", since=since, edge="eu-2")
    file = ("--replay", str(tmp_path / "r.gz"))
    seen = await asyncio.to_thread(world.run, *options, *file, "--at", moment(before_ms))
    assert seen.returncode == 0, seen.stderr
    assert states_of(seen.stdout)["eu-2"] == "ready"
    long_ago = await asyncio.to_thread(world.run, *options, *file, "--at", "7d")
    assert (long_ago.returncode, long_ago.stdout) == (2, "")
    assert "nothing is kept of" in long_ago.stderr


def moment(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat()


def states_of(text: str) -> dict[str, str]:
    regions = json.loads(text)["regions"]
    return {edge["name"]: edge["state"] for region in regions for edge in region["edges"]}


async def test_news_are_kept_for_a_day_beside_the_frames(world: World) -> None:
    async with keeper(world), open_past(world.found().doors("console")) as past:
        async with asyncio.timeout(20):
            while not (found := await past._reader.newest("TELE", "news.>")).messages:
                await asyncio.sleep(0.2)
        assert found.messages
        frames = await past.newest_frames()
        assert {each.frame.edge for each in frames} == {*world.edges}, "and frames are as before"


def test_mistakes_are_said_in_a_line(world: World, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[[alert]]\nname = "X"\neach = "edge"\nwhen = "lop>1"\ntext = "x"\n')
    wrong = (
        (("--region", "us"), "a local world"),
        (("--alerts", str(bad)), "bad.toml: X: when: no field 'lop': did you mean loop?"),
        (("--hook", "example.org"), "an http:// or https:// URL"),
        (("--listen", "nowhere"), "is not ADDRESS:PORT"),
    )
    for options, text in wrong:
        done = world.run("keeper", *options)
        assert (done.returncode, done.stdout) == (2, ""), options
        assert text in done.stderr
        assert "Traceback" not in done.stderr


async def test_who_watches_a_local_world_leaves_it_to_a_keeper_to_speak(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else consoles would see now what one of them says, and now what the other does."""
    monkeypatch.setattr(watching, "HEARD_MS", 3_000)
    found, rules = world.found(), read_rules(None, FIELDS)
    names = [region.name for region in found.regions]

    def watch(*, stands_in: bool) -> watching.Watching:
        return watching.Watching(found, names[0], names, rules, tries=False, stands_in=stands_in)

    async def until(what: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not what():
                await asyncio.sleep(0.1)

    async with watch(stands_in=True) as of_up:
        await until(lambda: of_up.view.is_kept)
        assert [type(each) for each in of_up._news()] == [SteeringNews, AlertsNews]
        async with watch(stands_in=False) as keeper:
            await until(lambda: list(of_up._news()) == [])
            assert list(keeper._news()) != []
        await until(lambda: list(of_up._news()) != [])
