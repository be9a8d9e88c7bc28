"""A sparkline: one character a second, from zero up, gaps as gaps."""

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
GAP = " "


def spark(values: Sequence[float | None]) -> str:
    """One bar for each value, scaled to the largest; nothing where no value is known.

    The scale starts at zero: noise on a steady rate must not look like a storm.
    """
    top = max((value for value in values if value is not None), default=0.0)
    return "".join(GAP if value is None else _bar(value, top) for value in values)


def _bar(value: float, top: float) -> str:
    if value <= 0 or top <= 0:
        return BARS[0]
    return BARS[min(len(BARS) - 1, round(value / top * (len(BARS) - 1)))]
