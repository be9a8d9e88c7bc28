"""The lives of the clients: connections lost and sessions resumed, and what RESUMED claims."""

from collections.abc import Collection
from dataclasses import dataclass, field

from regions.ledger.record import (
    Delivered,
    Down,
    Drained,
    Ended,
    GapSaid,
    Invalid,
    LostSaid,
    Phase,
    Ready,
    Record,
    Resumed,
    Resuming,
    Surfaced,
    Trying,
)
from regions.ledger.tally import Tally, Where

# A client that hears nothing for 15 s while it resumes goes elsewhere: the edge is at fault.
# One that goes earlier lost the connection, as in any fault.
UNANSWERED_NS = 14 * 10**9


@dataclass(slots=True)
class Life:
    """One client, as far as the order of its records goes."""

    resuming: bool = False
    sent: int = 0  # events since RESUME
    heard: int = 0  # when it resumed, or the last event came that was replayed
    down_at: int | None = None  # when the last frame before the outage had come
    outages: list[int] = field(default_factory=list)  # ns
    drained: bool | None = None


class Sessions:
    """Reads every record once, in order."""

    def __init__(self, tally: Tally) -> None:
        self.lives: dict[str, Life] = {}
        self.phases: list[tuple[int, str]] = []
        self.first_t: int | None = None
        self.records = 0
        self._tally = tally

    def _life(self, client: str) -> Life:
        life = self.lives.get(client)
        if life is None:
            life = self.lives[client] = Life()
        return life

    def read(self, record: Record, where: Where) -> None:
        """The next record."""
        count = self._tally.count
        self.records += 1
        if self.first_t is None:
            self.first_t = record.t
        match record:
            case Delivered():
                life = self._life(record.client)
                life.sent += 1
                life.heard = record.t
                count("delivered")
                count("replayed", int(life.resuming))
                count("surfaced", int(record.app))
            case Surfaced():
                count("surfaced")
            case GapSaid():
                count("declared_gaps")
                count(f"declared {record.why}")
                if record.why == "poison":  # it stands for an event, and is counted as one
                    self._life(record.client).sent += 1
            case LostSaid():
                self._life(record.client).resuming = False
                count("sessions_lost")
                count(f"sessions_lost {record.why}")
                count("declared_gaps")
                count(f"declared {record.why}")
            case Phase():
                self.phases.append((record.t, record.name))
            case _:
                self._connection(record, where)

    def _connection(self, record: Record, where: Where) -> None:
        match record:
            case Resuming():
                life = self._life(record.client)
                self._unanswered(record.client, life, where)
                life.resuming, life.sent, life.heard = True, 0, record.t
            case Trying():
                life = self._life(record.client)
                if life.resuming and record.t - life.heard >= UNANSWERED_NS:
                    self._unanswered(record.client, life, where)
                life.resuming = False
            case Invalid():
                self._life(record.client).resuming = False
            case Resumed():
                self._resumed(record, where)
            case Ready():
                self._back(self._life(record.client), record.t)
            case Down():
                self._tally.count("disconnects")
                life = self._life(record.client)
                life.resuming, life.down_at = False, record.heard
            case Drained():
                life = self._life(record.client)
                self._unanswered(record.client, life, where)
                life.drained = record.reached
                if not record.reached:
                    text = f"{record.client} did not get as far as {', '.join(record.lacks)}"
                    self._tally.add("undrained", text, where)
            case Ended() if record.why:
                text = f"{record.client} ended on its own: {record.why}"
                self._tally.add("undrained", text, where)
            case _:
                pass

    def close(self, expected: Collection[str] = ()) -> None:
        """No more records: everybody, of whom those of `expected` are known, was drained."""
        for client in expected:
            if client not in self.lives:
                self._tally.add("undrained", f"of {client} there is no record at all")
        for client, life in self.lives.items():
            if life.drained is None:
                self._tally.add("undrained", f"{client} was never drained")

    def _unanswered(self, client: str, life: Life, where: Where) -> None:
        if life.resuming:
            self._tally.add("miscounted", f"{client}'s RESUME was never answered", where)

    def _resumed(self, record: Resumed, where: Where) -> None:
        life = self._life(record.client)
        self._tally.count("resumes")
        if life.resuming and life.sent != record.replayed:
            text = f"{record.client} was sent {life.sent} events before RESUMED, which says"
            self._tally.add("miscounted", f"{text} {record.replayed}", where)
        self._back(life, record.t)

    def _back(self, life: Life, t: int) -> None:
        life.resuming = False
        if life.down_at is not None:
            life.outages.append(t - life.down_at)
            life.down_at = None
