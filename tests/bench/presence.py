"""`python -m tests.bench.presence`: what presence costs an edge, by how many users there are.

Simulated edges of three regions, each in a process of its own, with the edge's own presence and a
real nats-server between them: users in rooms of 20, of whom some go and others come each second.
"""

import argparse
import asyncio
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import uvloop

from relay.bus.connection import open_connection
from relay.bus.inbox import Inbox
from relay.config import Limits, NatsConfig
from relay.core.presence import ONLINE
from relay.core.wire import JSON
from relay.edge import clock
from relay.edge.presence import Presence
from relay.edge.seat import Seat
from tests.bench.machine import describe
from tests.console.nats_process import NatsProcess

REGIONS = ("us", "eu", "ap")
ROOM_USERS = 20
LOOKED_AT = 50  # rooms of each edge at which somebody there looks
SETTLE_S = 8.0
ROW = "{:>9}{:>12}{:>13}{:>13}{:>13}{:>13}{:>11}"


@dataclass(frozen=True)
class Plan:
    """A run: users of each region, and how many of them go, and come, in a second."""

    nats: NatsConfig
    users: int
    rate: float
    seconds: float


@dataclass(frozen=True)
class Cost:
    """What one edge took while users came and went. A change is one coming or going."""

    changes: int
    cpu_s: float
    out_bytes: int
    in_bytes: int
    frames: int
    frame_bytes: int
    rss_mib: float


class _Sink(Seat):
    """A session that looks, and reads at once."""

    def __init__(self, count: Callable[[int], None]) -> None:
        super().__init__(JSON)
        self.tenant = "_"
        self._count = count

    def write(self, framed: bytes) -> None:
        self._count(len(framed))

    def write_signal(self, framed: bytes) -> bool:
        self._count(len(framed))
        return True

    def fail(self) -> None:
        raise AssertionError("a sink does not fail")


class _Edge:
    """The presence of one edge, without sockets."""

    def __init__(self, plan: Plan, region: str, presence: Presence) -> None:
        self._plan = plan
        self._region = region
        self.presence = presence
        self._dice = random.Random(region)
        self._here = list(range(plan.users))
        self._next = plan.users
        self.frame_bytes = 0
        self.changes = 0

    def _count(self, size: int) -> None:
        self.frame_bytes += size

    def room(self, user: int) -> str:
        """Rooms have users of all regions."""
        return f"room:{user % max(1, self._plan.users * len(REGIONS) // ROOM_USERS)}"

    def enter(self, user: int) -> None:
        """One comes."""
        name = f"{self._region}-{user}"
        self.presence.attendance.enter(name, "_", name, ONLINE, [self.room(user)])

    def fill(self) -> None:
        """All are there, and some of them look."""
        for user in self._here:
            self.enter(user)
        rooms = sorted({self.room(user) for user in self._here[: LOOKED_AT * 7 : 7]})[:LOOKED_AT]
        for room in rooms:
            self.presence.viewers.look(_Sink(self._count), {("_", room)}, clock.now().mono_s)

    async def churn(self) -> None:
        """Some go and others come, as often as planned."""
        begin_s, done = time.monotonic(), 0
        while (passed_s := time.monotonic() - begin_s) < self._plan.seconds:
            while done < passed_s * self._plan.rate:
                done += 1
                at = self._dice.randrange(len(self._here))
                gone, self._here[at] = self._here[at], self._next
                self.presence.attendance.end(f"{self._region}-{gone}", clock.now().mono_s, 0.0)
                self.enter(self._next)
                self._next += 1
                self.changes += 2
            await asyncio.sleep(0.02)


async def _run(plan: Plan, number: int, pipe: Pipe) -> None:
    region = REGIONS[number]
    connection = await open_connection(plan.nats, f"{region}-1", "_INBOX_edge")
    inbox = Inbox(connection)
    await inbox.start()
    limits = Limits(connections=10**6)
    me = (region, f"{region}-1", clock.wall_ms())
    presence = Presence(connection, inbox, me, limits)
    edge = _Edge(plan, region, presence)
    edge.fill()
    await presence.start()
    await asyncio.sleep(SETTLE_S)
    await asyncio.to_thread(_meet, pipe)
    stats, frames, sent = dict(connection.stats), presence.viewers.frames, edge.frame_bytes
    cpu_s = time.process_time()
    await edge.churn()
    await asyncio.sleep(3.0)  # the last window is said and heard
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send(
        Cost(
            edge.changes,
            time.process_time() - cpu_s,
            connection.stats["out_bytes"] - stats["out_bytes"],
            connection.stats["in_bytes"] - stats["in_bytes"],
            presence.viewers.frames - frames,
            edge.frame_bytes - sent,
            rss,
        )
    )
    await presence.close()
    await connection.close()


def _meet(pipe: Pipe) -> None:
    pipe.send("ready")
    pipe.recv()


def _process(plan: Plan, number: int, pipe: Pipe) -> None:
    uvloop.run(_run(plan, number, pipe))


def measure(plan: Plan) -> list[Cost]:
    """One run: the cost of each edge."""
    context = multiprocessing.get_context("spawn")
    children, pipes = [], []
    for number in range(len(REGIONS)):
        mine, theirs = context.Pipe()
        child = context.Process(target=_process, args=(plan, number, theirs), daemon=True)
        child.start()
        children.append(child)
        pipes.append(mine)
    try:
        for pipe in pipes:
            assert pipe.recv() == "ready"
        for pipe in pipes:
            pipe.send("go")
        return [pipe.recv() for pipe in pipes]
    finally:
        for child in children:
            child.join(10)
            child.kill()


def main() -> int:
    """Parse, run, print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.presence", description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=[1_000, 10_000, 50_000])
    parser.add_argument("--rate", type=float, nargs="+", default=[50.0, 200.0])
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print(f"machine  {describe(Path(directory))}")
        print("of each region; a change is a coming or a going, costs are of one edge of three\n")
        print(ROW.format("users", "changes/s", "CPU us", "sent B", "heard B", "frames/s", "MiB"))
        server = NatsProcess(Path(directory))
        for users in arguments.users:
            for rate in arguments.rate:
                asyncio.run(server.start())
                try:
                    costs = measure(Plan(server.login("edge"), users, rate, arguments.seconds))
                finally:
                    server.kill()
                all_changes = sum(cost.changes for cost in costs)
                print(
                    ROW.format(
                        f"{users:,}",
                        f"{2 * rate:g}",
                        f"{sum(c.cpu_s for c in costs) / len(costs) / all_changes * 1e6:.1f}",
                        f"{sum(c.out_bytes for c in costs) / all_changes:.0f}",
                        f"{sum(c.in_bytes for c in costs) / len(costs) / all_changes:.0f}",
                        f"{sum(c.frames for c in costs) / len(costs) / arguments.seconds:.1f}",
                        f"{max(c.rss_mib for c in costs):.0f}",
                    ),
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
