"""The checker: reads a ledger and says what it shows. It knows the edge's promises, not its code.

Three passes: over all records for the clients' sessions, then room by room (in buckets of rooms
that fit into memory) over what was published and stored, and over what was delivered.
"""

import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from regions.ledger.bucket import Bucket
from regions.ledger.files import Line, history_hash, ledger_files, lines, parse
from regions.ledger.findings import RULES, Findings
from regions.ledger.record import Record
from regions.ledger.sessions import Sessions
from regions.ledger.tally import Tally, Where, spread_of
from regions.ledger.timing import Timing

BUCKET_BYTES = 512 * 1024 * 1024  # of the ledger, judged at once
_EVENT = b'{"k":"event"'


def check(directory: Path, bucket_bytes: int = BUCKET_BYTES) -> Findings:
    """What the ledger in `directory` (or in its `ledger/`) shows.

    Args:
        directory: with `*.jsonl` or `*.jsonl.gz`.
        bucket_bytes: a larger ledger is split by rooms, on disk, into parts of about this size.

    Raises:
        LedgerError: it can't be read; the text names file and line.
    """
    files = ledger_files(directory)
    size = sum(path.stat().st_size * (8 if path.suffix == ".gz" else 1) for path in files)
    count = size // bucket_bytes + 1
    tally = Tally()
    sessions = Sessions(tally)
    with ExitStack() as stack:
        if count == 1:
            parts = [files]
            for record, where in _records(files):
                sessions.read(record, where)
        else:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jetrelay-")))
            parts = _split(files, scratch, count, sessions)
        sessions.close()
        timing = Timing(sessions)
        for index, part in enumerate(parts):
            bucket = Bucket(_members(index, count), tally, timing)
            _judge(bucket, part)
            _check_scan(bucket, tally, told=index > 0)
    return _findings(tally, sessions, timing, history_hash(files))


def _members(index: int, count: int) -> Callable[[str], bool]:
    return lambda room: _bucket_of(room, count) == index


def _bucket_of(room: str, count: int) -> int:
    return zlib.crc32(room.encode()) % count


def _records(files: list[Path]) -> Iterator[tuple[Record, Where]]:
    for path in files:
        for name, number, line in _originals(path):
            yield parse(name, number, line), Where(name, number)


def _originals(path: Path) -> Iterator[Line]:
    """The lines of a ledger's file, or of a part split from it, under their first numbers."""
    for name, number, line in lines(path):
        old, tab, rest = line.partition(b"\t")
        if tab and old.isdigit():
            yield name, int(old), rest
        else:
            yield name, number, line


def _split(files: list[Path], scratch: Path, count: int, sessions: Sessions) -> list[list[Path]]:
    """Copy each line to the part of its room; lines without a room go to all parts."""
    parts: list[list[Path]] = [[] for _ in range(count)]
    for path in files:
        with ExitStack() as stack:
            outs: list[IO[bytes]] = []
            for index, part in enumerate(parts):
                target = scratch / str(index) / path.name.removesuffix(".gz")
                target.parent.mkdir(exist_ok=True)
                part.append(target)
                outs.append(stack.enter_context(target.open("wb")))
            for name, number, line in lines(path):
                record = parse(name, number, line)
                sessions.read(record, Where(name, number))
                room = getattr(record, "room", None)
                mine = outs if room is None else [outs[_bucket_of(room, count)]]
                for out in mine:
                    out.write(b"%d\t%b" % (number, line))
    return parts


def _judge(bucket: Bucket, files: list[Path]) -> None:
    for path in files:
        for name, number, line in _originals(path):
            if not line.startswith(_EVENT):
                bucket.publish(parse(name, number, line), Where(name, number))
    bucket.table.close()
    for record, where in _records(files):
        bucket.hear(record, where)
    bucket.close()


def _check_scan(bucket: Bucket, tally: Tally, *, told: bool) -> None:
    """Every region's copy of every origin was read."""
    if told:
        return
    streams, unread = bucket.table.streams, bucket.table.unread
    regions = {region for pair in (*streams, *unread) for region in pair}
    regions |= {origin for origin, _, _ in bucket.table.events}
    if not regions:
        tally.add("unread", "no stream was scanned")
    for pair in sorted((region, origin) for region in regions for origin in regions):
        if pair not in streams or pair in unread:
            where = [unread[pair]] if pair in unread else []
            tally.add("unread", f"the copy of {pair[1]}'s stream in {pair[0]}", *where)


def _findings(tally: Tally, sessions: Sessions, timing: Timing, history: str) -> Findings:
    counts = tally.counts
    reasons = {
        name.removeprefix("declared "): count
        for name, count in sorted(counts.items())
        if name.startswith("declared ")
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
        declared=reasons,
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
    "raw_repeats", "declared_gaps", "declared_events", "lost_by_epoch", "disconnects", "resumes",
    "sessions_lost",
)  # fmt: skip
