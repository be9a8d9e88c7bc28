"""What a swarm measured: of one process in one second, and of all of them together."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from regions.swarm.histogram import Histogram

# Names of what is counted and timed, as they stand in the reports.
OPENED, IDENTIFIED, RESUMED, LOST = "opened", "identified", "resumed", "lost"
SESSIONS_LOST, STOPPED = "sessions lost", "stopped"
PUBLISHED, ACKED, WITHHELD, RETRIED = "published", "acknowledged", "withheld", "retried"
DELIVERED, LOOKED_INTO = "delivered", "looked into"
MISSING, REPEATED, DECLARED = "missing", "repeated", "declared"
BYTES = "bytes"
CONNECT, BACK, ACK, LAG = "connect", "back", "ack", "lag"
DELIVERY = "delivery"  # and the ordered pair of regions: `delivery us>eu`


class Second(msgspec.Struct, tag="second", kw_only=True):
    """One process's second, by its number since the run began.

    `counts` are of this second; `times` are the counts of histograms of this second, in µs.
    """

    number: int
    index: int  # of the process
    wanted: int = 0  # clients that are to be here now
    here: int = 0  # that are, and are live
    waiting: int = 0  # publishes without an answer
    counts: dict[str, int] = {}
    times: dict[str, dict[int, int]] = {}
    cpu_s: float = 0.0
    rss_bytes: int = 0


class Tally:
    """What is counted and timed until somebody takes it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._times: dict[str, Histogram] = {}

    def time(self, name: str) -> Histogram:
        """The histogram of that name."""
        found = self._times.get(name)
        if found is None:
            found = self._times[name] = Histogram()
        return found

    def take(self) -> tuple[dict[str, int], dict[str, dict[int, int]]]:
        """All of it; nothing is left here."""
        counts = dict(self.counts)
        times = {name: one.counts for name, one in self._times.items() if one.counts}
        self.counts.clear()
        # Whoever holds a histogram goes on with it: only what it counted is taken.
        for one in self._times.values():
            one.counts = {}
        return counts, times


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A second of the whole swarm."""

    number: int
    wanted: int
    here: int
    waiting: int
    counts: dict[str, int]
    times: dict[str, dict[int, int]]
    cpus: tuple[float, ...]  # of each process: share of a core
    rss_bytes: int  # of all processes

    def p(self, name: str, *shares: float) -> list[float]:
        """Percentiles of what is timed under a name, in ms; `delivery`: of all pairs."""
        return histogram(self.times, name).at(*shares)


def histogram(times: Mapping[str, Mapping[int, int]], name: str) -> Histogram:
    """All that was timed under a name, or under one that begins with it and a blank."""
    whole = Histogram()
    for each, counts in times.items():
        if each == name or each.startswith(f"{name} "):
            whole.merge(counts)
    return whole


def together(number: int, seconds: Iterable[Second]) -> Moment:
    """The same second of all processes as one."""
    counts: Counter[str] = Counter()
    times: dict[str, Histogram] = {}
    totals: dict[str, Any] = {"wanted": 0, "here": 0, "waiting": 0, "rss_bytes": 0}
    cpus = []
    for second in seconds:
        counts.update(second.counts)
        for name, one in second.times.items():
            times.setdefault(name, Histogram()).merge(one)
        for name in totals:
            totals[name] += getattr(second, name)
        cpus.append(second.cpu_s)
    return Moment(
        number=number,
        counts=dict(counts),
        times={name: one.counts for name, one in times.items()},
        cpus=tuple(cpus),
        **totals,
    )


def summed(moments: Iterable[Moment]) -> tuple[Counter[str], dict[str, dict[int, int]]]:
    """What is counted and timed in some seconds."""
    counts: Counter[str] = Counter()
    times: dict[str, Histogram] = {}
    for moment in moments:
        counts.update(moment.counts)
        for name, one in moment.times.items():
            times.setdefault(name, Histogram()).merge(one)
    return counts, {name: one.counts for name, one in times.items()}
