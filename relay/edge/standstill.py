"""How long what is read now may have waited unread: the process may have been stopped, or busy."""

STILL_S = 1.0  # without a turn of the loop: it stood still
CATCH_UP_S = 1.0  # in which what came meanwhile is read


class Standstill:
    """The last time that the event loop did not turn.

    A client that got no answer may be elsewhere by now, and have published more there: what it
    sent before counts from when it may have come, and is too late after a while.

    Args:
        now_s: seconds of a monotonic clock.
    """

    def __init__(self, now_s: float) -> None:
        self._turned_s = now_s
        self._began_s = now_s
        self._over_s = now_s  # when all that came meanwhile has been read

    def turn(self, now_s: float) -> None:
        """The loop turns, as it does several times a second."""
        if now_s - self._turned_s > STILL_S:
            self._began_s, self._over_s = self._turned_s, now_s + CATCH_UP_S
        self._turned_s = now_s

    def since(self, now_s: float) -> float:
        """The earliest moment at which bytes that are read now may have come."""
        self.turn(now_s)
        return self._began_s if now_s < self._over_s else now_s
