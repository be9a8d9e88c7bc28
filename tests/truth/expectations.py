"""What a console has to say of each fault, and where. Values only."""

from collections.abc import Iterable
from dataclasses import dataclass

from regions.drills.places import Places
from regions.drills.step import Break, Drop, KillLeader, Operate, Plan, Restart, Step
from regions.faults.fault import (
    DownFault,
    Fault,
    FillDiskFault,
    KillFault,
    LinkFault,
    PauseFault,
    RewindFault,
    WedgeFault,
)
from tests.truth.statements import Statement

THE_CLIENTS = "connections of clients break, and nothing of the fleet"
RETRANSMITTED = "TCP sends what was lost again: a lag rises now and then, or not at all"


@dataclass(frozen=True, slots=True)
class Expected:
    """Where a fault has to show; any of these will do.

    `names`: edges, regions and pairs. `reads`: (region, origin), where the region is said to miss
    the origin. `tellers`: edges that would say it; where they are not heard, that has to be said.
    `deaf`: who listens in the first region does not hear the second one any more. `slower`: a lag
    that has grown says it, however small it is. `need_not`: why it may pass unnoticed; empty: it
    may not.
    """

    names: frozenset[str]
    reads: frozenset[tuple[str, str]] = frozenset()
    tellers: frozenset[str] = frozenset()
    deaf: tuple[tuple[str, str], ...] = ()
    slower: bool = False
    need_not: str = ""

    def fits(self, said: Statement, via: str, places: Places) -> bool:
        """Whether a statement of a console that listens in `via` is about it."""
        if said.on in self.names:
            return said.kind != "slower" or self.slower
        if said.is_silence and said.on in self.tellers:
            return True
        words = said.text.split()
        if said.kind == "region" and any(
            said.on == region and origin in words for region, origin in self.reads
        ):
            return True
        return any(
            via == listens and said.on in (other, *places.region(other).edges)
            for listens, other in self.deaf
        )


def disturbances(plan: Plan) -> list[Step]:
    """The steps that begin a fault, in the order of the drill's record of them."""
    kinds = (Break, KillLeader, Restart, Operate, Drop)
    return [step for step in plan.steps if isinstance(step, kinds)]


def expected(step: Step, places: Places) -> Expected:
    """What has to be said of a step that disturbs."""
    match step:
        case Break(fault=fault):
            return _of_fault(fault, places)
        case Restart(edge=edge):
            return Expected(frozenset({edge}))
        case KillLeader(region=region) | Operate(region=region):
            return Expected(_around(region, places))
        case Drop(region=region):
            return Expected(_around(region, places), need_not=THE_CLIENTS)
    raise AssertionError(step)


def _of_fault(fault: Fault, places: Places) -> Expected:
    match fault:
        case KillFault(processes=names) | PauseFault(processes=names) | DownFault(processes=names):
            return Expected(_processes(names, places))
        case FillDiskFault(server=server):
            return Expected(_around(places.home_of(server).name, places))
        case RewindFault(region=region):
            return Expected(_around(region, places))
        case WedgeFault(region=region, origin=origin):
            pair = frozenset({f"{origin}>{region}"})
            tellers = frozenset(places.region(region).edges)
            return Expected(pair, frozenset({(region, origin)}), tellers)
        case LinkFault():
            return _of_links(fault, places)


def _of_links(fault: LinkFault, places: Places) -> Expected:
    names = frozenset(f"{source}>{target}" for source, target in fault.pairs)
    tellers = frozenset(edge for _, target in fault.pairs for edge in places.region(target).edges)
    if not (fault.change.cut or fault.change.stall):
        need_not = RETRANSMITTED if fault.change.loss else ""
        return Expected(names, tellers=tellers, slower=True, need_not=need_not)
    pairs = tuple((target, source) for source, target in fault.pairs)
    return Expected(names, frozenset(pairs), tellers, deaf=pairs)


def _processes(names: Iterable[str], places: Places) -> frozenset[str]:
    """An edge by its own name; a nats-server by its region, whose edges it carries."""
    found: set[str] = set()
    for name in names:
        home = places.home_of(name)
        found |= _around(home.name, places) if name in home.servers else {name}
    return frozenset(found)


def _around(region: str, places: Places) -> frozenset[str]:
    """A region, its edges, and what others read of it."""
    others = [name for name in places.names if name != region]
    pairs = {pair for other in others for pair in (f"{region}>{other}", f"{other}>{region}")}
    return frozenset({region, *places.region(region).edges, *pairs})
