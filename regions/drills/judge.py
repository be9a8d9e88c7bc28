"""Holds what a drill measured against its objectives. Values only."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from regions.drills.catalogue import Kind
from regions.drills.history import History
from regions.drills.timeline import Outage, Wait
from regions.ledger.findings import RULES, Findings
from regions.ledger.timing import FAULT
from regions.objectives import Objectives

Unit = Literal["s", "share", "count", "times"]
EPOCH = "epoch"  # the reason with which what an older epoch had is refused, or declared
_WAITED = {
    "recovered_s": "every client connected and every mirror current, the longest wait",
    "home_s": "every client in its home region",
}


REPAIR_NS = 5_000_000_000  # in which a tail is given back


class Result(msgspec.Struct, frozen=True):
    """One objective: the key in the topology file, what it is about, and what was measured.

    `limit` is the least where the key ends in `_min`, else the most.
    """

    key: str
    text: str
    limit: float
    measured: float | None  # None: it could not be measured, and so is missed
    met: bool
    unit: Unit = "s"
    why: str = ""  # why it could not be measured

    @property
    def said(self) -> str:
        """What was measured, for people."""
        return self._with_unit(self.measured) if self.measured is not None else "not measured"

    @property
    def bound(self) -> str:
        """The limit, for people."""
        least = "at least" if self.key.endswith("_min") else "at most"
        return f"{least} {self._with_unit(self.limit)}"

    def _with_unit(self, value: float) -> str:
        if self.unit == "share":
            return f"{value * 100:.4g} %"
        match self.unit:
            case "s":
                return f"{value:g} s"
            case "times":
                return f"{value:.3g} times"
            case "count":
                return f"{value:.0f}"


def results(
    kind: Kind,
    objectives: Objectives,
    findings: Findings,
    history: History,
    outages: Sequence[Outage],
    waits: Sequence[Wait] = (),
    refused: int = 0,
) -> list[Result]:
    """All objectives of a kind of drill.

    `refused`: handshakes that edges refused because too many came.
    """
    worst_s = round(max(findings.gap_ms.p99, findings.gap_hit_ms.p99) / 1000, 3)
    found: list[Result] = []

    def add(key: str, text: str, measured_s: float | None) -> None:
        found.append(_result(objectives, key, text, measured_s))

    match kind:
        case "planned":
            add("planned_gap_p99_s", "gap of a client, p99: planned", worst_s)
        case "operated":
            add("planned_gap_p99_s", "gap of a client, p99: planned", worst_s)
            add(
                "operated_latency_times",
                "latency of who stays while others come, p99, of what it was before",
                _slower(history),
            )
            add("refused_max", "handshakes refused, since too many came", refused)
        case "killed":
            add("edge_killed_gap_p99_s", "gap of a client, p99: connection lost", worst_s)
        case "hung":
            add("edge_hung_gap_p99_s", "gap of a client, p99: edge hung", worst_s)
        case "lost":
            add(
                "region_lost_gap_p99_s",
                "gap of a client, p99: region lost",
                round(history.gap_ms.p99 / 1000, 3),
            )
            add(
                "region_lost_gap_max_s",
                "gap of a client, longest: region lost",
                round(history.gap_ms.max / 1000, 3),
            )
        case "wedge":
            add("current_s", "gap of a client, p99: mirror wedged", worst_s)
        case "rewind":
            add(
                "rewind_found_s",
                "an origin that lost its newest events was found out",
                _rewind_found_s(history, outages),
            )
        case "cut":
            add("cut_ack_p99_s", "publishes while links are cut, p99", _cut_ack_s(findings))
        case "other":
            pass
    current = [fault.current_s for fault in history.faults if fault.current_s is not None]
    if current:
        add("current_s", "every client current, from healing", max(current))
    return [*found, *_waited(objectives, waits), *_kept(objectives, findings, history, outages)]


def _result(
    objectives: Objectives, key: str, text: str, measured: float | None, why: str = ""
) -> Result:
    limit: float = getattr(objectives, key)
    is_least = key.endswith("_min")
    met = measured is not None and (measured >= limit if is_least else measured <= limit)
    unit: Unit = "share" if is_least else "s"
    if key.endswith(("_max", "_times")):
        unit = "count" if key.endswith("_max") else "times"
    return Result(key, text, limit, measured, met, unit, why)


def _waited(objectives: Objectives, waits: Sequence[Wait]) -> list[Result]:
    """Whether all was as before, and everybody at home, each time that it was waited for."""
    found: list[Result] = []
    for key, text in _WAITED.items():
        mine = [wait for wait in waits if wait.key == key]
        why = next((wait.why for wait in mine if wait.took_s is None), "")
        times = [wait.took_s for wait in mine if wait.took_s is not None]
        if mine:
            measured = max(times) if len(times) == len(mine) else None
            found.append(_result(objectives, key, text, measured, why))
    return found


def _costly(outages: Sequence[Outage]) -> list[Outage]:
    """The rewinds that may cost an epoch: the mirrors could not give back what was gone, since they
    were kept from it, or something else was broken until it was served again.
    """

    def disturbed(rewind: Outage) -> bool:
        served_ns = rewind.served_ns or rewind.from_ns
        return any(
            other is not rewind
            and other.from_ns <= served_ns + REPAIR_NS
            and (other.to_ns is None or other.to_ns >= rewind.from_ns)
            for other in outages
        )

    rewinds = [one for one in outages if one.served_ns is not None]
    return [one for one in rewinds if not one.repairable or disturbed(one)]


def _told_ns(history: History) -> int | None:
    """When clients were first told of a new epoch."""
    epoch = history.epoch
    return None if epoch is None else history.first_ns + round(epoch.first_s * 1e9)


def _kept(
    objectives: Objectives, findings: Findings, history: History, outages: Sequence[Outage]
) -> list[Result]:
    """What clients were told that they will not get: saying so must not do for delivering.

    An origin that was rewound may have lost events for good: then what is said because of its new
    epoch is as it should be. But not where its mirrors had them, nor before it was rewound.
    """
    costly, told_ns = _costly(outages), _told_ns(history)
    first_ns = min((one.from_ns for one in costly), default=None)
    rewound = first_ns is not None and (told_ns is None or told_ns >= first_ns)

    def told(by: dict[str, int]) -> int:
        return sum(count for why, count in by.items() if not (rewound and why == EPOCH))

    lost = told(findings.sessions_lost_by)
    found: list[Result] = []

    def add(key: str, text: str, measured: float) -> None:
        found.append(_result(objectives, key, text, measured))

    if findings.resumes + lost:
        success = round(findings.resumes / (findings.resumes + lost), 4)
        add("resume_success_min", "sessions that went on, of those that came back", success)
    add("sessions_lost_max", "sessions that could not go on", lost)
    events = told(findings.declared_events_by)
    add("declared_events_max", "events declared instead of delivered, over all clients", events)
    if not rewound:
        text = "acknowledged events that an origin lost, with a new epoch"
        add("lost_by_epoch_max", text, findings.lost_by_epoch)
    return found


def _slower(history: History) -> float | None:
    """How many times what it was the latency's p99 is while others are moved, for who stays; None:
    not known. Who is moved has a gap, which is judged apart.
    """
    before, during = (history.periods.get(name) for name in ("before", "stayed"))
    if before is None or during is None or not before.p99 or not during.count:
        return None
    return round(during.p99 / before.p99, 2)


def violations(findings: Findings) -> dict[str, int]:
    """What must not be and was; never an objective."""
    return {rule: count for rule in RULES if (count := getattr(findings, rule))}


def _cut_ack_s(findings: Findings) -> float | None:
    """The acknowledgement of what was published while something was broken; None: of nothing."""
    waits = [phase.ack_ms for phase in findings.phases if phase.name == FAULT]
    if any(wait.count for wait in waits):
        return round(max(wait.p99 for wait in waits) / 1000, 3)
    return None


def _rewind_found_s(history: History, outages: Sequence[Outage]) -> float | None:
    """From when the origin, which lost its tail for good, served again until clients were told."""
    told_ns = _told_ns(history)
    if told_ns is None:
        return None
    served = [one.served_ns for one in _costly(outages) if one.served_ns and one.from_ns <= told_ns]
    if not served:
        return None
    return round(max(0, told_ns - served[-1]) / 1e9, 3)


def missed(all_results: Sequence[Result], found: dict[str, int]) -> list[str]:
    """Why a drill was not passed, for people; empty where it was."""
    why = [f"{rule}: {count} ({RULES[rule]})" for rule, count in found.items()]
    for result in all_results:
        if not result.met:
            said = f"not in time: {result.why}" if result.why else result.said
            why.append(f"{result.text}: {said}, {result.bound} ({result.key})")
    return why
