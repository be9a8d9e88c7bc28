"""What an audit is made of: the logs of all regions in a time, and minutes to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from regions.audit.rebuild import Life, Rebuild, Rule, Stretch, join_moves
from regions.audit.visits import Visit, VisitRebuild
from regions.errors import AuditError
from regions.stats.reading import Past
from regions.stats.series import TOTAL, Row, Series
from relay.core.log import decode_entry
from relay.core.minute import MINUTE_MS, Minute
from relay.core.visits import decode_visits

LEAD_MS = 65_000  # a snapshot of each edge is in it
FURTHER = (10, 60, 6 * 60, 24 * 60, 7 * 24 * 60, 31 * 24 * 60)  # minutes


@dataclass(slots=True)
class Material:
    """Everything that was read. Times in Unix ms."""

    since_ms: int
    until_ms: int
    regions: list[str]
    stretches: list[Stretch]
    lives: list[Life]
    unreadable: int = 0
    visits: list[Visit] = field(default_factory=list)
    missing_visit_batches: int = 0
    frames: list[tuple[str, str, int, int, int, int]] = field(default_factory=list)
    # region, edge, epoch, second (Unix), sessions, changes: as the live series has them
    live: list[tuple[int, int]] = field(default_factory=list)  # second, sessions in all


async def gather(past: Past, regions: Sequence[str], since_ms: int, until_ms: int) -> Material:
    """Read the logs, from as far before as whose sessions were open at the begin is known.

    Args:
        past: the streams of one region.
        regions: whose logs.
        since_ms: the begin.
        until_ms: the end; it must be over.

    Raises:
        AuditError: the log does not reach back so far, or holds nothing of that time.
        BusError: NATS did not answer.
    """
    begins = {region: await past.log_begins_ms(region) for region in regions}
    known = [at_ms for at_ms in begins.values() if at_ms is not None]
    if not known or min(known) >= until_ms:
        raise AuditError("the log holds nothing of that time")
    for lead_ms in (LEAD_MS, *(minutes * MINUTE_MS for minutes in FURTHER)):
        material = await _read(past, regions, since_ms, until_ms, lead_ms)
        unknown = any(one.began is Rule.BEFORE for one in material.stretches)
        unknown = unknown or any(_unseen(life) for life in material.lives)
        if not unknown or since_ms - lead_ms < min(known):
            break
    await _read_visits(past, material)
    await _compare_with(past, material)
    return material


def _unseen(life: Life) -> bool:
    """Whether it had sessions before what was read of it, and no snapshot says which."""
    first = min(life.counts, default=0)
    return life.snapshot_changes < 0 and first > 0 and life.counts[first] > 0


async def _read(
    past: Past, regions: Sequence[str], since_ms: int, until_ms: int, lead_ms: int
) -> Material:
    material = Material(since_ms, until_ms, list(regions), [], [])
    for region in regions:
        rebuild = Rebuild(region)
        async for stored_ms, data in past.log(region, "att", since_ms - lead_ms, until_ms):
            try:
                rebuild.add(stored_ms, decode_entry(data))
            except msgspec.DecodeError:
                rebuild.unreadable += 1
        material.stretches += rebuild.end(until_ms)
        material.lives += rebuild.lives.values()
        material.unreadable += rebuild.unreadable
    join_moves(material.stretches)
    material.stretches = [
        one
        for one in material.stretches
        if one.start_ms < until_ms and (one.end_ms is None or one.end_ms >= since_ms)
    ]
    material.lives.sort(key=lambda life: life.key)
    return material


async def _read_visits(past: Past, material: Material) -> None:
    for region in material.regions:
        rebuild = VisitRebuild(region)
        entries = past.log(region, "visit", material.since_ms - LEAD_MS, material.until_ms)
        async for stored_ms, data in entries:
            try:
                rebuild.add(stored_ms, decode_visits(data))
            except msgspec.DecodeError:
                material.unreadable += 1
        material.missing_visit_batches += rebuild.missing_batches
        material.visits += [
            one for one in rebuild.end() if one.end_ms is None or one.end_ms >= material.since_ms
        ]


async def _compare_with(past: Past, material: Material) -> None:
    """The live series, up to the last minute that is over: the next is stored only later."""
    first_s, end_s = compared(material)
    series, rows = Series(1, material.regions), list[Row]()
    stored = past.stored(material.regions, first_s // 60 - 1, end_s // 60)
    async for minute, of in stored:
        rows += series.add(minute, of)
        for region, one in of.items():
            material.frames += [
                frame for frame in _frames(region, one) if first_s <= frame[3] < end_s
            ]
    rows += series.end()
    material.live = [
        (row.at_s, row.sessions.max)
        for row in rows
        if row.scope == TOTAL and row.sessions is not None and first_s <= row.at_s < end_s
    ]


def compared(material: Material) -> tuple[int, int]:
    """The seconds (Unix) that are compared: the first, and the one behind the last."""
    return -(-material.since_ms // 1000), material.until_ms // MINUTE_MS * 60


def _frames(region: str, minute: Minute) -> list[tuple[str, str, int, int, int, int]]:
    return [
        (region, life.edge, life.epoch, minute.minute * 60 + second, sessions, changes)
        for life in minute.edges
        for second, (sessions, changes) in enumerate(zip(life.sessions, life.changes, strict=True))
        if sessions is not None and changes is not None
    ]
