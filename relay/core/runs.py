"""Sets of sequences as runs: a million that follow each other cost no more than one."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import pairwise

Run = tuple[int, int]  # first and last sequence, both included


def ranges(sequences: Iterable[int]) -> list[Run]:
    """Ascending sequences as runs."""
    runs: list[Run] = []
    for seq in sequences:
        if runs and runs[-1][1] == seq - 1:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    return runs


def joined(runs: Sequence[Run], most: int) -> list[Run]:
    """As many runs as `most`, which hold all of these and as little more as can be.

    Args:
        runs: ascending.
        most: at least 1.
    """
    gaps = [later[0] - earlier[1] for earlier, later in pairwise(runs)]
    parted = nlargest(most - 1, range(len(gaps)), key=gaps.__getitem__)
    found: list[Run] = []
    start = 0
    for end in (*sorted(at + 1 for at in parted), len(runs)):
        if start < end:
            found.append((runs[start][0], runs[end - 1][1]))
        start = end
    return found


@dataclass(frozen=True, slots=True)
class Runs:
    """A set of sequences that does not change.

    `runs`: ascending, and none touches the next.
    """

    runs: tuple[Run, ...] = ()

    @classmethod
    def of(cls, sequences: Iterable[int]) -> "Runs":
        """Of sequences, in whatever order."""
        return cls(tuple(ranges(sorted(set(sequences)))))

    @classmethod
    def between(cls, first: int, last: int) -> "Runs":
        """All from `first` to `last`; nothing where that is before `first`."""
        return cls(((first, last),)) if first <= last else cls()

    def __bool__(self) -> bool:
        return bool(self.runs)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.runs)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.runs:
            yield from range(first, last + 1)

    def __contains__(self, seq: int) -> bool:
        return self.touches(seq - 1, seq)

    @property
    def first(self) -> int:
        """The first sequence; 0: there is none."""
        return self.runs[0][0] if self.runs else 0

    @property
    def last(self) -> int:
        """The last sequence; 0: there is none."""
        return self.runs[-1][1] if self.runs else 0

    def touches(self, after: int, upto: int) -> bool:
        """Whether any is in (`after`, `upto`]."""
        at = bisect_left(self.runs, after + 1, key=_last)
        return after < upto and at < len(self.runs) and self.runs[at][0] <= upto

    def within(self, first: int, last: int) -> "Runs":
        """Those from `first` to `last`."""
        low = bisect_left(self.runs, first, key=_last)
        high = bisect_right(self.runs, last, key=_first)
        return Runs(
            tuple((max(start, first), min(end, last)) for start, end in self.runs[low:high])
        )

    def __or__(self, other: "Runs") -> "Runs":
        if not other.runs or not self.runs:
            return self if self.runs else other
        merged: list[Run] = []
        for first, last in sorted((*self.runs, *other.runs)):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return Runs(tuple(merged))

    def __sub__(self, other: "Runs") -> "Runs":
        if not self.runs or not other.runs:
            return self
        left: list[Run] = []
        for first, last in self.runs:
            start = first
            for taken in other.within(first, last).runs:
                if start < taken[0]:
                    left.append((start, taken[0] - 1))
                start = taken[1] + 1
            if start <= last:
                left.append((start, last))
        return Runs(tuple(left))

    def __and__(self, other: "Runs") -> "Runs":
        return self - (self - other)


NONE = Runs()


def _first(run: Run) -> int:
    return run[0]


def _last(run: Run) -> int:
    return run[1]
