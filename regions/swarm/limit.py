"""Where is the limit? The search for the load that a fleet just carries. Values in, values out."""

import math
from collections.abc import Sequence

import msgspec

CLOSE = 1.1  # the limit is known once what was carried and what was not are so near
MOST_STEPS = 16


class Bounds(msgspec.Struct, frozen=True):
    """What a load must keep to, so that it counts as carried."""

    p99_ms: float = 100.0  # from when an event was due to each delivery
    served: float = 0.98  # share of what was due that was acknowledged
    delivered: float = 0.9  # share of what was to be delivered: rooms differ, and so do seconds
    failed: float = 0.001  # share of the publishes that may be refused


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one load.

    `shares` are of a core (edges, nats-servers, processes of the swarm) or of the machine.
    """

    load: float
    due: float  # events a second
    acked: float
    delivered: float
    p50_ms: float
    p99_ms: float
    ack_p99_ms: float
    failed: int = 0  # publishes refused
    missing: int = 0
    refused: int = 0  # connections
    slow_closes: int = 0  # connections that edges closed since they were read too slowly
    swarm_lag_p99_ms: float = 0.0
    swarm: dict[str, float] = {}  # process -> share of a core
    edges: dict[str, float] = {}
    nats: dict[str, float] = {}
    machine: float = 0.0  # share of all its cores
    cores: int = 1
    loop_lag_ms: float = 0.0  # the worst that an edge told of
    buffered_bytes: int = 0  # in all edges' sends
    free_share: float = 1.0  # of the machine's memory
    fds_share: float = 0.0  # the largest, of what a process may have open
    disk_share: float = 0.0  # of the time in which something waited for a disk


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One load that was tried: what was seen, why it was not carried, and what was full."""

    seen: Seen
    why: tuple[str, ...] = ()
    full: tuple[str, ...] = ()

    @property
    def carried(self) -> bool:
        """Whether it was."""
        return not self.why


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found. `carried` is None where even the least load was too much."""

    what: str  # `rate` or `clients`
    carried: float | None
    broke_at: float | None  # None: nothing that was tried was too much
    full: tuple[str, ...] = ()  # at `broke_at`
    steps: tuple[Step, ...] = ()


class Search:
    """Doubles the load until it is too much, then halves the distance.

    Args:
        first: the load to begin with.
        most: the largest to try.
    """

    def __init__(self, first: float, most: float = math.inf) -> None:
        self._next: float | None = min(first, most)
        self._most = most
        self._carried: float | None = None
        self._broke: float | None = None
        self._tried = 0

    def next(self) -> float | None:
        """The load to try now; None: it is known."""
        return self._next

    def note(self, load: float, *, carried: bool) -> None:
        """How that went."""
        self._tried += 1
        if carried:
            self._carried = max(load, self._carried or 0.0)
        else:
            self._broke = min(load, self._broke or math.inf)
        self._next = None if self._tried >= MOST_STEPS else self._choose()

    def _choose(self) -> float | None:
        carried, broke = self._carried, self._broke
        if broke is None:
            assert carried is not None, "one of both is known after the first"
            return None if carried >= self._most else min(carried * 2, self._most)
        if carried is None:
            return broke / 2 if broke > 1 else None
        if broke / carried <= CLOSE:
            return None
        return math.sqrt(carried * broke)

    @property
    def found(self) -> tuple[float | None, float | None]:
        """The largest load that was carried, and the smallest that was not."""
        return self._carried, self._broke


def judge(seen: Seen, expected: float, bounds: Bounds) -> tuple[str, ...]:
    """Why a load was not carried; nothing: it was.

    Args:
        seen: what was seen of it.
        expected: deliveries a second that it should make.
        bounds: what it must keep to.
    """
    why = []
    if seen.p99_ms > bounds.p99_ms:
        why.append(f"delivered within {seen.p99_ms:.0f} ms (p99), at most {bounds.p99_ms:g}")
    if seen.acked < seen.due * bounds.served:
        why.append(f"{seen.acked:,.0f} of {seen.due:,.0f} events/s acknowledged")
    if seen.delivered < expected * bounds.delivered:
        why.append(f"{seen.delivered:,.0f} of {expected:,.0f} deliveries/s")
    if seen.failed > max(seen.due, 1.0) * bounds.failed:
        why.append(f"{seen.failed:,} publishes refused")
    if seen.missing:
        why.append(f"{seen.missing:,} events missing")
    if seen.slow_closes:
        why.append(f"{seen.slow_closes:,} connections closed: read too slowly")
    return tuple(why)


def full(seen: Seen) -> tuple[str, ...]:
    """What had no room left, the most telling first."""
    found = []
    busiest, taken = max(seen.swarm.values(), default=0.0), seen.machine > 0.95
    if busiest > 0.9 or (seen.swarm_lag_p99_ms > 50 and not taken):
        found.append(
            f"the swarm itself: {busiest:.0%} of a core, {seen.swarm_lag_p99_ms:.0f} ms late "
            "(p99); give it more --processes, or another machine"
        )
    if taken:
        found.append(f"all {seen.cores} cores of this machine: {_shared(seen)}")
    found += [f"CPU of edge {name}: {share:.0%} of a core" for name, share in _most(seen.edges)]
    found += [f"CPU of {name}: {share:.0%} of a core" for name, share in _most(seen.nats)]
    if seen.loop_lag_ms > 250:
        found.append(f"an edge's event loop: {seen.loop_lag_ms:.0f} ms behind")
    if seen.slow_closes or seen.buffered_bytes > 64 * 1024**2:
        found.append(f"send buffers of edges: {seen.buffered_bytes / 1024**2:.0f} MiB wait")
    if seen.free_share < 0.05:
        found.append(f"memory: {seen.free_share:.0%} of the machine's is left")
    if seen.fds_share > 0.95:
        found.append("open files of a process")
    if seen.disk_share > 0.5:
        found.append(f"a disk: something waited for it {seen.disk_share:.0%} of the time")
    if seen.refused:
        found.append(f"admission: {seen.refused:,} connections were refused")
    return tuple(found) or ("nothing that is seen from here",)


def _shared(seen: Seen) -> str:
    """Who has how many of the machine's cores."""
    groups = {"edges": seen.edges, "nats-servers": seen.nats, "swarm": seen.swarm}
    cores = {name: sum(shares.values()) for name, shares in groups.items()}
    cores["others"] = max(seen.machine * seen.cores - sum(cores.values()), 0.0)
    return ", ".join(f"{name} {share:.2f}" for name, share in cores.items())


def _most(shares: dict[str, float]) -> Sequence[tuple[str, float]]:
    return sorted(((n, s) for n, s in shares.items() if s > 0.9), key=lambda one: -one[1])
