"""The log of one region back into stretches: times in which a session was at an edge.

Pure: entries in the stream's order in, stretches out. What the log lacks is put in by a rule that
has a name, with how far off the time may be.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from relay.core.headcount import UNKNOWN
from relay.core.log import Batch, Came, Entry, Snapshot, Went, unpack_keys

SILENT_MS = 6_000  # an edge that says nothing for so long is dead to the others
PAUSE_MS = 2_500  # beats come once a second
BEAT_MS = 1_000  # an edge that lives stores a batch so often
FENCE_MS = 2_000  # after a silence: what a stopped edge closes when it goes on
FENCED_MS = 10_000  # and before its end, until it could store that
FENCED = 4000
LifeKey = tuple[str, str, int]  # region, edge and epoch


class Rule(StrEnum):
    """How an end, or a beginning, is known."""

    LOGGED = "logged"
    OPEN = "open"  # it has no end yet
    EDGE_DIED = "edge_died"  # the edge's log ends: then its sessions did
    STOOD_STILL = "stood_still"  # the edge was stopped, and closed all when it went on
    MOVED = "moved"  # resumed elsewhere while the edge could not say that it had gone
    LOST_CLOSE = "lost_close"  # a snapshot does not have it any more
    LOST_OPEN = "lost_open"  # a snapshot has it, or it went, and it never came
    BEFORE = "before"  # it was open when what is read of the log begins


@dataclass(slots=True)
class Stretch:
    """A session at an edge, from its coming to its going. Times are the stream's, in Unix ms."""

    key: bytes
    region: str
    edge: str
    epoch: int
    start_ms: int
    how: str  # identify | resume
    tenant: str = ""
    user: str = ""
    transport: str = ""
    country: str = UNKNOWN
    device: str = ""
    began: Rule = Rule.LOGGED
    end_ms: int | None = None
    code: int = 0
    ended: Rule = Rule.OPEN
    error_ms: int = 0  # by how much the end may be later than it is said to be

    def came(self, at_ms: int, record: Came) -> None:
        """Its coming is in the log."""
        self.start_ms, self.how, self.began = at_ms, record.how, Rule.LOGGED
        self.tenant, self.user, self.transport = record.tenant, record.user, record.transport
        self.country, self.device = record.country, record.device


@dataclass(slots=True)
class Life:
    """One run of one edge, as far as its log was read."""

    key: LifeKey
    first_ms: int
    last_ms: int  # when its newest batch was stored: it lived then
    number: int = 0
    changes: int = 0  # of the newest batch
    ended: bool = False
    open: dict[bytes, Stretch] = field(default_factory=dict)
    whole: bool = False  # `open` has all that are: nothing is lacking since it was known
    seen: bool = False  # it once was: what is not in it came later
    before: int = 0  # sessions that it had before what was read of it
    end_ms: int | None = None  # None: it lives on
    counts: dict[int, int] = field(default_factory=dict)  # changes -> sessions, put back together
    times: list[tuple[int, int]] = field(default_factory=list)  # Unix ms, sessions from then on
    snapshot_ms: int = 0
    parts: dict[int, bytes] = field(default_factory=dict)
    missing_batches: int = 0
    missing_records: int = 0
    repeated_batches: int = 0
    lost_before: int = 0  # records, before the time that is asked for
    lost_records: int = 0
    compared: int = 0  # batches and snapshots against what was put together
    off: int = 0  # by so many sessions they differed, at most
    silences: list[tuple[int, int]] = field(default_factory=list)  # from, to: longer than a lease
    pauses: list[tuple[int, int]] = field(default_factory=list)  # shorter ones, too


class Rebuild:
    """Puts the log of one region back together.

    Args:
        region: whose.
        since_ms: the begin of the time that is asked for, Unix ms: what the log lacks before it
            is none of its.
    """

    def __init__(self, region: str, since_ms: int = 0) -> None:
        self.region = region
        self._since_ms = since_ms
        self._going_on: set[LifeKey] = set()
        self.lives: dict[LifeKey, Life] = {}
        self.stretches: list[Stretch] = []
        self.unreadable = 0
        self._newest: dict[str, Life] = {}  # edge -> its newest life

    def add(self, stored_ms: int, entry: Entry) -> None:
        """An entry, as the stream has it next."""
        key = (entry.region, entry.edge, entry.epoch)
        life = self.lives.get(key)
        if life is None:
            life = self._begin(key, stored_ms)
        if isinstance(entry, Batch):
            self._batch(life, stored_ms, entry)
        else:
            self._snapshot(life, stored_ms, entry)

    def goes_on(self, entry: Entry) -> None:
        """An entry from after the time that is asked for: its edge lived on."""
        self._going_on.add((entry.region, entry.edge, entry.epoch))

    def _begin(self, key: LifeKey, stored_ms: int) -> Life:
        before = self._newest.get(key[1])
        if before is not None:
            self._died(before)  # there is one process of a name at a time
        life = self.lives[key] = self._newest[key[1]] = Life(key, stored_ms, stored_ms)
        return life

    def end(self, upto_ms: int) -> list[Stretch]:
        """All stretches, when the log was read up to a time."""
        for life in self.lives.values():
            if upto_ms - life.last_ms > SILENT_MS and life.key not in self._going_on:
                self._died(life)
            self.stretches += life.open.values()
            life.open = {}
        return self.stretches

    # --- batches -------------------------------------------------------------------------------

    def _batch(self, life: Life, stored_ms: int, batch: Batch) -> None:
        if batch.number <= life.number or life.ended:
            life.repeated_batches += 1
            return
        inside = stored_ms >= self._since_ms
        if life.number and inside:
            life.missing_batches += batch.number - life.number - 1
        self._pause(life, stored_ms)
        changes = batch.changes - len(batch.records)
        sessions = batch.sessions - sum(
            1 if isinstance(record, Came) else -1 for record in batch.records
        )
        if not life.number and not life.seen:
            life.before = sessions
            life.whole = life.seen = sessions == 0
            life.times.append((stored_ms, sessions))
        elif changes != life.changes:
            life.missing_records += changes - life.changes if inside else 0
            life.whole = False
        if life.whole:
            life.counts[changes] = len(life.open)
        for record in batch.records:
            changes += 1
            sessions += 1 if isinstance(record, Came) else -1
            self._record(life, stored_ms, record)
            if life.whole:
                life.counts[changes] = len(life.open)
            here = len(life.open) if life.whole else sessions
            life.times.append((stored_ms - record.ago_ms, here))
        if life.whole and inside:
            life.compared += 1
            life.off = max(life.off, abs(len(life.open) - batch.sessions))
        if not inside or (not life.number and batch.number > 1):
            life.lost_before = batch.lost
        life.lost_records = batch.lost - life.lost_before
        life.number, life.changes, life.last_ms = batch.number, batch.changes, stored_ms
        if batch.final:
            self._died(life)

    def _pause(self, life: Life, stored_ms: int) -> None:
        """Note for how long nothing was heard, where that was longer than a beat."""
        if life.number and stored_ms - life.last_ms > PAUSE_MS:
            life.pauses.append((life.last_ms, stored_ms))
            if stored_ms - life.last_ms > SILENT_MS:
                life.silences.append((life.last_ms, stored_ms))

    def _record(self, life: Life, stored_ms: int, record: Came | Went) -> None:
        at_ms = stored_ms - record.ago_ms
        if isinstance(record, Came):
            if record.key in life.open:
                self._close(life, record.key, at_ms, 0, Rule.LOST_CLOSE)
            region, edge, epoch = life.key
            stretch = life.open[record.key] = Stretch(record.key, region, edge, epoch, at_ms, "")
            stretch.came(at_ms, record)
            return
        if record.key not in life.open:
            self._unknown(life, record.key, life.snapshot_ms or life.first_ms)
        stood_ms, on_ms = life.silences[-1] if life.silences else (0, 0)
        if record.code == FENCED and -FENCED_MS <= at_ms - on_ms <= FENCE_MS:
            error_ms = at_ms - stood_ms
            self._close(life, record.key, stood_ms, record.code, Rule.STOOD_STILL, error_ms)
        else:
            self._close(life, record.key, at_ms, record.code, Rule.LOGGED)

    def _unknown(self, life: Life, key: bytes, at_ms: int) -> None:
        """A session that is here, and whose coming was not read."""
        region, edge, epoch = life.key
        began = Rule.LOST_OPEN if life.seen else Rule.BEFORE
        life.open[key] = Stretch(key, region, edge, epoch, at_ms, "", began=began)

    def _close(
        self, life: Life, key: bytes, at_ms: int, code: int, rule: Rule, error_ms: int = 0
    ) -> None:
        stretch = life.open.pop(key)
        stretch.end_ms = max(at_ms, stretch.start_ms)
        stretch.code, stretch.ended, stretch.error_ms = code, rule, error_ms
        self.stretches.append(stretch)

    def _died(self, life: Life) -> None:
        if not life.ended:
            life.ended, life.end_ms = True, life.last_ms
            for key in list(life.open):
                self._close(life, key, life.last_ms, 0, Rule.EDGE_DIED, BEAT_MS)

    # --- snapshots -----------------------------------------------------------------------------

    def _snapshot(self, life: Life, stored_ms: int, snapshot: Snapshot) -> None:
        if snapshot.part == 0:
            life.parts = {}
        life.parts[snapshot.part] = snapshot.keys
        if len(life.parts) < snapshot.parts:
            return
        try:
            keys = {key for part in life.parts.values() for key in unpack_keys(part)}
        except ValueError:
            self.unreadable += 1
            return
        finally:
            life.parts = {}
        if life.ended or (life.number and snapshot.changes != life.changes):
            return  # a batch between is lacking: the next snapshot tells
        if life.whole and stored_ms >= self._since_ms:
            life.compared += 1
            life.off = max(life.off, len(life.open.keys() ^ keys))
        if not life.times:
            life.times.append((stored_ms, len(keys)))
        since_ms = life.snapshot_ms or life.first_ms
        for key in sorted(life.open.keys() - keys):
            at_ms = max(since_ms, life.open[key].start_ms)
            self._close(life, key, at_ms, 0, Rule.LOST_CLOSE, stored_ms - at_ms)
        for key in sorted(keys - life.open.keys()):
            self._unknown(life, key, since_ms)
        life.whole = life.seen = True
        life.counts[snapshot.changes] = len(keys)
        life.snapshot_ms, life.changes = stored_ms, snapshot.changes
        life.last_ms = max(life.last_ms, stored_ms)


def join_moves(stretches: list[Stretch]) -> None:
    """Let a session be at one edge at a time: where it came elsewhere, it had gone before.

    In the order of time; changed in place. What is trimmed is an overlap: an old connection that
    had not been closed yet, or an edge that could not say so.
    """
    stretches.sort(key=lambda one: (one.key, one.start_ms, one.region, one.edge))
    for before, after in pairwise(stretches):
        if before.key != after.key:
            continue
        if not after.user:
            _copy_who(before, after)
        elif not before.user:
            _copy_who(after, before)
        if not after.device:
            after.device = before.device
        if before.end_ms is None or before.end_ms > after.start_ms:
            silent = before.end_ms is None or before.ended is not Rule.LOGGED
            before.end_ms = max(after.start_ms, before.start_ms)
            before.ended = Rule.MOVED if silent else before.ended
            before.error_ms = 0
        elif before.error_ms:
            before.error_ms = min(before.error_ms, after.start_ms - before.end_ms)
    stretches.sort(key=lambda one: (one.start_ms, one.key, one.region, one.edge))


def _copy_who(source: Stretch, to: Stretch) -> None:
    to.tenant, to.user = source.tenant, source.user
    if to.country == UNKNOWN:
        to.country = source.country
    to.transport = to.transport or source.transport
