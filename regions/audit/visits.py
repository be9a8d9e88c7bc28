"""The visits of a region back from the write-ahead logs of its edges."""

from dataclasses import dataclass
from itertools import chain

from relay.core.headcount import UNKNOWN
from relay.core.visits import VisitBatch, VisitEntry, VisitOpened

OPEN = "open"


@dataclass(slots=True)
class Visit:
    """A visit of a plain page. Times in Unix ms; `start_ms` None: before what was read."""

    key: bytes
    region: str
    edge: str
    country: str
    start_ms: int | None
    end_ms: int | None = None
    ended: str = OPEN  # closed | timed_out | open


class VisitRebuild:
    """Puts the visits of one region together; an edge goes on with those of its life before."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.missing_batches = 0
        self._open: dict[str, dict[bytes, Visit]] = {}  # edge -> its open visits
        self._ended: list[Visit] = []
        self._numbers: dict[tuple[str, int], int] = {}
        self._parts: dict[str, dict[int, list[bytes]]] = {}

    def add(self, stored_ms: int, entry: VisitEntry) -> None:
        """An entry, as the stream has it next."""
        here = self._open.setdefault(entry.edge, {})
        life = (entry.edge, entry.epoch)
        if isinstance(entry, VisitBatch):
            last = self._numbers.get(life)
            if last is not None and entry.number <= last:
                return
            if last is not None:
                self.missing_batches += entry.number - last - 1
            self._numbers[life] = entry.number
            for record in entry.records:
                at_ms = stored_ms - record.ago_ms
                if isinstance(record, VisitOpened):
                    here[record.key] = Visit(
                        record.key, self.region, entry.edge, record.country, at_ms
                    )
                else:
                    visit = here.pop(record.key, None) or self._before(entry.edge, record.key)
                    visit.end_ms, visit.ended = at_ms, record.how
                    self._ended.append(visit)
            return
        parts = self._parts.setdefault(entry.edge, {})
        if entry.part == 0:
            parts.clear()
        parts[entry.part] = entry.keys
        if len(parts) == entry.parts:
            for key in chain.from_iterable(parts.values()):
                here.setdefault(key, self._before(entry.edge, key))

    def _before(self, edge: str, key: bytes) -> Visit:
        return Visit(key, self.region, edge, UNKNOWN, None)

    def end(self) -> list[Visit]:
        """All visits, when the log was read to the end."""
        still = [visit for here in self._open.values() for visit in here.values()]
        return sorted([*self._ended, *still], key=lambda one: (one.start_ms or 0, one.key))
