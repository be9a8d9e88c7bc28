"""What sessions are owed: events that the live feed passed over where they were before.

A cursor says that everything up to it was delivered. Where its region's live feed had passed over
events, found later, that is not so: who resumes with it is sent them first, and who has resumed in
the last minute is sent them when they are found.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from relay.bus.following import Following
from relay.core.codes import EventName
from relay.core.cursor import Cursor
from relay.core.event import Event, RoomKey
from relay.core.feed import Feed
from relay.core.hole import Owed, Passed, owed, passed
from relay.edge import clock
from relay.edge.connection import ClientConnection
from relay.edge.holes import HoleLog
from relay.edge.hub import Hub, gap
from relay.edge.jumps import Dealt, Jumps
from relay.edge.replays import Replays
from relay.errors import BusError
from relay.tasks import Tasks

REMEMBERED_S = 60.0
REMEMBERED = 20_000  # sessions


Given = tuple[Dealt, ...]


@dataclass(slots=True, eq=False)
class Came:
    """A session that came with a cursor, for these rooms."""

    at_s: float
    connection: ClientConnection
    rooms: frozenset[RoomKey]
    cursor: Cursor
    known: int  # the newest hole of the cursor's region that was known then
    events: list[Event] = field(default_factory=list)  # to send before what came after the cursor
    joined: bool = False
    seated: int | None = None  # `Jumps.stamp` when it was in the live feed, where the edge stands
    paid: set[tuple[str, int]] = field(default_factory=set)  # by origin and sequence
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
    ) -> None:
        self._holes = holes
        self._jumps = jumps
        self._replays = replays
        self._following = following
        self._hub = hub
        self._feeds = feeds
        self._tasks = Tasks("owing")
        self._came: deque[Came] = deque(maxlen=REMEMBERED)
        self.paid = 0  # events sent

    async def close(self) -> None:
        """End what is being paid."""
        await self._tasks.close()

    async def came(
        self, connection: ClientConnection, rooms: frozenset[RoomKey], cursor: Cursor
    ) -> Came:
        """What a session is owed that comes with a cursor; it is remembered.

        Events for which it is too late are declared here.

        Raises:
            UnavailableError: NATS did not answer.
        """
        came = Came(
            clock.now().mono_s, connection, rooms, cursor, self._holes.newest(cursor.region)
        )
        self._came.append(came)
        for hole in self._holes.passed(cursor):
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
            events, late = await self._owed(hole, rooms)
            self._declare(connection, came.unpaid(late))
            came.events += came.unpaid(events)
        self.paid += len(came.events)
        return came

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
        now_s = clock.now().mono_s
        while self._came and now_s - self._came[0].at_s > REMEMBERED_S:
            self._came.popleft()
        for hole, dealt in await self._jumps.turn():
            for came in list(self._came):
                if came.connection.alive and hole.number > came.known:
                    for each in passed([hole], came.cursor):
                        if came.joined:
                            await self._pay(came, each, dealt)
                        else:
                            came.pending.append((each, dealt))

    async def _pay(self, came: Came, hole: Passed, dealt: Given) -> None:
        """Send what a session is owed, but for what this edge dispatched to it."""
        connection = came.connection
        if hole.origin not in self._feeds:
            return  # an origin that was removed: a GAP said so
        heard: set[int] = set()  # from this edge's own dispatch
        for given in dealt:
            if came.seated is not None and came.seated < given.stamp:
                heard |= given.events
        try:
            events, late = await self._owed(hole, came.rooms & connection.seated)
        except BusError:
            # It can't be had now, and the record is not read again: said, not forgotten.
            d = gap(hole.origin, 0, hole.first, hole.last, "late")
            connection.dispatch(EventName.GAP, d | {"epoch": self._hub.epochs()[hole.origin]})
            return
        late, events = (
            came.unpaid(event for event in each if event.seq not in heard)
            for each in (late, events)
        )
        self._declare(connection, late)
        feed = self._feeds[hole.origin]
        for event in events:
            if feed.newest(event.key) > hole.cursor_seq:
                self._declare(connection, [event])  # later ones of the room went out already
                continue
            cursor = self._hub.cursor_of(connection)
            connection.write(self._hub.framed(connection.codec, event, None, cursor))
            self.paid += 1

    def _declare(self, connection: ClientConnection, late: Iterable[Event]) -> None:
        for event in late:
            d = gap(event.origin, event.epoch, event.seq, event.seq, "late", event.room)
            connection.dispatch(EventName.GAP, d)

    async def _owed(self, hole: Passed, rooms: Collection[RoomKey]) -> Owed:
        events: list[Event] = []
        async for part in self._replays.events(hole.origin, rooms, hole.first - 1, hole.last):
            events.extend(part)
        newest: dict[RoomKey, int] = {}
        for event in events:
            if event.key not in newest:
                following = await self._following.within(event, hole.last, hole.cursor_seq)
                newest[event.key] = hole.last + 1 if following else 0
        return owed(hole, events, newest)
