"""Histories made by hand: a small world that keeps its promises, written down as a ledger."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from regions.ledger.checker import check
from regions.ledger.content import data_of, hash_of
from regions.ledger.files import Writer
from regions.ledger.findings import RULES, Findings
from regions.ledger.record import (
    Acked,
    Asked,
    Base,
    Delivered,
    Down,
    Drained,
    Ended,
    Fork,
    GapSaid,
    LostSaid,
    Opening,
    Places,
    Ready,
    Resumed,
    Resuming,
    Stored,
    Stream,
)

MS = 1_000_000
REGIONS = ("us", "eu")


@dataclass
class Told:
    """One client of the small world."""

    name: str
    rooms: tuple[str, ...]
    online: bool = False
    at: dict[str, tuple[int, int]] = field(default_factory=dict)


class History:
    """Makes records as a correct world would."""

    def __init__(self) -> None:
        self.records: list[Base] = []
        self.clients: dict[str, Told] = {}
        self.streams: dict[str, list[Stored]] = {region: [] for region in REGIONS}
        self.epochs = dict.fromkeys(REGIONS, 1)
        self.heads = dict.fromkeys(REGIONS, 0)
        self.forks = {region: {1: 1} for region in REGIONS}  # origin -> epoch -> its first sequence
        self._numbers: dict[tuple[str, str], int] = defaultdict(int)
        self._t = 0

    def now(self, ms: int = 1) -> int:
        """The next moment."""
        self._t += ms * MS
        return self._t

    def add(self, record: Base) -> None:
        """One more record."""
        self.records.append(record)

    def places(self) -> Places:
        """Where all streams end now."""
        return {region: (self.epochs[region], self.heads[region]) for region in REGIONS}

    # --- clients -------------------------------------------------------------------------------

    def join(self, name: str, *rooms: str) -> Told:
        """A client's session begins."""
        told = self.clients.setdefault(name, Told(name, rooms))
        told.online, told.at = True, dict(self.places())
        self.add(Ready(self.now(), name, f"s-{name}", "us", "us-1", told.rooms, self.places()))
        return told

    def down(self, name: str) -> None:
        """Its connection ends."""
        self.clients[name].online = False
        t = self.now()
        self.add(Down(t, name, None, "the connection broke", t - MS))

    def resume(self, name: str) -> None:
        """It resumes: what it missed comes first."""
        told = self.clients[name]
        told.online = True
        self.add(Resuming(self.now(), name, f"s-{name}", dict(told.at)))
        missed = [
            stored
            for region in REGIONS
            for stored in self.streams[region]
            if stored.room in told.rooms
            and (stored.epoch, stored.seq) > told.at.get(region, (0, 0))
        ]
        for stored in missed:
            self.deliver(name, stored, replayed=True)
        self.add(Resumed(self.now(), name, "eu", "eu-1", len(missed), {}, self.places()))
        told.at = dict(self.places())

    def lose(self, name: str, why: str) -> None:
        """It resumes, and is told that it cannot; a new session begins."""
        told = self.clients[name]
        self.add(Resuming(self.now(), name, f"s-{name}", dict(told.at)))
        self.add(LostSaid(self.now(), name, why))
        self.join(name)

    # --- events --------------------------------------------------------------------------------

    def say(self, name: str, room: str, origin: str = "us", *, silent: str = "") -> Stored:
        """A publish that is stored, and delivered to everybody in the room but `silent`."""
        self._numbers[name, room] += 1
        number = self._numbers[name, room]
        data_hash, publish_id = hash_of(data_of(number, "")), f"{name}.{room}.{number}"
        self.add(Asked(self.now(), name, room, publish_id, number, data_hash))
        self.heads[origin] += 1
        epoch, seq = self.epochs[origin], self.heads[origin]
        stored = Stored(
            0, origin, origin, epoch, seq, room, name, publish_id, number, data_hash, self._t // MS
        )
        self.streams[origin].append(stored)
        self.add(Acked(self.now(), name, room, publish_id, origin, epoch, seq))
        for told in self.clients.values():
            if told.online and room in told.rooms and told.name != silent:
                self.deliver(told.name, stored)
        return stored

    def deliver(self, name: str, stored: Stored, *, replayed: bool = False) -> None:
        """A client gets an event."""
        self.clients[name].at[stored.origin] = (stored.epoch, stored.seq)
        self.add(
            Delivered(
                self.now(), name, stored.room, stored.user, stored.id, stored.number,
                stored.origin, stored.epoch, stored.seq, stored.hash, replayed,
            )
        )  # fmt: skip

    def gap(self, name: str, stored: Stored, last: int | None = None, why: str = "late") -> None:
        """A client is told that it will not get an event, or all up to `last`."""
        upto = stored.seq if last is None else last
        self.clients[name].at[stored.origin] = (stored.epoch, upto)
        self.add(GapSaid(self.now(), name, stored.origin, stored.epoch, stored.seq, upto, why))

    def lose_tail(self, origin: str, count: int) -> None:
        """An origin loses its newest events, and goes on in a new epoch, above all it had."""
        del self.streams[origin][-count:]
        self.epochs[origin] += 1
        self.forks[origin][self.epochs[origin]] = self.heads[origin] - count + 1
        self.heads[origin] += 100

    # --- the end -------------------------------------------------------------------------------

    def end(self) -> "History":
        """Everybody is current and leaves, and the streams are scanned."""
        for told in self.clients.values():
            if not told.online:
                self.resume(told.name)
            self.add(Drained(self.now(), told.name, reached=True))
            self.add(Ended(self.now(), told.name, self.places()))
        for region in REGIONS:
            for origin in REGIONS:
                self.add(Opening(0, region, origin, 1, 0))
                for number, first in self.forks[origin].items():
                    self.add(Fork(self.now(), region, origin, number, first))
                epoch = self.epochs[origin] if region == origin else 0
                self.add(Stream(self.now(), region, origin, epoch, 1, self.heads[origin]))
                for stored in self.streams[origin]:
                    self.add(msgspec.structs.replace(stored, t=self.now(), region=region))
        return self

    def check(self, directory: Path, part_bytes: int = 1 << 30) -> Findings:
        """What the checker says of it."""
        for old in directory.glob("*.jsonl"):
            old.unlink()
        writer = Writer(directory, "crowd-0")
        for record in self.records:
            writer.write(record)
        writer.close()
        return check(directory, part_bytes)

    # --- defects -------------------------------------------------------------------------------

    def find(self, kind: type[Base], **keys: object) -> int:
        """The number of the first record of a kind with these values."""
        for index, record in enumerate(self.records):
            if isinstance(record, kind) and all(
                getattr(record, key) == value for key, value in keys.items()
            ):
                return index
        raise LookupError(f"no {kind.__name__} with {keys}")

    def change(self, index: int, **keys: object) -> None:
        """Let one record say something else."""
        self.records[index] = msgspec.structs.replace(self.records[index], **keys)


def violations(findings: Findings) -> dict[str, int]:
    """What was found, and how often."""
    found = {rule: getattr(findings, rule) for rule in RULES}
    assert findings.passed == (not any(found.values()))
    assert {example.rule for example in findings.examples} == {
        rule for rule, count in found.items() if count
    }
    return {rule: count for rule, count in found.items() if count}
