"""Counting violations with a few examples of each, and times without keeping them."""

import math
from collections import Counter
from dataclasses import dataclass, field

from regions.ledger.findings import RULES, Example, Spread

EXAMPLES = 5  # of each rule
Where = tuple[str, int]  # file and line
_DIGITS = 6  # binary, of a time: 1.6 %


@dataclass(slots=True)
class Tally:
    """What was found so far."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)
    _told: Counter[str] = field(default_factory=Counter)

    def add(self, rule: str, text: str, *where: Where, count: int = 1) -> None:
        """A violation of `rule`, `count` times."""
        assert rule in RULES
        self.counts[rule] += count
        if self._told[rule] < EXAMPLES:
            self._told[rule] += 1
            self.examples.append(
                Example(rule, text, tuple(f"{file}:{line}" for file, line in where))
            )

    def count(self, name: str, more: int = 1) -> None:
        """Something that is no violation."""
        self.counts[name] += more


@dataclass(slots=True)
class Times:
    """A distribution of times in ns, in buckets of 1.6 % width."""

    buckets: dict[int, int] = field(default_factory=dict)
    longest: int = 0

    def add(self, ns: int) -> None:
        """One more."""
        us = max(ns, 0) // 1000
        shift = max(0, us.bit_length() - _DIGITS)
        key = (us >> shift) << shift
        self.buckets[key] = self.buckets.get(key, 0) + 1
        self.longest = max(self.longest, ns)

    def spread(self) -> Spread:
        """The distribution in ms."""
        count = sum(self.buckets.values())
        if not count:
            return Spread()
        ordered = sorted(self.buckets.items())
        return Spread(
            count,
            _at(ordered, math.ceil(count * 0.50)),
            _at(ordered, math.ceil(count * 0.99)),
            round(self.longest / 1e6, 3),
        )


def _at(ordered: list[tuple[int, int]], rank: int) -> float:
    seen = 0
    for us, count in ordered:
        seen += count
        if seen >= rank:
            return us / 1000
    return ordered[-1][0] / 1000


def spread_of(values_ns: list[int]) -> Spread:
    """The distribution of a few times, exactly."""
    if not values_ns:
        return Spread()
    ordered = sorted(values_ns)
    ranks = [math.ceil(len(ordered) * share) - 1 for share in (0.50, 0.99, 1.0)]
    p50, p99, top = (round(ordered[rank] / 1e6, 3) for rank in ranks)
    return Spread(len(ordered), p50, p99, top)
