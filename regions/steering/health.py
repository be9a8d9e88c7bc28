"""How edges and regions are, judged from what observers in several regions hear and try.

An observer stands in one region. It hears what edges say of themselves, through its region's NATS,
and tries their doors as a client does. It may be cut off itself: who hears nobody, or gets through
hardly any door, judges nobody. So silence alone is `dark`, which may be the observers' own trouble,
or a link's; `down` takes somebody who has tried the door, or the edge's own last word.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from relay.core.steering import State, Verdict
from relay.core.telemetry import ENDED

READY = "ready"
ALIVE_S = 6.0  # without a word from it, an edge is not heard: its lease runs out as well
FRESH_S = 20.0  # what a try of a door says, holds for so long
DEAF_S = 4.0  # for which nobody is heard anywhere, before all are taken to be silent
LATE_S = 12.0  # doors are tried every 5 s: two canaries did not arrive


class EdgeKey(NamedTuple):
    """Names an edge."""

    region: str
    edge: str


class Heard(NamedTuple):
    """What an observer heard of an edge last."""

    at_s: float  # monotonic, when it came
    state: str  # as the edge says it, see `relay.core.telemetry.EdgeFrame`


class Try(NamedTuple):
    """An observer went through an edge's public door: connect, identify, publish, receive."""

    at_s: float  # monotonic, when it was over
    failed: str = ""  # the step that did, and why; empty: none
    took_ms: float = 0.0
    busy: str = ""  # it was asked to come later: what was said
    times: int = 1  # that it failed in a row

    @property
    def passed(self) -> bool:
        """Whether it came through: who was asked to come later did not, and did not fail."""
        return not self.failed and not self.busy

    def after(self, before: "Try | None") -> "Try":
        """The same, with the failures in a row up to it counted."""
        if not self.failed or before is None or not before.failed:
            return self
        return self._replace(times=before.times + 1)


class Load(NamedTuple):
    """What an edge that is heard now says that it holds, and can hold."""

    connections: int
    room: int = 0  # 0: it does not say

    def holds(self, otherwise: int) -> int:
        """Connections that it can hold; `otherwise`: where it does not say."""
        return self.room or otherwise


class Said(NamedTuple):
    """Something was published through a region's doors, again and again."""

    since_s: float  # monotonic
    last_s: float


class Flight(NamedTuple):
    """What was published in one region arrived in another one."""

    at_s: float  # monotonic, when
    took_ms: float


@dataclass(frozen=True, slots=True)
class Flights:
    """What canaries saw."""

    listening: Mapping[str, float] = field(default_factory=dict)  # region -> since when
    said: Mapping[str, Said] = field(default_factory=dict)  # region -> when
    arrived: Mapping[tuple[str, str], Flight] = field(default_factory=dict)  # from, to -> newest

    def wrong(self, region: str, now_s: float) -> str:
        """What a region is to blame for of what does not arrive; empty: nothing.

        Where nothing of others arrives at all in one region, that is its own doing, and not theirs,
        if they are heard elsewhere.
        """
        late = self._late(now_s)
        into = [one for one, other in late if other == region]
        deaf = {other for _, other in late if self._all_late(late, to=other)}
        mute = self._all_late(late, of=region)
        out = [other for one, other in late if one == region and (mute or other not in deaf)]
        parts = []
        if out:
            parts.append(f"what is published there does not arrive in {', '.join(sorted(out))}")
        if region in deaf:
            parts.append(f"what is published in {', '.join(sorted(into))} does not arrive there")
        return "; ".join(parts)

    def _late(self, now_s: float) -> set[tuple[str, str]]:
        return {
            (one, other)
            for (one, other), age_s in self.ages(now_s).items()
            if one != other and age_s > LATE_S and now_s - self.said[one].last_s <= LATE_S
        }

    def _all_late(self, late: set[tuple[str, str]], *, of: str = "", to: str = "") -> bool:
        """Whether of one region nothing arrives anywhere, or nothing arrives in it."""
        pairs = {
            (one, other)
            for one in self.said
            for other in self.listening
            if one != other and of in ("", one) and to in ("", other)
        }
        return bool(pairs) and pairs <= late

    def ages(self, now_s: float) -> dict[tuple[str, str], float]:
        """Since when (s) nothing has arrived, by from and to, where something is waited for."""
        found: dict[tuple[str, str], float] = {}
        for one, said in self.said.items():
            for other, since_s in self.listening.items():
                last = self.arrived.get((one, other))
                found[one, other] = now_s - max(since_s, said.since_s, last.at_s if last else 0.0)
        return found


NO_FLIGHTS = Flights()


@dataclass(frozen=True, slots=True)
class Observer:
    """What is observed from one region."""

    region: str
    connected: bool  # to its region's NATS
    heard: Mapping[EdgeKey, Heard] = field(default_factory=dict)
    tries: Mapping[EdgeKey, Try] = field(default_factory=dict)

    def hears(self, key: EdgeKey, now_s: float) -> bool:
        """Whether it heard an edge within the time of a lease."""
        heard = self.heard.get(key)
        return self.connected and heard is not None and now_s - heard.at_s <= ALIVE_S

    def judges(self, region: str, now_s: float) -> bool:
        """Whether its silence about a region means anything: it hears somebody else.

        Of another region, somebody of a third one; of its own, anybody.
        """
        others = {region} if region == self.region else {self.region, region}
        if region == self.region and not any(key.region != region for key in self.heard):
            return self.connected  # there is no other region, as far as it knows
        return any(key.region not in others and self.hears(key, now_s) for key in self.heard)

    @property
    def tells(self) -> bool:
        """Whether doors that fail from here say anything: those of half the regions do not.

        Who fails at more, or at all of them, may be cut off himself, alone or with his region.
        """
        tried = {key.region for key in self.tries}
        answering = {key.region for key, each in self.tries.items() if not each.failed}
        return bool(answering) and 2 * len(answering) >= len(tried)


class Deafness:
    """Whether whoever listens in all regions hears nothing himself: cut off, or he stood still.

    A cut shows by NATS's pings only after 4 to 6 s, and until then all edges fall silent at once.
    So they do where all of them die: that is believed a while later.
    """

    def __init__(self) -> None:
        self._silent_s: float | None = None  # since when nobody was heard anywhere

    def look(self, observers: Sequence[Observer], now_s: float) -> bool:
        """Whether it is so now; all observers, as of each look."""
        if not any(each.connected for each in observers):
            return True
        if any(each.hears(key, now_s) for each in observers for key in each.heard):
            self._silent_s = None
            return False
        if self._silent_s is None:
            self._silent_s = now_s
        return now_s - self._silent_s < DEAF_S


def judge_edge(key: EdgeKey, observers: Sequence[Observer], now_s: float) -> Verdict:
    """How an edge is now.

    Args:
        key: which.
        observers: all of them, also those that are cut off.
        now_s: the time, monotonic.
    """
    hearing = [each for each in observers if each.hears(key, now_s)]
    judging = [each for each in observers if each.judges(key.region, now_s)]
    failed, passed = _tries(key, observers, now_s)
    newest = max((each.heard[key] for each in observers if key in each.heard), default=None)
    if newest is not None and newest.state == ENDED:
        return Verdict(State.DOWN, "it has ended, and said so", admits=False)
    if not hearing:
        return _unheard(key, newest, judging, failed, passed, now_s)
    assert newest is not None
    if newest.state != READY:
        return Verdict(State.DEGRADED, f"it is {newest.state}", admits=False)
    if sure := [each for each in failed if each.tries[key].times > 1]:
        reason = f"its door fails from {_names(sure)}: {_why(key, sure)}"
        return Verdict(State.DEGRADED, reason, admits=bool(passed))
    if deaf := [each for each in judging if each not in hearing]:
        return Verdict(State.DEGRADED, f"not heard in {_names(deaf)}", admits=True)
    return Verdict(State.OK, _ready(key, observers, failed, now_s), admits=True)


def _ready(
    key: EdgeKey, observers: Sequence[Observer], failed: Sequence[Observer], now_s: float
) -> str:
    """What is said of an edge that is ready, and heard: once is no more than a hint."""
    if failed:
        return f"ready; its door failed once from {_names(failed)}: {_why(key, failed)}"
    for each in observers:
        tried = each.tries.get(key)
        if tried is not None and tried.busy and now_s - tried.at_s <= FRESH_S:
            return f"ready; it is busy: {tried.busy}"
    return "ready"


def _unheard(
    key: EdgeKey,
    newest: Heard | None,
    judging: Sequence[Observer],
    failed: Sequence[Observer],
    passed: Sequence[Observer],
    now_s: float,
) -> Verdict:
    silent = "never heard" if newest is None else f"not heard for {now_s - newest.at_s:.0f} s"
    if passed:
        return Verdict(State.DARK, f"{silent}; its door works from {_names(passed)}", admits=False)
    if failed:
        reason = f"{silent}, its door fails from {_names(failed)}: {_why(key, failed)}"
        return Verdict(State.DOWN, reason, admits=False)
    if not judging:
        return Verdict(State.DARK, f"{silent}; no observer can tell", admits=False)
    return Verdict(State.DARK, f"{silent} in {_names(judging)}", admits=False)


def _tries(
    key: EdgeKey, observers: Iterable[Observer], now_s: float
) -> tuple[list[Observer], list[Observer]]:
    """Who failed at an edge's door not long ago, and who passed; busy is neither."""
    failed, passed = list[Observer](), list[Observer]()
    for each in observers:
        tried = each.tries.get(key)
        if tried is None or tried.busy or (tried.failed and not each.tells):
            continue
        if now_s - tried.at_s <= FRESH_S:
            (failed if tried.failed else passed).append(each)
    return failed, passed


def _names(observers: Iterable[Observer]) -> str:
    return ", ".join(each.region for each in observers)


def _why(key: EdgeKey, failed: Sequence[Observer]) -> str:
    return failed[0].tries[key].failed


def judge_region(edges: Mapping[EdgeKey, Verdict]) -> Verdict:
    """How a region is, by its edges.

    Args:
        edges: all that are configured or were heard of, in this region.
    """
    if not edges:
        return Verdict(State.DARK, "it has no edge", admits=False)
    admitting = [verdict for verdict in edges.values() if verdict.admits]
    good = sum(verdict.state is State.OK for verdict in admitting)
    if admitting:
        worst = min(edges.items(), key=lambda item: (item[1].better, item[0]))
        if good == len(edges):
            return Verdict(State.OK, "all edges are ready", admits=True)
        reason = f"{good} of {len(edges)} edges ok; {worst[0].edge}: {worst[1].reason}"
        # Half of its edges carry a region that was sized for that.
        return Verdict(State.OK if 2 * good >= len(edges) else State.DEGRADED, reason, admits=True)
    best = max(edges.items(), key=lambda item: (item[1].better, item[0]))
    reason = f"no edge admits; {best[0].edge}: {best[1].reason}"
    return Verdict(best[1].state, reason, admits=False)


def with_canaries(verdict: Verdict, wrong: str) -> Verdict:
    """How a region is, where canaries do not arrive because of it.

    Clients go there all the same: it stores what they say, and the others get it later.
    """
    if not wrong or verdict.state not in {State.OK, State.DEGRADED}:
        return verdict
    reason = wrong if verdict.state is State.OK else f"{verdict.reason}; {wrong}"
    return Verdict(State.DEGRADED, reason, verdict.admits)
