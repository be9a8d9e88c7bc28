"""What a ledger says of publishes and connections: the first pass of a drill's history."""

from collections import defaultdict
from dataclasses import dataclass, field

from regions.ledger.record import (
    Acked,
    Asked,
    Down,
    GapSaid,
    Invalid,
    LostSaid,
    Phase,
    Ready,
    Recalled,
    Resumed,
    Resuming,
    Trying,
)

# How the lines of these records begin.
WANTED = tuple(
    f'{{"k":"{tag}"'.encode()
    for tag in ("ask", "ok", "down", "try", "op7", "ready", "resume", "resumed", "invalid", "gap",
                "lost", "phase")
)  # fmt: skip
_RETURNING = "returning"  # what the client library says of a move that it chose itself


@dataclass(slots=True)
class Hit:
    """One connection that was lost, and what its client did. `asked`: to leave, by op 7."""

    down: int
    asked: int | None = None
    tried: int | None = None
    back: int | None = None


@dataclass(slots=True)
class Facts:
    """What happened, but for the deliveries."""

    asked: dict[str, int] = field(default_factory=dict)  # publish id -> ns
    acked: dict[str, int] = field(default_factory=dict)
    hits: dict[str, list[Hit]] = field(default_factory=lambda: defaultdict(list))
    asked_to_go: dict[str, int] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    phases: list[tuple[int, str]] = field(default_factory=list)
    epochs: dict[str, int] = field(default_factory=dict)  # client -> ns
    tries: int = 0
    resumed: int = 0
    refused: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def take(self, record: object) -> None:
        """The next record."""
        match record:
            case Asked():
                self.asked[record.id] = record.t
            case Acked():
                self.acked.setdefault(record.id, record.t)
            case Phase():
                self.phases.append((record.t, record.name))
            case Down() if not record.why.startswith(_RETURNING):
                asked = self.asked_to_go.pop(record.client, None)
                self.hits[record.client].append(Hit(record.t, asked))
            case Recalled():
                self.asked_to_go[record.client] = record.t
            case Trying():
                if (hit := self._open(record.client)) is not None and hit.tried is None:
                    hit.tried = record.t
            case Ready() | Resumed():
                self._arrived(record)
            case Resuming():
                self.tries += 1
            case _:
                self._told(record)

    def _told(self, record: object) -> None:
        match record:
            case Invalid():
                self.refused += 1
                if record.why == "epoch":
                    self.epochs.setdefault(record.client, record.t)
            case GapSaid() | LostSaid() if "epoch" in record.why:
                self.epochs.setdefault(record.client, record.t)
            case _:
                pass

    def _arrived(self, record: Ready | Resumed) -> None:
        home = self.homes.setdefault(record.client, record.region)
        if record.region != home:
            self.moved.add(record.client)
        self.resumed += isinstance(record, Resumed)
        if (hit := self._open(record.client)) is not None:
            hit.back = record.t

    def _open(self, client: str) -> Hit | None:
        hits = self.hits.get(client)
        return hits[-1] if hits and hits[-1].back is None else None
