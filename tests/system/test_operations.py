"""`jetrelay ctl` on a running world: cordon, drain, evacuate, return; one at a time, and safely."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import InvalidStatus

from relay.client import Client, Message, connect
from relay.tasks import Tasks
from tests.raw import Raw, token
from tests.ready import serving
from tests.world import World, running

TOPOLOGY = """
[[regions]]
name = "us"
lat = 39.0
lon = -77.5
edges = 2
[[regions]]
name = "eu"
lat = 50.1
lon = 8.7
edges = 2
[[regions]]
name = "ap"
lat = 1.35
lon = 103.8
edges = 1
"""
ROOM = "operated"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions."""
    with running(tmp_path_factory.mktemp("operated"), TOPOLOGY, orderly=True) as started:
        yield started


class Ctl:
    """`jetrelay ctl ARGUMENTS` as a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    async def said(self, text: str) -> str:
        """The first line from here on that has `text` in it."""
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            while line := (await self._process.stdout.readline()).decode():
                self.lines.append(line.rstrip())
                if text in line:
                    return line
        raise AssertionError(f"{text!r} was not said: {self.lines}")

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def end(self) -> tuple[int, str]:
        """Its exit code, and all that it said."""
        async with asyncio.timeout(60):
            out, err = await self._process.communicate()
        self.lines += out.decode().splitlines()
        code = self._process.returncode
        assert code is not None
        return code, "\n".join(self.lines) + err.decode()


async def begin(world: World, *arguments: str) -> Ctl:
    program = str(Path(sys.executable).with_name("jetrelay"))
    state = ("--state", str(world.state_dir))
    return Ctl(
        await asyncio.create_subprocess_exec(
            program, "ctl", *arguments, *state,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    )  # fmt: skip


async def ctl(world: World, code: int, *arguments: str) -> str:
    """What a command said that ends with this exit code."""
    ended, said = await (await begin(world, *arguments)).end()
    assert ended == code, said
    return said


async def orders(world: World) -> dict[str, Any]:
    """What is wanted, by scope."""
    found = json.loads(await ctl(world, 0, "status", "--json"))
    return {each.get("edge") or each["region"]: each for each in found["orders"]}


@pytest.fixture(autouse=True)
async def _opened(world: World) -> AsyncIterator[None]:
    """After each test nothing is wanted of anybody any more."""
    yield
    for scope in await orders(world):
        await ctl(world, 0, "uncordon", scope, "--yes")
    for edge in world.edges:
        await serving(world, edge)


async def readiness(world: World, edge: str) -> tuple[int, str]:
    """What `/readyz` says: its status, and why."""
    url = f"{world.edges[edge].http}/readyz"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        body = await answer.json()
    return answer.status, body.get("error", {}).get("message", "")


class Crowd:
    """Clients in a room, one of which publishes numbers; what each of them got."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.got: list[list[tuple[str, int]]] = []  # of each: origin and number, as they came
        self.published = 0
        self._tasks = Tasks("crowd")
        self._stop = False

    async def _listen(self, client: Client, got: list[tuple[str, int]]) -> None:
        async for event in client:
            if isinstance(event, Message):
                got += [(event.origin, int(event.data))]

    async def _publish(self, client: Client) -> None:
        while not self._stop:
            await client.publish(ROOM, self.published)
            self.published += 1
            await asyncio.sleep(0.02)

    @classmethod
    @asynccontextmanager
    async def at(cls, world: World, edges: tuple[str, ...], each: int) -> AsyncIterator["Crowd"]:
        """So many clients at each of these edges."""
        crowd = cls()
        async with AsyncExitStack() as stack:
            for number in range(each * len(edges)):
                url = world.edges[edges[number % len(edges)]].url
                client = await stack.enter_async_context(
                    connect(
                        [url], token=token(world, f"user{number}"), rooms=[ROOM],
                        home_after_s=1.0,
                    )
                )  # fmt: skip
                crowd.clients.append(client)
                crowd.got.append([])
                crowd._tasks.spawn(crowd._listen(client, crowd.got[-1]), "listen")
            await asyncio.sleep(1.2)  # each edge says once a second how many it has
            publishing = crowd._tasks.spawn(crowd._publish(crowd.clients[0]), "publish")
            yield crowd
            crowd._stop = True
            await publishing
            async with asyncio.timeout(10):
                while any(len(got) < crowd.published for got in crowd.got):
                    await asyncio.sleep(0.05)
            await crowd._tasks.close()
        for got in crowd.got:
            assert sorted(n for _, n in got) == list(range(crowd.published)), "all, once"
            for origin in world.regions:
                there = [n for where, n in got if where == origin]
                assert there == sorted(there), "in order, from each origin"

    def regions(self) -> set[str | None]:
        """Where they are."""
        return {client.region for client in self.clients}

    async def arrive(self, *regions: str) -> None:
        """Wait until all are in these regions."""
        async with asyncio.timeout(30):
            while not self.regions() <= set(regions):
                await asyncio.sleep(0.1)


async def test_a_region_is_evacuated_and_returns_and_nobody_misses_anything(world: World) -> None:
    async with Crowd.at(world, ("eu-1", "eu-2"), 6) as crowd:
        said = await ctl(
            world, 0, "evacuate", "eu", "--yes", "--within", "2", "--why", "a test", "--by", "ops"
        )
        assert "12 clients go elsewhere within 2 s" in said
        await crowd.arrive("us")
        assert [await readiness(world, edge) for edge in ("eu-1", "eu-2")] == [(503, "drained")] * 2
        wanted = await orders(world)
        assert wanted["eu"]["cordoned"]
        assert (wanted["eu-1"]["drain_s"], wanted["eu-1"]["why"]) == (2.0, "a test")
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
        assert wanted["eu-1"]["by"] == "before", "an abort does not open what others had drained"


async def test_ctrl_c_aborts(world: World) -> None:
    async with Crowd.at(world, ("eu-1", "eu-2"), 3):
        one = await begin(world, "drain", "eu-1", "--yes", "--within", "60")
        await one.said("clients left")
        one.interrupt()
        code, said = await one.end()
        assert (code, "by a signal: eu-1 keep the clients that are left" in said) == (1, True), said
    assert await orders(world) == {}


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
    await ctl(world, 0, "uncordon", "eu-1", "--yes")
    await serving(world, "eu-1")


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
    for arguments, said in (
        (("cordon", "mars", "--yes"), "no region and no edge is called 'mars'"),
        (("cordon", "eu/eu-9", "--yes"), "no edge 'eu-9' in eu"),
        (("cordon", "eu"), "nobody can be asked here"),
        (("weight", "eu", "101", "--yes"), "101 is not in the range"),
        (("resume", "nothing"), "no operation is called nothing"),
        (("abort", "a.b c"), "no operation is called"),
        (("cordon", "eu", "--yes", "--why", "x" * 513), "512 characters"),
        (("drain", "eu", "--yes", "--within", "1e9"), "a drain takes"),
    ):
        text = await ctl(world, 2, *arguments)
        assert said in text
        assert "Traceback" not in text
    assert await orders(world) == {}
