"""The clocks of an edge: the only place that reads them."""

import time

from relay.core.session import Instant


def now() -> Instant:
    """This moment, by both clocks."""
    return Instant(time.monotonic(), int(time.time() * 1000))


def wall_ms() -> int:
    """Unix time in ms."""
    return int(time.time() * 1000)


def mono_ms() -> int:
    """The monotonic clock, in ms: it never steps."""
    return time.monotonic_ns() // 1_000_000
