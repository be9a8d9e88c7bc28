"""A short history: one value a second, bounded, and small."""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import TypeVar

HISTORY_POINTS = 120
CARRY_S = 3  # a value stands that long: frames come once a second, give or take

T = TypeVar("T")


def later(values: tuple[T, ...], ahead_s: int, value: T, unknown: T) -> tuple[T, ...]:
    """The values of the last seconds with a new one, `ahead_s` after the last.

    The last value of a second stays, older ones do not come back. A value stands for up to
    `CARRY_S` seconds where none comes.
    """
    if not values:
        return (value,)
    if ahead_s < 0:
        return values
    if ahead_s == 0:
        return (*values[:-1], value)
    if ahead_s > 1:
        between = min(ahead_s - 1, HISTORY_POINTS)
        stands = min(between, CARRY_S - 1)
        values += (values[-1],) * stands + (unknown,) * (between - stands)
    return (*values[-(HISTORY_POINTS - 1) :], value)


@dataclass(frozen=True, slots=True)
class Series:
    """The values of the last `HISTORY_POINTS` seconds, up to `end`; NaN where none is known."""

    end: int = 0  # second of the last value
    values: tuple[float, ...] = ()

    def add(self, second: int, value: float) -> "Series":
        """The series with `value` at `second`."""
        values = later(self.values, second - self.end, value, nan)
        return self if values is self.values else Series(second, values)

    @property
    def last(self) -> float | None:
        """The newest value; None: there is none."""
        return None if not self.values or isnan(self.values[-1]) else self.values[-1]

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
                found.append(self.last)
            else:
                found.append(None)
        return tuple(found)


EMPTY = Series()


@dataclass(frozen=True, slots=True)
class History(Mapping[str, Series]):
    """Several figures of one thing, which all come at once: a row a second holds them.

    Of 300 edges with 13 figures each, 4,000 values come in a second, and few are ever looked at.
    """

    figures: tuple[str, ...]
    end: int = 0  # second of the last row
    rows: "tuple[array[float], ...]" = ()

    def add(self, second: int, values: Mapping[str, float]) -> "History":
        """The history with `values` at `second`; a figure that is not there is not known."""
        row = array("f", [values.get(figure, nan) for figure in self.figures])
        unknown = array("f", [nan]) * len(self.figures)
        rows = later(self.rows, second - self.end, row, unknown)
        return self if rows is self.rows else History(self.figures, second, rows)

    def __getitem__(self, figure: str) -> Series:
        if figure not in self.figures:
            raise KeyError(figure)
        at = self.figures.index(figure)
        return Series(self.end, tuple(row[at] for row in self.rows))

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)
