"""What a region holds of one origin's stream, and whether that is all of it."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Copy:
    """A region's copy of a stream. At home it is the stream itself, and nothing is missing."""

    first: int  # sequence of the oldest event held; last + 1 when there is none
    last: int
    missing: tuple[int, ...] = ()  # sequences in between that the origin holds and this does not
    origin_first: int | None = None  # of the oldest event that the origin holds, where known

    @property
    def oldest(self) -> int:
        """Sequence of the oldest event that can be had, here or at the origin."""
        return self.first if self.origin_first is None else min(self.first, self.origin_first)

    def lacks(self, after: int, upto: int) -> bool:
        """Whether anything in the sequences (`after`, `upto`] is not here and can be had."""
        if upto <= after:
            return False
        if upto > self.last or (after + 1 < self.first and self.oldest < self.first):
            return True
        following = bisect_right(self.missing, after)
        return following < len(self.missing) and self.missing[following] <= upto


def ranges(sequences: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending sequences as runs (first, last), both included."""
    runs: list[tuple[int, int]] = []
    for seq in sequences:
        if runs and runs[-1][1] == seq - 1:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    return runs
