"""A short history: one value a second, bounded, and small."""

from array import array
from dataclasses import dataclass, field
from math import isnan, nan

HISTORY_POINTS = 120
CARRY_S = 3  # a value stands that long: frames come once a second, give or take


def _nothing() -> "array[float]":
    return array("f")


@dataclass(frozen=True, slots=True)
class Series:
    """The values of the last `HISTORY_POINTS` seconds, up to `end`; NaN where none is known."""

    end: int = 0  # second of the last value
    values: "array[float]" = field(default_factory=_nothing)

    def add(self, second: int, value: float) -> "Series":
        """The series with `value` at `second`; the last value of a second stays, older ones do not
        come back. A value stands for up to `CARRY_S` seconds where none comes.
        """
        if not self.values:
            return Series(second, array("f", (value,)))
        ahead = second - self.end
        if ahead == 1:  # as a rule
            values = self.values[-(HISTORY_POINTS - 1) :]
            values.append(value)
            return Series(second, values)
        if ahead < 0:
            return self
        if ahead == 0:
            values = self.values[:]
            values[-1] = value
            return Series(second, values)
        between = min(ahead - 1, HISTORY_POINTS)
        stands = min(between, CARRY_S - 1)
        kept = self.values[-(HISTORY_POINTS - 1) :]
        kept.extend([self.values[-1]] * stands)
        kept.extend([nan] * (between - stands))
        kept.append(value)
        return Series(second, kept[-HISTORY_POINTS:])

    @property
    def last(self) -> float | None:
        """The newest value; None: there is none."""
        return self.values[-1] if self.values else None

    def window(self, end_second: int, seconds: int) -> tuple[float | None, ...]:
        """The `seconds` values that end at `end_second`; None where nothing was known (a gap)."""
        start = end_second - seconds + 1
        first = self.end - len(self.values) + 1  # second of the oldest value
        found: list[float | None] = []
        for second in range(start, end_second + 1):
            at = second - first
            if 0 <= at < len(self.values):
                value = self.values[at]
                found.append(None if isnan(value) else value)
            elif self.values and self.end < second < self.end + CARRY_S:
                found.append(self.values[-1])
            else:
                found.append(None)
        return tuple(found)


EMPTY = Series()
