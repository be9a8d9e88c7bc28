"""What one client was sent, and what it may conclude: the promises of the protocol, checked."""

from collections import Counter
from typing import NamedTuple

from relay.core.cursor import CursorCodec, Position
from tests.simulation.truth import Fact, Place, Truth, ViolationError

FORGOTTEN = {"expired": "expired", "epoch": "tail lost", "ahead": "tail lost"}


class Declared(NamedTuple):
    """A GAP."""

    origin: str
    epoch: int
    first: int
    last: int | None
    room: str | None
    until: int  # the origin's epoch when it was said; where the end is not known, all before it

    def covers(self, place: Place, room: str) -> bool:
        """Whether it declares this event missing."""
        if self.room not in (None, room) or self.origin != place.origin:
            return False
        if self.last is None:
            return self.epoch <= place.epoch < self.until and place.seq >= self.first
        return self.epoch == place.epoch and self.first <= place.seq <= self.last


class View:
    """One client's session, as the promises see it.

    Args:
        exact: it resumes by cursor: nothing may be sent twice.
    """

    def __init__(self, name: str, truth: Truth, cursors: CursorCodec, *, exact: bool) -> None:
        self.name = name
        self.exact = exact
        self.rooms: set[str] = set()
        self.events = 0
        self.gaps: list[Declared] = []
        self.reasons: Counter[str] = Counter()
        self.region = ""  # where it is
        self._truth = truth
        self._cursors = cursors
        self._received: set[Place] = set()
        self._of_session: set[Place] = set()
        self._floor: dict[str, Position] = {}  # what came before is none of this session's
        self._checked: dict[str, Position] = {}  # the newest cursor
        self._newest: dict[tuple[str, str], int] = {}  # per origin and room
        self._counters: dict[tuple[str, str, str], int] = {}  # per origin, room and publisher
        self._published: set[tuple[str, int, str, str, str]] = set()
        self._ids: set[tuple[str, str, str]] = set()
        self._known: dict[str, dict[str, Position]] = {}

    # --- what it is sent -----------------------------------------------------------------------

    def identify(self) -> None:
        """The client asks for a new session: what an earlier one was sent may come again."""
        self._of_session.clear()
        self._newest.clear()
        self._counters.clear()
        self._published.clear()
        self._ids.clear()

    def begin(self, cursor: str, rooms: tuple[str, ...]) -> None:
        """READY: a new session."""
        self._floor = self._checked = dict(self.positions(cursor))
        self.rooms = set(rooms)

    def event(self, place: Place, fact: Fact, number: int) -> None:
        """A MESSAGE; `number` counts its publisher's messages in the room.

        Raises:
            ViolationError: a promise is broken by it.
        """
        self._truth.deliver(self.name, place, fact)
        self.events += 1
        if place in self._of_session:
            if place[::2] in self._truth.holes:
                # Found late, it is delivered to the whole room: also to who had it elsewhere.
                self._truth.counts["KNOWN: sent again after a hole"] += 1
                return
            if self.exact:
                raise ViolationError(f"repeated: {self.name} got {place} in {fact.room} twice")
            return
        self._received.add(place)
        self._of_session.add(place)
        floor = self._floor.get(place.origin)
        if not self.exact and floor is not None and place.seq <= floor.seq:
            return  # a resume by `s` may go back to before the session
        if not self.exact and place[::2] in self._truth.holes:
            return  # or to before a hole, which another region has no part in
        key = (place.origin, fact.room)
        if place.seq <= (before := self._newest.get(key, 0)):
            raise ViolationError(f"order: {self.name} got {place} in {fact.room} after {before}")
        self._newest[key] = place.seq  # sequences grow from epoch to epoch
        published = (place.origin, place.epoch, fact.room, fact.user, fact.id)
        if published in self._published:
            raise ViolationError(f"stored twice: {self.name} got {fact} twice from {place}")
        self._published.add(published)
        known = (fact.room, fact.user, fact.id)
        if known in self._ids:
            # Another copy, of another region or epoch: its publisher was not sure of the first.
            self._truth.counts["another copy of a publish"] += 1
            return
        self._ids.add(known)
        counter = (place.origin, fact.room, fact.user)
        if number <= self._counters.get(counter, -1):
            raise ViolationError(
                f"order: {self.name} got {fact.user}'s {number} in {fact.room} of {place.origin} "
                f"after {self._counters[counter]}"
            )
        self._counters[counter] = number

    def gap(self, gap: Declared, reason: str) -> None:
        """A GAP."""
        self.gaps.append(gap)
        self.reasons[f"GAP {reason}"] += 1

    def refused(self, reason: str) -> None:
        """INVALID_SESSION false: what comes before the next READY is declared lost.

        Raises:
            ViolationError: there is no cause for it.
        """
        self.reasons[f"INVALID_SESSION {reason}"] += 1
        cause = FORGOTTEN.get(reason)
        known = self._truth.causes | ({"tail lost"} if self._truth.new_epochs else set())
        if cause is not None and cause not in known:
            raise ViolationError(f"refused without a cause: {self.name}: {reason}")

    def cursor(self, text: str) -> None:
        """A cursor: everything up to it was delivered.

        Raises:
            ViolationError: it was not, or the cursor steps back.
        """
        positions = self.positions(text)
        checked = self._checked
        if positions == checked:
            return
        for origin, place in positions.items():
            before = checked.get(origin)
            if before is None or place == before:
                continue
            if place < before:
                if self.exact:
                    raise ViolationError(f"cursor steps back: {self.name}: {before} to {place}")
                continue
            for missing in self._missing(origin, before.seq, place.seq):
                if missing[0][::2] in self._truth.holes and not self._shown(*missing):
                    self._truth.counts["hole passed, to be filled late"] += 1
                    continue
                raise ViolationError(
                    f"passed: {self.name}'s cursor goes from {before} to {place} of {origin}; "
                    f"{missing} was not delivered"
                )
        self._checked = {
            origin: max(place, checked.get(origin, place)) for origin, place in positions.items()
        }

    def positions(self, text: str) -> dict[str, Position]:
        """What a cursor says."""
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = dict(self._cursors.decode(text).positions)
        return known

    # --- what it lacks -------------------------------------------------------------------------

    def _missing(self, origin: str, after: int, upto: int | None) -> list[tuple[Place, str]]:
        floor = self._floor.get(origin, Position(0, 0))
        found: list[tuple[Place, str]] = []
        for room in sorted(self.rooms):
            for place in reversed(self._truth.rooms.get((origin, room), ())):
                if upto is not None and place.seq > upto:
                    continue
                if place.seq <= after or place.seq <= floor.seq or place.epoch < floor.epoch:
                    break
                if place in self._received or self._declared(place, room):
                    continue
                if self._truth.held(place, room):
                    found.append((place, room))
        return found

    def _shown(self, place: Place, room: str) -> bool:
        """Whether a later event of the room named it as its predecessor, and so gave it away."""
        later = self._newest.get((place.origin, room), 0) > place.seq
        return later and (place.origin, place.seq) in self._truth.muted

    def _declared(self, place: Place, room: str) -> bool:
        return any(gap.covers(place, room) for gap in self.gaps)

    def lacks(self, origins: list[str]) -> list[tuple[Place, str]]:
        """Everything stored since its session began that it was neither sent nor told of."""
        return [each for origin in origins for each in self._missing(origin, 0, None)]

    def lost(self, place: Place, room: str) -> bool:
        """Whether an event that no stream holds any more went missing in silence here."""
        floor = self._floor.get(place.origin)
        if floor is None or room not in self.rooms:
            return False
        if place.seq <= floor.seq or place.epoch < floor.epoch:
            return False
        return place not in self._received and not self._declared(place, room)
