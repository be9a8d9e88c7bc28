"""Holds what a drill measured against its objectives. Values only."""

from collections.abc import Sequence

import msgspec

from regions.drills.catalogue import Kind
from regions.drills.history import History
from regions.drills.timeline import Outage
from regions.ledger.findings import RULES, Findings
from regions.ledger.timing import FAULT
from regions.objectives import Objectives


class Result(msgspec.Struct, frozen=True):
    """One objective: the key in the topology file, what it is about, and what was measured."""

    key: str
    text: str
    limit_s: float
    measured_s: float | None  # None: it could not be measured, and so is missed
    met: bool


def results(
    kind: Kind,
    objectives: Objectives,
    findings: Findings,
    history: History,
    outages: Sequence[Outage],
) -> list[Result]:
    """All objectives of a kind of drill."""
    worst_s = round(max(findings.gap_ms.p99, findings.gap_hit_ms.p99) / 1000, 3)
    found: list[Result] = []

    def add(key: str, text: str, measured_s: float | None) -> None:
        limit_s: float = getattr(objectives, key)
        met = measured_s is not None and measured_s <= limit_s
        found.append(Result(key, text, limit_s, measured_s, met))

    match kind:
        case "planned":
            add("planned_gap_p99_s", "gap of a client, p99: planned", worst_s)
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
    return found  # fmt: skip


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
    if history.epoch is None:
        return None
    told_ns = history.first_ns + round(history.epoch.first_s * 1e9)
    served = [one.served_ns for one in outages if one.served_ns and one.from_ns <= told_ns]
    if not served:
        return None
    return round(max(0, told_ns - served[-1]) / 1e9, 3)


def missed(all_results: Sequence[Result], found: dict[str, int]) -> list[str]:
    """Why a drill was not passed, for people; empty where it was."""
    why = [f"{rule}: {count} ({RULES[rule]})" for rule, count in found.items()]
    for result in all_results:
        if not result.met:
            said = "not measured" if result.measured_s is None else f"{result.measured_s:g} s"
            why.append(f"{result.text}: {said}, at most {result.limit_s:g} s ({result.key})")
    return why
