"""Times by the million as a few hundred counts, that can be added up over processes.

Buckets are log-linear, as HdrHistogram's are: each power of two has 128 of them, so that what is
read back is wrong by at most 0.4 %.
"""

from collections.abc import Mapping

_SUB_BITS = 7
_SUBS = 1 << _SUB_BITS


def bucket_of(us: int) -> int:
    """The number of the bucket that counts a time of so many µs."""
    if us < _SUBS:
        return max(us, 0)
    shift = us.bit_length() - _SUB_BITS - 1
    return (shift << _SUB_BITS) + (us >> shift)


def middle_of(bucket: int) -> float:
    """The time in the middle of a bucket, in µs."""
    if bucket < _SUBS:
        return float(bucket)
    shift = (bucket >> _SUB_BITS) - 1
    first = (bucket - (shift << _SUB_BITS)) << shift
    return first + ((1 << shift) - 1) / 2


class Histogram:
    """How many times were how long.

    Args:
        counts: by bucket, of another one.
    """

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})

    def add(self, us: int) -> None:
        """One time of so many µs."""
        bucket = bucket_of(us)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def merge(self, counts: Mapping[int, int]) -> None:
        """What another one counted, too."""
        mine = self.counts
        for bucket, count in counts.items():
            mine[bucket] = mine.get(bucket, 0) + count

    @property
    def total(self) -> int:
        """How many times there are."""
        return sum(self.counts.values())

    def at(self, *shares: float) -> list[float]:
        """The times in ms that so large shares of all do not exceed; 0.0 where there are none.

        Args:
            shares: from 0 to 1, rising.
        """
        total, seen, found = self.total, 0, []
        wanted = iter(shares)
        share = next(wanted, None)
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            while share is not None and seen >= share * total:
                found.append(middle_of(bucket) / 1000)
                share = next(wanted, None)
        return found or [0.0] * len(shares)
