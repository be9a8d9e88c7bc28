"""Every event that the ledger knows of, and who says what of it: publishers, streams, mirrors."""

from collections import defaultdict
from dataclasses import dataclass, field

from regions.ledger.record import (
    Acked,
    Asked,
    Delivered,
    Failed,
    Fork,
    Opening,
    Stored,
    Stream,
    Unknown,
    Unread,
)
from regions.ledger.tally import Tally, Where

Place = tuple[str, int, int]  # origin, epoch, seq
WINDOW_MS = 120_000  # in which a stream knows a publish's id


@dataclass(slots=True, eq=False)
class Publish:
    """One publish, as its publisher saw it."""

    user: str
    room: str
    id: str
    t: int
    number: int
    hash: str
    where: Where
    outcome: str = ""  # ok, fail, unknown; "": never answered
    acked_t: int = 0
    events: list["Event"] = field(default_factory=list)  # more than one: stored twice


@dataclass(slots=True, eq=False)
class Event:
    """What is known of one place."""

    place: Place
    room: str
    user: str | None
    id: str | None
    number: int
    hash: str
    where: Where
    publish: Publish | None = None
    acked_t: int = 0
    home: bool = False  # the origin's stream holds it
    mirrors: frozenset[str] = frozenset()
    ts: int = 0
    index: int = -1  # among the owed events of its room and origin, in order
    wrong: str = ""  # why it must not be delivered

    @property
    def name(self) -> str:
        """For people."""
        origin, epoch, seq = self.place
        return f"{origin}/{epoch}/{seq} ({self.room}, {self.user} #{self.number}, id {self.id})"


@dataclass(frozen=True, slots=True)
class Lane:
    """The events of one room and origin that its members are owed, in order."""

    events: list[Event]
    spots: list[tuple[int, int]]  # epoch and seq of each

    @classmethod
    def of(cls, events: list[Event]) -> "Lane":
        """The lane of some events, in order."""
        return cls(events, [(event.place[1], event.place[2]) for event in events])


class Table:
    """The events of some rooms."""

    def __init__(self, tally: Tally) -> None:
        self.events: dict[Place, Event] = {}
        self.publishes: dict[tuple[str | None, str, str | None], Publish] = {}
        self.streams: dict[tuple[str, str], Stream] = {}  # (region, origin)
        self.unread: dict[tuple[str, str], Where] = {}
        self._openings: dict[str, int] = {}  # origin -> where its stream began, before the crowd
        self._forks: dict[str, dict[int, int]] = defaultdict(dict)  # origin -> epoch -> its first
        self.owed: dict[str, dict[str, Lane]] = {}  # room -> origin
        self._sets: dict[tuple[frozenset[str], str], frozenset[str]] = {}
        self._tally = tally

    # --- what the records say ------------------------------------------------------------------

    def asked(self, record: Asked, where: Where) -> None:
        """A publish was asked for."""
        key = (record.client, record.room, record.id)
        if key in self.publishes:
            return
        self._tally.count("asked")
        self.publishes[key] = Publish(*key, record.t, record.number, record.hash, where)

    def acked(self, record: Acked, where: Where) -> None:
        """It was acknowledged."""
        publish = self.publishes.get((record.client, record.room, record.id))
        if publish is None:
            self._tally.add("phantom", f"an ACK for {record.id}, which was not asked for", where)
            return
        if publish.outcome != "ok":
            self._tally.count("acked")
            publish.acked_t = record.t
        publish.outcome = "ok"
        place = (record.origin, record.epoch, record.seq)
        event = self._event(
            place, record.room, record.client, record.id, publish.number, publish.hash, where,
            f"the ACK to {record.client}",
        )  # fmt: skip
        if not event.acked_t or record.t < event.acked_t:
            event.acked_t, event.where = record.t, where

    def unanswered(self, record: Failed | Unknown) -> None:
        """It failed, or nobody knows."""
        publish = self.publishes.get((record.client, record.room, record.id))
        if publish is not None and not publish.outcome:
            publish.outcome = "fail" if isinstance(record, Failed) else "unknown"
            self._tally.count("failed" if isinstance(record, Failed) else "unknown")

    def stored(self, record: Stored, where: Where) -> None:
        """A stream or a mirror holds it."""
        event = self._event(
            (record.origin, record.epoch, record.seq), record.room, record.user, record.id,
            record.number, record.hash, where, f"the copy in {record.region}",
        )  # fmt: skip
        if record.region == record.origin:
            event.home, event.ts = True, record.ts
        else:
            event.mirrors = self._with(event.mirrors, record.region)

    def scanned(self, record: Opening | Stream | Fork | Unread, where: Where) -> None:
        """What was seen of a copy of a stream as a whole."""
        match record:
            case Stream():
                self.streams[record.region, record.origin] = record
            case Unread():
                self.unread[record.region, record.origin] = where
            case Opening() if record.region == record.origin:
                self._openings[record.origin] = record.first
            case Fork() if record.region == record.origin:
                self._forks[record.origin][record.epoch] = record.first
            case _:
                pass

    def delivered(self, record: Delivered, where: Where) -> Event:
        """The event at a delivery's place; found nowhere else, it is made up from the delivery."""
        place = (record.origin, record.epoch, record.seq)
        event = self.events.get(place)
        if event is None:
            event = self._event(
                place, record.room, record.user, record.id, record.number, record.hash, where, ""
            )
            self._connect(event)
            self._miss(event, "was delivered")
        elif (
            event.hash != record.hash
            or event.id != record.id
            or event.room != record.room
            or event.user != record.user
        ):
            self._disagree(event, record.room, record.user, record.id, record.client, where)
        return event

    def _with(self, regions: frozenset[str], region: str) -> frozenset[str]:
        """The regions and one more; the same few sets serve all events."""
        key = (regions, region)
        if key not in self._sets:
            self._sets[key] = regions | {region}
        return self._sets[key]

    def _event(
        self,
        place: Place,
        room: str,
        user: str | None,
        event_id: str | None,
        number: int,
        data_hash: str,
        where: Where,
        who: str,
    ) -> Event:
        event = self.events.get(place)
        if event is None:
            event = Event(place, room, user, event_id, number, data_hash, where)
            self.events[place] = event
        elif (event.room, event.user, event.id, event.hash) != (room, user, event_id, data_hash):
            self._disagree(event, room, user, event_id, who, where)
        return event

    def _disagree(
        self,
        event: Event,
        room: str,
        user: str | None,
        event_id: str | None,
        who: str,
        where: Where,
    ) -> None:
        same = (event.room, event.user, event.id) == (room, user, event_id)
        said = "other data" if same else f"{room}, {user}, id {event_id}"
        self._tally.add("disagreements", f"{event.name}: {who} has {said}", event.where, where)

    def unforked(self) -> list[str]:
        """Origins in a new epoch of which the scan does not say where it begins."""
        return [
            origin
            for (region, origin), stream in sorted(self.streams.items())
            if region == origin and stream.epoch > 1 and stream.epoch not in self._forks[origin]
        ]

    # --- when all is known ---------------------------------------------------------------------

    def close(self) -> None:
        """All records but the deliveries are in: judge what is stored, and put it in order."""
        for event in self.events.values():
            self._connect(event)
        for event in self.events.values():
            if event.home:
                self._tally.count("stored")
                self._check_mirrors(event)
            elif event.acked_t:
                self._miss(event, "was acknowledged")
            else:
                self._check_extra(event)
        self._check_ids()
        found: dict[str, dict[str, list[Event]]] = defaultdict(lambda: defaultdict(list))
        for event in self.events.values():
            if event.home or event.acked_t:
                found[event.room][event.place[0]].append(event)
        for by_origin in found.values():
            for events in by_origin.values():
                events.sort(key=lambda event: event.place)
                for index, event in enumerate(events):
                    event.index = index
        self.owed = {
            room: {origin: Lane.of(events) for origin, events in by_origin.items()}
            for room, by_origin in found.items()
        }

    def _connect(self, event: Event) -> None:
        publish = self.publishes.get((event.user, event.room, event.id))
        event.publish = publish
        if publish is None:
            event.wrong = "nobody published it"
        else:
            publish.events.append(event)
            if publish.outcome == "fail":
                event.wrong = "its publish had failed"
            elif publish.hash != event.hash:
                event.wrong = "its publisher had said something else"
        if event.wrong:
            self._tally.add("phantom", f"{event.name}: {event.wrong}", event.where)

    def _miss(self, event: Event, how: str) -> None:
        """Its origin's stream does not hold it, in the end."""
        origin, epoch, seq = event.place
        stream = self.streams.get((origin, origin))
        if stream is None:
            return  # counted as unread
        if epoch < stream.epoch and seq >= self._fork_after(origin, epoch):
            self._tally.count("lost_by_epoch")
        elif seq >= self._first(stream):
            self._tally.add("lost", f"{event.name} {how}; {origin} does not hold it", event.where)

    def _first(self, home: Stream) -> int:
        """From which sequence on an origin, and every mirror of it, must hold all."""
        # A copy's own beginning excuses nothing: that it lost what was there is to be found.
        return self._openings.get(home.origin, home.first)

    def _fork_after(self, origin: str, epoch: int) -> int:
        """Where the epochs after `epoch` begin: what they cost lies there, and nothing before."""
        later = [first for one, first in self._forks[origin].items() if one > epoch]
        return min(later, default=0)  # not known: counted as unread

    def _check_mirrors(self, event: Event) -> None:
        origin, _, seq = event.place
        home = self.streams.get((origin, origin))
        if home is None or seq < self._first(home):
            return
        for region, of in self.streams:
            if of == origin and region != origin and region not in event.mirrors:
                text = f"{event.name}: the mirror in {region} does not hold it"
                self._tally.add("mirror_missing", text, event.where)

    def _check_extra(self, event: Event) -> None:
        """It stands in mirrors only."""
        origin, epoch, seq = event.place
        stream = self.streams.get((origin, origin))
        if (
            stream is not None
            and epoch == stream.epoch
            and self._first(stream) <= seq <= stream.last
        ):
            regions = ", ".join(sorted(event.mirrors))
            text = f"{event.name}: held by the mirrors in {regions}, not by {origin}"
            self._tally.add("disagreements", text, event.where)

    def _check_ids(self) -> None:
        """One id is stored once in a stream, within the window."""
        for publish in self.publishes.values():
            if len(publish.events) < 2:
                continue
            seen: dict[tuple[str, int], Event] = {}
            for event in sorted(publish.events, key=lambda event: event.place):
                if not event.home:
                    continue
                origin, epoch, _ = event.place
                first = seen.setdefault((origin, epoch), event)
                if first is not event and event.ts - first.ts < WINDOW_MS:
                    text = f"{first.name}: stored again as {event.place[2]}"
                    self._tally.add("stored_twice", text, first.where, event.where)
