"""Python's collector of cycles, as a process of many long-lived connections needs it.

What an edge keeps is freed by counting references: a connection that ends leaves no cycle
(`tests/system/test_garbage.py`). The collector is there for the few that libraries make. By its
defaults it would search all that lives each time a quarter of it is new, in which nobody is served.
"""

import gc
import time
from typing import Any

# Containers made, net, before the youngest are searched: by default (700) a herd that comes in
# spent a quarter of the edge's time on such searches.
YOUNG = 20_000
MIDDLE = 5  # searches of the youngest for each of those that have lived through one
OLD = 200  # searches of these for each of all that lives: 20 million containers more


class Collecting:
    """Sets the collector, and says what it costs."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self.spent_s = 0.0
        self._began_s = 0.0

    def start(self) -> None:
        """From now on: what is there already is never searched again."""
        gc.collect()
        gc.freeze()  # modules and constants
        gc.set_threshold(YOUNG, MIDDLE, OLD)
        gc.callbacks.append(self._note)

    def stop(self) -> None:
        """Measure no more."""
        gc.callbacks.remove(self._note)

    def _note(self, phase: str, _info: dict[str, Any]) -> None:
        if phase == "start":
            self._began_s = time.perf_counter()
            return
        took_s = time.perf_counter() - self._began_s
        self.spent_s += took_s
        self.longest_ms = max(self.longest_ms, took_s * 1000)

    @property
    def totals(self) -> dict[str, tuple[str, float]]:
        """Name -> (help, value) of what only grows."""
        return {
            "gc_seconds": ("Time in which the collector of cycles held the loop.", self.spent_s)
        }

    @property
    def levels(self) -> dict[str, tuple[str, float]]:
        """Name -> (help, value now)."""
        text = "The longest time that the collector of cycles held the loop, since the start."
        return {"gc_longest_ms": (text, self.longest_ms)}
