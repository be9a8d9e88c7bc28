"""Several workers of one edge on one port: each has clients of its own, and loses these alone."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from regions.state import StateDir
from relay.client import Client, Message, State, connect
from relay.config import load_config, save_config
from relay.edge.workers import is_ready
from tests.raw import token
from tests.world import World, running

CLIENTS = 24
ROOM = "workers:a"
TOPOLOGY = """
[limits]
drain_s = 1.0

[[regions]]
name = "us"
edges = 1
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One region, whose edge is held: workers take its place."""
    with running(tmp_path_factory.mktemp("workers"), TOPOLOGY) as started:
        yield started


@dataclass
class Served:
    """A parent and its workers."""

    process: asyncio.subprocess.Process
    admin_port: int

    def pids(self) -> dict[str, int]:
        """Number of a worker -> its process."""
        parent = self.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        found = {}
        for pid in children:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"--worker" in words:
                found[words[words.index(b"--worker") + 1].decode()] = int(pid)
        return found

    async def ready(self) -> None:
        """Both serve."""
        async with asyncio.timeout(30):
            for port in (self.admin_port, self.admin_port + 1):
                while not await is_ready("127.0.0.1", port):
                    await asyncio.sleep(0.1)


def two_ports() -> int:
    """The first of two free ports that follow each other."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                other.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


@pytest.fixture
async def held(world: World) -> AsyncIterator[World]:
    """The world while its edge is held; afterwards it serves again."""
    await world.ctl("hold", "us-1")
    try:
        yield world
    finally:
        await world.ctl("start", "us-1")


@asynccontextmanager
async def workers(world: World, directory: Path) -> AsyncIterator[Served]:
    config = load_config(StateDir(world.state_dir).edge_config("us-1"))
    path = directory / "workers.json"
    port = two_ports()
    save_config(msgspec.structs.replace(config, admin_port=port), path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "edge", "--config", str(path), "--workers", "2",
        "--log-level", "WARNING",
    )  # fmt: skip
    served = Served(process, port)
    try:
        await served.ready()
        yield served
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()


async def together(clients: list[Client]) -> None:
    """All are connected."""
    async with asyncio.timeout(20):
        while not all(client.state is State.READY for client in clients):
            await asyncio.sleep(0.05)


async def test_a_worker_that_dies_or_is_replaced_costs_nobody_an_event(
    world: World, tmp_path: Path
) -> None:
    url = world.edges["us-1"].url
    await world.ctl("hold", "us-1")
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(workers(world, tmp_path))
        clients = [
            await stack.enter_async_context(
                connect(url, token=token(world, f"u{number}"), rooms=[ROOM])
            )
            for number in range(CLIENTS)
        ]
        before = [client.edge for client in clients]
        assert set(before) == {"us-1-1", "us-1-2"}, "the kernel spreads them"
        writer = clients[0]
        for number in range(10):
            await writer.publish(ROOM, number)

        os.kill(served.pids()["1"], signal.SIGKILL)
        await together(clients)
        moved = [client for client, edge in zip(clients, before, strict=True) if edge == "us-1-1"]
        stayed = [client for client in clients if client not in moved]
        async with asyncio.timeout(20):
            while not all(client.stats.resumes for client in moved):
                await asyncio.sleep(0.05)
        assert not any(client.stats.disconnects for client in stayed)
        for number in range(10, 20):
            await writer.publish(ROOM, number)
        await served.ready()

        pids = served.pids()
        served.process.send_signal(signal.SIGHUP)
        number = 20
        async with asyncio.timeout(60):
            while set(served.pids().values()) & set(pids.values()) or len(served.pids()) < 2:
                await writer.publish(ROOM, number)
                number += 1
                await asyncio.sleep(0.05)
        await served.ready()
        await together(clients)
        await writer.publish(ROOM, number)
        for client in clients:
            heard: list[object] = []
            async with asyncio.timeout(10):
                while not heard or heard[-1] != number:
                    event = await anext(client)
                    if isinstance(event, Message):
                        heard.append(event.data)
            assert heard == list(range(number + 1))
            assert client.stats.lost == 0

        pids = served.pids()
        served.process.send_signal(signal.SIGTERM)
        assert await served.process.wait() == 0
        assert not [pid for pid in pids.values() if Path(f"/proc/{pid}").exists()]
        await world.ctl("start", "us-1")
        await together(clients)
        assert {client.edge for client in clients} == {"us-1"}


async def test_a_configuration_that_is_wrong_later_on_ends_one_worker_and_no_other(
    held: World, tmp_path: Path
) -> None:
    async with workers(held, tmp_path) as served:
        pids, path = served.pids(), tmp_path / "workers.json"
        good = path.read_bytes()
        path.write_bytes(b"{}")
        served.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while served.pids().get("1") == pids["1"]:
                await asyncio.sleep(0.1)
        await asyncio.sleep(2)  # it is tried again, and again in vain
        assert served.process.returncode is None
        assert served.pids()["2"] == pids["2"]
        assert await is_ready("127.0.0.1", served.admin_port + 1)
        path.write_bytes(good)
        await served.ready()


async def test_workers_end_with_their_parent_and_a_wrong_configuration_ends_it(
    held: World, tmp_path: Path
) -> None:
    async with workers(held, tmp_path) as served:
        pids = served.pids()
        served.process.kill()
        async with asyncio.timeout(20):
            while any(Path(f"/proc/{pid}").exists() for pid in pids.values()):
                await asyncio.sleep(0.1)
    config = load_config(tmp_path / "workers.json")
    save_config(msgspec.structs.replace(config, admin_port=65_535), tmp_path / "wrong.json")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli", "edge", "--config", str(tmp_path / "wrong.json"),
        "--workers", "2", stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    assert process.returncode == 3
    assert b"admin_port: workers take 65535 and those after it" in said
