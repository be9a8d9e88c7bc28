"""What sessions are owed: events that the live feed passed over where they were before.

A cursor says that everything up to it was delivered. Where its region's live feed had passed over
events, found later, that is not so: who resumes with it is sent them first, and who has resumed in
the last minute, or since its region fell silent, is sent them when they are found.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from weakref import WeakSet

from relay.bus.following import Following
from relay.core.codes import EventName
from relay.core.cursor import Cursor
from relay.core.event import Event, RoomKey
from relay.core.feed import Feed
from relay.core.hole import Hole, Owed, Passed, owed, passed
from relay.edge import clock
from relay.edge.connection import ClientConnection
from relay.edge.holes import HoleLog
from relay.edge.hub import Hub, gap
from relay.edge.jumps import Dealt, Jumps
from relay.edge.replays import Replays
from relay.errors import BusError
from relay.tasks import Tasks

REMEMBERED_S = 60.0
REMEMBERED = 20_000  # sessions, or their requests with cursors of their own
MOST = 8_192  # events of a hole and a session's rooms; beyond, all of the hole is declared

Given = tuple[Dealt, ...]


@dataclass(slots=True, eq=False)
class Came:
    """A session that came with a cursor, for these rooms."""

    at_s: float
    connection: ClientConnection
    cursor: Cursor
    rooms: set[RoomKey] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)  # of the rooms that it came to last: to send
    joined: bool = False
    seated: int | None = None  # `Jumps.stamp` when it was in the live feed, where the edge stands
    paid: set[tuple[str, int]] = field(default_factory=set)  # has, or was told: origin and sequence
    pending: list[tuple[Passed, Given]] = field(default_factory=list)  # until it has joined

    def unpaid(self, events: Iterable[Event]) -> list[Event]:
        """Those that were neither sent nor declared yet: two edges may have recorded the same."""
        fresh = [event for event in events if (event.origin, event.seq) not in self.paid]
        self.paid.update((event.origin, event.seq) for event in fresh)
        return fresh


class Owing:
    """Sends sessions of one edge what they are owed."""

    def __init__(
        self,
        holes: HoleLog,
        jumps: Jumps,
        replays: Replays,
        following: Following,
        hub: Hub,
        feeds: Mapping[str, Feed],
        is_late: Callable[[str], bool],
    ) -> None:
        """`is_late`: whether what a region recorded may be on its way here."""
        self._holes = holes
        self._jumps = jumps
        self._replays = replays
        self._following = following
        self._hub = hub
        self._feeds = feeds
        self._is_late = is_late
        self._tasks = Tasks("owing")
        self._came: deque[Came] = deque()
        self._too_many: WeakSet[ClientConnection] = WeakSet()  # came lately, and not remembered
        self._forgot_s = float("-inf")
        self.paid = 0  # events sent

    async def close(self) -> None:
        """End what is being paid."""
        await self._tasks.close()

    async def came(
        self,
        connection: ClientConnection,
        rooms: frozenset[RoomKey],
        cursor: Cursor,
        known: Iterable[Came] = (),
    ) -> Came:
        """What a session is owed that comes to rooms with a cursor; it is remembered.

        Events for which it is too late are declared here.

        Args:
            connection: of the session.
            rooms: that it comes to.
            cursor: with which.
            known: what the same request has brought already.

        Raises:
            UnavailableError: NATS did not answer.
        """
        came = next((each for each in known if each.cursor == cursor), None)
        if came is None:
            came = Came(clock.now().mono_s, connection, cursor)
            self._remember(came)
        came.rooms |= rooms
        came.events = []
        holes = self._holes.passed(cursor)
        for hole in holes:
            if hole.origin not in self._feeds:
                continue
            if (oldest := self._replays.oldest(hole.origin)) > hole.first:
                # What limits have dropped of it, nobody knows any more.
                gone = min(hole.last, oldest - 1)
                d = gap(hole.origin, self._hub.epochs()[hole.origin], hole.first, gone, "expired")
                connection.dispatch(EventName.GAP, d)
                if gone == hole.last:
                    continue
                hole = replace(hole, first=oldest)  # noqa: PLW2901 (the rest of it)
            due = await self._owed(hole, rooms, holes)
            if due is None:
                self._declare_all(connection, hole)
                continue
            self._declare(came, due.late)
            came.events += came.unpaid(due.events)
        came.events.sort(key=lambda event: (event.origin, event.seq))
        self.paid += len(came.events)
        return came

    def _remember(self, came: Came) -> None:
        self._came.append(came)
        while len(self._came) > REMEMBERED:
            self._too_many.add(self._came.popleft().connection)

    def seat(self, came: Came) -> None:
        """The session is in the live feed now: what this edge dispatches late reaches it."""
        came.joined = True
        if came.connection.ahead is None:
            came.seated = self._jumps.stamp
        if came.pending:
            self._tasks.spawn(self._pay_pending(came), "pending")

    async def _pay_pending(self, came: Came) -> None:
        pending, came.pending = came.pending, []
        for hole, dealt in pending:
            await self._pay(came, hole, dealt)

    async def turn(self) -> None:
        """Once a second: follow the record of holes, and pay who has resumed since.

        Raises:
            BusError: NATS did not answer; holes that were read are not read again.
        """
        self._forget_old(clock.now().mono_s)
        for hole, dealt in await self._jumps.turn():
            for forgotten in list(self._too_many):
                forgotten.close(4000)  # it comes again with its cursor, and is sent what it is owed
            self._too_many.clear()
            for came in list(self._came):
                # Also of one that was known when it came: what was not dealt with, nobody had.
                if came.connection.alive:
                    for each, given in self._concerned(came.cursor, hole, dealt):
                        if came.joined:
                            await self._pay(came, each, given)
                        else:
                            came.pending.append((each, given))

    def _forget_old(self, now_s: float) -> None:
        """Who is gone, and of whom a hole that he passed would be known by now."""
        if now_s - self._forgot_s < 1.0:
            return
        self._forgot_s = now_s
        late: dict[str, bool] = {}
        kept: deque[Came] = deque()
        for came in self._came:
            region = came.cursor.region
            if region not in late:
                # One that was removed records nothing any more.
                late[region] = region in self._feeds and self._is_late(region)
            if late[region]:
                came.at_s = now_s  # the minute begins when its region's records come again
            if came.connection.alive and now_s - came.at_s <= REMEMBERED_S:
                kept.append(came)
        self._came = kept

    def _concerned(
        self, cursor: Cursor, hole: Hole, dealt: Given
    ) -> Iterable[tuple[Passed, Given]]:
        """A hole that is known now, where a cursor has passed it; and those before it: what seemed
        to show that nothing of a room was missing there may lie in this one.
        """
        for new in passed([hole], cursor):
            for each in self._holes.passed(cursor):
                if each.origin == new.origin and each.last < new.first and not each.skipped:
                    yield each, self._jumps.given(each.origin, each.first, each.last)
            yield new, dealt

    async def _pay(self, came: Came, hole: Passed, dealt: Given) -> None:
        """Send what a session is owed, but for what this edge dispatched to it."""
        connection = came.connection
        if hole.origin not in self._feeds:
            return  # an origin that was removed: a GAP said so
        for given in dealt:
            if came.seated is not None and came.seated < given.stamp:
                # From this edge's own dispatch.
                came.paid.update((given.origin, seq) for seq in given.events)
        rooms, holes = came.rooms & connection.seated, self._holes.passed(came.cursor)
        try:
            due = await self._owed(hole, rooms, holes)
        except BusError:
            due = None  # it can't be had now, and the record is not read again
        if due is None:
            self._declare_all(connection, hole)
            return
        feed = self._feeds[hole.origin]
        gone = {key for key in rooms if feed.newest(key) > hole.cursor_seq}
        # Later ones of these rooms went out already.
        self._declare(came, [*due.late, *(event for event in due.events if event.key in gone)])
        for event in came.unpaid(event for event in due.events if event.key not in gone):
            cursor = self._hub.cursor_of(connection)
            connection.write(self._hub.framed(connection.codec, event, None, cursor))
            self.paid += 1

    def _declare_all(self, connection: ClientConnection, hole: Passed) -> None:
        """Say that what of a hole the session has not got does not come."""
        epoch = self._hub.epochs()[hole.origin]
        d = gap(hole.origin, epoch, hole.first, hole.last, "late")
        connection.dispatch(EventName.GAP, d)

    def _declare(self, came: Came, late: Iterable[Event]) -> None:
        """Say which of these, in order, does not come: in one piece what is so in a room."""
        runs: dict[RoomKey, tuple[Event, Event]] = {}
        for event in late:
            run = runs.get(event.key)
            fresh = bool(came.unpaid([event]))
            if run is not None and (not fresh or run[0].epoch != event.epoch):
                self._say(came, *runs.pop(event.key))
                run = None
            if fresh:
                runs[event.key] = (event if run is None else run[0], event)
        for run in runs.values():
            self._say(came, *run)

    def _say(self, came: Came, first: Event, last: Event) -> None:
        d = gap(first.origin, first.epoch, first.seq, last.seq, "late", first.room)
        came.connection.dispatch(EventName.GAP, d)

    async def _owed(
        self, hole: Passed, rooms: Collection[RoomKey], holes: Iterable[Passed]
    ) -> Owed | None:
        """What of a hole a session has not got; `holes`: all that it has passed.

        None: there is too much of it.
        """
        events: list[Event] = []
        async for part in self._replays.events(hole.origin, rooms, hole.first - 1, hole.last):
            events.extend(part)
            if len(events) > MOST:
                return None
        others = [each for each in holes if each.origin == hole.origin and each != hole]
        newest: dict[RoomKey, int] = {}
        for event in events:
            if event.key not in newest:
                newest[event.key] = await self._newest(event, hole, others)
        return owed(hole, events, newest)

    async def _newest(self, event: Event, hole: Passed, others: Collection[Passed]) -> int:
        """The first that an event's room has behind a hole and up to the cursor, and which is in no
        other hole: that one did not come either. 0: there is none.
        """
        after = hole.last
        while seq := await self._following.within(event, after, hole.cursor_seq):
            upto = max((each.last for each in others if each.first <= seq <= each.last), default=0)
            if not upto:
                return seq
            after = upto
        return 0
