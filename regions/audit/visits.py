"""The visits of a region back from the write-ahead logs of its edges."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from regions.audit.rebuild import Life
from relay.core.headcount import UNKNOWN
from relay.core.visits import How, VisitBatch, VisitEntry, VisitOpened

OPEN = "open"
TIMEOUT_MS = 90_000  # where no batch says how long an edge waits for a word


@dataclass(slots=True)
class Visit:
    """A visit of a plain page. Times in Unix ms; `start_ms` None: before what was read."""

    key: bytes
    region: str
    edge: str
    country: str
    start_ms: int | None
    end_ms: int | None = None
    ended: str = OPEN  # closed | timed_out | edge_gone | open


@dataclass(slots=True)
class _Edge:
    """One edge, over all its lives: it goes on with the visits of the life before."""

    open: dict[bytes, Visit] = field(default_factory=dict)
    whole: bool = False  # `open` has all that are
    numbers: dict[int, int] = field(default_factory=dict)  # epoch -> of its last batch
    parts: dict[int, list[bytes]] = field(default_factory=dict)
    timeout_ms: int = TIMEOUT_MS
    last_ms: int = 0


class VisitRebuild:
    """Puts the visits of one region together.

    Args:
        region: whose.
        since_ms: the begin of the time that is asked for, Unix ms: what ended before it may have
            an unknown begin.
    """

    def __init__(self, region: str, since_ms: int = 0) -> None:
        self.region = region
        self._since_ms = since_ms
        self.missing_batches = 0
        self.compared = 0  # batches and checkpoints against what was put together
        self.off = 0  # by so many visits they differed, at most
        self._edges: dict[str, _Edge] = {}
        self._ended: list[Visit] = []

    def add(self, stored_ms: int, entry: VisitEntry) -> None:
        """An entry, as the stream has it next."""
        edge = self._edges.setdefault(entry.edge, _Edge())
        if isinstance(entry, VisitBatch):
            self._batch(edge, stored_ms, entry)
            return
        if entry.part == 0:
            edge.parts = {}
        edge.parts[entry.part] = entry.keys
        if len(edge.parts) < entry.parts:
            return
        keys = set(chain.from_iterable(edge.parts.values()))
        edge.parts, edge.last_ms = {}, stored_ms
        if edge.whole:
            self._compare(edge, len(edge.open.keys() ^ keys))
        for key in sorted(keys - edge.open.keys()):
            edge.open[key] = self._before(entry.edge, key)
        edge.whole = True

    def _batch(self, edge: _Edge, stored_ms: int, batch: VisitBatch) -> None:
        last = edge.numbers.get(batch.epoch)
        if last is not None and batch.number <= last:
            return
        if last is not None:
            self.missing_batches += batch.number - last - 1
            edge.whole = edge.whole and batch.number == last + 1
        edge.numbers[batch.epoch] = batch.number
        edge.timeout_ms, edge.last_ms = round(batch.timeout_s * 1000), stored_ms
        for record in batch.records:
            at_ms = stored_ms - record.ago_ms
            if isinstance(record, VisitOpened):
                edge.open[record.key] = Visit(
                    record.key, self.region, batch.edge, record.country, at_ms
                )
            else:
                visit = edge.open.pop(record.key, None) or self._before(batch.edge, record.key)
                # An edge that died may not have been heard of since it opened.
                visit.end_ms, visit.ended = max(at_ms, visit.start_ms or 0), record.how
                self._ended.append(visit)
        if edge.whole:
            self._compare(edge, abs(len(edge.open) - batch.open))
        edge.whole = edge.whole or len(edge.open) == batch.open

    def _compare(self, edge: _Edge, off: int) -> None:
        self.compared += 1
        self.off = max(self.off, off)
        edge.whole = off == 0

    def _before(self, edge: str, key: bytes) -> Visit:
        return Visit(key, self.region, edge, UNKNOWN, None)

    @property
    def whole(self) -> bool:
        """Whether all visits that were open when what was read begins are known."""
        known = all(edge.whole for edge in self._edges.values())
        ended = (one for one in self._ended if (one.end_ms or 0) >= self._since_ms)
        return known and all(one.start_ms is not None for one in ended)

    def end(self, lives: Iterable[Life], until_ms: int) -> list[Visit]:
        """All visits, when the log was read up to a time, and as far behind it as is known.

        Args:
            lives: of the region's edges: an edge that is gone for longer than its visits may be
                without a word has taken them with it.
            until_ms: the time, Unix ms: what opened behind it is none, what ended behind it is
                open.
        """
        ended_ms: dict[str, int | None] = {}
        for life in sorted(lives, key=lambda one: one.first_ms):
            ended_ms[life.key[1]] = life.end_ms
        for name, edge in self._edges.items():
            gone_ms = ended_ms.get(name, edge.last_ms)
            if gone_ms is None or until_ms - gone_ms <= edge.timeout_ms:
                continue
            for visit in edge.open.values():
                visit.end_ms, visit.ended = max(gone_ms, visit.start_ms or 0), How.EDGE_GONE
                self._ended.append(visit)
            edge.open = {}
        still = [visit for edge in self._edges.values() for visit in edge.open.values()]
        found = [one for one in (*self._ended, *still) if (one.start_ms or 0) < until_ms]
        for visit in found:
            if visit.end_ms is not None and visit.end_ms >= until_ms:
                visit.end_ms, visit.ended = None, OPEN
        return sorted(found, key=lambda one: (one.start_ms or 0, one.key))
