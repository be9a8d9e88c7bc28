"""Some rooms of a ledger, judged: first what was published and stored, then what was delivered."""

from collections.abc import Callable, Iterator

from regions.ledger.hearing import Hearing
from regions.ledger.record import (
    Acked,
    Asked,
    Delivered,
    Ended,
    Failed,
    Fork,
    GapSaid,
    LostSaid,
    Opening,
    Places,
    Ready,
    Record,
    RoomRefused,
    Stored,
    Stream,
    Subscribed,
    Surfaced,
    Unknown,
    Unread,
    Unsubscribed,
)
from regions.ledger.table import Table
from regions.ledger.tally import Tally, Where
from regions.ledger.timing import Timing

Records = Callable[[], Iterator[tuple[Record, Where]]]


class Bucket:
    """The rooms for which `mine` is true.

    Args:
        mine: whether a room is in it.
        tally: where to count.
        timing: told of each event that is new to a client.
    """

    def __init__(self, mine: Callable[[str], bool], tally: Tally, timing: Timing) -> None:
        self.table = Table(tally)
        self._mine = mine
        self._tally = tally
        self._timing = timing
        self._hearings: dict[str, dict[str, Hearing]] = {}  # client -> room
        self._last: dict[str, Places] = {}  # client -> its last cursor

    def publish(self, record: Record, where: Where) -> None:
        """The first pass: all but deliveries."""
        table = self.table
        match record:
            case Asked():
                table.asked(record, where)
            case Acked():
                table.acked(record, where)
            case Failed() | Unknown():
                table.unanswered(record)
            case Stored():
                table.stored(record, where)
            case Opening() | Stream() | Fork() | Unread():
                table.scanned(record, where)
            case _:
                pass

    def hear(self, record: Record, where: Where) -> None:
        """The second pass, after `table.close()`: what clients got and were told, in order."""
        match record:
            case Delivered():
                self._delivered(record, where)
            case Surfaced():
                event = self.table.events.get((record.origin, record.epoch, record.seq))
                self._hearing(record.client, record.room).surfaced(record, event, where)
            case GapSaid():
                for hearing in self._of(record.client, record.room):
                    hearing.gap(record)
            case Ended():
                self._last[record.client] = record.at
            case _:
                self._place(record)

    def _place(self, record: Record) -> None:
        """A client is in rooms, or no longer."""
        match record:
            case Ready():
                for room in filter(self._mine, record.rooms):
                    hearing = self._hearing(record.client, room)
                    hearing.began(record.at)
                    hearing.open(record.at, record.t)
            case Subscribed():
                self._hearing(record.client, record.room).open(record.at, record.t)
            case Unsubscribed() | RoomRefused():
                for hearing in self._of(record.client, record.room):
                    hearing.shut("")
            case LostSaid():
                for hearing in self._of(record.client, None):
                    hearing.shut(record.why or "lost")
            case _:
                pass

    def _delivered(self, record: Delivered, where: Where) -> None:
        event = self.table.delivered(record, where)
        hearing = self._hearing(record.client, record.room)
        if not hearing.joined:
            text = f"{record.client} got {event.name}, and is not in {record.room}"
            hearing.early(record, text, where)
        if hearing.came(record, event, where):
            self._timing.came(record.client, event, record.t)

    def _hearing(self, client: str, room: str) -> Hearing:
        rooms = self._hearings.get(client)
        if rooms is None:
            rooms = self._hearings[client] = {}
        hearing = rooms.get(room)
        if hearing is None:
            hearing = rooms[room] = Hearing(client, room, self.table, self._tally)
        return hearing

    def _of(self, client: str, room: str | None) -> list[Hearing]:
        rooms = self._hearings.get(client, {})
        if room is None:
            return list(rooms.values())
        return [rooms[room]] if room in rooms else []

    def close(self) -> None:
        """All records are in."""
        for publish in self.table.publishes.values():
            if publish.acked_t:
                self._timing.acked(publish.t, publish.acked_t)
        for client, rooms in self._hearings.items():
            for hearing in rooms.values():
                hearing.close(self._last.get(client))
