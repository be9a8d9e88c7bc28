"""A short history: one value a second, bounded."""

from dataclasses import dataclass, replace

HISTORY_POINTS = 120
CARRY_S = 3  # a value stands that long: frames come once a second, give or take


@dataclass(frozen=True, slots=True)
class Series:
    """The last `HISTORY_POINTS` values, each with its second; seconds grow."""

    points: tuple[tuple[int, float], ...] = ()

    def add(self, second: int, value: float) -> "Series":
        """The series with `value` at `second`; the last value of a second stays, older ones do not
        come back.
        """
        points = self.points
        if points and second < points[-1][0]:
            return self
        if points and second == points[-1][0]:
            points = points[:-1]
        return replace(self, points=(*points, (second, value))[-HISTORY_POINTS:])

    def window(self, end_second: int, seconds: int) -> tuple[float | None, ...]:
        """The `seconds` values that end at `end_second`; None where nothing was known (a gap)."""
        start = end_second - seconds + 1
        values: list[float | None] = [None] * seconds
        for second, value in self.points:
            first = max(second, start)
            for at in range(first, min(second + CARRY_S, end_second + 1)):
                values[at - start] = value
        return tuple(values)


EMPTY = Series()
