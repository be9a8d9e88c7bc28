"""Whether the edge is alive: heartbeats (protocol section 3) and pings, as values."""

from collections.abc import Callable
from enum import Enum

PING_S = 4.0  # between pings: who resumes by then was never shown offline
PONG_GRACE_S = 0.75  # after the second unanswered ping: a frozen edge is noticed within 8.75 s
LATE_S = 1.0  # a timer that fires later than this says that our own process was held up
EXCUSES = 2  # how often in a row that is believed


class Sign(Enum):
    """What is due."""

    BEAT = "send a heartbeat"
    PING = "send a ping"
    DEAD_SILENT = "two pings in a row were not answered"
    DEAD_UNACKED = "a heartbeat was not acknowledged"


class Liveness:
    """The timers of one connection. Times are seconds of the caller's monotonic clock."""

    __slots__ = (
        "_acked", "_beat_at", "_excused", "_interval_s", "_ping_at", "_stalled", "_unanswered",
        "_verdict_at",
    )  # fmt: skip

    def __init__(self) -> None:
        self.closed()

    def closed(self) -> None:
        """No connection: nothing is due."""
        self._interval_s = 0.0
        self._beat_at: float | None = None
        self._ping_at: float | None = None
        self._verdict_at: float | None = None
        self._unanswered = 0
        self._acked = True
        self._stalled = False
        self._excused = 0

    def opened(self, now: float) -> None:
        """A connection began."""
        self.closed()
        self._ping_at = now + PING_S

    def hello(self, interval_ms: int, now: float, dice: Callable[[], float]) -> None:
        """HELLO came: the first heartbeat is due after `interval * random(0, 1)`."""
        self._interval_s = interval_ms / 1000
        self._beat_at = now + self._interval_s * dice()
        self._acked = True

    def heard(self) -> None:
        """Something came from the edge: a pong or any payload."""
        self._unanswered = 0
        self._verdict_at = None
        self._excused = 0

    def acked(self) -> None:
        """HEARTBEAT_ACK came."""
        self._acked = True

    def stall(self, on: bool, now: float) -> None:
        """While we do not read ourselves, silence says nothing about the edge."""
        self._stalled = on
        self._excuse(now)

    def _excuse(self, now: float) -> None:
        self._unanswered = 0
        self._verdict_at = None
        self._acked = True
        if self._ping_at is not None:
            self._ping_at = now + PING_S

    @property
    def deadline(self) -> float | None:
        """When `due` has something to say next, if nothing else happens."""
        times = [at for at in (self._beat_at, self._ping_at, self._verdict_at) if at is not None]
        return min(times, default=None)

    def due(self, now: float) -> list[Sign]:
        """What is due by `now`; after a DEAD_… sign the connection is to be ended."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return []
        if now - deadline > LATE_S and self._excused < EXCUSES:
            self._excused += 1
            self._excuse(now)
        if self._verdict_at is not None and now >= self._verdict_at:
            return [Sign.DEAD_SILENT]
        signs = []
        if self._beat_at is not None and now >= self._beat_at:
            if not self._acked and not self._stalled:
                return [Sign.DEAD_UNACKED]
            self._acked = False
            self._beat_at = now + self._interval_s
            signs.append(Sign.BEAT)
        if self._ping_at is not None and now >= self._ping_at:
            self._ping_at = now + PING_S
            if not self._stalled:
                self._unanswered += 1
                if self._unanswered >= 2:
                    self._verdict_at = now + PONG_GRACE_S
                signs.append(Sign.PING)
        return signs
