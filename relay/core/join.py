"""How a session joins rooms: replay and live feed, without a hole or a repeat.

The live feed is joined first, the replay is read second: live events beyond the replay's end are
held until it is done; what the replay has sent is dropped from the live feed.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from relay.core.event import Event, RoomKey

HELD_BYTES = 512 * 1024  # of live events, for one session: they go out in one piece
FRAME_BYTES = 300  # about what an event's frame has besides its data
SENT_KEPT = 65_536  # sequences of one origin that a join remembers to have sent


class _Sent:
    """What of one origin a join has sent: sequences, as they went out, in order."""

    __slots__ = ("seqs", "since")

    def __init__(self) -> None:
        self.seqs = array("Q")
        self.since = 0  # what is below was forgotten

    def add(self, seq: int) -> None:
        self.seqs.append(seq)
        if len(self.seqs) > SENT_KEPT:
            del self.seqs[: SENT_KEPT // 2]
            self.since = self.seqs[0]

    def __contains__(self, seq: int) -> bool:
        at = bisect_left(self.seqs, seq)
        return at < len(self.seqs) and self.seqs[at] == seq


@dataclass(slots=True)
class Join:
    """One RESUME or one SUBSCRIBE in progress.

    `sent` holds, per origin, the sequence up to which the session has everything of these rooms:
    what the client presented, then what was replayed. `target` is where the live feed takes over.

    What the edge dispatches below that may be one that the live feed had passed over until now: the
    replay may have gone past its place without it. So it is kept until the replay is done, and sent
    then, unless the replay has; or declared, where later ones of its room went out already.
    """

    rooms: frozenset[RoomKey]
    sent: dict[str, int]
    target: dict[str, int]
    buffer_events: int
    held_bytes: int = HELD_BYTES
    # The session was in these rooms, and got what the edge dispatched up to these positions; empty:
    # it was not.
    dispatched: Mapping[str, int] = field(default_factory=dict)
    # Origin -> what is above was asked for, as the newest events, though the session begins later.
    asked_above: dict[str, int] = field(default_factory=dict)
    left: set[RoomKey] = field(default_factory=set)  # rooms that it has left meanwhile
    late: list[Event] = field(default_factory=list)  # by `release`: to be declared
    replayed: int = 0
    overflows: int = 0
    _began: dict[str, int] = field(default_factory=dict)
    _held: list[Event] = field(default_factory=list)  # beyond the target, as they came
    _held_bytes: int = 0
    _overflowed: bool = False
    _doubtful: dict[tuple[str, int], Event] = field(default_factory=dict)  # up to the target
    _doubtful_bytes: int = 0
    _too_late: set[tuple[str, int]] = field(default_factory=set)  # of those, to be declared at best
    _told: dict[str, _Sent] = field(default_factory=dict)
    _newest: dict[tuple[str, RoomKey], int] = field(default_factory=dict)  # sent, of each room

    def __post_init__(self) -> None:
        self._began = dict(self.sent)

    @property
    def missing(self) -> dict[str, tuple[int, int]]:
        """Per origin the range of sequences to replay: (after, up to)."""
        return {
            origin: (self.sent.get(origin, 0), target)
            for origin, target in self.target.items()
            if self.sent.get(origin, 0) < target
        }

    def live(self, event: Event) -> None:
        """The edge dispatches an event of one of these rooms."""
        origin, seq = event.origin, event.seq
        if self._is_before(origin, seq):
            return
        if seq <= max(self.sent.get(origin, 0), self.target.get(origin, 0)):
            self._doubt(event)
            return
        if self._overflowed or event.key in self.left:
            return
        self._held_bytes += len(event.data) + FRAME_BYTES
        if len(self._held) >= self.buffer_events or self._held_bytes > self.held_bytes:
            # The stream has it as well: replay up to a later target instead.
            self._held.clear()
            self._held_bytes = 0
            self._overflowed = True
            self.overflows += 1
            return
        self._held.append(event)

    def missed(self, event: Event) -> None:
        """An event was found after later ones of its room were delivered, to who is seated."""
        origin, seq = event.origin, event.seq
        if self._is_before(origin, seq):
            return
        if seq <= self.dispatched.get(origin, 0):
            self._too_late.add((origin, seq))
        self._doubt(event)

    def _is_before(self, origin: str, seq: int) -> bool:
        """Whether the client has it, or was told what it is owed, or did not ask for it."""
        if seq > self.asked_above.get(origin, seq):
            return False
        return self.dispatched.get(origin, 0) < seq <= self._began.get(origin, 0)

    def ask_newest(self, origins: Iterable[str]) -> None:
        """The newest events of the room are to be read now: what the edge finds, may be one."""
        self.asked_above = dict.fromkeys(origins, 0)

    def show(self, events: Sequence[Event], *, more: bool) -> None:
        """The newest events of the room are sent now; `more`: there are older ones, not asked for.

        What the edge has found since they were asked for, or finds yet, is one of them where it is
        newer than the oldest.
        """
        for origin in self.asked_above if more else ():
            seqs = [event.seq for event in events if event.origin == origin]
            self.asked_above[origin] = min(seqs, default=self._began.get(origin, 0))
        for event in sorted(events, key=_place):
            self._note(event)

    def _doubt(self, event: Event) -> None:
        place = event.origin, event.seq
        self._doubtful_bytes += len(event.data) + FRAME_BYTES
        if self._doubtful_bytes > self.held_bytes:
            event = replace(event, data=b"")
            self._too_late.add(place)
        self._doubtful[place] = event

    def replay(self, event: Event) -> bool:
        """The replay has read an event. Whether to send it now."""
        if event.seq <= self.sent.get(event.origin, 0) or event.key in self.left:
            return False
        self._send(event)
        return True

    def _send(self, event: Event) -> None:
        self.sent[event.origin] = max(self.sent.get(event.origin, 0), event.seq)
        self.replayed += 1
        self._note(event)

    def _note(self, event: Event) -> None:
        origin, seq = event.origin, event.seq
        told = self._told.get(origin)
        if told is None:
            told = self._told[origin] = _Sent()
        if not told.seqs or seq > told.seqs[-1]:
            told.add(seq)
        room = origin, event.key
        self._newest[room] = max(self._newest.get(room, 0), seq)

    def read_up_to(self, origin: str, seq: int) -> None:
        """The replay has read all of `origin` up to `seq`: there was nothing more to send."""
        self.sent[origin] = max(self.sent.get(origin, 0), seq)

    @property
    def overflowed(self) -> bool:
        """Whether more came live than is held: `retarget`, and replay further."""
        return self._overflowed

    def retarget(self, positions: Mapping[str, int]) -> None:
        """Let the live feed take over at the edge's positions of now."""
        self._overflowed = False
        for origin, position in positions.items():
            self.target[origin] = max(self.target.get(origin, 0), position)

    def release(self) -> Iterator[Event]:
        """The replay has reached its target, and nothing overflowed: what was held, to be sent.

        `sent` is up to date as each is yielded; `late` is whole at the end.
        """
        assert not self._overflowed, "retarget first"
        assert not self.missing, "the replay is not done"
        for event in (*sorted(self._doubtful.values(), key=_place), *self._held):
            place, told = (event.origin, event.seq), self._told.get(event.origin)
            if event.key in self.left or (told is not None and event.seq in told):
                continue
            if self._is_before(*place):
                continue  # the newest events were asked for, and it is older
            forgotten = told is not None and event.seq < told.since
            later = self._newest.get((event.origin, event.key), 0) > event.seq
            if forgotten or later or place in self._too_late:
                self.late.append(event)
                continue
            self._send(event)
            yield event
        self._held.clear()
        self._doubtful.clear()

    def settle(self, positions: Mapping[str, int]) -> None:
        """The session stands at the edge's positions, or beyond."""
        for origin, position in positions.items():
            self.read_up_to(origin, position)


def _place(event: Event) -> tuple[str, int]:
    return event.origin, event.seq


@dataclass(slots=True)
class Ahead:
    """A session that has more than its edge has delivered, for some origins.

    It came from a region whose copy was further. Until the edge has caught up, its frames are
    its own: what it has is not sent again, and its cursor never steps back.
    """

    seqs: dict[str, int]

    @classmethod
    def of(cls, sent: Mapping[str, int], positions: Mapping[str, int]) -> "Ahead | None":
        """None when the session stands where its edge stands."""
        seqs = {origin: seq for origin, seq in sent.items() if seq > positions.get(origin, 0)}
        return cls(seqs) if seqs else None

    def wants(self, event: Event) -> bool:
        """Whether the session lacks an event that the edge dispatches."""
        return event.seq > self.seqs.get(event.origin, 0)

    def caught_up(self, positions: Mapping[str, int]) -> bool:
        """Whether the edge has delivered all that the session has."""
        for origin in [o for o, seq in self.seqs.items() if positions.get(o, 0) >= seq]:
            del self.seqs[origin]
        return not self.seqs
