"""The hub: which sessions are in which room, and what each gets of an event.

Sessions that stand where the edge stands share frames: encoded once per encoding, with the edge's
cursor. Those that replay, or have more than the edge, get their own.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from msgspec import UNSET

from relay.core.codes import EventName, Op
from relay.core.cursor import Cursor, CursorCodec, Position, furthest
from relay.core.event import Event, RoomKey
from relay.core.join import Ahead, Join
from relay.core.numbering import Numbering
from relay.core.wire import Codec, Payload, WireError
from relay.edge.clock import wall_ms
from relay.edge.fanout import FanOut
from relay.edge.frames import frame
from relay.edge.members import Members
from relay.edge.seat import Seat

NOBODY_OWES: frozenset[str] = frozenset()
NOTHING: Mapping[str, int] = {}
MANY_WAITING = 1_024  # sessions ahead of the edge, before it is looked who of them is gone


@dataclass(slots=True, eq=False)
class Room:
    """One room with local members."""

    key: RoomKey
    # By encoding, and by the regions that may owe them something.
    shared: dict[tuple[str, frozenset[str]], Members] = field(default_factory=dict)
    private: set[Seat] = field(default_factory=set)
    joins: set[int] = field(default_factory=set)  # ids of joins in progress

    def everybody(self) -> list[Seat]:
        """All seats that are in it."""
        return [*chain.from_iterable(self.shared.values()), *self.private]


class Hub:
    """All rooms, seats and joins of one edge, and the edge's positions."""

    def __init__(
        self,
        region: str,
        cursors: CursorCodec,
        numbering: Numbering,
        fanout: FanOut | None = None,
    ) -> None:
        self.fanout = fanout or FanOut()
        self.region = region
        self._cursors = cursors
        self.numbering = numbering
        self.positions: dict[str, Position] = {}
        self.seqs: dict[str, int] = {}
        self.holes = 0  # number of the newest hole of the region that was dealt with
        # Of other regions: of which all who came from there have got what they are owed.
        self.known: dict[str, int] = {}
        self.rooms: dict[RoomKey, Room] = {}
        self._joins: dict[int, Join] = {}
        self._next_join = 0
        # Per origin, the sessions that are ahead of the edge, by the sequence they wait for.
        self._waiting: dict[str, list[tuple[int, int, Seat]]] = {}
        self._kept: dict[str, int] = {}  # how many they were when those gone were last forgotten
        self._waits = 0
        self.events_out = 0
        self.poisoned = 0

    # --- positions -----------------------------------------------------------------------------

    def move(self, origin: str, epoch: int, seq: int) -> None:
        """The edge's position for an origin: everything up to it has been delivered."""
        self._set(origin, epoch, seq)
        self._promote(origin)

    def _set(self, origin: str, epoch: int, seq: int) -> None:
        self.positions[origin] = Position(epoch, seq)
        self.seqs[origin] = seq

    def _promote(self, origin: str) -> None:
        """Sessions that the edge has caught up with share its frames from now on."""
        waiting = self._waiting.get(origin)
        while waiting and waiting[0][0] <= self.seqs[origin]:
            _, _, seat = heapq.heappop(waiting)
            if seat.ahead is not None and seat.ahead.caught_up(self.seqs):
                self._share(seat)

    def epochs(self) -> dict[str, int]:
        """Per origin the epoch that the edge stands in."""
        return {origin: position.epoch for origin, position in self.positions.items()}

    def cursor(self, owing: frozenset[str] = NOBODY_OWES) -> str:
        """The edge's cursor now, for sessions to whom these regions may owe something."""
        return self.cursor_at(self.positions, self.owes(owing))

    def owes(self, regions: Iterable[str]) -> dict[str, int]:
        """Region -> number of the newest of its holes that was dealt with here."""
        return {region: self.known.get(region, 0) for region in sorted(regions)}

    def cursor_at(
        self,
        positions: Mapping[str, Position],
        owes: Mapping[str, int] = NOTHING,
        holes: int | None = None,
    ) -> str:
        """A cursor of this region at these positions; `holes`: that it knows, None: all."""
        known = self.holes if holes is None else holes
        return self._cursors.encode(Cursor(self.region, positions, known, owes))

    def cursor_of(self, seat: Seat) -> str:
        """The session's cursor now: never behind what the session has, nor beyond."""
        if seat.frozen is not None:
            return seat.frozen
        if seat.ahead:
            return self.private_cursor(seat.ahead.seqs, owes=self.owes(seat.owing))
        return self.cursor(seat.owing)

    def private_cursor(
        self,
        sent: Mapping[str, int],
        base: Mapping[str, Position] | None = None,
        owes: Mapping[str, int] = NOTHING,
        holes: int | None = None,
    ) -> str:
        """A cursor with, per origin, the later of `base` (default: the edge) and `sent`."""
        base = self.positions if base is None else base
        own = {
            origin: Position(
                max(
                    self.positions[origin].epoch if origin in self.positions else 0,
                    base[origin].epoch if origin in base else 0,
                ),
                seq,
            )
            for origin, seq in sent.items()
        }
        return self.cursor_at(furthest(base, own), owes, holes)

    # --- rooms and seats -----------------------------------------------------------------------

    def _prune(self, key: RoomKey) -> None:
        """Forget a room that nobody is in, or joins."""
        room = self.rooms.get(key)
        if room and not room.private and not room.joins and not any(room.shared.values()):
            del self.rooms[key]

    def room(self, key: RoomKey) -> Room:
        """The room, made when it is not there yet."""
        room = self.rooms.get(key)
        if room is None:
            room = self.rooms[key] = Room(key)
        return room

    def take(self, seat: Seat, keys: Iterable[RoomKey]) -> None:
        """The session is in these rooms now."""
        self.fanout.settle(seat)
        for key in keys:
            seat.seated.add(key)
            room = self.room(key)
            if seat.ahead is None:
                self._members(room, seat).add(seat)
            else:
                room.private.add(seat)

    def leave(self, seat: Seat, key: RoomKey) -> None:
        """The session is not in this room any more."""
        self.fanout.settle(seat)
        seat.seated.discard(key)
        room = self.rooms.get(key)
        if room is not None:
            room.private.discard(seat)
            self._withdraw(room, seat)
            self._prune(key)

    def set_ahead(self, seat: Seat, ahead: Ahead | None) -> None:
        """How far the session is beyond the edge; None: it stands where the edge stands."""
        if ahead is None:
            self._share(seat)
            return
        self.fanout.settle(seat)
        for key in seat.seated:
            room = self.room(key)
            self._withdraw(room, seat)
            room.private.add(seat)
        seat.ahead = ahead
        for origin, seq in ahead.seqs.items():
            self._waits += 1
            waiting = self._waiting.setdefault(origin, [])
            if len(waiting) >= 2 * self._kept.get(origin, MANY_WAITING):
                self._forget_gone(origin, waiting)
            heapq.heappush(waiting, (seq, self._waits, seat))

    def _forget_gone(self, origin: str, waiting: list[tuple[int, int, Seat]]) -> None:
        """In a long cut, clients come and go: who is gone waits for nothing."""
        waiting[:] = [one for one in waiting if one[2].ahead is not None]
        heapq.heapify(waiting)
        self._kept[origin] = max(len(waiting), MANY_WAITING)

    def _share(self, seat: Seat) -> None:
        self.fanout.settle(seat)
        seat.ahead = None
        for key in seat.seated:
            room = self.room(key)
            room.private.discard(seat)
            self._members(room, seat).add(seat)

    def turned(self, seat: Seat) -> None:
        """The session's connection is to be written to in another way from now on."""
        self.fanout.settle(seat)
        for key in seat.seated:
            self._members(self.room(key), seat).turned()

    @staticmethod
    def _members(room: Room, seat: Seat) -> Members:
        kind = seat.codec.name, seat.owing
        members = room.shared.get(kind)
        if members is None:
            members = room.shared[kind] = Members()
        return members

    @staticmethod
    def _withdraw(room: Room, seat: Seat) -> None:
        members = room.shared.get((seat.codec.name, seat.owing))
        if members is not None:
            members.discard(seat)

    def owe(self, seat: Seat, regions: frozenset[str]) -> None:
        """From now on these regions may owe the session something: its cursors say so."""
        if regions == seat.owing:
            return
        self.fanout.settle(seat)
        rooms = [self.room(key) for key in seat.seated]
        for room in rooms:
            self._withdraw(room, seat)
            room.shared = {kind: seats for kind, seats in room.shared.items() if seats}
        seat.owing = regions
        if seat.ahead is None:
            for room in rooms:
                self._members(room, seat).add(seat)

    def forget(self, seat: Seat) -> None:
        """The connection is gone."""
        self.fanout.drop(seat)
        seat.ahead = None
        for key in list(seat.seated):
            self.leave(seat, key)

    def begin(self, join: Join) -> int:
        """A session begins to join rooms. Returns the id for `end`."""
        self._next_join += 1
        self._joins[self._next_join] = join
        for key in join.rooms:
            self.room(key).joins.add(self._next_join)
        return self._next_join

    def end(self, join_id: int) -> None:
        """A join is done, or given up."""
        join = self._joins.pop(join_id, None)
        for key in join.rooms if join else ():
            room = self.rooms.get(key)
            if room is not None:
                room.joins.discard(join_id)
                self._prune(key)

    # --- fan-out -------------------------------------------------------------------------------

    def dispatch(self, event: Event, position: int) -> None:
        """Deliver an event to the room; the edge's position is then `position`."""
        self._set(event.origin, max(event.epoch, self._epoch(event.origin)), position)
        room = self.rooms.get(event.key)
        if room is not None:
            self._fan_out(room, event)
        # Last: a session that is caught up by this very event has it, and must not get it again.
        self._promote(event.origin)

    def _fan_out(self, room: Room, event: Event) -> None:
        s = self.numbering.at(wall_ms())
        cursors: dict[frozenset[str], str] = {}
        for (_, owing), seats in room.shared.items():
            if not seats:
                continue
            if owing not in cursors:
                cursors[owing] = self.cursor(owing)
            codec = next(iter(seats)).codec
            framed = self.framed(codec, event, s, cursors[owing])
            self.events_out += len(seats)
            self._write_to_all(seats, framed)
        for seat in list(room.private):
            if seat.ahead is None or seat.ahead.wants(event):
                self.events_out += 1
                self._write(seat, self.framed(seat.codec, event, s, self.cursor_of(seat)))
        for join_id in room.joins:
            self._joins[join_id].live(event)

    def _epoch(self, origin: str) -> int:
        position = self.positions.get(origin)
        return position.epoch if position else 1

    def _write_to_all(self, seats: Members, framed: bytes) -> None:
        """Write to all seats of a room in one encoding, soon."""
        self.fanout.stage(seats, framed)

    def _write(self, seat: Seat, framed: bytes) -> None:
        """Write to one seat; what goes wrong there is that seat's alone."""
        try:
            seat.write(framed)
        except Exception:
            self.fanout.failed(seat)

    def framed(self, codec: Codec[Any], event: Event, s: int | None, cursor: str | None) -> bytes:
        """The frame of an event; a GAP where its stored data is nothing that can be sent."""
        c = UNSET if cursor is None else cursor
        try:
            payload = codec.message(event, s, c)
        except WireError:
            self.poisoned += 1
            d = gap(event.origin, event.epoch, event.seq, event.seq, "poison", event.room)
            payload = codec.encode(Payload(Op.DISPATCH, d, s, EventName.GAP, c))
        return frame(payload, binary=codec.binary)

    def missed(self, event: Event) -> None:
        """Tell the room of an event that it will not get: later ones were delivered already."""
        room = self.rooms.get(event.key)
        if room is None:
            return
        d = gap(event.origin, event.epoch, event.seq, event.seq, "late", event.room)
        for seat in room.everybody():
            payload = seat.codec.encode(Payload(Op.DISPATCH, d, None, EventName.GAP))
            self._write(seat, frame(payload, binary=seat.codec.binary))
        for join_id in room.joins:
            self._joins[join_id].missed(event)

    def signal(self, event: Event) -> None:
        """Deliver an ephemeral event to the room."""
        s = self.numbering.at(wall_ms())
        self._tell(event.key, lambda codec: codec.signal(event, s))

    def typing(self, event: Event) -> None:
        """Tell the room that a user types."""
        d = {"room": event.room, "user": event.user, "ts": event.ts_ms}
        payload = Payload(Op.DISPATCH, d, self.numbering.at(wall_ms()), EventName.TYPING)
        self._tell(event.key, lambda codec: codec.encode(payload))

    def _tell(self, key: RoomKey, payload_in: Callable[[Codec[Any]], bytes]) -> None:
        """Write to a room what may be dropped, encoded once per encoding."""
        room = self.rooms.get(key)
        if room is None:
            return
        frames: dict[str, bytes] = {}
        for seat in room.everybody():
            codec = seat.codec
            if codec.name not in frames:
                try:
                    frames[codec.name] = frame(payload_in(codec), binary=codec.binary)
                except WireError:
                    self.poisoned += 1
                    return
            seat.write_signal(frames[codec.name])


def gap(
    origin: str, epoch: int, first: int, last: int | None, reason: str, room: str | None = None
) -> dict[str, Any]:
    """GAP.d: events that the session will not get."""
    d: dict[str, Any] = {} if room is None else {"room": room}
    return d | {"origin": origin, "epoch": epoch, "first": first, "last": last, "reason": reason}
