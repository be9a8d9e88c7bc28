"""A crowd as a process: `python -m regions.ledger.crowd_process`, told what to do on stdin."""

import asyncio
import contextlib
import gc
import random
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from regions.ledger.casting import cast
from regions.ledger.files import Writer
from regions.ledger.member import Member
from regions.ledger.orders import (
    Answer,
    Ask,
    Begin,
    Drain,
    DrainedAll,
    Drop,
    Dropped,
    Heads,
    Hush,
    Hushed,
    Playing,
    Status,
    Stop,
    Stopped,
    decode_order,
    encode,
    furthest,
)
from regions.ledger.spec import CrowdSpec
from regions.state import find_world
from regions.world import World
from relay.core.grants import Act, RoomGrant
from relay.errors import RelayError
from relay.tasks import Tasks

FLUSH_S = 0.25
LOOK_S = 0.05
CLOSE_S = 10.0
TOKEN_S = 3600
LINE_BYTES = 4 * 1024 * 1024
_ACTS = frozenset({Act.SUBSCRIBE, Act.PUBLISH})


class Troupe:
    """The members that one process plays.

    Args:
        spec: the whole crowd.
        world: where.
        ledger: the directory of the ledger.
        index: which share is this process's.
    """

    def __init__(self, spec: CrowdSpec, world: World, ledger: Path, index: int) -> None:
        self._spec = spec
        self._index = index
        self._writer = Writer(ledger, f"crowd-{index}")
        self._heads: Heads = {}
        self._tasks = Tasks("crowd")
        self._quiet = asyncio.Event()
        self._skipped = 0
        self._plays: list[asyncio.Task[None]] = []
        self._publishes: set[asyncio.Task[None]] = set()
        issuer = world.issuer()
        urls = {region.name: [edge.url for edge in region.edges] for region in world.regions}
        self._members: list[Member] = []
        for part in cast(spec, list(urls))[index :: spec.processes]:
            home = urls[part.region]
            turn = part.edge % len(home)
            grants = [RoomGrant(room, _ACTS) for room in part.rooms]

            def token(name: str = part.name, grants: list[RoomGrant] = grants) -> str:
                return issuer.token(name, grants, TOKEN_S)

            self._members.append(
                Member(part, home[turn:] + home[:turn], token, self._writer, spec=spec)
            )

    async def begin(self) -> int:
        """Let everybody connect, then publish; returns how many they are."""
        self._tasks.spawn(self._flush(), "flush")
        pause_s = self._spec.processes / self._spec.ramp_per_s
        for member in self._members:
            self._plays.append(self._tasks.spawn(member.play(), member.part.name))
            await asyncio.sleep(pause_s)
        for member in self._members:
            await member.ready.wait()
        # What lives by now lives to the end: nothing to look for in it again and again.
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        self._tasks.spawn(self._publish(), "publish")
        return len(self._members)

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self._writer.flush()

    async def _publish(self) -> None:
        """Publishers take turns, at random moments, at the rate asked for."""
        dice = random.Random(f"{self._spec.seed}/{self._index}")  # noqa: S311 (to be repeated)
        talkers = [member for member in self._members if member.part.publishes]
        if not talkers or self._spec.rate <= 0:
            return
        rate = self._spec.rate / self._spec.processes
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._quiet.is_set():
            due += dice.expovariate(rate)
            # After a stall the turns that were missed are not made up for all at once.
            due = max(due, loop.time() - 1.0)
            if (wait_s := due - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            if self._quiet.is_set():
                return
            member = dice.choice(talkers)
            room = dice.choice(member.part.rooms)
            if member.ended or member.open >= self._spec.waiting:
                self._skipped += 1
                continue
            publish = self._tasks.spawn(member.publish(room, self._heads), "publish")
            self._publishes.add(publish)
            publish.add_done_callback(self._publishes.discard)

    async def hush(self, order: Hush) -> Hushed:
        """Stop publishing, and wait for answers."""
        self._quiet.set()
        if self._publishes:
            await asyncio.wait(self._publishes, timeout=order.timeout_s)
        return Hushed(self._heads, self._open)

    @property
    def _open(self) -> int:
        return sum(member.open for member in self._members)

    async def drain(self, order: Drain) -> DrainedAll:
        """Wait until everybody has got as far as the heads."""
        deadline = time.monotonic() + order.timeout_s
        while True:
            # What was acknowledged since the hush counts, too: for everybody, also for those who
            # had everything a moment ago.
            heads = furthest([order.heads, self._heads])
            lacks = {member: member.lacks(heads) for member in self._members}
            if not any(lacks.values()) or time.monotonic() >= deadline:
                break
            await asyncio.sleep(LOOK_S)
        for member, places in lacks.items():
            member.drained(places)
        short = {member.part.name: places[0] for member, places in lacks.items() if places}
        return DrainedAll(short, heads)

    def status(self) -> Status:
        """How it stands."""
        on_edge: dict[str, int] = {}
        members = self._members
        ready = [member for member in members if member.is_ready]
        for member in ready:
            on_edge[member.recorder.edge] = on_edge.get(member.recorder.edge, 0) + 1
        return Status(
            clients=len(members),
            ready=len(ready),
            away=sum(member.recorder.region != member.part.region for member in ready),
            ended=sum(member.ended for member in members),
            asked=sum(member.asked for member in members),
            acked=sum(member.acked for member in members),
            open=self._open,
            skipped=self._skipped,
            delivered=sum(member.recorder.delivered for member in members),
            downs=sum(member.recorder.downs for member in members),
            tries=sum(member.recorder.tries for member in members),
            backs=sum(member.recorder.backs for member in members),
            cpu_s=round(time.process_time(), 2),
            on_edge=on_edge,
        )

    def drop(self, order: Drop) -> Dropped:
        """Break the connections in some regions, all at once."""
        there = [
            member
            for member in self._members
            if member.is_ready and member.recorder.region in order.regions
        ]
        for member in there:
            member.drop()
        return Dropped(len(there))

    async def end(self) -> Stopped:
        """Close everybody and the file."""
        self._quiet.set()
        status = self.status()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await asyncio.gather(*(member.leave() for member in self._members))
                await asyncio.gather(*self._plays)
        await self._tasks.close()
        self._writer.close()
        return Stopped(status)


def _say(answer: Answer) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(encode(answer) + b"\n")
        sys.stdout.buffer.flush()


async def _obey() -> None:
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    first = decode_order(await reader.readline())
    assert isinstance(first, Begin)
    spec = msgspec.json.decode(first.spec, type=CrowdSpec)
    troupe = Troupe(spec, find_world(Path(first.state)), Path(first.ledger), first.index)
    tasks = Tasks("orders")

    async def begin() -> None:
        _say(Playing(await troupe.begin()))

    async def hush(order: Hush) -> None:
        _say(await troupe.hush(order))

    async def drain(order: Drain) -> None:
        _say(await troupe.drain(order))

    tasks.spawn(begin(), "begin")
    while line := await reader.readline():
        order = decode_order(line)
        if isinstance(order, Stop):
            break
        if isinstance(order, Ask):
            _say(troupe.status())
        elif isinstance(order, Drop):
            _say(troupe.drop(order))
        elif isinstance(order, Hush):
            tasks.spawn(hush(order), "hush")
        elif isinstance(order, Drain):
            tasks.spawn(drain(order), "drain")
    await tasks.close()
    _say(await troupe.end())


def main() -> None:
    """Play until told to stop, or until stdin ends."""
    try:
        uvloop.run(_obey())
    except RelayError as error:
        sys.stderr.write(f"crowd: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
