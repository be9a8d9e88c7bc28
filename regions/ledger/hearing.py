"""What one client heard of one room: in order, once, and without a hole that it was not told of."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from regions.ledger.record import Delivered, GapSaid, Places, Surfaced
from regions.ledger.table import Event, Lane, Table
from regions.ledger.tally import Tally, Where

Spot = tuple[int, int]  # epoch, seq
# BEFORE: heard, in an earlier session. EXCUSED: declared, and may come all the same.
UNHEARD, HEARD, DECLARED, LATE, BEFORE, EXCUSED = range(6)
_END = (1 << 62, 1 << 62)
_HEARD_AT_ALL = bytes(int(byte in {HEARD, BEFORE}) for byte in range(256))
_NEW_SESSION = bytes({HEARD: BEFORE, DECLARED: EXCUSED}.get(byte, byte) for byte in range(256))
_NEVER = {"late", "budget"}  # reasons of GAPs: the edge has the events, and will not send them
_OPEN = "origin_removed"  # the reason of a GAP that also covers what is published after it
# A region may know no better than that some of what a new epoch gives out will not come.
_BOUNDED = {_OPEN, "epoch"}
_NO = (0, 0)


@dataclass(slots=True)
class Span:
    """What the client is owed: the events after `start`, up to `end` (None: to the last)."""

    start: Spot
    t: int  # when it was told that it is in the room
    end: Spot | None = None
    why: str = ""  # of a session that was lost at `end`


@dataclass(slots=True)
class Ear:
    """One client, one room, one origin."""

    events: list[Event]
    spots: list[Spot]
    heard: bytearray
    got: bytearray  # handed to the application
    top: Spot = _NO  # in this session, on the wire
    app_top: Spot = _NO  # in this session, at the application
    numbers: dict[str | None, int] = field(default_factory=dict)  # user -> newest, of the latter
    spans: list[Span] = field(default_factory=list)

    @classmethod
    def of(cls, lane: Lane) -> "Ear":
        """One that has heard nothing."""
        count = len(lane.events)
        return cls(lane.events, lane.spots, bytearray(count), bytearray(count))

    def after(self, spot: Spot) -> int:
        """The index of the first event after `spot`."""
        return bisect_right(self.spots, spot)

    def open(self, start: Spot, t: int, tally: Tally) -> None:
        """The client is told that it is in the room, from `start` on."""
        last = self.spans[-1] if self.spans else None
        if last is not None and last.end is None:
            return  # it was in the room all the time, and nobody told it otherwise
        if last is not None and last.end is not None and last.why:
            self._declare(self.after(last.end), self.after(start), t, last.why, tally)
        if self.spans:
            self.heard = self.heard.translate(_NEW_SESSION)
        self.spans.append(Span(start, t))
        self.top = self.app_top = _NO
        self.numbers.clear()

    def _declare(self, first: int, beyond: int, t: int, why: str, tally: Tally) -> None:
        """The client was told that its session is lost, and a new one began at `t`."""
        for index in self._unheard(first, beyond):
            if self._is_of(index, t):
                self.heard[index] = EXCUSED
                _count(tally, why)

    def _is_of(self, index: int, t: int) -> bool:
        """Whether an event was published by `t`."""
        publish = self.events[index].publish
        return publish is None or publish.t <= t

    def shut(self, why: str) -> None:
        """The session is lost (`why`), or the client leaves the room ("")."""
        if self.spans and self.spans[-1].end is None:
            last = self.spans[-1]
            last.end, last.why = max(self.top, last.start), why

    def gap(self, said: GapSaid, tally: Tally) -> None:
        """The client is told that it will not get some events."""
        first = self.after((said.epoch, said.first - 1))
        upto = (said.epoch, said.last if said.last is not None else _END[1])
        told = DECLARED if said.why in _NEVER else EXCUSED
        beyond = {_OPEN} if said.last is None else _BOUNDED
        for index in self._unheard(first, self.after(upto)):
            if said.why not in beyond and not self._is_of(index, said.t):
                continue  # nobody can declare what is not there yet
            in_time = self.spots[index] > self.top
            self.heard[index] = told if in_time else LATE
            if in_time:
                _count(tally, said.why)

    def _unheard(self, first: int, beyond: int) -> Iterator[int]:
        index = self.heard.find(UNHEARD, first, beyond)
        while index >= 0:
            yield index
            index = self.heard.find(UNHEARD, index + 1, beyond)


def _count(tally: Tally, why: str) -> None:
    """One more event was declared."""
    tally.count("declared_events")
    tally.count(f"declared_events {why}")


class Hearing:
    """One client in one room."""

    def __init__(self, client: str, room: str, table: Table, tally: Tally) -> None:
        self.client = client
        self.room = room
        self.joined = False
        self._ears = {origin: Ear.of(lane) for origin, lane in table.owed.get(room, {}).items()}
        self._tally = tally
        self._early: list[tuple[str, Spot, str, Where]] = []

    # --- being in the room ---------------------------------------------------------------------

    def open(self, at: Places, t: int) -> None:
        """The client is told that it is in the room: it is owed what comes after `at`."""
        self.joined = True
        for origin, ear in self._ears.items():
            ear.open(at.get(origin, _NO), t, self._tally)

    def early(self, record: Delivered, text: str, where: Where) -> None:
        """An event came while the client was not in the room: unless a READY covers it, wrongly.

        What comes between IDENTIFY and READY is of the session that begins.
        """
        self._early.append((record.origin, (record.epoch, record.seq), text, where))

    def began(self, at: Places) -> None:
        """A session begins, whose READY covers what came up to `at`."""
        for origin, spot, text, where in self._early:
            if spot > at.get(origin, _NO):
                self._tally.add("misdelivered", text, where)
        self._early.clear()

    def shut(self, why: str) -> None:
        """The session is lost (`why`), or the client leaves the room ("")."""
        self.joined = False
        for ear in self._ears.values():
            ear.shut(why)

    def gap(self, said: GapSaid) -> None:
        """The client is told that it will not get some events."""
        if (ear := self._ears.get(said.origin)) is not None:
            ear.gap(said, self._tally)

    # --- events --------------------------------------------------------------------------------

    def came(self, record: Delivered, event: Event, where: Where) -> bool:
        """An event came on the wire; whether it was new."""
        ear = self._ears.get(record.origin)
        if ear is None or event.index < 0 or event.room != self.room:
            return False  # not in the stream, or of another room: judged there
        spot, before, late = (record.epoch, record.seq), ear.heard[event.index], False
        ear.heard[event.index] = HEARD
        if before == HEARD:
            self._tally.count("raw_repeats")
            text = f"{self.client} was sent {event.name} twice in one session"
            self._tally.add("resent", text, where)
        elif spot < ear.top:
            late = True
            text = f"{self.client} got {event.name} after {ear.top[0]}/{ear.top[1]}"
            self._tally.add("reordered", text, where)
        span = ear.spans[-1] if ear.spans else None
        if record.replayed and span is not None and span.end is None and spot <= span.start:
            text = f"{self.client} was sent {event.name} again, from before its session began"
            self._tally.add("outside_window", text, where)
        if before == BEFORE:
            self._tally.count("raw_repeats")
        elif before == DECLARED:
            self._tally.count("declared_delivered")
        ear.top = max(ear.top, spot)
        if record.app:
            self._take(ear, record, event, where, told=late)
        return before not in {HEARD, BEFORE}

    def surfaced(self, record: Surfaced, event: Event | None, where: Where) -> None:
        """The application got an event that no frame of its own brought."""
        ear = self._ears.get(record.origin)
        if ear is None or event is None or event.index < 0 or event.room != self.room:
            text = f"{self.client}'s application got {record.id}, which was not delivered"
            self._tally.add("phantom", text, where)
            return
        self._take(ear, record, event, where, told=False)

    def _take(
        self, ear: Ear, record: Delivered | Surfaced, event: Event, where: Where, *, told: bool
    ) -> None:
        if ear.got[event.index] or self._got_twin(event):
            text = f"{self.client}'s application got {event.name} again"
            self._tally.add("repeated", text, where)
            return
        ear.got[event.index] = 1
        spot = (record.epoch, record.seq)
        number, before = record.number, ear.numbers.get(record.user, 0)
        if not told and (spot < ear.app_top or number <= before):
            text = f"{self.client}'s application got {event.name} after"
            text += f" #{before}" if number <= before else f" {ear.app_top[0]}/{ear.app_top[1]}"
            self._tally.add("reordered", text, where)
        ear.app_top = max(ear.app_top, spot)
        ear.numbers[record.user] = max(number, before)

    def _got_twin(self, event: Event) -> bool:
        """Whether the application got the same publish from another place."""
        if event.publish is None or len(event.publish.events) < 2:
            return False
        for twin in event.publish.events:
            ear = self._ears.get(twin.place[0])
            if twin is not event and ear is not None and twin.index >= 0 and ear.got[twin.index]:
                return True
        return False

    # --- the end -------------------------------------------------------------------------------

    def close(self, last: Places | None) -> None:
        """No more comes: judge what did not. `last` is the client's last cursor, where known."""
        self.began({})
        for origin, ear in self._ears.items():
            self._check_holes(ear, (last or {}).get(origin, _NO))
            if ear.heard.translate(_HEARD_AT_ALL) != ear.got:
                self._check_swallowed(ear)

    def _check_holes(self, ear: Ear, last: Spot) -> None:
        newest = max(last, ear.top)
        before = 0  # index up to which spans were looked at
        for span in ear.spans:
            first = ear.after(span.start)
            for index in range(before, first):
                publish = ear.events[index].publish
                if ear.heard[index] == UNHEARD and publish is not None and publish.t > span.t:
                    self._hole(ear, index, index + 1, "published after it was told it is there")
            beyond = len(ear.events) if span.end is None else ear.after(span.end)
            self._check_span(ear, first, beyond, newest if span.end is None else span.end)
            before = max(before, beyond)
        if ear.spans and ear.spans[-1].why:
            ear.open(_END, 1 << 62, self._tally)  # no new session came: it was told of all the rest

    def _check_span(self, ear: Ear, first: int, beyond: int, newest: Spot) -> None:
        run: list[int] = []
        for index in range(first, beyond):
            if ear.heard[index] == LATE:
                text = f"{self.client} was told too late that {ear.events[index].name} is missing"
                self._tally.add("late_gaps", text, ear.events[index].where)
            owed = ear.spots[index] <= newest or ear.events[index].acked_t
            if ear.heard[index] == UNHEARD and owed:
                run.append(index)
            elif run and ear.heard[index] != UNHEARD:
                self._hole(ear, run[0], run[-1] + 1, "")
                run = []
        if run:
            self._hole(ear, run[0], run[-1] + 1, "")

    def _hole(self, ear: Ear, first: int, beyond: int, why: str) -> None:
        count = sum(ear.heard[index] == UNHEARD for index in range(first, beyond))
        event = ear.events[first]
        heard, kind = ear.heard.translate(_HEARD_AT_ALL), "middle"
        if heard.find(1, 0, first) < 0:
            kind = "prefix"
        elif heard.find(1, beyond) < 0:
            kind = "postfix"
        more = f" and {count - 1} after it" if count > 1 else ""
        text = f"{self.client} never got {event.name}{more}: {why or kind}"
        self._tally.add("missing", text, event.where, count=count)
        self._tally.add("undeclared_gaps", text, event.where)

    def _check_swallowed(self, ear: Ear) -> None:
        for index, event in enumerate(ear.events):
            heard = ear.heard[index] in {HEARD, BEFORE}
            if heard and not ear.got[index] and not self._got_twin(event):
                text = f"{self.client}'s application never got {event.name}, which was delivered"
                self._tally.add("missing", text, event.where)
