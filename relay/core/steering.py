"""Which region for whom: health, room left, operators' weights and distance give shares. Pure.

A client network goes to the region that is nearest in time. What that region can't take, because
it is nearly full, is weighted down or has just come back, goes to the next, and so on. Which
networks those are is decided by a hash of the network: the same ones each time, so that nobody is
sent to and fro while the shares stay, and few are when they move.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from relay.core.places import great_circle_km

KM_PER_MS = 100.0  # of a round trip: light in fibre, there and back
FULL_WEIGHT = 100
EASY, FULL = 0.8, 0.95  # of its room: from here on less is sent there, from there on nothing


class State(StrEnum):
    """How an edge or a region is."""

    OK = "ok"
    DEGRADED = "degraded"  # it is there, and not as it should be
    DARK = "dark"  # nobody hears it
    DOWN = "down"  # others confirm that it is not there


_GOODNESS = {State.OK: 3, State.DEGRADED: 2, State.DARK: 1, State.DOWN: 0}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How something is, and why."""

    state: State
    reason: str
    admits: bool  # whether new clients are to be sent there

    @property
    def better(self) -> int:
        """What it is compared by: how much would be lost if it were believed and wrong."""
        return _GOODNESS[self.state] * 2 + self.admits


class Place(NamedTuple):
    """Degrees."""

    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A region, as far as it matters to clients that look for one."""

    name: str
    place: Place
    verdict: Verdict
    connections: int = 0
    room: int = 0  # connections that its edges which admit can hold, in all; 0: not known
    weight: int = FULL_WEIGHT  # percent of what would come that is let come; an operator's
    cordoned: str = ""  # why an operator lets nobody in; empty: he does
    ramp: float = 1.0  # 0 to 1: it has just come back, and takes so much

    @property
    def taken(self) -> float:
        """How much of its room is taken."""
        return self.connections / self.room if self.room else 0.0

    @property
    def ease(self) -> float:
        """Which share of what would come it takes, 0 to 1, by its room alone."""
        return ease_of(self.connections, self.room)

    @property
    def accepts(self) -> float:
        """Which share of what would come it takes, 0 to 1."""
        return min(self.weight / FULL_WEIGHT, 1.0) * self.ramp * self.ease


@dataclass(frozen=True, slots=True)
class Whence:
    """Where clients are. Neither known: nobody is near."""

    place: Place | None = None
    rtt_ms: Mapping[str, float] = field(default_factory=dict)  # measured, region -> round trip

    def distance_ms(self, candidate: Candidate) -> float | None:
        """The round trip to a region: measured, else by the distance."""
        measured = self.rtt_ms.get(candidate.name)
        if measured is not None:
            return measured
        if self.place is None:
            return None
        return great_circle_km(*self.place, *candidate.place) / KM_PER_MS


class Share(NamedTuple):
    """How much of the networks of one place go to a region."""

    region: str
    share: float  # 0 to 1; they add up to 1
    distance_ms: float | None
    reason: str


def ease_of(connections: int, room: int) -> float:
    """Which share of what would come a region takes, 0 to 1, that holds so many connections of so
    many that it can (0: not known).
    """
    taken = connections / room if room else 0.0
    return 1.0 if taken <= EASY else max(0.0, (FULL - taken) / (FULL - EASY))


def shares(candidates: Sequence[Candidate], whence: Whence = Whence()) -> list[Share]:
    """Where clients of a place go, nearest first.

    Never empty where there is a region at all: where nobody admits, those that may be there are
    named, the healthiest ones.

    Args:
        candidates: all regions.
        whence: where the clients are.
    """
    open_, why = _who(candidates)
    # Those of which it is known how near they are come first; the others are nowhere.
    near = sorted(
        (each for each in open_ if whence.distance_ms(each) is not None),
        key=lambda each: (whence.distance_ms(each), each.name),
    )
    others = sorted((each for each in open_ if each not in near), key=lambda each: each.name)
    takes = _walk(near)
    takes += _spread(others, 1.0 - sum(takes))
    takes = _whole([*near, *others], takes, 1.0 - sum(takes))
    found = [
        Share(each.name, take, whence.distance_ms(each), _reason(each, why))
        for each, take in zip([*near, *others], takes, strict=True)
    ]
    at = len(near)
    return found[:at] + sorted(found[at:], key=lambda share: (-share.share, share.region))


def choose(given: Sequence[Share], network: bytes) -> list[str]:
    """The regions for one client network, best first: the one that its hash falls to, then the
    others as they stand.

    Args:
        given: the shares of its place.
        network: what names the network, the same each time.
    """
    digest = hashlib.blake2b(network, digest_size=8).digest()
    point = int.from_bytes(digest, "big") / 2**64
    mine = given[-1].region if given else ""
    for share in given:
        if point < share.share:
            mine = share.region
            break
        point -= share.share
    return [*[mine][: len(given)], *(each.region for each in given if each.region != mine)]


def _who(candidates: Sequence[Candidate]) -> tuple[list[Candidate], str]:
    """The regions that come into question, and why no better ones."""
    admits = [each for each in candidates if each.verdict.admits]
    open_ = [each for each in admits if not each.cordoned and each.weight > 0]
    if open_:
        return open_, ""
    if admits:
        return admits, "no other admits: cordon and weight 0 are passed over"
    for state in (State.OK, State.DEGRADED, State.DARK):
        there = [each for each in candidates if each.verdict.state is state]
        if there:
            return there, "none admits: it may be there"
    return list(candidates), "none lives"


def _walk(near: Sequence[Candidate]) -> list[float]:
    """The nearest takes what it accepts, the next of what is left, and so on."""
    left, takes = 1.0, list[float]()
    for each in near:
        takes.append(left * each.accepts)
        left -= takes[-1]
    return takes


def _spread(others: Sequence[Candidate], left: float) -> list[float]:
    """Nobody is near: by what each accepts of its room."""
    sizes = [each.accepts * (each.room or 1) for each in others]
    total = sum(sizes)
    return [left * (size / total) if total else 0.0 for size in sizes]


def _whole(every: Sequence[Candidate], takes: list[float], left: float) -> list[float]:
    """What nobody accepts has to go somewhere: to those that have most room left."""
    if left <= 1e-12 or not every:
        return takes
    rooms = [max(each.room - each.connections, 0) * each.ramp for each in every]
    if not any(rooms):
        rooms = [each.room or 1 for each in every]
    total = sum(rooms)
    return [take + left * (room / total) for take, room in zip(takes, rooms, strict=True)]


def _reason(candidate: Candidate, why: str) -> str:
    verdict = candidate.verdict
    parts = [f"{verdict.state}: {verdict.reason}"]
    if candidate.cordoned:
        parts.append(f"cordoned: {candidate.cordoned}")
    if candidate.weight != FULL_WEIGHT:
        parts.append(f"weight {candidate.weight}")
    if candidate.ramp < 1:
        parts.append(f"back, at {candidate.ramp:.0%}")
    if candidate.ease < 1:
        parts.append(f"{candidate.taken:.0%} full")
    if why:
        parts.append(why)
    return "; ".join(parts)
