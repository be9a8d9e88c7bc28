"""The load: one process publishes, another is subscribed; both stamp with one monotonic clock."""

import asyncio
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import msgspec

from relay.core.codes import Op
from tests.bench.gateway import Frame, Gateway, connect

SETTLE_S = 15.0  # how long what is under way may still take after the last publish
_PAD = "x" * 160  # an event's data is then about 200 bytes


@dataclass(frozen=True)
class Plan:
    """What is to be done. Events go to the regions, and in them to the rooms, in turn."""

    urls: dict[str, list[str]]  # region -> edges
    token: str
    rate: int  # events a second, of all regions together
    warm_up_s: float
    duration_s: float
    rooms: int
    connections: int  # in each region, of each process

    @property
    def skipped(self) -> int:
        """Events of the warm-up."""
        return round(self.rate * self.warm_up_s)

    @property
    def measured(self) -> int:
        """Events that count."""
        return round(self.rate * self.duration_s)

    def seats(self, region: str) -> list[tuple[str, list[str]]]:
        """The connections of a region: an edge's address and the rooms that are theirs."""
        edges = self.urls[region]
        return [
            (edges[seat % len(edges)], self.names[seat :: self.connections])
            for seat in range(self.connections)
        ]

    @property
    def names(self) -> list[str]:
        """The rooms."""
        return [f"bench:{number}" for number in range(self.rooms)]


@dataclass
class Figures:
    """What a process measured; times in ns."""

    times: dict[tuple[str, ...], "array[int]"] = field(default_factory=dict)
    lag: "array[int]" = field(default_factory=lambda: array("q"))  # of the generator
    cpu: float = 0.0  # share of one core
    problems: list[str] = field(default_factory=list)

    def add(self, key: tuple[str, ...], elapsed_ns: int) -> None:
        """One event's time."""
        self.times.setdefault(key, array("q")).append(elapsed_ns)

    @property
    def count(self) -> int:
        """How many times there are."""
        return sum(len(times) for times in self.times.values())


class _Data(msgspec.Struct):
    at: int  # ns; 0: of the warm-up


class _Message(msgspec.Struct):
    origin: str
    data: _Data


class _Answer(msgspec.Struct):
    nonce: int
    code: str | None = None


_messages = msgspec.json.Decoder(_Message)
_answers = msgspec.json.Decoder(_Answer)


def run_publisher(plan: Plan, pipe: Connection) -> None:
    """Process: publish, and time the ACKs."""
    asyncio.run(_publish(plan, pipe))


def run_subscriber(plan: Plan, pipe: Connection) -> None:
    """Process: be subscribed to every room in every region, and time what comes."""
    asyncio.run(_subscribe(plan, pipe))


async def _publish(plan: Plan, pipe: Connection) -> None:
    figures = Figures()
    sent: dict[int, tuple[str, int]] = {}  # nonce -> region, when

    def handle(frame: Frame) -> None:
        if frame.op not in (Op.ACK, Op.ERROR):
            return
        answer = _answers.decode(frame.d)
        region, at = sent.pop(answer.nonce)
        if answer.code is not None:
            figures.problems.append(f"{region}: {answer.code}")
        elif answer.nonce >= plan.skipped:
            figures.add((region,), time.monotonic_ns() - at)

    regions = list(plan.urls)
    gateways: list[Gateway] = []
    by_room: list[list[Gateway]] = []  # region number -> room number -> connection
    for region in regions:
        mine = [await connect(url, plan.token) for url, _ in plan.seats(region)]
        by_room.append([mine[number % plan.connections] for number in range(plan.rooms)])
        gateways += mine
    for gateway in gateways:
        gateway.handle = handle
    start_ns = await _told_to_start(pipe)
    measure = _Cpu(start_ns + round(plan.warm_up_s * 1e9))
    names = plan.names
    for number in range(plan.skipped + plan.measured):
        due_ns = start_ns + number * 1_000_000_000 // plan.rate
        if (wait_ns := due_ns - time.monotonic_ns()) > 0:
            await asyncio.sleep(wait_ns / 1e9)
        now_ns = time.monotonic_ns()
        counts = number >= plan.skipped
        if counts:
            measure.begin()
            figures.lag.append(now_ns - due_ns)
        room, region_number = divmod(number, len(regions))
        room %= plan.rooms
        sent[number] = (regions[region_number], now_ns)
        data = {"at": now_ns if counts else 0, "pad": _PAD}
        by_room[region_number][room].send(
            Op.PUBLISH, {"room": names[room], "data": data, "nonce": number}
        )
    figures.cpu = measure.share()
    await _until(lambda: not sent, gateways, figures)
    if sent:
        figures.problems.append(f"{len(sent)} publishes without an answer")
    await _report(gateways, figures, pipe)


async def _subscribe(plan: Plan, pipe: Connection) -> None:
    figures = Figures()

    def handler(region: str) -> Callable[[Frame], None]:
        def handle(frame: Frame) -> None:
            if frame.t == "MESSAGE":
                now_ns = time.monotonic_ns()
                message = _messages.decode(frame.d)
                if message.data.at:
                    measure.begin()
                    figures.add((message.origin, region), now_ns - message.data.at)
            elif frame.t is not None:
                figures.problems.append(f"{region}: {frame.t}")

        return handle

    gateways: list[Gateway] = []
    for region in plan.urls:
        for url, rooms in plan.seats(region):
            gateway = await connect(url, plan.token, rooms)
            gateway.handle = handler(region)
            gateways.append(gateway)
    start_ns = await _told_to_start(pipe)
    measure = _Cpu(start_ns + round(plan.warm_up_s * 1e9))
    await asyncio.sleep(plan.warm_up_s + plan.duration_s)
    figures.cpu = measure.share()
    wanted = plan.measured * len(plan.urls)
    await _until(lambda: figures.count >= wanted, gateways, figures)
    if figures.count != wanted:
        figures.problems.append(f"{figures.count} deliveries, {wanted} expected")
    await _report(gateways, figures, pipe)


class _Cpu:
    """This process's share of a core, from the first measured event on."""

    def __init__(self, from_ns: int) -> None:
        self._from_ns = from_ns
        self._cpu_ns: int | None = None

    def begin(self) -> None:
        """The first measured event is here."""
        if self._cpu_ns is None:
            self._from_ns, self._cpu_ns = time.monotonic_ns(), time.process_time_ns()

    def share(self) -> float:
        """CPU time by time."""
        spent_ns = time.process_time_ns() - (self._cpu_ns or 0)
        return spent_ns / max(time.monotonic_ns() - self._from_ns, 1)


async def _told_to_start(pipe: Connection) -> int:
    pipe.send("ready")
    start_ns: int = await asyncio.to_thread(pipe.recv)
    return start_ns


async def _until(done: Callable[[], bool], gateways: list[Gateway], figures: Figures) -> None:
    deadline = time.monotonic() + SETTLE_S
    while not done() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    figures.problems += [gateway.lost for gateway in gateways if gateway.lost is not None]


async def _report(gateways: list[Gateway], figures: Figures, pipe: Connection) -> None:
    for gateway in gateways:
        await gateway.close()
    pipe.send(figures)
