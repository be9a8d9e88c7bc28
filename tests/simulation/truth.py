"""What really happened: every event that a home stream ever stored, and every acknowledgement."""

from collections import Counter
from typing import NamedTuple

from relay.core.names import events_stream
from tests.simulation.nats import System
from tests.simulation.streams import Stored


class Place(NamedTuple):
    """An event's name."""

    origin: str
    epoch: int
    seq: int


class Fact(NamedTuple):
    """What an event is."""

    room: str
    user: str
    id: str
    data: bytes


class ViolationError(Exception):
    """A promise was broken."""


class Truth:
    """The omniscient record of one run."""

    def __init__(self, systems: dict[str, System]) -> None:
        self._systems = systems
        self.rooms: dict[tuple[str, str], list[Place]] = {}  # (origin, room) -> in stream order
        self.facts: dict[Place, list[Fact]] = {}  # more than one: the sequence was given out again
        self.delivered: dict[Place, Fact] = {}
        self.acked: dict[Place, tuple[str, str, str]] = {}  # room, user, id
        self.counts: Counter[str] = Counter()
        # (origin, sequence) of what a mirror skipped or came too late for, or a leader never
        # republished, and when: a
        # position may pass it, and what it is must be said afterwards.
        self.holes: dict[tuple[str, int], float] = {}
        self.muted: set[tuple[str, int]] = set()  # of them: those that a later event gives away
        self.causes: set[str] = set()  # of refusals: what was done to streams
        self._epochs: dict[str, int] = {}  # of each origin, the newest in which it stored

    def stored(self, region: str, message: Stored) -> None:
        """A home stream stored a message."""
        parts = message.subject.split(".")
        if parts[0] == "ev":
            epoch = int(message.headers.get("Jr-Epoch", "1"))
            self._epochs[region] = max(epoch, self._epochs.get(region, 1))
        if parts[0] != "ev" or parts[2] == "-":
            return
        headers = message.headers
        place = Place(region, int(headers["Jr-Epoch"]), message.seq)
        fact = Fact(parts[4], headers["Jr-User"], headers["Jr-Id"], message.data)
        known = self.facts.setdefault(place, [])
        if fact not in known:
            known.append(fact)
        of_room = self.rooms.setdefault((region, fact.room), [])
        while of_room and of_room[-1].seq >= place.seq:
            of_room.pop()  # a tail that was lost; where it is written back it comes again
        of_room.append(place)

    def held(self, place: Place, room: str) -> bool:
        """Whether any copy of the stream still has this event, and limits have not dropped it.

        One that nobody ever heard of may be lost, and another event have its sequence.
        """
        name = events_stream(place.origin)
        home = self._systems[place.origin].streams.get(name)
        if "expired" in self.causes and home is not None and home.first > place.seq:
            return False
        for system in self._systems.values():
            stream = system.streams.get(name)
            message = stream.messages.get(place.seq) if stream is not None else None
            if message is None or message.headers.get("Jr-Epoch") != str(place.epoch):
                continue
            if message.subject.endswith(f".{room}"):
                return True
        return False

    def at_home(self, place: Place) -> bool:
        """Whether the home stream has this event."""
        stream = self._systems[place.origin].streams.get(events_stream(place.origin))
        message = stream.messages.get(place.seq) if stream is not None else None
        return message is not None and message.headers.get("Jr-Epoch") == str(place.epoch)

    def epoch(self, origin: str) -> int:
        """The origin's epoch now; a stream that lost its disk does not know it for a moment."""
        stream = self._systems[origin].streams.get(events_stream(origin))
        said = int(stream.metadata.get("epoch", "1")) if stream is not None else 1
        return max(said, self._epochs.get(origin, 1))

    @property
    def new_epochs(self) -> bool:
        """Whether any origin began a new epoch."""
        return any(self.epoch(origin) > 1 for origin in self._systems)

    def deliver(self, who: str, place: Place, fact: Fact) -> None:
        """A client was sent an event.

        Raises:
            ViolationError: nobody published it, or another client got another one by that name.
        """
        self.counts["delivered"] += 1
        known = self.facts.get(place)
        if known is None or fact not in known:
            raise ViolationError(f"phantom: {who} got {place} = {fact}, stored was {known}")
        first = self.delivered.setdefault(place, fact)
        if first != fact:
            raise ViolationError(f"disagreement: {who} got {place} = {fact}, others {first}")

    def acknowledge(self, who: str, place: Place, room: str, user: str, publish_id: str) -> None:
        """A client was told that its publish is stored.

        Raises:
            ViolationError: it is not, or elsewhere.
        """
        self.counts["acknowledged"] += 1
        known = self.facts.get(place, [])
        if not any((fact.room, fact.user, fact.id) == (room, user, publish_id) for fact in known):
            raise ViolationError(f"false ack: {who}: {publish_id} in {room} is not {place}")
        self.acked[place] = (room, user, publish_id)
