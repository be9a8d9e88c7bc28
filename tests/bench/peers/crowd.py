"""The clients of one contender, in a process of their own: they join, and count what comes."""

import asyncio
import gc
import resource
import time
from array import array
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import uvloop

from regions.swarm import frames
from regions.swarm.line import End, Line
from tests.bench.peers.dialects import Dialect

AT_ONCE = 200  # connections that are under way
JOIN_S = 60.0
LISTENERS = 16  # who look at how late an event is; the others count
QUIET_S = 0.5  # without an event: all have come
MOST_QUIET_S = 20.0
_AT = b'"at":'


@dataclass(frozen=True)
class Plan:
    """What is done."""

    port: int
    dialect: Dialect
    members: int
    rate: float  # events a second
    seconds: float
    size: int  # bytes of an event's data


@dataclass
class Joined:
    """All are in the room: how long that took, and what it cost the crowd."""

    took_s: float
    cpu_s: float


@dataclass
class Fanned:
    """What came of what was published."""

    published: int = 0
    delivered: int = 0
    took_s: float = 0.0  # from the first that was due to the last that came
    cpu_s: float = 0.0
    late_us: "array[int]" = field(default_factory=lambda: array("q"))
    lost: int = 0  # connections


class _Member:
    """One client."""

    def __init__(self, crowd: "_Crowd", *, listens: bool) -> None:
        self._crowd = crowd
        self._listens = listens
        self.joined = asyncio.get_running_loop().create_future()
        self.line: Line | None = None

    def heard(self, line: Line, body: bytes) -> None:
        """A message came."""
        heard = self._crowd.plan.dialect.heard(body)
        if heard.events:
            fanned = self._crowd.fanned
            fanned.delivered += heard.events
            if self._listens:
                now_ns = time.monotonic_ns()
                for part in body.split(_AT)[1:]:
                    at_ns = int(part[: part.index(b",")])
                    fanned.late_us.append((now_ns - at_ns) // 1000)
        elif heard.answer is not None:
            line.send(heard.answer)
        elif heard.ready and not self.joined.done():
            self.joined.set_result(None)

    def ended(self, _line: Line, end: End) -> None:
        """The connection is over."""
        self._crowd.fanned.lost += 1
        if not self.joined.done():
            self.joined.set_exception(ConnectionError(str(end)))


class _Opening(Line):
    """A line that says the first word as soon as it may."""

    __slots__ = ("_said", "_word")

    def __init__(self, member: _Member, plan: Plan) -> None:
        super().__init__(member, f"127.0.0.1:{plan.port}", plan.dialect.path, frames.TEXT)
        self._word = plan.dialect.first()
        self._said = self._word is None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._said and self._upgraded:
            self._said = True
            assert self._word is not None
            self.send(self._word)


class _Crowd:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.fanned = Fanned()
        self._members: list[_Member] = []

    async def join(self) -> Joined:
        began_s, cpu_s = time.monotonic(), time.process_time()
        turns = asyncio.Semaphore(AT_ONCE)
        apart = max(self.plan.members // LISTENERS, 1)

        async def one(number: int) -> None:
            async with turns, asyncio.timeout(JOIN_S):
                # They stand all over the room: servers write to its members one after the other.
                member = _Member(self, listens=number % apart == 0)
                self._members.append(member)
                _, member.line = await asyncio.get_running_loop().create_connection(
                    lambda: _Opening(member, self.plan), "127.0.0.1", self.plan.port
                )
                await member.joined

        async with asyncio.TaskGroup() as group:
            for number in range(self.plan.members):
                group.create_task(one(number))
        return Joined(time.monotonic() - began_s, time.process_time() - cpu_s)

    async def fan(self) -> Fanned:
        plan, self.fanned = self.plan, Fanned()
        line = self._members[-1].line
        assert line is not None
        pad = "x" * max(plan.size - 40, 0)
        began_s, cpu_s = time.monotonic(), time.process_time()
        total = max(round(plan.rate * plan.seconds), 1)
        for number in range(total):
            due_s = began_s + number / plan.rate
            if (wait_s := due_s - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            data = f'{{"at":{int(due_s * 1e9)},"pad":"{pad}"}}'.encode()
            line.send(plan.dialect.publish(data))
            self.fanned.published += 1
        await self._quiet(total * plan.members)
        self.fanned.took_s = time.monotonic() - began_s
        self.fanned.cpu_s = time.process_time() - cpu_s
        return self.fanned

    async def _quiet(self, expected: int) -> None:
        ends_s = time.monotonic() + MOST_QUIET_S
        before, since_s = -1, time.monotonic()
        while self.fanned.delivered < expected and time.monotonic() < ends_s:
            if self.fanned.delivered != before:
                before, since_s = self.fanned.delivered, time.monotonic()
            elif time.monotonic() - since_s > QUIET_S * 4:
                return
            await asyncio.sleep(0.01)

    def leave(self) -> None:
        for member in self._members:
            if member.line is not None:
                member.line.cut()


async def _serve(plan: Plan, pipe: Connection) -> None:
    """Join, say so; then do as told until there is nothing more to do."""
    loop = asyncio.get_running_loop()
    crowd = _Crowd(plan)
    pipe.send(await crowd.join())
    gc.freeze()
    while (rate := await loop.run_in_executor(None, pipe.recv)) is not None:
        crowd.plan = Plan(**{**vars(plan), "rate": rate})
        pipe.send(await crowd.fan())
    crowd.leave()


def run_crowd(plan: Plan, pipe: Connection) -> None:
    """Process: the clients of one contender."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        uvloop.run(_serve(plan, pipe))
    except BaseException as error:
        pipe.send(f"{type(error).__name__}: {error}")
        raise
