"""How long to wait before a process that died is started again."""

FIRST_S = 0.5
LONGEST_S = 10.0
STEADY_S = 30.0  # a process that lived this long starts the count anew


def next_delay(previous_s: float, alive_s: float) -> float:
    """The delay after a life of `alive_s`; `previous_s` is the delay before it, 0 at first."""
    if previous_s <= 0 or alive_s >= STEADY_S:
        return FIRST_S
    return min(previous_s * 2, LONGEST_S)
