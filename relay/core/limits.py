"""Rates: how much of something a client may do."""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """`rate_per_s` on average, `burst` at once."""

    rate_per_s: float
    burst: float
    level: float
    at_s: float

    @classmethod
    def full(cls, rate_per_s: float, burst: float, now_s: float) -> "TokenBucket":
        """A bucket that has its whole burst."""
        return cls(rate_per_s, burst, burst, now_s)

    def take(self, now_s: float) -> float:
        """Take one. Returns 0.0 when there was one, else the seconds until there will be."""
        self.level = min(self.burst, self.level + (now_s - self.at_s) * self.rate_per_s)
        self.at_s = now_s
        if self.level >= 1:
            self.level -= 1
            return 0.0
        return (1 - self.level) / self.rate_per_s

    def left(self, now_s: float) -> float:
        """How many could be taken at once."""
        return min(self.burst, self.level + (now_s - self.at_s) * self.rate_per_s)


class Shares:
    """A bucket of the same size for each of many, such as addresses.

    Args:
        rate_per_s: of each, on average; as many at once.
        most: buckets that are kept; who was not seen for longest is forgotten first.
    """

    def __init__(self, rate_per_s: float, most: int = 10_000) -> None:
        self._rate_per_s = rate_per_s
        self._most = most
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str, now_s: float) -> float:
        """Take one from a bucket. Returns 0.0, or the seconds until there will be one."""
        bucket = self._buckets.get(name)
        if bucket is None:
            burst = max(self._rate_per_s, 1.0)
            bucket = self._buckets[name] = TokenBucket.full(self._rate_per_s, burst, now_s)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
        return bucket.take(now_s)


@dataclass(slots=True)
class MinuteWindow:
    """At most `limit` in 60 s, counted as Discord's gateway counts: per fixed minute."""

    limit: int
    started_s: float
    count: int = 0

    def take(self, now_s: float) -> bool:
        """Count one. False when it is one too many."""
        if now_s - self.started_s >= 60:
            self.started_s = now_s
            self.count = 0
        self.count += 1
        return self.count <= self.limit

    def left(self, now_s: float) -> int:
        """How many more are not too many."""
        return self.limit if now_s - self.started_s >= 60 else max(self.limit - self.count, 0)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left to a session of its limits."""

    frames: int  # this minute
    beats: int  # likewise
    publishes: int  # at once
    publishes_waiting: int  # behind those in flight
    rooms: int
