"""A campaign: random faults, one after another, then in pairs; all of it follows from the seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from regions.drills.places import Choice, Place, Places
from regions.drills.step import Break, Calm, Drop, Heal, Hold, Plan, Recover, Snapshot, Step, Up
from regions.faults.fault import (
    DownFault,
    Fault,
    FaultName,
    FillDiskFault,
    KillFault,
    LinkFault,
    PauseFault,
    RewindFault,
    WedgeFault,
)
from regions.faults.flow import Change

CALM_S = 8.0
REST_S = 20.0  # after healing, besides the recovery
HOLD_S = (4.0, 18.0)
SINGLE_SHARE = 0.5  # of the time; then in pairs
LOSE_S = 4.0  # what an origin stored in this time is lost, and given back by its mirrors
RECOVER_S = 3.0  # what a recovery takes, about: it is waited for, however long


@dataclass(frozen=True, slots=True)
class _Fault:
    """A kind of fault: what it needs, and how often it is chosen."""

    need: FaultName
    weight: int
    make: Callable[[random.Random, Places], tuple[Fault, tuple[str, ...]]]  # and who must be up


@dataclass(frozen=True, slots=True)
class _Made:
    """A fault, and the processes that it takes away."""

    fault: Fault
    names: tuple[str, ...]
    places: Places

    @property
    def needs(self) -> set[str]:
        """Processes without which it can't be made or healed, besides its own."""
        if isinstance(self.fault, WedgeFault):  # it is the origin's server that is told
            return set(self.places.region(self.fault.origin).servers)
        return set()

    def clashes(self, other: "_Made") -> bool:
        """Whether the two can't be made at once: one takes away what the other needs."""
        mine, others = set(self.names), set(other.names)
        return (
            bool(mine & others or self.needs & others or other.needs & mine)
            or self.fault == other.fault
        )

    def waits_for(self, other: "_Made") -> bool:
        """Whether what it takes away does not serve again while the other fault lasts."""
        if isinstance(other.fault, KillFault):
            return False  # it is over by itself
        lacking = {
            region.name for region in self.places.regions if set(region.servers) & set(other.names)
        }
        edges = set(self.names) & set(self.places.edges)
        return any(self.places.home_of(edge).name in lacking for edge in edges)


def campaign(choice: Choice, seconds: float) -> Plan:
    """Faults for about `seconds`: of every kind that this world can have."""
    dice, places = choice.dice, choice.places
    kinds = [kind for kind in _KINDS if places.can(kind.need) and _fits(kind, places)]
    steps: list[Step] = [Calm(CALM_S)]
    left_s, number = seconds - CALM_S, 0
    bag: list[_Fault] = []  # every kind comes before one comes again
    while left_s > HOLD_S[1] + REST_S:
        count = 1 if left_s > seconds * (1 - SINGLE_SHARE) else 2
        hold_s = round(dice.uniform(*HOLD_S), 1)
        taken: list[_Made] = []
        while len(taken) < count:
            if not bag:
                bag = [kind for kind in kinds for _ in range(kind.weight)]
                dice.shuffle(bag)
            made = _Made(*bag.pop().make(dice, places), places)
            if not any(made.clashes(other) for other in taken):
                taken.append(made)
        heals: list[Step] = []
        for made in taken:
            number += 1
            if isinstance(made.fault, RewindFault):
                steps += [Snapshot(made.fault.region), Calm(LOSE_S)]
            steps.append(Break(f"{number}", made.fault))
            is_over = isinstance(made.fault, KillFault)
            heals.append(Up(made.names) if is_over else Heal(f"{number}", made.names))
        if dice.random() < 0.15:
            steps.append(Drop(dice.choice(places.names)))
        if count > 1 and taken[0].waits_for(taken[1]):
            heals.reverse()
        steps += [Hold(hold_s), *heals, Recover(), Calm(REST_S)]
        left_s -= hold_s + REST_S + RECOVER_S
    return Plan(tuple(steps), home_after_s=15.0)


def _fits(kind: _Fault, places: Places) -> bool:
    return len(places.regions) > 1 or kind.need in ("kill", "pause", "fill-disk", "store-limit")


def _kill_edge(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    edge = dice.choice(places.edges)
    return KillFault([edge]), (edge,)


def _hang_edge(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    edge = dice.choice(places.edges)
    return PauseFault([edge]), (edge,)


def _kill_nats(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    server = dice.choice(dice.choice(places.regions).servers)
    return KillFault([server]), (server,)


def _hang_nats(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    server = dice.choice(dice.choice(places.regions).servers)
    return PauseFault([server]), (server,)


def _lose(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    region = dice.choice(places.regions)
    return DownFault(list(region.processes)), region.processes


def _cut(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    one, other = _two(dice, places)
    pairs = [(one.name, other.name), (other.name, one.name)]
    return LinkFault(pairs, Change(cut=True)), ()


def _one_way(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    one, other = _two(dice, places)
    return LinkFault([(one.name, other.name)], Change(cut=True)), ()


def _isolate(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    name = dice.choice(places.names)
    pairs = [
        pair for other in places.names if other != name for pair in ((name, other), (other, name))
    ]
    return LinkFault(pairs, Change(cut=True)), ()


def _slow(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    one, other = _two(dice, places)
    pairs = [(one.name, other.name), (other.name, one.name)]
    delay_ms = round(dice.uniform(100, 400))
    return LinkFault(pairs, Change(delay_ms=delay_ms, jitter_ms=round(delay_ms / 4))), ()


def _lossy(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    one, other = _two(dice, places)
    pairs = [(one.name, other.name), (other.name, one.name)]
    return LinkFault(pairs, Change(loss=dice.choice((0.01, 0.05, 0.1)))), ()


def _wedge(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    one, other = _two(dice, places)
    return WedgeFault(region=one.name, origin=other.name), ()


def _full(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    server = dice.choice(dice.choice(places.regions).servers)
    return FillDiskFault(server, "disk"), (server,)


def _at_limit(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    server = dice.choice(dice.choice(places.regions).servers)
    return FillDiskFault(server, "limit"), (server,)


def _rewind(dice: random.Random, places: Places) -> tuple[Fault, tuple[str, ...]]:
    region = dice.choice(places.regions)
    return RewindFault(region.name), region.servers


def _two(dice: random.Random, places: Places) -> tuple[Place, Place]:
    one, other = dice.sample(places.regions, 2)
    return one, other


_KINDS = (
    _Fault("kill", 2, _kill_edge),
    _Fault("pause", 2, _hang_edge),
    _Fault("kill", 1, _kill_nats),
    _Fault("pause", 1, _hang_nats),
    _Fault("down", 1, _lose),
    _Fault("cut", 2, _cut),
    _Fault("cut", 1, _isolate),
    _Fault("one-way", 1, _one_way),
    _Fault("delay", 1, _slow),
    _Fault("loss", 1, _lossy),
    _Fault("wedge", 1, _wedge),
    _Fault("fill-disk", 1, _full),
    _Fault("store-limit", 1, _at_limit),
    _Fault("rewind", 1, _rewind),
)
