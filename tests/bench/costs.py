"""`python -m tests.bench.costs`: what each thing costs an edge and a nats-server, one by one.

These are the constants of `jetrelay size` (`regions/sizing/costs.py`). Each is the CPU time that a
process took more for it, divided by how often it was done: two regions, of which one publishes,
so that storing, mirroring and hearing are apart.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from regions.jetstream import JetStream
from regions.machine import use_of
from relay.client import Client, connect
from relay.core.codes import Op
from tests.bench.machine import describe
from tests.raw import Raw, token
from tests.world import World

TOPOLOGY = """
[[regions]]
name = "us"
edges = 1
[[regions]]
name = "eu"
edges = 1
[limits]
connections_per_s = 100000
publishes_per_s = 100000
frames_per_minute = 1000000
"""
ROOMS, PUBLISHERS = 40, 20
SIZE = 128  # bytes of an event's data
HERD = 100  # that come at once
OPENED = 2_000  # rooms
SETTLE_S = 2.0


@dataclass(frozen=True)
class Spent:
    """CPU seconds of the world's processes in a time."""

    wall_s: float
    cpu_s: Mapping[str, float]  # us-1, us-n1, eu-1, eu-n1

    def share(self, name: str) -> float:
        """Of a core."""
        return self.cpu_s[name] / self.wall_s


class Meter:
    """Reads what the processes of a world have used."""

    def __init__(self, world: World) -> None:
        self._pids: dict[str, int] = {}
        for region in world.found().record.regions:
            self._pids |= {edge.name: edge.pid for edge in region.edges if edge.pid is not None}
            self._pids |= {each.name: each.pid for each in region.nats if each.pid is not None}
        self._before = self._read()
        self._began_s = time.monotonic()

    def _read(self) -> dict[str, float]:
        uses = {name: use_of(pid) for name, pid in self._pids.items()}
        return {name: use.cpu_s for name, use in uses.items() if use is not None}

    def rss_bytes(self, name: str) -> int:
        """Memory of a process now."""
        use = use_of(self._pids[name])
        assert use is not None, f"{name} is gone"
        return use.rss_bytes

    def lap(self) -> Spent:
        """What was used since the last lap."""
        now, now_s = self._read(), time.monotonic()
        spent = Spent(now_s - self._began_s, {name: now[name] - self._before[name] for name in now})
        self._before, self._began_s = now, now_s
        return spent


def slab_bytes() -> int:
    """What the kernel keeps in its slabs, sockets among it."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Slab":
            return int(rest.split()[0]) * 1024
    return 0


@asynccontextmanager
async def crowd(world: World, edge: str, count: int) -> AsyncIterator[None]:
    """So many sessions of one edge, in a few rooms, that beat."""
    raws: list[Raw] = []
    ended = asyncio.Event()

    async def one(number: int) -> None:
        raw = await Raw(world.edges[edge].url).__aenter__()
        raws.append(raw)
        await raw.identify(token(world, f"idle{number}"), f"idle:{number % ROOMS}")

    async def beat() -> None:
        while not ended.is_set():
            for raw in raws:
                await raw.send(Op.HEARTBEAT, None)
                raw.seen.clear()
                await asyncio.sleep(20 / count)

    for begin in range(0, count, HERD):
        await asyncio.gather(*(one(n) for n in range(begin, min(begin + HERD, count))))
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(beat())
        try:
            yield
        finally:
            ended.set()
            beating.cancel()
            await asyncio.gather(*(raw.drop() for raw in raws))


async def publish(clients: list[Client], rate: float, seconds: float) -> int:
    """Events into the rooms in turn, at a rate; how many were acknowledged."""
    began_s, count, acked = time.monotonic(), round(rate * seconds), 0

    async def one(client: Client, first: int) -> None:
        nonlocal acked
        for number in range(first, count, len(clients)):
            await asyncio.sleep(max(0.0, began_s + number / rate - time.monotonic()))
            await client.publish(f"costs:{number % ROOMS}", "x" * (SIZE - 2))
            acked += 1

    async with asyncio.TaskGroup() as group:
        for first, client in enumerate(clients):
            group.create_task(one(client, first))
    return acked


async def measure(world: World, options: argparse.Namespace) -> dict[str, float]:
    """All of it."""
    meter, seconds = Meter(world), options.seconds
    await asyncio.sleep(SETTLE_S)
    meter.lap()
    await asyncio.sleep(seconds)
    base = meter.lap()
    before, kernel = meter.rss_bytes("us-1"), slab_bytes()
    async with crowd(world, "us-1", options.idle):
        opening = meter.lap()
        await asyncio.sleep(SETTLE_S)
        each = (meter.rss_bytes("us-1") - before) / options.idle
        ends = (slab_bytes() - kernel) / options.idle / 2  # theirs and ours
        meter.lap()
        await asyncio.sleep(seconds)
        idle = meter.lap()
    found = {
        "edge_base": base.share("us-1"),
        "edge_base_mib": before / 1024**2,
        "nats_base": base.share("us-n1"),
        "connection_kib": each / 1024,
        "kernel_kib": ends / 1024,
        "idle_us_a_s": (idle.share("us-1") - base.share("us-1")) / options.idle * 1e6,
        "handshake_us": (opening.cpu_s["us-1"] - base.share("us-1") * opening.wall_s)
        / options.idle
        * 1e6,
    }
    async with Raw(world.edges["us-1"].url) as raw:
        before = meter.rss_bytes("us-1")
        await raw.identify(token(world, "rooms"))
        for room in range(OPENED):
            await raw.request(Op.SUBSCRIBE, rooms=[f"open:{room}"])
            await raw.request(Op.UNSUBSCRIBE, rooms=[f"open:{room}"])
        found["room_kib"] = (meter.rss_bytes("us-1") - before) / OPENED / 1024  # it lingers
    return found | await _events(world, meter, base, options)


async def _events(
    world: World, meter: Meter, base: Spent, options: argparse.Namespace
) -> dict[str, float]:
    """Events, with one member of each room in each region."""
    rooms = [f"costs:{number}" for number in range(ROOMS)]
    us, eu = world.edges["us-1"].url, world.edges["eu-1"].url
    publishers = [
        connect(us, token=token(world, f"p{number}"), listen=False) for number in range(PUBLISHERS)
    ]
    members = [connect(url, token=token(world, "m"), rooms=rooms) for url in (us, eu)]
    async with asyncio.TaskGroup() as group:
        clients = [await one.__aenter__() for one in (*members, *publishers)]

        async def hear(client: Client) -> None:
            async for _ in client:
                pass

        hearing = [group.create_task(hear(client)) for client in clients[:2]]
        await publish(clients[2:], options.rate, 2)
        meter.lap()
        acked = await publish(clients[2:], options.rate, options.seconds)
        busy = meter.lap()
        for task in hearing:
            task.cancel()
        for one in (*members, *publishers):
            await one.__aexit__(None, None, None)
    more = {
        name: (busy.cpu_s[name] - base.share(name) * busy.wall_s) / acked * 1e6
        for name in busy.cpu_s
    }
    heard = more["eu-1"]
    admin = await JetStream.connect("us", world.nats_config("us", "control"))
    info = await admin.info("EV_us")
    await admin.close()
    assert info is not None, "it was published into"
    state = info["state"]
    return {
        "stored_bytes": state["bytes"] / state["messages"] - SIZE,
        "heard_us": heard,  # with one write
        "published_us": more["us-1"] - heard,
        "nats_stored_us": more["us-n1"],  # and sent to one mirror
        "nats_mirrored_us": more["eu-n1"],
    }


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.costs", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each (default 15)")
    parser.add_argument("--rate", type=float, default=400.0, help="events a second (default 400)")
    parser.add_argument("--idle", type=int, default=2_000, help="idle sessions (default 2000)")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="jetrelay-bench-") as directory:
        print(f"machine  {describe(Path(directory))}", file=sys.stderr)
        world = World(Path(directory) / "state", TOPOLOGY)
        try:
            world.launch()
            found = asyncio.run(measure(world, options))
        finally:
            world.clean()
    print(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
