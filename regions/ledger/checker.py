"""The checker: reads a ledger and says what it shows. It knows the edge's promises, not its code.

Three passes: over all records for the clients' sessions, then room by room (in parts that
fit into memory) over what was published and stored, and over what was delivered.
"""

import tempfile
from pathlib import Path

from regions.ledger.bucket import Bucket
from regions.ledger.files import history_hash, ledger_files
from regions.ledger.findings import RULES, Findings
from regions.ledger.parts import split
from regions.ledger.sessions import Sessions
from regions.ledger.spec import client_names, read_spec
from regions.ledger.tally import Tally, spread_of
from regions.ledger.timing import Timing

PART_BYTES = 512 * 1024 * 1024  # of the ledger, judged at once
_ZIPPED = 8  # times smaller, about


def check(directory: Path, part_bytes: int = PART_BYTES) -> Findings:
    """What the ledger in `directory` (or in its `ledger/`) shows.

    Args:
        directory: with `*.jsonl` or `*.jsonl.gz`.
        part_bytes: a larger ledger is split by rooms, on disk, into parts of about this size.

    Raises:
        LedgerError: it can't be read; the text names file and line.
    """
    files = ledger_files(directory)
    size = sum(path.stat().st_size * (_ZIPPED if path.suffix == ".gz" else 1) for path in files)
    tally = Tally()
    sessions = Sessions(tally)
    spec = read_spec(files[0].parent)
    with tempfile.TemporaryDirectory(prefix="jetrelay-") as scratch:
        parts = split(files, size // part_bytes + 1, Path(scratch), sessions)
        sessions.close(client_names(spec) if spec is not None else ())
        timing = Timing(sessions)
        for part in parts:
            bucket = Bucket(part.has, tally, timing)
            for record, where in part.facts():
                bucket.publish(record, where)
            bucket.table.close()
            if part is parts[0]:
                _check_scan(bucket, tally)
            for record, where in part.records():
                bucket.hear(record, where)
            bucket.close()
    return _findings(tally, sessions, timing, history_hash(files))


def _check_scan(bucket: Bucket, tally: Tally) -> None:
    """Every region's copy of every origin was read."""
    streams, unread = bucket.table.streams, bucket.table.unread
    regions = {region for pair in (*streams, *unread) for region in pair}
    regions |= {origin for origin, _, _ in bucket.table.events}
    if not regions:
        tally.add("unread", "no stream was scanned")
    for pair in sorted((region, origin) for region in regions for origin in regions):
        if pair not in streams or pair in unread:
            where = [unread[pair]] if pair in unread else []
            tally.add("unread", f"the copy of {pair[1]}'s stream in {pair[0]}", *where)
    for origin in bucket.table.unforked():
        tally.add("unread", f"where the newest epoch of {origin} begins")


def _findings(tally: Tally, sessions: Sessions, timing: Timing, history: str) -> Findings:
    counts = tally.counts

    def reasons(prefix: str) -> dict[str, int]:
        return {
            name.removeprefix(prefix): count
            for name, count in sorted(counts.items())
            if name.startswith(prefix)
        }

    gaps = timing.gaps()
    hit = [gap for gap in gaps if gap.outages]
    return Findings(
        passed=not any(counts[rule] for rule in RULES),
        history=history,
        records=sessions.records,
        clients=len(gaps),
        **{rule: counts[rule] for rule in RULES},
        **{name: counts[name] for name in _FIGURES},
        declared=reasons("declared "),
        declared_events_by=reasons("declared_events "),
        sessions_lost_by=reasons("sessions_lost "),
        hit=len(hit),
        gap_ms=spread_of([round(gap.gap_ms * 1e6) for gap in gaps]),
        gap_hit_ms=spread_of([round(gap.gap_ms * 1e6) for gap in hit]),
        outage_ms=spread_of([round(gap.outage_ms * 1e6) for gap in hit]),
        phases=timing.phases(),
        gaps=gaps,
        examples=tuple(tally.examples),
    )


_FIGURES = (
    "asked", "acked", "failed", "unknown", "delivered", "replayed", "surfaced", "stored",
    "raw_repeats", "declared_gaps", "declared_events", "declared_delivered", "lost_by_epoch",
    "disconnects", "resumes", "sessions_lost",
)  # fmt: skip
