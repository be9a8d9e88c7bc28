"""The console's two clocks: a steady one for ages, the wall's for the times that people read."""

import time
from collections.abc import Callable
from dataclasses import dataclass

# Runs on while the machine is suspended, so that what was heard before is old afterwards.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _steady_ms() -> int:
    return time.clock_gettime_ns(_STEADY) // 1_000_000


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """Ages never come from the wall clock, which can be set."""

    steady_ms: Callable[[], int] = _steady_ms
    wall_ms: Callable[[], int] = _wall_ms
