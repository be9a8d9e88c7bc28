"""For how long doors have failed, from the tries of them. Pure."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable

from tests.truth.canary import Going


class Doors:
    """The tries of a whole run. One counts from when it began: until it failed, nobody knew.

    Args:
        gone: in any order.
    """

    def __init__(self, gone: Iterable[Going]) -> None:
        self._tries: dict[str, list[tuple[float, str]]] = defaultdict(list)
        for each in sorted(gone, key=lambda going: going.began_s):
            self._tries[each.edge].append((each.began_s, each.failed))

    def failing(self, t_s: float) -> dict[str, tuple[float, str]]:
        """The doors that fail at a time: for how long (s), and why."""
        found = {}
        for edge, tries in self._tries.items():
            streak: list[tuple[float, str]] = []
            for began_s, failed in reversed(tries[: bisect_right(tries, (t_s, "\uffff"))]):
                if not failed:
                    break
                streak.append((began_s, failed))
            if streak:
                found[edge] = t_s - streak[-1][0], streak[0][1]
        return found
