"""What sessions are owed: events that the live feed passed over where they were before.

A cursor says that everything up to it was delivered. Where its region's live feed had passed over
events, found later, that is not so: who resumes with it is sent them first, and who has resumed in
the last minute, or since its region fell silent, is sent them when they are found.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakSet

from relay.bus.following import Following
from relay.core.codes import EventName
from relay.core.cursor import OWES_MOST, Cursor
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
REMEMBERED = 40_000  # requests with cursors of their own, once for each region that may owe
SLICE = 64  # sessions whose frames change, between which others are served
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
    flagged: bool = False  # the session's cursors say that its region may owe it something
    # It was elsewhere since it left the cursor's region: what it got there of a room says nothing
    # of what it had passed before, so all that lies in a hole may be missing.
    moved: bool = False

    def passed(self, holes: Iterable[Passed]) -> list[Passed]:
        """The holes that its cursor has passed, as they concern it."""
        return [replace(hole, skipped=True) for hole in holes] if self.moved else [*holes]

    def unpaid(self, events: Iterable[Event]) -> list[Event]:
        """Those that were neither sent nor declared yet: two edges may have recorded the same."""
        fresh = [event for event in events if (event.origin, event.seq) not in self.paid]
        self.paid.update((event.origin, event.seq) for event in fresh)
        return fresh


@dataclass(slots=True)
class Coming:
    """What a request with a cursor brings: of the cursor's region, and of those before it."""

    each: list[Came]
    events: list[Event]  # to be sent first, in order


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
        self._over: deque[Came] = deque()  # that are not remembered: but their cursors still say it
        self._turning = asyncio.Lock()
        self._too_many: WeakSet[ClientConnection] = WeakSet()  # came lately, and not remembered
        self._forgot_s = float("-inf")
        self._due: dict[str, int] = {}  # region -> newest of its holes of which all were paid, but
        # for those who are still joining
        self.paid = 0  # events sent
        self.dropped = 0  # regions that a cursor has no room for

    async def close(self) -> None:
        """End what is being paid."""
        await self._tasks.close()

    async def came(
        self,
        connection: ClientConnection,
        rooms: frozenset[RoomKey],
        cursor: Cursor,
        known: Iterable[Came] = (),
    ) -> Coming:
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
        coming = Coming([], [])
        for debt in cursor.debts:
            moved = debt is not cursor
            if not moved or debt.region in self._feeds:
                before = (*known, *coming.each)
                came = await self._came_with(connection, rooms, debt, before, moved=moved)
                coming.each.append(came)
                coming.events += came.events
        coming.events.sort(key=lambda event: (event.origin, event.seq))
        self.paid += len(coming.events)
        return coming

    async def _came_with(
        self,
        connection: ClientConnection,
        rooms: frozenset[RoomKey],
        cursor: Cursor,
        known: Iterable[Came],
        *,
        moved: bool,
    ) -> Came:
        came = next((each for each in known if (each.cursor, each.moved) == (cursor, moved)), None)
        if came is None:
            came = Came(clock.now().mono_s, connection, cursor, moved=moved)
            for other in known:  # what one region owes, another may owe as well: it is sent once
                came.paid = other.paid
            self._remember(came)
        came.rooms |= rooms
        came.events = []
        holes = came.passed(self._holes.passed(cursor))
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
        return came

    def _remember(self, came: Came) -> None:
        self._came.append(came)
        while len(self._came) > REMEMBERED:
            over = self._came.popleft()
            self._over.append(over)
            self._too_many.add(over.connection)

    def said(self, cursor: Cursor) -> tuple[dict[str, int], int | None]:
        """What the cursors of a session say that comes with this one, until it has joined: that it
        has not got yet what it is owed.

        Returns:
            `owes`; and `holes`, None: as of anybody here.
        """
        others = {
            debt.region: debt.holes
            for debt in cursor.debts
            if debt.region != self._hub.region and debt.region in self._feeds
        }
        owes = {region: others[region] for region in [*others][:OWES_MOST]}
        own = [debt.holes for debt in cursor.debts if debt.region == self._hub.region]
        return owes, own[0] if own else None

    def seat(self, coming: Sequence[Came]) -> None:
        """A session is in the live feed now: what this edge dispatches late reaches it.

        Args:
            coming: what it came with, its newest region first.
        """
        for came in reversed(coming):
            self._seat(came)

    def _seat(self, came: Came) -> None:
        came.joined, came.at_s = True, clock.now().mono_s
        self._flag(came)
        if came.connection.ahead is None:
            came.seated = self._jumps.stamp
        if came.pending:
            self._tasks.spawn(self._pay_pending(came), "pending")

    async def _pay_pending(self, came: Came) -> None:
        while came.pending:
            hole, dealt = came.pending[0]
            await self._pay(came, hole, dealt)
            del came.pending[0]
        self._advance()

    # --- what cursors say of it ----------------------------------------------------------------

    def _flag(self, came: Came) -> None:
        """From now on the session's cursors say from where it came."""
        seat, region = came.connection, came.cursor.region
        if region == self._hub.region or region not in self._feeds or came.flagged:
            return
        if seat.debts is None:
            seat.debts = Counter()
        came.flagged = True
        seat.debts[region] = seat.debts.pop(region, 0) + 1  # the newest last
        newest = [*seat.debts][-OWES_MOST:]
        self.dropped += len(seat.debts) - len(newest)
        self._hub.owe(seat, frozenset(newest))

    def _unflag(self, came: Came) -> None:
        """Its region has recorded by now all that it may owe."""
        seat, region = came.connection, came.cursor.region
        if not came.flagged or seat.debts is None:
            return
        seat.debts[region] -= 1
        if seat.debts[region] <= 0:
            del seat.debts[region]
            self._hub.owe(seat, frozenset([*seat.debts][-OWES_MOST:]))

    def _advance(self) -> None:
        """Cursors name the holes of other regions that were dealt with, once all were paid."""
        if self._due and not any(came.pending for came in (*self._came, *self._over)):
            for region, number in self._due.items():
                self._holes.paid(region, number)
            self._due.clear()

    async def turn(self) -> None:
        """Once a second: follow the record of holes, and pay who has resumed since.

        Raises:
            BusError: NATS did not answer; holes that were read are not read again.
        """
        async with self._turning:
            await self._forget_old(clock.now().mono_s)
            await self._pay_all()
            self._advance()

    async def _pay_all(self) -> None:
        news = await self._jumps.turn()
        due = {self._hub.region: self._holes.reached}
        for hole, dealt in news:
            if hole.region != self._hub.region:
                due[hole.region] = hole.number
            for forgotten in list(self._too_many):
                forgotten.close(4000)  # it comes again with its cursor, and is sent what it is owed
            self._too_many.clear()
            for came in list(self._came):
                # Also of one that was known when it came: what was not dealt with, nobody had.
                if came.connection.alive:
                    for each, given in self._concerned(came, hole, dealt):
                        if came.joined:
                            await self._pay(came, each, given)
                        else:
                            came.pending.append((each, given))
        self._due |= due

    async def _forget_old(self, now_s: float) -> None:
        """Who is gone, and of whom a hole that he passed would be known by now."""
        if now_s - self._forgot_s < 1.0:
            return
        self._forgot_s = now_s
        late: dict[str, bool] = {}
        old: list[Came] = []
        for remembered in (self._came, self._over):
            old += [came for came in remembered if self._is_old(came, late, now_s)]
        gone = set(map(id, old))
        self._came = deque(came for came in self._came if id(came) not in gone)
        self._over = deque(came for came in self._over if id(came) not in gone)
        for number, came in enumerate(old, 1):
            if came.connection.alive:
                self._unflag(came)
            if number % SLICE == 0:
                await asyncio.sleep(0)

    def _is_old(self, came: Came, late: dict[str, bool], now_s: float) -> bool:
        """`late`: of regions, whether their records may be on their way; filled in here."""
        if not came.connection.alive:
            return True
        region = came.cursor.region
        if region not in late:
            # One that was removed records nothing any more.
            late[region] = region in self._feeds and self._is_late(region)
        if late[region] or (not came.joined and came.connection.membership.passages):
            came.at_s = now_s  # the minute begins when its region's records come again
        return now_s - came.at_s > REMEMBERED_S

    def _concerned(self, came: Came, hole: Hole, dealt: Given) -> Iterable[tuple[Passed, Given]]:
        """A hole that is known now, where a cursor has passed it; and those before it: what seemed
        to show that nothing of a room was missing there may lie in this one.
        """
        for new in came.passed(passed([hole], came.cursor)):
            for each in came.passed(self._holes.passed(came.cursor)):
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
        rooms = came.rooms & connection.seated
        holes = came.passed(self._holes.passed(came.cursor))
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
