"""A set of sequences as spans: what was dealt with, whatever is found missing there later."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from relay.core.runs import Runs


@dataclass(slots=True)
class Spans:
    """Disjoint spans of sequences, ascending. Beyond `most` of them the lowest are forgotten."""

    most: int = 1_024
    _firsts: list[int] = field(default_factory=list)
    _lasts: list[int] = field(default_factory=list)

    def __contains__(self, seq: int) -> bool:
        at = bisect_right(self._firsts, seq) - 1
        return at >= 0 and seq <= self._lasts[at]

    def __len__(self) -> int:
        return len(self._firsts)

    @property
    def runs(self) -> Runs:
        """All of them, as they are now."""
        return Runs(tuple(zip(self._firsts, self._lasts, strict=True)))

    def add(self, first: int, last: int) -> None:
        """Add the sequences `first` to `last`, both included."""
        if last < first:
            return
        # All spans that touch the new one become one with it.
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first, last = min(first, self._firsts[low]), max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]
        if len(self._firsts) > self.most:
            del self._firsts[0], self._lasts[0]
