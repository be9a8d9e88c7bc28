"""What a run of a swarm found, as it is kept: `swarm.json`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from regions.errors import SwarmError
from regions.machine import Machine
from regions.swarm.figures import (
    ACK,
    ACKED,
    BACK,
    BYTES,
    CONNECT,
    DECLARED,
    DELIVERED,
    DELIVERY,
    LAG,
    MISSING,
    PUBLISHED,
    REPEATED,
    WITHHELD,
    Moment,
    histogram,
    summed,
)
from regions.swarm.limit import Limit
from regions.swarm.spec import SwarmSpec

FILE = "swarm.json"
LATE_MS = 20.0  # p99 of how late a swarm may be, so that what it measured is of the fleet
BUSY = 0.9  # of a core, likewise


class Spread(msgspec.Struct, frozen=True):
    """Times in ms."""

    count: int = 0
    p50: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    max: float = 0.0


class Used(msgspec.Struct, frozen=True):
    """What a process of the fleet used: share of a core, and at the most bytes and files."""

    cpu: float
    rss_bytes: int
    fds: int


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A second of the run."""

    at_s: float
    stage: str
    wanted: int
    here: int
    published: int
    acked: int
    delivered: int
    p50_ms: float
    p99_ms: float
    ack_p99_ms: float
    lag_p99_ms: float
    swarm_cpu: float  # cores, of all its processes
    edges_cpu: float
    nats_cpu: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. What is measured is measured in `measured_s`; `counts` are of the whole run."""

    v: int = 1
    spec: SwarmSpec
    started: str  # RFC 3339, UTC
    machine: Machine
    measured_s: int
    here: int  # clients at the end of what was measured
    here_most: int
    published_per_s: float
    acked_per_s: float
    delivered_per_s: float
    bytes_per_s: float
    times: dict[str, Spread]
    measured: dict[str, int]
    counts: dict[str, int]
    missing: int  # events that clients were owed, and did not get
    repeated: int
    declared: int  # GAPs
    unanswered: int  # publishes
    swarm: tuple[Used, ...]  # each process of it
    fleet: dict[str, Used] = {}  # edge or nats-server -> what it used; of a world on this machine
    doubts: tuple[str, ...] = ()  # why the figures may be of the swarm, not of the fleet
    limit: Limit | None = None
    timeline: tuple[Point, ...] = ()

    @property
    def lost_nothing(self) -> bool:
        """Whether nothing was missing, or came twice."""
        return not self.missing and not self.repeated


def spreads(times: Mapping[str, Mapping[int, int]]) -> dict[str, Spread]:
    """Everything that was timed; and `delivery` over all ordered pairs of regions, within one
    region, and across.
    """
    found = {name: spread(times, name) for name in times}
    pairs = [name for name in times if name.startswith(f"{DELIVERY} ")]
    if pairs:
        found[DELIVERY] = spread(times, DELIVERY)
        for name, chosen in (
            ("in the region", [pair for pair in pairs if _within(pair)]),
            ("across regions", [pair for pair in pairs if not _within(pair)]),
        ):
            if chosen:
                some = {pair: times[pair] for pair in chosen}
                found[f"{DELIVERY} {name}"] = spread(some, DELIVERY)
    return dict(sorted(found.items()))


def spread(times: Mapping[str, Mapping[int, int]], name: str) -> Spread:
    """What was timed under a name."""
    whole = histogram(times, name)
    if not whole.counts:
        return Spread()
    return Spread(whole.total, *(round(ms, 3) for ms in whole.at(0.5, 0.99, 0.999, 1.0)))


def _within(pair: str) -> bool:
    origin, _, region = pair.removeprefix(f"{DELIVERY} ").partition(">")
    return origin == region


def doubts(times: Mapping[str, Spread], cpus: Sequence[float], withheld: int) -> tuple[str, ...]:
    """Why what was measured may be the swarm's own doing.

    Args:
        times: what was measured.
        cpus: the share of a core that each of its processes used.
        withheld: events that it did not publish, since too many had no answer.
    """
    found = []
    lag = times.get(LAG, Spread()).p99
    if lag > LATE_MS:
        found.append(f"the swarm was late by {lag:.0f} ms itself (p99): its cores are taken")
    if max(cpus, default=0.0) > BUSY:
        found.append(f"a process of the swarm used {max(cpus):.0%} of a core: give it more")
    if withheld:
        found.append(f"{withheld:,} events were not published: too many had no answer")
    return tuple(found)


def point(moment: Moment, stage: str, edges_cpu: float, nats_cpu: float) -> Point:
    """A second, as the report has it."""
    p50, p99 = moment.p(DELIVERY, 0.5, 0.99)
    return Point(
        at_s=moment.number,
        stage=stage,
        wanted=moment.wanted,
        here=moment.here,
        published=moment.counts.get(PUBLISHED, 0),
        acked=moment.counts.get(ACKED, 0),
        delivered=moment.counts.get(DELIVERED, 0),
        p50_ms=round(p50, 2),
        p99_ms=round(p99, 2),
        ack_p99_ms=round(moment.p(ACK, 0.99)[0], 2),
        lag_p99_ms=round(moment.p(LAG, 0.99)[0], 2),
        swarm_cpu=round(sum(moment.cpus), 3),
        edges_cpu=round(edges_cpu, 3),
        nats_cpu=round(nats_cpu, 3),
    )


class Ending(msgspec.Struct, frozen=True):
    """How a run ended: events that clients lacked at last, and publishes without an answer."""

    short: int = 0
    unanswered: int = 0


def result(
    spec: SwarmSpec,
    started: str,
    machine: Machine,
    whole: Sequence[Moment],
    measured: Sequence[Moment],
    ending: Ending,
    fleet: dict[str, Used],
    timeline: Sequence[Point],
    limit: Limit | None = None,
) -> Result:
    """What a run found.

    Args:
        whole: all its seconds.
        measured: those that count.
        ending: how it ended.
        fleet: what the processes of the fleet used.
        timeline: all its seconds, as the report has them.
        limit: what a search found.
    """
    counts, all_raw = summed(whole)
    mine, raw = summed(measured)
    # Most clients come before anything is measured: how long that took is told all the same.
    times = spreads(raw | {name: all_raw[name] for name in (CONNECT, BACK) if name in all_raw})
    seconds = max(len(measured), 1)
    processes = spec.processes
    cpus = [sum(one.cpus[index] for one in measured) / seconds for index in range(processes)]
    rss = max((moment.rss_bytes for moment in measured), default=0) // processes
    return Result(
        spec=spec,
        started=started,
        machine=machine,
        measured_s=len(measured),
        here=measured[-1].here if measured else 0,
        here_most=max((moment.here for moment in whole), default=0),
        published_per_s=mine[PUBLISHED] / seconds,
        acked_per_s=mine[ACKED] / seconds,
        delivered_per_s=mine[DELIVERED] / seconds,
        bytes_per_s=mine[BYTES] / seconds,
        times=times,
        measured=dict(sorted(mine.items())),
        counts=dict(sorted(counts.items())),
        missing=counts[MISSING] + ending.short,
        repeated=counts[REPEATED],
        declared=counts[DECLARED],
        unanswered=ending.unanswered,
        swarm=tuple(Used(round(cpu, 3), rss, 0) for cpu in cpus),
        fleet=fleet,
        doubts=doubts(times, cpus, counts[WITHHELD]),
        limit=limit,
        timeline=tuple(timeline),
    )


def write_result(directory: Path, found: Result) -> Path:
    """Keep it; returns where.

    Raises:
        SwarmError: it can't be written.
    """
    path = directory / FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    except OSError as error:
        raise SwarmError(f"{path}: {error.strerror}") from error
    return path
