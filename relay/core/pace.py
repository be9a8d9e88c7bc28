"""How often something may happen for each of many: once in a while, the rest is dropped."""

from collections import OrderedDict
from collections.abc import Hashable


class Pace:
    """At most once in `every_s` for each key; what is older is forgotten.

    Args:
        every_s: seconds.
        most: keys that are remembered at once.
    """

    def __init__(self, every_s: float, most: int = 100_000) -> None:
        self._every_s = every_s
        self._most = most
        self._last: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def take(self, key: Hashable, now_s: float) -> bool:
        """Whether it may happen now: then it has."""
        while self._last:
            oldest, at_s = next(iter(self._last.items()))
            if now_s - at_s < self._every_s and len(self._last) < self._most:
                break
            del self._last[oldest]
        if key in self._last:
            return False
        self._last[key] = now_s
        return True
