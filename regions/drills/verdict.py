"""The verdict on a drill, as it stands in `verdict.json`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from regions.drills.history import Bin, EpochSaid, FaultTimes, History, Load
from regions.drills.judge import EPOCH, Result, missed, violations
from regions.drills.lags import PairLag, Seen
from regions.drills.timeline import Stage
from regions.errors import LedgerError
from regions.ledger.findings import Example, Findings, PhaseTimes, Spread
from regions.ledger.spec import CrowdSpec
from regions.machine import Machine

FILE = "verdict.json"
BUSY_MS = 750.0  # a p99 latency without a fault: no time that was measured then says much
Word = Literal["pass", "missed", "violated", "interrupted", "failed"]


class Phases(msgspec.Struct, frozen=True):
    """The worst of all faults, in s since the fault: when the last client had got so far.

    `seen_s`: the first sign of it in telemetry. `converge_s` and `current_s` count from healing.
    """

    seen_s: float | None
    detect_s: float | None
    decide_s: float | None
    reconnect_s: float | None
    converge_s: float | None
    current_s: float | None


class FaultSeen(msgspec.Struct, frozen=True):
    """One fault: what it did to clients, and its first sign in telemetry."""

    times: FaultTimes
    seen: Seen


class WorldSaid(msgspec.Struct, frozen=True):
    """The world it ran in."""

    own: bool  # started for this drill
    state: str
    topology: str
    links: str
    regions: tuple[str, ...]
    edges: int
    nats_servers: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """All that a drill found. Times in ms or s as their names say."""

    drill: str
    seed: int
    verdict: Word
    why: list[str]
    started: str  # wall clock, ISO 8601
    took_s: float
    judged: bool = True  # false: it did not come to its end, and the counts below say nothing
    rate_acked: float = 0.0  # events acknowledged in a second, while clients published
    acked: int = 0
    delivered: int = 0
    missing: int = 0
    lost: int = 0
    phantom: int = 0
    repeated: int = 0
    reordered: int = 0
    undeclared_gaps: int = 0
    declared_gaps: int = 0
    declared: dict[str, int] = {}  # by reason
    declared_events: int = 0  # that clients were told they will not get
    declared_events_by: dict[str, int] = {}  # by reason
    declared_delivered: int = 0  # that came after the same session was told so
    violations: dict[str, int] = {}  # rule -> count, those that are not zero
    lost_by_epoch: int = 0
    raw_repeats: int = 0
    asked: int = 0
    failed: int = 0
    unknown: int = 0
    clients: int = 0
    clients_hit: int = 0  # that lost a connection
    clients_moved: int = 0  # that were in another region than their home
    disconnects: int = 0
    resumes: int = 0
    resume_attempts: int = 0  # RESUMEs; some are asked for again
    resume_success: float | None = None  # sessions that went on, of those that came back
    sessions_lost: int = 0
    sessions_lost_by: dict[str, int] = {}  # by reason
    gap_ms: Spread = Spread()
    gap_hit_ms: Spread = Spread()
    gap_served_ms: Spread = Spread()  # without events that only a lost region had
    outage_ms: Spread = Spread()
    stranded: int = 0
    phases: Phases | None = None
    faults: list[FaultSeen] = []
    objectives: list[Result] = []
    latency_ms: dict[str, Spread] = {}  # before, during, after
    ledger_phases: list[PhaseTimes] = []
    lags: list[PairLag] = []
    epoch: EpochSaid | None = None
    old_cursors: dict[str, int] = {}  # what cursors of an older epoch were answered -> how many
    ledger_at_s: float = 0.0  # when the ledger began, since the drill did; what `bins` count from
    bins: list[Bin] = []
    gaps: list[float] = []  # of each client, in ms, sorted
    stages: list[Stage] = []
    examples: list[Example] = []
    history: str = ""
    spec: CrowdSpec | None = None
    world: WorldSaid | None = None
    machine: Machine | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run whatever became of it."""

    drill: str
    seed: int
    started: str
    began_s: float  # monotonic
    took_s: float
    stages: list[Stage]
    spec: CrowdSpec | None
    world: WorldSaid | None
    machine: Machine


def verdict_of(
    run: Run,
    findings: Findings,
    history: History,
    objectives: list[Result],
    lags: list[PairLag],
    seen: list[Seen],
    old_cursors: dict[str, int],
    shortcomings: Sequence[str] = (),
) -> Verdict:
    """The verdict on a run that came to its end; `shortcomings`: why it can't be judged."""
    found = violations(findings)
    taken = sum(count for answer, count in old_cursors.items() if answer != EPOCH)
    why = [*shortcomings, *missed(objectives, found)]
    if taken:
        said = ", ".join(f"{count} {answer}" for answer, count in old_cursors.items())
        why.insert(0, f"cursors of an older epoch that were not refused with `epoch`: {said}")
    word: Word = "missed" if why else "pass"
    if found or taken:
        word = "violated"
    elif shortcomings:
        word = "failed"
    calm = history.periods["before"]
    if why and calm.p99 >= BUSY_MS:
        why.append(
            f"before anything was broken, latency was p99 {calm.p99:.0f} ms already: this machine "
            "is too busy, or too small, for so many clients"
        )
    back = findings.resumes + findings.sessions_lost
    figures = {
        name: getattr(findings, name)
        for name in (
            "acked", "delivered", "missing", "lost", "phantom", "repeated", "reordered",
            "undeclared_gaps", "declared_gaps", "declared", "declared_events",
            "declared_events_by", "declared_delivered", "lost_by_epoch", "raw_repeats",
            "asked", "failed", "unknown", "clients", "disconnects", "resumes", "sessions_lost",
            "sessions_lost_by", "gap_ms", "gap_hit_ms", "outage_ms", "history",
        )
    }  # fmt: skip
    return Verdict(
        **_said(run),
        **figures,
        ledger_at_s=round(history.first_ns / 1e9 - run.began_s, 3),
        verdict=word,
        why=why,
        violations=found,
        rate_acked=_rate(history.load),
        clients_hit=findings.hit,
        clients_moved=history.moved,
        resume_attempts=history.resume_tries,
        resume_success=round(findings.resumes / back, 4) if back else None,
        gap_served_ms=history.gap_ms,
        stranded=sum(fault.stranded for fault in history.faults),
        phases=_phases(history, seen),
        faults=[FaultSeen(*pair) for pair in zip(history.faults, seen, strict=True)],
        objectives=objectives,
        latency_ms=history.periods,
        ledger_phases=list(findings.phases),
        lags=lags,
        epoch=history.epoch,
        old_cursors=old_cursors,
        bins=list(history.bins),
        gaps=sorted(gap.gap_ms for gap in findings.gaps),
        examples=list(findings.examples),
    )


def _rate(load: Load) -> float:
    return round(load.acked / load.seconds, 1) if load.seconds else 0.0


def partial(run: Run, word: Word, why: str) -> Verdict:
    """What is left of a run that did not come to its end."""
    return Verdict(**_said(run), verdict=word, why=[why], judged=False)


def _said(run: Run) -> dict[str, Any]:
    said = msgspec.structs.asdict(run)
    del said["began_s"]
    return said


def _phases(history: History, seen: Sequence[Seen]) -> Phases:
    def worst(name: str) -> float | None:
        spreads: list[Spread] = [getattr(fault, name) for fault in history.faults]
        found = [spread.max for spread in spreads if spread.count]
        return round(max(found) / 1000, 3) if found else None

    current = [fault.current_s for fault in history.faults if fault.current_s is not None]
    signs = [one.after_s for one in seen if one.after_s is not None]
    return Phases(
        seen_s=max(signs, default=None),
        detect_s=worst("detect"),
        decide_s=worst("decide"),
        reconnect_s=worst("reconnect"),
        converge_s=max((fault.converge_s for fault in history.faults), default=None),
        current_s=max(current, default=None),
    )


def write_verdict(directory: Path, verdict: Verdict) -> Path:
    """Write `verdict.json`; returns where.

    Raises:
        LedgerError: it can't be written.
    """
    path = directory / FILE
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(verdict), indent=1) + b"\n")
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}") from error
    return path


def read_verdict(directory: Path) -> Verdict:
    """The verdict in a report.

    Raises:
        LedgerError: there is none, or it is damaged.
    """
    path = directory / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Verdict)
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise LedgerError(f"{path}: {error}") from error
