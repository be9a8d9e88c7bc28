"""`@discordjs/ws` 2.x, a gateway library that nobody here wrote, against real edges."""

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from relay.client import connect
from relay.core.codes import Op
from tests.raw import acquainted, auto, token
from tests.world import World, running

SOURCE = Path(__file__).with_name("discordjs")
TOPOLOGY = """
[[regions]]
name = "us"
edges = 2

[[regions]]
name = "eu"
edges = 1

[limits]
heartbeat_interval_ms = 1000
drain_s = 1.0
"""
Line = dict[str, Any]


@pytest.fixture(scope="module")
def script(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`client.mjs` beside the installed library, in a directory that outlives the run."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js is missing: `node` and `npm` are needed for @discordjs/ws")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"Node.js {version.stdout.strip()} is too old: @discordjs/ws needs 20")
    cache: pytest.Cache | None = getattr(request.config, "cache", None)
    home = cache.mkdir("discordjs") if cache is not None else tmp_path_factory.mktemp("discordjs")
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        install(npm, home)
    return home / "client.mjs"


def install(npm: str, home: Path) -> None:
    """The library as package-lock.json names it, unless it is there already."""
    for name in ("package.json", "package-lock.json", ".npmrc", "client.mjs"):
        shutil.copy(SOURCE / name, home / name)
    wanted = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()
    stamp = home / "installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(
            command, cwd=home, capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not install @discordjs/ws within 120 s")
    if done.returncode != 0:
        why = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        pytest.skip(f"npm can't install @discordjs/ws: {'; '.join(why[:3])}")
    stamp.write_text(wanted)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two edges in one region and one in another, with a short drain."""
    with running(tmp_path_factory.mktemp("discordjs"), TOPOLOGY) as world:
        yield world


class Library:
    """A node process with @discordjs/ws in it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[Line] = []

    @classmethod
    @asynccontextmanager
    async def run(cls, script: Path, url: str, token: str) -> AsyncIterator["Library"]:
        """Connect it to `url`."""
        process = await asyncio.create_subprocess_exec(
            "node",
            str(script),
            url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        library = cls(process)
        try:
            await library._write(token)
            yield library
            await library.tell("end")
            await library.event("ended")
            assert await asyncio.wait_for(process.wait(), 10) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()

    async def tell(self, what: str, **more: object) -> None:
        """One command to the script."""
        await self._write(json.dumps({"do": what, **more}))

    async def until(self, fits: Callable[[Line], bool], timeout_s: float = 30) -> Line:
        """The next line that fits; those before it are only in `lines`."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    text = await self._process.stdout.readline()
                    assert text, f"node ended: {self.lines[-20:]}"
                    line: Line = json.loads(text)
                    self.lines.append(line)
                    if line["event"] == "error":
                        raise AssertionError(f"the library gave up: {line}")
                    if fits(line):
                        return line
        except TimeoutError:
            raise AssertionError(f"not in {timeout_s} s: {self.lines[-20:]}") from None

    async def event(self, name: str) -> Line:
        """The next event called `name`."""
        return await self.until(lambda line: line["event"] == name)

    async def number(self, number: int) -> None:
        """Wait until this number was dispatched."""
        await self.until(
            lambda line: (
                line["event"] == "dispatch"
                and line["payload"]["t"] == "MESSAGE"
                and line["payload"]["d"]["data"] == number
            )
        )

    def said(self, name: str) -> list[Line]:
        """All events so far with this name."""
        return [line for line in self.lines if line["event"] == name]

    def numbers(self) -> list[int]:
        """What was dispatched, each event once: the `seq` form may repeat."""
        seen: dict[tuple[str, int, int], int] = {}
        for line in self.said("dispatch"):
            payload = line["payload"]
            if payload["t"] == "MESSAGE":
                d = payload["d"]
                seen.setdefault((d["origin"], d["epoch"], d["seq"]), d["data"])
        return list(seen.values())


class Talker:
    """Says 0, 1, 2, … in a room from an edge that nothing happens to, until told to stop."""

    def __init__(self) -> None:
        self.said = 0
        self._stop = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def talking(cls, world: World, room: str) -> AsyncIterator["Talker"]:
        """One that talks meanwhile."""
        talker = cls()
        async with (
            connect(world.edges["eu-1"].url, token=token(world, "talker"), listen=False) as client,
            asyncio.TaskGroup() as group,
        ):

            async def talk() -> None:
                while not talker._stop.is_set():
                    await client.publish(room, talker.said)
                    talker.said += 1
                    await asyncio.sleep(0.01)

            group.create_task(talk())
            try:
                yield talker
            finally:
                talker._stop.set()

    async def all_arrived(self, library: Library) -> None:
        """Stop, and see that the library got every number from its first one on, in order."""
        await library.number(self.said + 20)  # it goes on after what happened
        self._stop.set()
        got = library.numbers()
        # A resume by `seq` goes back to a record that may be older than the session.
        since_ready = [number for number in got if number >= got[0]]
        assert since_ready == list(range(got[0], got[0] + len(since_ready)))
        assert len(library.said("ready")) == 1, "it resumed, and did not start anew"


@pytest.fixture(autouse=True)
async def _acquainted(world: World) -> None:
    """Both edges of `us` know each other: an edge says every 2 s that it is there."""
    await acquainted(world, "us-1", "us-2")


def url_of(world: World, edge: str) -> str:
    """The edge's address as the library wants it: it appends only a query."""
    return world.edges[edge].url


async def joined(library: Library, room: str) -> Line:
    """Ready, in the room, and hearing the talker."""
    ready = await library.event("ready")
    assert ready["data"]["rooms"] == [room]
    await library.until(
        lambda line: line["event"] == "dispatch" and line["payload"]["t"] == "MESSAGE"
    )
    return ready


async def test_it_becomes_ready_hears_and_speaks(world: World, script: Path) -> None:
    grants = auto("js:a", "js:b")
    for url in (url_of(world, "us-1"), url_of(world, "us-1").removesuffix("gateway")):
        async with Library.run(script, url, token(world, "js", *grants)) as library:
            ready = (await library.event("ready"))["data"]
            assert ready["user"] == {"id": "js"}
            assert ready["rooms"] == ["js:a", "js:b"]
            assert ready["resume_gateway_url"] == url_of(world, "us-2")
            await library.event("heartbeat")
            publish = {"op": Op.PUBLISH, "d": {"room": "js:b", "data": {"text": "grüß dich"}}}
            await library.tell("send", payload=publish)
            own = await library.until(
                lambda line: line["event"] == "dispatch" and line["payload"]["t"] == "MESSAGE"
            )
            assert own["payload"]["d"]["data"] == {"text": "grüß dich"}
            assert own["payload"]["d"]["user"] == "js"
            assert own["payload"]["s"] > 0
            # Opcodes of our own, which it does not know, do it no harm.
            for nonce in range(3):
                await library.tell(
                    "send",
                    payload={"op": Op.HISTORY, "d": {"nonce": nonce, "limit": 9, "room": "js:b"}},
                )
            await library.event("heartbeat")
            assert library.said("closed") == []


async def test_a_cut_socket_is_resumed(world: World, script: Path) -> None:
    async with (
        Talker.talking(world, "js:cut") as talker,
        Library.run(script, url_of(world, "us-1"), token(world, "js", *auto("js:cut"))) as library,
    ):
        await joined(library, "js:cut")
        for _ in range(2):
            await library.tell("cut")
            resumed = await library.event("resumed")
            assert resumed["to"].startswith(url_of(world, "us-2"))
        assert [line["code"] for line in library.said("closed")] == [1006, 1006]
        await talker.all_arrived(library)


async def test_a_killed_edge_is_left_for_another(world: World, script: Path) -> None:
    async with (
        Talker.talking(world, "js:kill") as talker,
        Library.run(script, url_of(world, "us-1"), token(world, "js", *auto("js:kill"))) as library,
    ):
        await joined(library, "js:kill")
        since = len(world.events)
        await world.ctl("kill", "us-1")
        resumed = await library.event("resumed")
        assert resumed["to"].startswith(url_of(world, "us-2"))
        await talker.all_arrived(library)
        await world.event("edge_up", since=since, edge="us-1")


async def test_op_7_is_followed_by_a_resume_elsewhere(world: World, script: Path) -> None:
    async with (
        Talker.talking(world, "js:drain") as talker,
        Library.run(
            script, url_of(world, "us-1"), token(world, "js", *auto("js:drain"))
        ) as library,
    ):
        await joined(library, "js:drain")
        since = len(world.events)
        pid = world.found().edge("us-1").pid
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        resumed = await library.event("resumed")
        assert resumed["to"].startswith(url_of(world, "us-2"))
        assert any("Told to reconnect" in line["message"] for line in library.said("debug"))
        # It closed the old connection itself, with its own code, before the edge had to.
        assert [line["code"] for line in library.said("closed")] == [4200]
        await talker.all_arrived(library)
        await world.event("edge_up", since=since, edge="us-1")
