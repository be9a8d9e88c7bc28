"""What sessions are owed: events that the live feed passed over where they were before.

A cursor says that everything up to it was delivered. Where its region's live feed had passed over
events, found later, that is not so: who resumes with it is sent them first, and who has resumed in
the last minute is sent them when they are found.
"""

from collections import deque
from collections.abc import Collection, Iterable
from typing import NamedTuple

from relay.bus.following import Following
from relay.core.codes import EventName
from relay.core.cursor import Cursor
from relay.core.event import Event, RoomKey
from relay.core.hole import Hole, Owed, Passed, owed, passed
from relay.edge import clock
from relay.edge.connection import ClientConnection
from relay.edge.holes import HoleLog
from relay.edge.hub import Hub, gap
from relay.edge.jumps import Jumps
from relay.edge.replays import Replays
from relay.errors import BusError

REMEMBERED_S = 60.0
REMEMBERED = 20_000  # sessions


class _Came(NamedTuple):
    """A session that came with a cursor, for these rooms."""

    at_s: float
    connection: ClientConnection
    rooms: frozenset[RoomKey]
    cursor: Cursor


class Owing:
    """Sends sessions of one edge what they are owed."""

    def __init__(
        self,
        holes: HoleLog,
        jumps: Jumps,
        replays: Replays,
        following: Following,
        hub: Hub,
        region: str,
    ) -> None:
        self._holes = holes
        self._jumps = jumps
        self._replays = replays
        self._following = following
        self._hub = hub
        self._region = region
        self._came: deque[_Came] = deque(maxlen=REMEMBERED)
        self.paid = 0  # events sent

    async def came(
        self, connection: ClientConnection, rooms: frozenset[RoomKey], cursor: Cursor
    ) -> list[Event]:
        """The events to send before what came after the cursor; the session is remembered.

        Events for which it is too late are declared.

        Raises:
            UnavailableError: NATS did not answer.
        """
        now_s = clock.now().mono_s
        while self._came and now_s - self._came[0].at_s > REMEMBERED_S:
            self._came.popleft()
        self._came.append(_Came(now_s, connection, rooms, cursor))
        found: list[Event] = []
        for hole in self._holes.passed(cursor):
            events, late = await self._owed(hole, rooms)
            self._declare(connection, late)
            found += events
        self.paid += len(found)
        return found

    async def turn(self) -> None:
        """Once a second: follow the record of holes, and pay who has resumed since.

        Raises:
            BusError: NATS did not answer; holes that were read are not read again.
        """
        for hole in await self._jumps.turn():
            for came in list(self._came):
                if came.connection.alive and not self._hears_itself(came.connection, hole):
                    for each in passed([hole], came.cursor):
                        await self._pay(came, each)

    def _hears_itself(self, connection: ClientConnection, hole: Hole) -> bool:
        """Whether this edge dispatches the hole's events to the session: it found the same hole."""
        return hole.region == self._region and connection.ahead is None

    async def _pay(self, came: _Came, hole: Passed) -> None:
        connection = came.connection
        try:
            events, late = await self._owed(hole, came.rooms & connection.seated)
        except BusError:
            # It can't be had now, and the record is not read again: said, not forgotten.
            d = gap(hole.origin, 0, hole.first, hole.last, "late")
            connection.dispatch(EventName.GAP, d | {"epoch": self._hub.epochs()[hole.origin]})
            return
        self._declare(connection, late)
        for event in events:
            if await self._following.within(event, hole.cursor_seq, self._hub.seqs[hole.origin]):
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
