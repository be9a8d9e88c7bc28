"""Nothing flaps: what comes back has to last, and then takes more and more. Pure."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from relay.core.orders import Ramp
from relay.core.steering import Verdict

K = TypeVar("K", bound=Hashable)
RETURN_S = 60.0  # until a region that came back takes all that would come


@dataclass(slots=True)
class _Standing:
    """A verdict that is held to, and one that may come after it."""

    verdict: Verdict
    since_s: float
    better: Verdict | None = None
    better_since_s: float = 0.0
    falls_s: list[float] = field(default_factory=list)
    new: bool = False  # it was never better than this


@dataclass(frozen=True, slots=True)
class Patience:
    """How long something must be better before it is believed."""

    better_s: float = 10.0
    window_s: float = 600.0  # each fall within it doubles that
    most_s: float = 300.0


class Steady(Generic[K]):
    """Holds verdicts: what is worse counts at once, what is better has to last."""

    def __init__(self, patience: Patience = Patience()) -> None:
        self._patience = patience
        self._standing: dict[K, _Standing] = {}

    def take(self, key: K, verdict: Verdict, now_s: float) -> Verdict:
        """What counts now, where this was judged."""
        known = self._standing.get(key)
        if known is None:
            self._standing[key] = _Standing(verdict, now_s, new=not verdict.admits)
            return verdict
        if known.new and verdict.better > known.verdict.better:
            known.verdict, known.since_s, known.new = verdict, now_s, False
            return verdict  # it was not better before, it was not heard yet
        if verdict.better <= known.verdict.better:
            if verdict.better < known.verdict.better:
                known.since_s = now_s
                if known.verdict.admits and not verdict.admits:
                    known.falls_s.append(now_s)
            known.verdict, known.better = verdict, None
            return verdict
        if known.better is None:
            known.better_since_s = now_s
        known.better = verdict
        wait_s = self._wait_s(known, now_s)
        if now_s - known.better_since_s >= wait_s:
            known.verdict, known.since_s, known.better = verdict, now_s, None
            return verdict
        left_s = wait_s - (now_s - known.better_since_s)
        held = known.verdict
        reason = f"{held.reason}; now {verdict.state}, believed in {left_s:.0f} s"
        return Verdict(held.state, reason, held.admits)

    def since_s(self, key: K) -> float | None:
        """Since when (monotonic) it is in the state that counts."""
        known = self._standing.get(key)
        return None if known is None else known.since_s

    def forget(self, keys: Iterable[K]) -> None:
        """These are not there any more."""
        for key in keys:
            self._standing.pop(key, None)

    def _wait_s(self, known: _Standing, now_s: float) -> float:
        patience = self._patience
        known.falls_s = [at_s for at_s in known.falls_s if now_s - at_s <= patience.window_s][-16:]
        again = max(len(known.falls_s) - 1, 0)
        return min(patience.better_s * 2.0**again, patience.most_s)


class Comebacks:
    """Regions that admit again, after nobody could be sent there: they take more and more.

    Where no region admitted at all, the observer was cut off itself, or all were gone: then none
    is held back when they return, since there is none that could take its place.

    Args:
        over_s: until they take all.
    """

    def __init__(self, over_s: float = RETURN_S) -> None:
        self._over_s = over_s
        self._gone_s: dict[str, float] = {}  # region -> since when it does not admit, or did not
        self._back_s: dict[str, float] = {}  # region -> since when it admits again
        self._known: set[str] = set()  # regions that ever admitted

    def look(self, admits: Mapping[str, bool], now_s: float) -> None:
        """Which regions clients may be sent to now, as it counts.

        Args:
            admits: of each region.
            now_s: the time, monotonic.
        """
        if not any(admits.values()):
            self._gone_s.clear()
            self._back_s.clear()
            self._known.clear()
            return
        for region, open_ in admits.items():
            if not open_:
                if region in self._known and (region not in self._gone_s or region in self._back_s):
                    self._gone_s[region] = now_s
                    self._back_s.pop(region, None)
                continue
            self._known.add(region)
            if region in self._gone_s:
                self._back_s.setdefault(region, now_s)

    def share(self, region: str, now_s: float) -> float:
        """How much of what would come a region takes, 0 to 1; one that was never gone: all."""
        back_s = self._back_s.get(region)
        return 1.0 if back_s is None else min((now_s - back_s) / self._over_s, 1.0)

    def since_ms(self, region: str, now_s: float, now_ms: int) -> int:
        """When it was gone last (Unix ms); 0: never, as far as is known."""
        gone_s = self._gone_s.get(region)
        return 0 if gone_s is None else now_ms - int((now_s - gone_s) * 1000)

    def ramp(self, region: str, wanted: Ramp | None, now_s: float, now_ms: int) -> float:
        """How much a region takes, by what operators want, and by itself.

        An operator's ramp counts, unless the region was gone since it began.
        """
        if wanted is not None and wanted.since_ms >= self.since_ms(region, now_s, now_ms):
            return wanted.share(now_ms)
        return self.share(region, now_s)
