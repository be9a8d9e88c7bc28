"""An ordered pair of regions: how far this region's mirror is behind its origin, and why."""

from dataclasses import dataclass
from enum import StrEnum

HEARD_S = 3.0  # an origin says once a second how far it is
WEDGED_S = 3.0  # a mirror that stands still so long while its origin is ahead


class MirrorState(StrEnum):
    """What is known of a mirror."""

    CURRENT = "current"
    BEHIND = "behind"  # and moving
    WEDGED = "wedged"  # the origin is ahead, and the mirror stands still
    CUT = "cut"  # the origin has not been heard: nobody here knows how far it is
    DIVERGED = "diverged"  # other bytes than the origin under the same sequences


@dataclass(slots=True)
class Pair:
    """The mirror of one origin, looked at once a second."""

    origin: str
    state: MirrorState = MirrorState.CUT
    lag_events: int = 0
    _last: int = -1
    _moved_s: float = 0.0

    def look(self, now_s: float, last: int, head: tuple[int, float] | None) -> MirrorState:
        """Judge it.

        Args:
            now_s: seconds of a monotonic clock.
            last: the mirror's last sequence.
            head: (the origin's last sequence as it said, when that was heard).
        """
        if last != self._last:
            self._last, self._moved_s = last, now_s
        if head is None or now_s - head[1] > HEARD_S:
            self.state = MirrorState.CUT
            return self.state
        self.lag_events = max(0, head[0] - last)
        if self.lag_events == 0:
            self._moved_s = now_s
            self.state = MirrorState.CURRENT
        else:
            still = now_s - self._moved_s > WEDGED_S
            self.state = MirrorState.WEDGED if still else MirrorState.BEHIND
        return self.state
