"""What an edge knows of one origin's stream: how far everything in its rooms has been delivered.

Events republished by the region's copy of the stream arrive in stream order, at most once. The
feed turns that into: each event of each local room once, in order, and a position that passes no
event that is known to be missing. Where the order shows a hole (a room's event names another
predecessor than the one that came; the connection was lost; no marker for too long), the position
stays, live events are held, and one scan of the stream fills in what is missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from relay.core.delivered import Delivered
from relay.core.event import Event, RoomKey
from relay.core.hold import Hold
from relay.core.names import MARK_ROOM, SYSTEM_TENANT

MARK: RoomKey = (SYSTEM_TENANT, MARK_ROOM)
# A leader that died may have stored and acknowledged events that are never republished. Markers
# come once a second, so an event that is stamped, or arrives, this long after the last one may
# have lost others before it: it does not pass before the stream was read.
MARK_SILENCE_MS = 2_500
TURNS = 8  # of epochs that are remembered
UNHEARD = 8  # runs of what did not come, in a stretch that a copy has jumped over


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Deliver `event`; the edge's position for its origin is then `position`."""

    event: Event
    position: int


@dataclass(frozen=True, slots=True)
class Moved:
    """The position moved without an event for a local room (a marker, or others' events)."""

    position: int


@dataclass(frozen=True, slots=True)
class Scan:
    """Read the stream from `first` to its head, and hand the pages to `scanned`."""

    first: int


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """The origin started a new epoch: what the old one held after `position` never comes."""

    old: int
    new: int
    position: int


@dataclass(frozen=True, slots=True)
class Missed:
    """An event of a local room was found after later ones of the room had been delivered."""

    event: Event


@dataclass(frozen=True, slots=True)
class Overlooked:
    """As `Missed`, and so was it by whoever has a cursor beyond it: the copy had skipped it."""

    event: Event


Action = Dispatch | Moved | Scan | NewEpoch | Missed | Overlooked


@dataclass(slots=True)
class Feed:
    """The feed of one origin, in one edge. Starts repairing: the first scan makes it live."""

    origin: str
    epoch: int
    position: int
    held: Hold  # what came live while the stream is read
    marked_ms: int = 0  # stamp of the newest marker, or of what a scan has proved complete
    heard_ms: int = 0  # when it arrived here
    marked_seq: int = 0  # its sequence: no event up to here is missing
    holes: int = 0
    overflows: int = 0
    repairing: bool = False
    doubtful: bool = False  # what is read may have been missed live; else it only came sooner
    dropped: int = 0  # what came live up to here was not held, and is to be read
    ahead: int = 0  # the stream was read up to here, and the region's copy had not come as far yet
    _connected: bool = True
    _next: int = 0  # where the scan that runs goes on
    _overflowed: bool = False
    _tails: dict[RoomKey, int] = field(default_factory=dict)
    _bases: dict[RoomKey, int] = field(default_factory=dict)  # where the room was joined
    _joining: dict[RoomKey, list[tuple[int, int]]] = field(default_factory=dict)
    _scanned: dict[RoomKey, int] = field(default_factory=dict)  # of rooms that are being joined
    _delivered: Delivered = field(default_factory=Delivered)
    _turns: list[NewEpoch] = field(default_factory=list)  # the newest

    def __post_init__(self) -> None:
        self.marked_seq = self.position  # no room was joined before

    # --- rooms ---------------------------------------------------------------------------------

    def joining(self, room: RoomKey) -> int:
        """The room's live path is being opened. Returns the sequence its own scan starts after."""
        self._joining[room] = []
        self._scanned[room] = 0
        return self.position

    def joined(self, room: RoomKey, last: int) -> int | None:
        """The room's own scan has read up to `last` (its newest event, or where it started).

        Returns:
            None when the live path joins it without a hole: the room is watched from now on.
            Else the sequence after which the room must be scanned again.
        """
        tail = last
        for seq, previous in self._joining[room]:
            if seq <= tail:
                continue
            if previous > tail:
                self._joining[room] = []
                return tail
            tail = seq
        if self._scanned[room] > tail:
            # A scan read further than the room's own, at the origin: a mirror here is behind.
            self._joining[room] = []
            return tail
        del self._joining[room], self._scanned[room]
        self._tails[room] = self._bases[room] = tail
        return None

    def reach(self, room: RoomKey) -> int:
        """Up to where a watched room has been read: what comes live is beyond it."""
        return max(self.position, self._tails.get(room, 0))

    def base(self, room: RoomKey) -> int:
        """Where a watched room was joined: every event of it beyond has been, or will be, given."""
        return self._bases[room]

    def newest(self, room: RoomKey) -> int:
        """The newest event of a watched room that was given, or read when it was joined."""
        return self._tails.get(room, 0)

    def leave(self, room: RoomKey) -> None:
        """The room has no local members any more."""
        self._tails.pop(room, None)
        self._bases.pop(room, None)
        self._joining.pop(room, None)
        self._scanned.pop(room, None)

    def unheard_in(self, first: int, last: int) -> list[tuple[int, int]]:
        """The runs of these sequences that did not come, or nobody remembers whether they did.

        That one came says nothing of the others: before it and behind it a copy may have skipped.
        """
        return self._delivered.absent(first, last, UNHEARD)

    # --- the live path -------------------------------------------------------------------------

    def live(self, event: Event, now_ms: int) -> Sequence[Action]:
        """A republished event arrived, at `now_ms` by a clock that does not step."""
        if self.repairing:
            self._hold(event, now_ms)
            return ()
        return self._next_live(event, now_ms)

    def _next_live(self, event: Event, now_ms: int) -> Sequence[Action]:
        key = event.key
        tail = self._tails.get(key)
        if tail is not None and event.seq <= tail:
            return self._again(event)
        if event.epoch > self.epoch:
            if key == MARK:
                return self._turn_epoch(event, now_ms)
            if event.seq >= self._next:
                # Anybody may claim that; who reads the stream asks what edges wrote to say so.
                return self._repair_before(event, now_ms, self.position + 1)
            event = replace(event, epoch=self.epoch)  # the scan has found that it is not so
        if 0 < self.ahead < event.seq:
            # The copy has come as far now, or has skipped what lay between, and behind.
            return self._repair_before(event, now_ms, self.position + 1)
        if self._silent(event, now_ms):
            return self._repair_before(event, now_ms, self.marked_seq + 1)
        if tail is None:
            joining = self._joining.get(key)
            if joining is not None:
                joining.append((event.seq, event.previous))
            elif key != MARK:
                return self._pass(event.seq)  # a room that was left meanwhile
        elif event.previous > tail:
            return self._repair_before(event, now_ms, min(tail, self.position) + 1)
        if key == MARK:
            self.heard_ms = now_ms
        return (self._deliver(event),)

    def _again(self, event: Event) -> Sequence[Action]:
        """At or below the room's newest: a scan gave it, or the copy had skipped it until now."""
        key = event.key
        if key == MARK or event.epoch != self.epoch or not self._tells(event):
            return self._pass(event.seq)
        if not self._if_missed(event):
            return self._pass(event.seq)
        return (Overlooked(event), *self._pass(event.seq))

    def _silent(self, event: Event, now_ms: int) -> bool:
        stamped_ms = event.stored_ms - self.marked_ms if self.marked_ms else 0
        return max(stamped_ms, now_ms - self.heard_ms) > MARK_SILENCE_MS

    def _turn_epoch(self, event: Event, now_ms: int) -> Sequence[Action]:
        turned = self._begin_epoch(event.epoch)
        self.marked_ms, self.marked_seq = 0, self.position
        return (turned, *self._repair_before(event, now_ms, self.position + 1))

    def _begin_epoch(self, epoch: int) -> NewEpoch:
        turned = NewEpoch(self.epoch, epoch, self.position)
        self._turns = [*self._turns[1 - TURNS :], turned]
        self.epoch = epoch
        return turned

    def passed_in(self, first: int, last: int) -> list[tuple[int, int, int]]:
        """Under which epochs the position passed these sequences: (epoch, first, last) in order."""
        runs: list[tuple[int, int, int]] = []
        for turned in self._turns:
            if first <= min(last, turned.position):
                runs.append((turned.old, first, min(last, turned.position)))
                first = turned.position + 1
        return [*runs, (self.epoch, first, last)] if first <= last else runs

    def _deliver(self, event: Event) -> Action:
        key = event.key
        if key == MARK:
            self.marked_ms, self.marked_seq = event.stored_ms, event.seq
            self._tails[MARK] = event.seq
            self._delivered.add(event.seq)
            self.position = max(self.position, event.seq)
            return Moved(self.position)
        if key in self._tails:
            self._tails[key] = event.seq
        self._delivered.add(event.seq)
        self.position = max(self.position, event.seq)
        return Dispatch(event, self.position)

    def _pass(self, seq: int) -> Sequence[Action]:
        if seq <= self.position:
            return ()
        self.position = seq
        return (Moved(seq),)

    def _hold(self, event: Event, now_ms: int) -> None:
        if not self.held.fits(event):
            # What is held is in the stream as well: the scan goes on until it has read it there.
            self.dropped = max(self.dropped, self.held.newest, event.seq)
            self.held.clear()
            self._overflowed = True
            self.overflows += 1
            return
        self.held.add(event, now_ms)

    def late(self, event: Event) -> Sequence[Action]:
        """An event was found that the region's copy had skipped, so that it never came live.

        In a room where nothing came after it, it is in order still; else it is too late for that.
        """
        tail = self._tails.get(event.key)
        if tail is None or event.key == MARK or event.seq <= self._bases[event.key]:
            return ()
        if event.seq > tail:
            return (self._deliver(event),)
        return (Missed(event),)

    def unheard(self, event: Event) -> Sequence[Action]:
        """An event of the region's copy that may have been passed over: stored, never published.

        A later event of its room shows that, but not where a mirror had skipped it and was filled
        anew since. So it counts what was delivered. Where nobody remembers that any more it is
        declared: rather one GAP too many than an event that is lost in silence.
        """
        tail = self._tails.get(event.key)
        if tail is None or event.key == MARK or event.seq <= self._bases[event.key]:
            return ()
        if event.seq > tail:
            return (self._deliver(event),)
        return self._if_missed(event)

    def _tells(self, event: Event) -> bool:
        """Whether the room was open when the event should have come, and it is remembered."""
        return event.seq > self._bases[event.key] and event.seq >= self._delivered.since

    def _if_missed(self, event: Event) -> Sequence[Action]:
        """An event below its room's newest: a hole, unless it is known to have come."""
        if event.seq in self._delivered:
            return ()
        self._delivered.add(event.seq)  # said once
        return (Missed(event),)

    # --- repair --------------------------------------------------------------------------------

    def _repair_before(self, event: Event, now_ms: int, first: int) -> Sequence[Action]:
        self.holes += 1
        self.held.add_first(event, now_ms)
        self.doubtful = True
        return self._repair(first)

    def _repair(self, first: int) -> Sequence[Action]:
        # Never from beyond what is proved complete: the scan will prove all that it covers.
        self.repairing = True
        self._next = min(first, self.marked_seq + 1)
        return (Scan(self._next),)

    @property
    def attached(self) -> bool:
        """Whether the live path works."""
        return self._connected

    def disconnected(self) -> None:
        """The live connection is lost: what is published from now on does not arrive."""
        self._connected = False
        self.repairing = self.doubtful = True
        self.held.clear()
        self._overflowed = False

    def connected(self) -> Sequence[Action]:
        """The live path works (again): read what it missed before going on."""
        self._connected = True
        self.held.clear()
        self._overflowed = False
        self.doubtful = True
        return self._repair(self.position + 1)

    def advance(self) -> Sequence[Action]:
        """Read on to the head now, rather than wait for the next event or marker."""
        if self.repairing:
            return ()
        self.doubtful = False
        return self._repair(self.position + 1)

    def rescan(self) -> Sequence[Action]:
        """The scan failed (its read timed out): start it again where it was."""
        return (Scan(self._next),) if self.repairing and self._connected else ()

    def scanned(
        self,
        events: Iterable[Event],
        next_seq: int,
        asked_ms: int,
        *,
        more: bool,
        ahead: bool = False,
    ) -> Sequence[Action]:
        """A page of the scan.

        Args:
            events: all events of the page, of whatever room, in stream order, with true epochs.
            next_seq: where the next page starts.
            asked_ms: when the page was asked for, by the clock of `live`.
            more: whether the stream held more when the page was read.
            ahead: whether the region's copy had not come as far as was read, now or before: the
                live path is taken up again with a scan, when it has.
        """
        if not (self.repairing and self._connected) or next_seq < self._next:
            return ()  # of a scan that a lost connection has overtaken
        actions: list[Action] = []
        for event in events:
            actions.extend(self._scan_one(event))
        self._next = max(self._next, next_seq)
        self.ahead = max(self.ahead, self._next - 1) if ahead else 0
        if self._next - 1 > self.position:
            self.position = self._next - 1
            actions.append(Moved(self.position))
        if more or self._overflowed:
            self._overflowed = False if not more else self._overflowed
            actions.append(Scan(self._next))
            return actions
        self.repairing = False
        self.heard_ms = max(self.heard_ms, asked_ms)  # all that was stored by then is here
        actions.extend(self._release())
        return actions

    def _scan_one(self, event: Event) -> Sequence[Action]:
        actions: list[Action] = []
        key = event.key
        if event.epoch > self.epoch:
            actions.append(self._begin_epoch(event.epoch))
        if event.stored_ms > self.marked_ms:
            self.marked_ms, self.marked_seq = event.stored_ms, event.seq
        tail = self._tails.get(key)
        if key == MARK:
            self._tails[MARK] = max(event.seq, tail or 0)
        elif key in self._joining:
            # Its own scan reads from where it started; the live path starts after this one.
            self._scanned[key] = max(self._scanned[key], event.seq)
        elif tail is not None and event.seq > tail:
            actions.append(self._deliver(event))
        elif tail is not None and self._tells(event):
            # The copy may have skipped it, and gone on with later ones of the room. (A scan also
            # meets what nobody asked about, from long before: that is told by `unheard` alone.)
            actions.extend(self._if_missed(event))
        return actions

    def _release(self) -> Sequence[Action]:
        actions: list[Action] = []
        while self.held and not self.repairing:
            event, arrived_ms = self.held.take()
            if event.seq < self._next and event.key not in self._joining:
                continue  # the scan has read it
            actions.extend(self._next_live(event, arrived_ms))
        return actions
