"""The alarms that stand: raised here, or heard from another edge."""

from relay.core.alarm import Alarm

STANDS_S = 5.0  # one that is not told again is over


class Alarms:
    """Alarms by what they say, with when they were last told."""

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._told: dict[Alarm, float] = {}

    def tell(self, alarm: Alarm, now_s: float) -> bool:
        """An alarm was raised or heard. Whether it is new."""
        self._forget(now_s)
        new = alarm not in self._told
        if new and len(self._told) >= self._most:
            return False
        self._told[alarm] = now_s
        return new

    def standing(self, now_s: float) -> list[Alarm]:
        """Those that stand now."""
        self._forget(now_s)
        return list(self._told)

    def _forget(self, now_s: float) -> None:
        for alarm in [a for a, at_s in self._told.items() if now_s - at_s > STANDS_S]:
            del self._told[alarm]
