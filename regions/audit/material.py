"""What an audit is made of: the logs of all regions in a time, and minutes to compare with."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

import msgspec

from regions.audit.beginnings import Beginnings
from regions.audit.rebuild import SILENT_MS, Life, Rebuild, Stretch, join_moves
from regions.audit.visits import Visit, VisitRebuild
from regions.errors import AuditError
from regions.stats.reading import Past
from regions.stats.series import TOTAL, Row, Series
from relay.core.log import decode_entry
from relay.core.minute import MINUTE_MS, Minute
from relay.core.telemetry import ENDED
from relay.core.visits import decode_visits

LEAD_MS = 65_000  # a snapshot of each edge is in it
COME_S = 20.0  # the logs of other regions, and the minutes, are waited for so long
LOOK_S = 0.5
ALIVE_MS = 10_000  # a region whose edges were heard since then goes on with its log
LATE_MS = 150_000  # after its end a minute is stored, or nobody does it now
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
    unreadable_visits: int = 0
    visits: list[Visit] = field(default_factory=list)
    missing_visit_batches: int = 0
    visits_compared: int = 0
    visits_off: int = 0
    known_ms: dict[str, int] = field(default_factory=dict)  # region -> up to when its log is known
    dropped_ms: dict[str, int] = field(default_factory=dict)  # region -> from when it is kept
    missing_minutes: int = 0  # of the live series
    frames: list[tuple[str, str, int, int, int, int]] = field(default_factory=list)
    # region, edge, epoch, second (Unix), sessions, changes: as the live series has them
    live: list[tuple[int, int]] = field(default_factory=list)  # second, sessions in all


async def gather(
    past: Past, since_ms: int, until_ms: int, *, partial: bool = False, come_s: float = COME_S
) -> Material:
    """Read the logs, from as far before as whose sessions were open at the begin is known.

    Args:
        past: the streams of one region.
        since_ms: the begin.
        until_ms: the end; it must be over.
        partial: go on where a region's log can't be known up to the end, and say so.
        come_s: seconds that are waited for logs and minutes that are on their way.

    Raises:
        AuditError: the logs hold nothing of that time, or those of a region have not come.
        BusError: NATS did not answer.
    """
    regions = await past.origins()
    if until_ms > await past.now_ms():
        raise AuditError("what is to come can't be audited: take an earlier --until")
    deadline_s = time.monotonic() + come_s
    # Whether an edge that was silent at the end has died, the time of a lease behind it tells.
    known_ms = await _wait_for_logs(past, regions, until_ms, deadline_s)
    if known_ms and not partial:
        raise AuditError(_not_here(past.region, known_ms))
    begins = {region: await past.log_begins(region) for region in regions}
    known = [begin.at_ms for begin in begins.values() if begin is not None]
    if not known or min(known) >= until_ms:
        raise AuditError("the log holds nothing of that time")
    dropped_ms = {
        region: begin.at_ms
        for region, begin in begins.items()
        if begin is not None and not begin.whole and begin.at_ms > since_ms
    }
    if dropped_ms and not partial:
        raise AuditError(_dropped(dropped_ms))
    leads = _leads(since_ms, min(known))
    for lead_ms in leads:
        material = Material(
            since_ms, until_ms, regions, [], [], known_ms=known_ms, dropped_ms=dropped_ms
        )
        await _read(past, material, lead_ms)
        if not any(life.before and not life.seen for life in material.lives):
            break  # a snapshot of each edge was in it
    await _find_beginnings(past, material, [one for one in leads if one >= lead_ms])
    _join(material)
    for lead_ms in leads:
        if await _read_visits(past, material, lead_ms):
            break
    await _wait_for_minutes(past, material, deadline_s)
    await _compare_with(past, material)
    return material


def _leads(since_ms: int, begins_ms: int) -> list[int]:
    """How far before the begin is read: each further than the one before, as far as there is."""
    leads = [LEAD_MS, *(minutes * MINUTE_MS for minutes in FURTHER)]
    before_last = [lead for lead in leads if since_ms - lead > begins_ms]
    return leads[: len(before_last) + 1]


async def _wait_for_logs(
    past: Past, regions: Sequence[str], until_ms: int, deadline_s: float
) -> dict[str, int]:
    """Which regions' logs are not known up to a time, though it was waited: up to when they are."""
    while True:
        states = {region: await past.log_state(region) for region in regions}
        heard, now_ms = await past.newest_frames(), await past.now_ms()
        alive = {
            each.frame.region
            for each in heard
            if now_ms - each.at_ms <= ALIVE_MS and each.frame.state != ENDED
        }
        lacking = {
            region: max(state.last_ms - SILENT_MS, 0)
            for region, state in states.items()
            if state.last_ms < until_ms + SILENT_MS and (region in alive or not state.current)
        }
        if not lacking or time.monotonic() > deadline_s:
            return lacking
        await asyncio.sleep(LOOK_S)


def _said(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _dropped(dropped_ms: dict[str, int]) -> str:
    since = ", ".join(f"{name}'s from {_said(at)} on" for name, at in sorted(dropped_ms.items()))
    return (
        f"limits have dropped a part of that time: the logs hold {since}. Take a later --since; "
        "--partial goes on without the rest"
    )


def _not_here(region: str, known_ms: dict[str, int]) -> str:
    upto = ", ".join(
        f"that of {origin} up to {_said(at_ms)}" for origin, at_ms in sorted(known_ms.items())
    )
    return (
        f"not all logs have come to {region}: {upto}. Ask another region, later, or with an "
        "earlier --until; --partial goes on without the rest"
    )


async def _wait_for_minutes(past: Past, material: Material, deadline_s: float) -> None:
    """Until the minutes in which a region's edges lived are stored, or late."""
    while True:
        late = await past.now_ms() > compared(material)[1] * 1000 + LATE_MS
        material.missing_minutes = await _missing_minutes(past, material, late=late)
        if not material.missing_minutes or late or time.monotonic() > deadline_s:
            return
        await asyncio.sleep(LOOK_S)


async def _missing_minutes(past: Past, material: Material, *, late: bool) -> int:
    """How many minutes are not stored, of those that have to be, and unless it is late, of those
    that may come: else who asks a little later is told more.
    """
    first_s, end_s = compared(material)
    first, end = first_s // 60, end_s // 60
    missing = 0
    for region in material.regions:
        lived = {
            minute
            for life in material.lives
            if life.key[0] == region
            for minute in (_whole_minutes if late else _all_minutes)(life, material.until_ms)
        }
        stored = {one.minute async for one in past.minutes(region, first, end)}
        missing += len(lived.intersection(range(first, end)) - stored)
    return missing


def _last_ms(life: Life, until_ms: int) -> int:
    return until_ms if life.end_ms is None else life.end_ms


def _all_minutes(life: Life, until_ms: int) -> set[int]:
    """The minutes in which an edge was there, if only for a moment: it may have told figures."""
    return set(range(life.first_ms // MINUTE_MS, _last_ms(life, until_ms) // MINUTE_MS + 1))


def _whole_minutes(life: Life, until_ms: int) -> set[int]:
    """The minutes in which an edge was there all the time, and so told its figures."""
    minutes = set(range(life.first_ms // MINUTE_MS + 1, _last_ms(life, until_ms) // MINUTE_MS))
    for begin_ms, end_ms in life.silences:
        minutes -= set(range(begin_ms // MINUTE_MS, end_ms // MINUTE_MS + 1))
    return minutes


async def _read(past: Past, material: Material, lead_ms: int) -> None:
    since_ms, until_ms = material.since_ms, material.until_ms
    for region in material.regions:
        rebuild, end_ms = Rebuild(region, since_ms), until_ms + SILENT_MS
        async for stored_ms, data in past.log(region, "att", since_ms - lead_ms, end_ms):
            try:
                entry = decode_entry(data)
            except msgspec.DecodeError:
                rebuild.unreadable += since_ms <= stored_ms < until_ms
                continue
            if stored_ms < until_ms:
                rebuild.add(stored_ms, entry)
            else:
                rebuild.goes_on(entry)
        material.stretches += rebuild.end(material.known_ms.get(region, until_ms) + SILENT_MS)
        material.lives += rebuild.lives.values()
        material.unreadable += rebuild.unreadable
    material.lives.sort(key=lambda life: life.key)


async def _find_beginnings(past: Past, material: Material, leads: Sequence[int]) -> None:
    """Of the sessions that were open where reading began: that far back, the first of `leads`."""
    wanted = Beginnings(material.stretches)
    for read_ms, lead_ms in pairwise(leads):
        if not wanted:
            return
        for region in material.regions:
            begin_ms, end_ms = material.since_ms - lead_ms, material.since_ms - read_ms
            async for stored_ms, data in past.log(region, "att", begin_ms, end_ms):
                with suppress(msgspec.DecodeError):  # it is none of the time that is asked for
                    wanted.add(stored_ms, decode_entry(data))
        wanted.part_read()


def _join(material: Material) -> None:
    """The stretches of that time, each session at one edge at a time."""
    join_moves(material.stretches)
    material.stretches = [
        one
        for one in material.stretches
        if one.start_ms < material.until_ms
        and (one.end_ms is None or one.end_ms >= material.since_ms)
    ]


async def _read_visits(past: Past, material: Material, lead_ms: int) -> bool:
    """Whether all that were open at the begin are known."""
    material.visits, whole, unreadable = [], True, 0
    material.missing_visit_batches = material.visits_compared = material.visits_off = 0
    for region in material.regions:
        rebuild = VisitRebuild(region, material.since_ms)
        end_ms = material.until_ms + SILENT_MS  # what had ended may be stored a little later
        entries = past.log(region, "visit", material.since_ms - lead_ms, end_ms)
        async for stored_ms, data in entries:
            try:
                rebuild.add(stored_ms, decode_visits(data))
            except msgspec.DecodeError:
                unreadable += 1
        whole = whole and rebuild.whole
        material.missing_visit_batches += rebuild.missing_batches
        material.visits_compared += rebuild.compared
        material.visits_off = max(material.visits_off, rebuild.off)
        lives = [life for life in material.lives if life.key[0] == region]
        material.visits += [
            one
            for one in rebuild.end(lives, material.until_ms)
            if one.end_ms is None or one.end_ms >= material.since_ms
        ]
    material.unreadable_visits = unreadable
    return whole


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
