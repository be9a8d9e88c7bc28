"""The control plane dies: who is connected, and who reconnects, notices nothing.

Supervisor with its keeper of streams, `jetrelay keeper`, name server and a console in a terminal
are killed. Edges and nats-servers go on alone; clients publish, hear each other, lose their
connections and resume, and new ones come.
"""

import asyncio
import contextlib
import os
import pty
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relay.client import Client, Message, connect
from relay.tasks import Tasks
from tests.raw import Raw, token
from tests.world import World

ROOM = "stable"
CLIENTS = 24
PUBLISH_S = 0.25  # of each client
DROP_S = 10.0  # on average, until a client loses its connection
SEED = 5


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions with two edges each."""
    started = World(tmp_path_factory.mktemp("stable") / "state")
    try:
        yield started.launch()
    finally:
        started.clean()


@dataclass
class Crowd:
    """Clients that publish, drop their connections, and count."""

    clients: list[Client] = field(default_factory=list)
    got: list[list[str]] = field(default_factory=list)  # of each: who and which, as they came
    sent: list[str] = field(default_factory=list)
    ack_s: list[float] = field(default_factory=list)
    drops: int = 0
    newcomers: int = 0
    stop: bool = False

    async def listen(self, client: Client, got: list[str]) -> None:
        """Write down what comes."""
        async for event in client:
            if isinstance(event, Message):
                got += [str(event.data)]

    async def publish(self, client: Client, name: str, dice: random.Random) -> None:
        """Say something now and then."""
        number = 0
        while not self.stop:
            text, began_s = f"{name}/{number}", time.monotonic()
            await client.publish(ROOM, text)
            self.ack_s.append(time.monotonic() - began_s)
            self.sent.append(text)
            number += 1
            await asyncio.sleep(dice.uniform(0, 2 * PUBLISH_S))

    async def drop(self, client: Client, dice: random.Random) -> None:
        """Lose the connection now and then."""
        while not self.stop:
            await asyncio.sleep(dice.uniform(0, 2 * DROP_S))
            if not self.stop:
                client.drop()
                self.drops += 1

    async def newcome(self, world: World, dice: random.Random) -> None:
        """Come anew at any edge, as who has an address from before."""
        while not self.stop:
            edge = dice.choice(list(world.edges))
            async with Raw(world.edges[edge].url) as raw:
                assert raw.hello["d"]["edge"] == edge
                self.newcomers += 1
            await asyncio.sleep(dice.uniform(0, 1.0))


async def ended(process: asyncio.subprocess.Process) -> None:
    """SIGKILL it, if it lives."""
    if process.returncode is None:
        process.kill()
    await process.wait()


def drawn(terminal: int) -> str:
    """What was drawn on a terminal since it was asked last."""
    with contextlib.suppress(BlockingIOError):
        return os.read(terminal, 1 << 20).decode(errors="replace")
    return ""


def p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]


@pytest.mark.parametrize(
    "seconds",
    [
        12.0,
        pytest.param(600.0, marks=[pytest.mark.drill, pytest.mark.timeout(900)]),
    ],
)
async def test_without_its_control_plane_the_data_plane_serves_on(
    world: World, tmp_path: Path, seconds: float
) -> None:
    topology = tmp_path / "dns.toml"
    topology.write_text(
        "".join(
            f'[[regions]]\nname = "{name}"\naddresses = ["192.0.2.{number}"]\nedges = 2\n'
            for number, name in enumerate(world.regions, 1)
        )
    )
    program = [sys.executable, "-m", "cli"]
    state = ["--state", str(world.state_dir)]
    terminal, its_end = pty.openpty()
    processes = [
        await asyncio.create_subprocess_exec(
            *program, "dns", "--listen", "127.0.0.1:0", *state, "--topology", str(topology),
            stderr=subprocess.DEVNULL,
        ),
        await asyncio.create_subprocess_exec(
            *program, "keeper", "--listen", "127.0.0.1:0", *state, stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ),
        await asyncio.create_subprocess_exec(
            *program, "console", *state, stdin=its_end, stdout=its_end, stderr=its_end,
            env=os.environ | {"TERM": "xterm-256color"},
        ),
    ]  # fmt: skip
    os.close(its_end)
    os.set_blocking(terminal, False)
    crowd, tasks, urls = Crowd(), Tasks("stable"), [edge.url for edge in world.edges.values()]
    dice = random.Random(SEED)
    async with AsyncExitStack() as stack:
        for process in processes:
            stack.push_async_callback(ended, process)
        for number in range(CLIENTS):
            url = urls[number % len(urls)]
            client = await stack.enter_async_context(
                connect([url], token=token(world, f"user{number}"), rooms=[ROOM])
            )
            crowd.clients.append(client)
            crowd.got.append([])
            tasks.spawn(crowd.listen(client, crowd.got[-1]), "listen")
        working = [
            tasks.spawn(crowd.publish(client, f"user{number}", random.Random(number)), "publish")
            for number, client in enumerate(crowd.clients)
        ]
        working += [
            tasks.spawn(crowd.drop(client, random.Random(f"drop{number}")), "drop")
            for number, client in enumerate(crowd.clients)
        ]
        working.append(tasks.spawn(crowd.newcome(world, dice), "newcome"))
        async with asyncio.timeout(30):
            while "connections" not in drawn(terminal):  # the console is there
                await asyncio.sleep(0.2)
        await asyncio.sleep(seconds / 4)
        before_s, drops = p99(crowd.ack_s), crowd.drops
        world.kill_supervisor()
        assert [each.returncode for each in processes] == [None] * 3, "until now they ran"
        for process in processes:
            await ended(process)
        os.close(terminal)
        crowd.ack_s.clear()
        await asyncio.sleep(seconds)
        crowd.stop = True
        await asyncio.gather(*working)
        after_s = p99(crowd.ack_s)
        async with asyncio.timeout(30):
            while any(len(got) < len(crowd.sent) for got in crowd.got):
                await asyncio.sleep(0.05)
        await tasks.close()
    for got in crowd.got:
        assert sorted(got) == sorted(crowd.sent), "all, and each once"
    assert sum(client.stats.lost for client in crowd.clients) == 0
    assert crowd.drops - drops >= CLIENTS * seconds / DROP_S / 3
    assert crowd.newcomers > seconds / 2
    once = [*program, "console", "--once", *state]
    looked = await asyncio.to_thread(subprocess.run, once, capture_output=True, check=False)
    assert looked.returncode == 2, "there is no supervisor to ask"
    print(
        f"\n{seconds:g} s without a control plane: {len(crowd.sent)} published, "
        f"{crowd.drops - drops} connections lost, {crowd.newcomers} came anew; "
        f"acknowledged within {after_s * 1000:.0f} ms (p99), {before_s * 1000:.0f} ms before"
    )
