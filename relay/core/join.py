"""How a session joins rooms: replay and live feed, without a hole or a repeat.

The live feed is joined first, the replay is read second: live events beyond the replay's end are
held until it is done; what the replay has sent is dropped from the live feed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from relay.core.event import Event, RoomKey

HELD_BYTES = 512 * 1024  # of live events, for one session: they go out in one piece
FRAME_BYTES = 300  # about what an event's frame has besides its data


@dataclass(slots=True)
class Join:
    """One RESUME or one SUBSCRIBE in progress.

    `sent` holds, per origin, the sequence up to which the session has everything of these rooms:
    what the client presented, then what was replayed. `target` is where the live feed takes over.
    """

    rooms: frozenset[RoomKey]
    sent: dict[str, int]
    target: dict[str, int]
    buffer_events: int
    held_bytes: int = HELD_BYTES
    interrupted: bool = False  # the session was in these rooms, and has got all up to `sent`
    left: set[RoomKey] = field(default_factory=set)  # rooms that it has left meanwhile
    late: list[Event] = field(default_factory=list)  # found below `sent`: to be declared
    replayed: int = 0
    overflows: int = 0
    _held: list[Event] = field(default_factory=list)
    _held_bytes: int = 0
    _overflowed: bool = False

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
        if event.seq <= max(self.sent.get(event.origin, 0), self.target.get(event.origin, 0)):
            return  # the replay sends it, or the client has it
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

    def replay(self, event: Event) -> bool:
        """The replay has read an event. Whether to send it now."""
        if event.seq <= self.sent.get(event.origin, 0) or event.key in self.left:
            return False
        self.sent[event.origin] = event.seq
        self.replayed += 1
        return True

    def missed(self, event: Event) -> None:
        """An event was found after later ones of its room were delivered, also to this session."""
        if self.interrupted and event.seq <= self.sent.get(event.origin, 0):
            self.late.append(event)

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
        """The replay has reached its target, and nothing overflowed: the held events, to be sent.

        `sent` is up to date as each is yielded.
        """
        assert not self._overflowed, "retarget first"
        assert not self.missing, "the replay is not done"
        for event in self._held:
            if self.replay(event):
                yield event
        self._held.clear()

    def settle(self, positions: Mapping[str, int]) -> None:
        """The session stands at the edge's positions, or beyond."""
        for origin, position in positions.items():
            self.read_up_to(origin, position)


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
