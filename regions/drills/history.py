"""What a ledger shows over time: latency, gaps, and what clients did after each fault.

The checker says whether anything was lost; this is about how long things took. Reads the ledger
twice: first what clients and publishers did, then the deliveries.
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from regions.drills.facts import WANTED, Facts, Hit
from regions.drills.timeline import Outage
from regions.ledger.files import ledger_files, lines, parse
from regions.ledger.findings import Spread
from regions.ledger.record import Delivered
from regions.ledger.tally import Times, spread_of

BINS = 240  # of a chart over time, about
MIN_BIN_S = 0.5
SLOW_NS = 1_000_000_000  # a delivery that took longer than this, and than four times the p99 before
_DELIVERIES = (b'{"k":"event"', b'{"k":"app"')


class Bin(msgspec.Struct, frozen=True):
    """Some time: `at_s` since the first record; latency of what was published in it, in ms."""

    at_s: float
    acked: int
    delivered: int
    p50: float
    p99: float
    max: float


class FaultTimes(msgspec.Struct, frozen=True):
    """What one fault did: spreads over the clients that lost a connection, in ms since it (of a
    drain: since the client was asked to go).

    `detect`: their library knew that the connection was gone; `decide`: it had chosen where to go;
    `reconnect`: the session went on. `converge_s`: from healing (or from the fault, where nothing
    had to be healed) to the last slow delivery. `current_s`: from healing until the last client had
    got the last event that was acknowledged before it. `stranded`: events that only a lost region
    had, and that came when it was back.
    """

    text: str
    at_s: float
    healed_s: float | None
    planned: bool
    hit: int
    detect: Spread
    decide: Spread
    reconnect: Spread
    converge_s: float
    current_s: float | None
    stranded: int = 0


class EpochSaid(msgspec.Struct, frozen=True):
    """When clients were told that an origin had begun a new epoch; s since the first record."""

    clients: int
    first_s: float
    last_s: float


class Load(msgspec.Struct, frozen=True):
    """What was acknowledged in some time."""

    acked: int = 0
    seconds: float = 0.0


class History(msgspec.Struct, frozen=True):
    """All of it. `load`: from the first mark to the last, `load_before`: to the first fault."""

    first_ns: int
    seconds: float
    bins: tuple[Bin, ...]
    # before, during, after -> latency, in ms; `stayed`: during, of clients that were not moved
    periods: dict[str, Spread]
    faults: tuple[FaultTimes, ...]
    gap_ms: Spread  # per client, without what only a lost region had
    moved: int  # clients that were in another region than at first
    resume_tries: int
    resumed: int
    refused: int
    epoch: EpochSaid | None
    load: Load
    load_before: Load


class _Clock:
    """Deliveries by time: bins, and the periods before, during and after faults."""

    def __init__(self, facts: Facts, outages: Sequence[Outage]) -> None:
        self.first_ns = facts.first_ns
        seconds = (facts.last_ns - facts.first_ns) / 1e9
        self.width_ns = round(max(MIN_BIN_S, seconds / BINS) * 1e9)
        self.bins: dict[int, Times] = defaultdict(Times)
        self.periods = {name: Times() for name in ("before", "during", "stayed", "after")}
        self.fault_ns = min((outage.from_ns for outage in outages), default=facts.last_ns)
        begun = next((t for t, name in facts.phases if name == "before"), facts.first_ns)
        ended = [t for t, name in facts.phases if name == "after"]
        self.begun_ns, self.after_ns = begun, ended[-1] if ended else facts.last_ns

    def add(self, asked_ns: int, took_ns: int, *, stayed: bool) -> None:
        """An event that was published at `asked_ns` came after `took_ns`, to who stayed, or not."""
        self.bins[(asked_ns - self.first_ns) // self.width_ns].add(took_ns)
        if asked_ns < self.begun_ns:
            return
        # What was published before the fault and came after it, the fault delayed.
        name = "before" if asked_ns + took_ns < self.fault_ns else "during"
        name = "after" if asked_ns >= self.after_ns else name
        self.periods[name].add(took_ns)
        if stayed and name == "during":
            self.periods["stayed"].add(took_ns)


class _Deliveries:
    """The second pass."""

    def __init__(self, facts: Facts, outages: Sequence[Outage]) -> None:
        self.clock = _Clock(facts, outages)
        self.gaps: dict[str, int] = dict.fromkeys(facts.homes, 0)
        self.current = [0] * len(outages)
        self.stranded: list[set[str]] = [set() for _ in outages]
        self.slow: list[tuple[int, int]] = []  # (t, took) of what took a second or more
        self._facts = facts
        self._since = min((outage.from_ns for outage in outages), default=0)
        self._lost = [
            (number, outage.lost, outage.from_ns, outage.heal_ns)
            for number, outage in enumerate(outages)
            if outage.lost is not None and outage.heal_ns is not None
        ]
        ends = sorted((end, number) for number, end in enumerate(healed(outages)) if end)
        self._ends = [end for end, _ in ends]
        self._ended = [number for _, number in ends]

    def add(self, record: Delivered) -> None:
        """An event came."""
        asked = self._facts.asked.get(record.id or "")
        if asked is None or not record.app:
            return
        t = record.t
        self.clock.add(asked, t - asked, stayed=record.client not in self._facts.moved)
        acked = self._facts.acked.get(record.id or "")
        if acked is None or t <= acked:
            return
        first, last = bisect_right(self._ends, acked), bisect_right(self._ends, t)
        for at in range(first, last):
            number = self._ended[at]
            self.current[number] = max(self.current[number], t - self._ends[at])
        if t - acked >= SLOW_NS:
            self.slow.append((t, t - acked))
        if t < self._since or self._is_stranded(record, acked):
            return
        self.gaps[record.client] = max(self.gaps.get(record.client, 0), t - acked)

    def _is_stranded(self, record: Delivered, acked: int) -> bool:
        for number, region, from_ns, heal_ns in self._lost:
            # What came before the region did, a mirror had.
            if record.origin == region and acked <= from_ns and record.t >= heal_ns:
                self.stranded[number].add(record.id or "")
                return True
        return False


def healed(outages: Sequence[Outage]) -> list[int | None]:
    """When each was over, those included that were in effect at the same time and excuse (ns)."""
    found: list[int | None] = []
    for one in outages:
        end = one.to_ns
        moved = True
        while end is not None and moved:
            moved = False
            for other in outages:
                if not other.excuses and other is not one:
                    continue
                if other.to_ns is not None and other.from_ns < end < other.to_ns:
                    end, moved = other.to_ns, True
        found.append(end)
    return found


def read_history(directory: Path, outages: Sequence[Outage]) -> History:
    """What the ledger in `directory` shows.

    Args:
        directory: as for the checker.
        outages: the faults, in their order.

    Raises:
        LedgerError: it can't be read.
    """
    files = [path for path in ledger_files(directory) if not path.name.startswith("scan.")]
    facts = Facts()
    for path in files:
        for number, line in lines(path):
            if line.startswith(WANTED):
                record = parse(path.name, number, line)
                facts.first_ns = min(facts.first_ns or record.t, record.t)
                facts.last_ns = max(facts.last_ns, record.t)
                facts.take(record)
    deliveries = _Deliveries(facts, outages)
    for path in files:
        for number, line in lines(path):
            if line.startswith(_DELIVERIES):
                record = parse(path.name, number, line)
                if isinstance(record, Delivered):
                    deliveries.add(record)
    return _history(facts, deliveries, outages)


def _history(facts: Facts, deliveries: _Deliveries, outages: Sequence[Outage]) -> History:
    clock = deliveries.clock
    periods = {name: times.spread() for name, times in clock.periods.items()}
    threshold = max(SLOW_NS, round(periods["before"].p99 * 4e6))
    slow = sorted(t for t, took in deliveries.slow if took >= threshold)
    epoch = None
    if facts.epochs:
        times = sorted(_s(t - facts.first_ns) for t in facts.epochs.values())
        epoch = EpochSaid(len(times), times[0], times[-1])
    return History(
        first_ns=facts.first_ns,
        seconds=_s(facts.last_ns - facts.first_ns),
        bins=_bins(facts, clock),
        periods=periods,
        faults=tuple(_fault_times(facts, deliveries, outages, slow)),
        gap_ms=spread_of(list(deliveries.gaps.values())),
        moved=len(facts.moved),
        resume_tries=facts.tries,
        resumed=facts.resumed,
        refused=facts.refused,
        epoch=epoch,
        load=_load(facts, clock.begun_ns, clock.after_ns),
        load_before=_load(facts, clock.begun_ns, clock.fault_ns),
    )


def _load(facts: Facts, from_ns: int, to_ns: int) -> Load:
    acked = sum(from_ns <= t <= to_ns for t in facts.acked.values())
    return Load(acked, _s(max(0, to_ns - from_ns)))


def _bins(facts: Facts, clock: _Clock) -> tuple[Bin, ...]:
    acked: dict[int, int] = defaultdict(int)
    for t in facts.acked.values():
        acked[(t - clock.first_ns) // clock.width_ns] += 1
    count = math.ceil((facts.last_ns - clock.first_ns) / clock.width_ns)
    found = []
    for number in range(count):
        spread = clock.bins[number].spread() if number in clock.bins else Spread()
        found.append(
            Bin(
                _s(number * clock.width_ns), acked[number], spread.count, spread.p50, spread.p99,
                spread.max,
            )
        )  # fmt: skip
    return tuple(found)


def _fault_times(
    facts: Facts, deliveries: _Deliveries, outages: Sequence[Outage], slow: list[int]
) -> list[FaultTimes]:
    found = []
    ends = healed(outages)
    for number, outage in enumerate(outages):
        later = [other.from_ns for other in outages if other.from_ns > (outage.to_ns or 0)]
        until = min(later, default=facts.last_ns)
        hits = [
            hit
            for each in facts.hits.values()
            for hit in each
            if outage.from_ns <= hit.down < until
        ]
        begin = outage.from_ns
        since = ends[number] or begin
        last = max((t for t in slow if since <= t < until), default=since)
        found.append(
            FaultTimes(
                text=outage.text,
                at_s=_s(begin - facts.first_ns),
                healed_s=None if outage.to_ns is None else _s(outage.to_ns - facts.first_ns),
                planned=outage.planned,
                hit=len({id(hit) for hit in hits}),
                detect=_spread([(hit.down, hit) for hit in hits], outage),
                decide=_spread([(hit.tried, hit) for hit in hits], outage),
                reconnect=_spread([(hit.back, hit) for hit in hits], outage),
                converge_s=_s(last - since),
                current_s=None if ends[number] is None else _s(deliveries.current[number]),
                stranded=len(deliveries.stranded[number]),
            )
        )
    return found


def _spread(times: list[tuple[int | None, Hit]], outage: Outage) -> Spread:
    """Since the fault; of a drain, since the client was asked to go."""
    begins = [
        (t, hit.asked if outage.planned and hit.asked is not None else outage.from_ns)
        for t, hit in times
        if t is not None
    ]
    return spread_of([t - begin for t, begin in begins])


def _s(ns: int) -> float:
    return round(ns / 1e9, 3)
