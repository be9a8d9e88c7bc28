"""Regions that fell silent and are heard again: that has to last, and then they take more and more.

For what this edge tells clients of other regions: HELLO, op 27, negotiate. A death counts at once.
"""

import logging
from collections.abc import Mapping

from relay.core.orders import Ramp
from relay.core.steady import Comebacks, Steady
from relay.core.steering import State, Verdict

_log = logging.getLogger("jetrelay.edge")

READY = Verdict(State.OK, "edges of it are ready", admits=True)
SILENT = Verdict(State.DARK, "no edge of it says that it is ready", admits=False)


class Returns:
    """How regions count, by what was heard of them until now."""

    def __init__(self) -> None:
        self._steady = Steady[str]()
        self._comebacks = Comebacks()
        self._verdicts: dict[str, Verdict] = {}

    def look(self, lives: Mapping[str, bool], now_s: float) -> None:
        """Which regions are heard now.

        Args:
            lives: of each region, whether an edge of it says that it is ready.
            now_s: monotonic.
        """
        before = self._verdicts
        self._verdicts = {
            name: self._steady.take(name, READY if alive else SILENT, now_s)
            for name, alive in lives.items()
        }
        for name, verdict in self._verdicts.items():
            if name in before and before[name].admits != verdict.admits:
                _log.info("%s %s", name, "counts again" if verdict.admits else "fell silent")
        admits = {name: verdict.admits for name, verdict in self._verdicts.items()}
        self._comebacks.look(admits, now_s)

    def verdict(self, region: str) -> Verdict:
        """How a region counts, as it was at the last look; one that nobody looked at is there."""
        return self._verdicts.get(region, READY)

    def ramp(self, region: str, wanted: Ramp | None, now_s: float, now_ms: int) -> float:
        """How much of what would come a region takes, 0 to 1; `wanted`: the operators' ramp."""
        return self._comebacks.ramp(region, wanted, now_s, now_ms)
