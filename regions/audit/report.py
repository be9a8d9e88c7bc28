"""The record of an audit: figures, and a verdict. The same range gives the same bytes."""

from dataclasses import dataclass

import msgspec
import polars as pl

from regions.audit import tables
from regions.audit.material import Material
from regions.audit.rebuild import BEAT_MS, SILENT_MS, Rule
from regions.audit.tables import Concurrency, Difference

NEAR_MS = 10_000  # behind a fault the live figures may be off
BOUND_SHARE, BOUND_LEAST = 0.001, 2


class Lengths(msgspec.Struct, frozen=True):
    """Lengths of sessions that ended, in seconds."""

    count: int
    mean: float
    p50: float
    p95: float
    max: float


class Group(msgspec.Struct, frozen=True):
    """Figures of a region or a country."""

    concurrency: Concurrency
    users: int
    sessions: int
    reconnects: int
    lengths: Lengths


class Repaired(msgspec.Struct, frozen=True):
    """What the log lacked and a rule put in."""

    by_rule: dict[str, int]
    compared: int  # batches and snapshots of which each says how many sessions are open after it
    off: int  # after the repair: by so many sessions one of them differs, at most
    error_ms: int  # an end is so much later at most
    error_ms_mean: float


class Log(msgspec.Struct, frozen=True):
    """What is known to lack, or to be wrong."""

    missing_batches: int
    repeated_batches: int
    missing_records: int  # comings and goings that the edges' count has, and no batch
    lost_records: int  # of them an edge says that they did not get into the log
    unreadable: int
    counted_not_logged: int  # comings and goings that an edge counted live and did not log


class Live(msgspec.Struct, frozen=True):
    """The live series against the log."""

    edges: Difference  # each edge's own figure, at the same coming or going
    sum: Difference  # over all edges, as it was said
    sum_calm: Difference  # without the 10 s behind a fault
    bound: int
    missing_minutes: int


class Visits(msgspec.Struct, frozen=True):
    """Visits of plain pages."""

    concurrency: Concurrency
    opened: int
    ended: dict[str, int]  # closed | timed_out | edge_gone
    open_at_end: int
    by_region: dict[str, int]  # opened in that time
    by_country: dict[str, int]
    compared: int  # batches and checkpoints
    off: int  # by so many visits one differs from what was put together, at most


class Audit(msgspec.Struct, frozen=True):
    """The whole record. Times in Unix ms."""

    v: int
    since_ms: int
    until_ms: int
    regions: list[str]
    edges: int
    edge_lives: int
    verdict: str  # PASS | FAIL
    why: list[str]
    known_ms: dict[str, int]  # a region whose log has not come up to the end: up to when it has
    dropped_ms: dict[str, int]  # a region of whose log limits have dropped the begin: what is left
    concurrency: Concurrency
    users: int
    sessions: int
    open_at_end: int
    reconnects: int
    lengths: Lengths
    opened: dict[str, int]
    closed: dict[str, int]  # close code -> sessions that went in that time; 0: none was logged
    by_region: dict[str, Group]
    by_country: dict[str, Group]
    by_device: dict[str, int]
    visits: Visits
    repaired: Repaired
    log: Log
    live: Live
    rules: dict[str, str]


RULES = {
    Rule.EDGE_DIED: "the edge's log ends: its sessions end with its last sign of life, "
    f"{BEAT_MS} ms before its end at most where NATS took the log until then",
    Rule.STOOD_STILL: f"the edge was silent for more than {SILENT_MS} ms and closed all when it "
    "went on: its sessions end when the silence began",
    Rule.MOVED: "it was resumed at another edge: there it had ended at that moment at the latest",
    Rule.LOST_CLOSE: "a snapshot has it no more: it ends with the snapshot before, 60 s before its "
    "end at most",
    Rule.LOST_OPEN: "it was there and its opening was not: it begins with the snapshot before",
    Rule.BEFORE: "it was open when the log begins",
}


@dataclass(frozen=True, slots=True)
class Made:
    """An audit with its table of stretches."""

    audit: Audit
    table: pl.DataFrame
    visits: pl.DataFrame


def report(material: Material, bound: int | None = None) -> Made:
    """The record of what was read.

    Args:
        material: the logs of a time, put back together.
        bound: sessions that the live sum may be off; 0.1 % of the most, and two at least, without.
    """
    since_ms, until_ms = material.since_ms, material.until_ms
    table = tables.sessions_table(material)
    visits = tables.visits_table(material)
    inside = pl.col("start_ms") >= since_ms
    ended = table.filter(pl.col("end_ms").is_not_null() & (pl.col("end_ms") >= since_ms))
    per_edge, lacking = tables.edge_difference(material)
    in_all, calm, most = tables.sum_difference(material, NEAR_MS)
    bound = max(BOUND_LEAST, round(BOUND_SHARE * most)) if bound is None else bound
    log = Log(
        missing_batches=sum(life.missing_batches for life in material.lives)
        + material.missing_visit_batches,
        repeated_batches=sum(life.repeated_batches for life in material.lives),
        missing_records=sum(life.missing_records for life in material.lives),
        lost_records=sum(life.lost_records for life in material.lives),
        unreadable=material.unreadable + material.unreadable_visits,
        counted_not_logged=lacking,
    )
    lived = [one for one in material.lives if one.end_ms is None or one.end_ms >= since_ms]
    errors = ended["end_error_ms"]
    repaired = Repaired(
        tables.repaired(table),
        sum(life.compared for life in material.lives),
        max((life.off for life in material.lives), default=0),
        int(errors.max() or 0),  # type: ignore[arg-type]
        round(float(errors.mean() or 0.0), 3),  # type: ignore[arg-type]
    )
    live = Live(per_edge, in_all, calm, bound, material.missing_minutes)
    why = _why(material, live, repaired, log)
    audit = Audit(
        v=1,
        since_ms=since_ms,
        until_ms=until_ms,
        regions=material.regions,
        edges=len({life.key[:2] for life in lived}),
        edge_lives=len(lived),
        verdict="FAIL" if why else "PASS",
        why=why,
        known_ms=dict(sorted(material.known_ms.items())),
        dropped_ms=dict(sorted(material.dropped_ms.items())),
        concurrency=tables.concurrency(table, since_ms, until_ms),
        users=tables.distinct_users(table),
        sessions=table["session"].n_unique(),
        open_at_end=table["end_ms"].null_count(),
        reconnects=len(table.filter(inside & (pl.col("how") == "resume"))),
        lengths=_lengths(tables.lengths_s(table)),
        opened=tables.counted(table.filter(inside), "how"),
        closed=tables.counted(ended, "code"),
        by_region=_groups(table, "region", since_ms, until_ms),
        by_country=_groups(table, "country", since_ms, until_ms),
        by_device=tables.counted(table.filter(pl.col("how") == "identify"), "device"),
        visits=_visits(material, visits),
        repaired=repaired,
        log=log,
        live=live,
        rules={str(rule): text for rule, text in RULES.items()},
    )
    return Made(audit, table, visits)


def _why(material: Material, live: Live, repaired: Repaired, log: Log) -> list[str]:
    """What keeps it from passing."""
    begin_ms, end_ms = material.since_ms, material.until_ms
    lived = any(
        one.first_ms < end_ms and (one.end_ms is None or one.end_ms >= begin_ms)
        for one in material.lives
    )
    why = [f"the log of {region} has not come up to the end" for region in material.known_ms]
    why += [f"limits have dropped the begin of the log of {one}" for one in material.dropped_ms]
    if not repaired.compared and any(one.end_ms is None for one in material.lives):
        why.append("no edge's sessions are known in whole: nothing could be compared")
    if repaired.off:
        why.append(f"the rebuilt sessions of an edge were off by {repaired.off}, and should by 0")
    if material.visits_off:
        why.append(f"the rebuilt visits of an edge were off by {material.visits_off}, not by 0")
    if live.edges.largest:
        why.append(f"an edge's own figure was off by {live.edges.largest}, and should be by 0")
    if live.sum_calm.largest > live.bound:
        why.append(f"the live sum was off by {live.sum_calm.largest}, {live.bound} at most")
    if lived and not live.sum.seconds:
        why.append("no second of it was compared with the live series, which is kept by minutes")
    elif lived and not live.sum_calm.seconds:
        why.append("no second was far enough from a fault for the live sum to be judged")
    elif lived and not live.edges.seconds:
        why.append("no edge's own figure could be compared with its log")
    if live.missing_minutes:
        why.append(f"{live.missing_minutes} minutes of the live series are missing")
    for name, text in (
        ("missing_batches", "batches of the log are missing"),
        ("missing_records", "comings and goings were counted and are in no batch"),
        ("lost_records", "comings and goings did not get into the log"),
        ("unreadable", "entries of the log can't be read"),
    ):
        if count := getattr(log, name):
            why.append(f"{count} {text}")
    return why


def _visits(material: Material, visits: pl.DataFrame) -> Visits:
    since_ms, until_ms = material.since_ms, material.until_ms
    fresh = visits.filter(pl.col("start_known") & (pl.col("start_ms") >= since_ms))
    return Visits(
        tables.concurrency(visits, since_ms, until_ms),
        len(fresh),
        tables.counted(visits.filter(pl.col("end_ms").is_not_null()), "ended"),
        len(visits.filter(pl.col("end_ms").is_null())),
        tables.counted(fresh, "region"),
        tables.counted(fresh, "country"),
        material.visits_compared,
        material.visits_off,
    )


def _groups(table: pl.DataFrame, column: str, since_ms: int, until_ms: int) -> dict[str, Group]:
    groups: dict[str, Group] = {}
    for label in tables.labels(table, column):
        part = table.filter(pl.col(column) == label)
        fresh = part.filter((pl.col("how") == "resume") & (pl.col("start_ms") >= since_ms))
        groups[label] = Group(
            tables.concurrency(part, since_ms, until_ms),
            tables.distinct_users(part),
            part["session"].n_unique(),
            len(fresh),
            _lengths(tables.lengths_s(part)),
        )
    return groups


def _lengths(seconds: pl.Series) -> Lengths:
    if seconds.is_empty():
        return Lengths(0, 0.0, 0.0, 0.0, 0.0)
    nearest = [seconds.quantile(share, "nearest") for share in (0.5, 0.95, 1.0)]
    p50, p95, most = (round(value or 0.0, 3) for value in nearest)
    return Lengths(len(seconds), round(float(seconds.mean()), 3), p50, p95, most)  # type: ignore[arg-type]
