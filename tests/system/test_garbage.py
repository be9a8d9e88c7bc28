"""A connection that has ended is freed at once: what waits for the collector of cycles stalls an
edge of ten thousand clients for seconds, once in a while.
"""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.metrics import metrics
from tests.raw import Raw, token
from tests.system.collector.sitecustomize import COUNTS
from tests.world import World

SESSIONS = 40


def pid_of(edge: str, world: World) -> int:
    """The process of an edge."""
    wanted = str(world.state_dir / "edges" / f"{edge}.json").encode()
    for process in world.processes():
        if wanted in Path(f"/proc/{process.pid}/cmdline").read_bytes():
            return process.pid
    raise AssertionError(f"no process of {edge}")


async def come_and_go(world: World, count: int) -> None:
    """Sessions that end in all the ways."""
    for number in range(count):
        raw = Raw(world.edges["us-1"].url, "msgpack" if number % 2 else "json")
        await raw.__aenter__()
        ready = await raw.identify(token(world, f"u{number}"), "a", {"room": "b", "presence": True})
        await raw.request(22, room="a", data=number)
        match number % 4:
            case 0:
                await raw.ws.close(1000)
            case 1:
                await raw.drop()
            case 2:
                await raw.send(99)
                assert await raw.close_code() == 4001
            case _:
                async with Raw(world.edges["us-1"].url) as again:
                    await again.resume(
                        token(world, f"u{number}"),
                        ready["d"]["session_id"],
                        cursor=ready["d"]["cursor"],
                        rooms=["a"],
                    )
                    await again.dispatched("RESUMED")
                assert await raw.close_code() == 4022


async def test_connections_that_ended_leave_nothing_to_the_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = tmp_path / "counts"
    monkeypatch.setenv(COUNTS, str(counts))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "collector"))
    async with World(tmp_path / "state", '[[regions]]\nname = "us"\nedges = 1\n') as world:
        await come_and_go(world, SESSIONS)  # what is made once is made by then
        await asyncio.sleep(3)  # what ends in the background has ended
        os.kill(pid_of("us-1", world), signal.SIGUSR1)
        await come_and_go(world, SESSIONS)
        await asyncio.sleep(3)
        spent = await metrics(world, "us-1")
        assert (spent["gc_seconds_total"] > 0) == (spent["gc_longest_ms"] > 0)
        os.kill(pid_of("us-1", world), signal.SIGUSR2)
        async with asyncio.timeout(20):
            while not counts.exists():
                await asyncio.sleep(0.1)
        found = {
            name: int(count)
            for count, name in (line.split(" ", 1) for line in counts.read_text().splitlines())
        }
        assert sum(found.values()) < SESSIONS, f"cycles are left: {found}"
        for name in ("ClientConnection", "Session", "Membership", "ServerProtocol", "Front"):
            assert name not in found, found
