"""The gateway: all client connections of one edge, and what their sessions ask for."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any

from relay.bus.events import TYPING
from relay.bus.history import History, HistoryPage
from relay.bus.publisher import Publication, Publisher
from relay.core.codes import ErrorCode, Invalid, Op, known_code
from relay.core.cursor import Cursor, Position
from relay.core.effects import Emit, Enter, Join, ReadHistory, Resume, Store, Typing
from relay.core.grants import Grants
from relay.core.headcount import How, Who
from relay.core.pace import Pace
from relay.core.presence import said_of, shown_of
from relay.core.session import Phase, Rules
from relay.core.wire import Payload, WireError, message_of
from relay.edge import clock
from relay.edge.connection import ClientConnection
from relay.edge.counters import Counters
from relay.edge.frames import frame
from relay.edge.hub import Hub
from relay.edge.joining import Joining
from relay.edge.logbook import Logbook
from relay.edge.membership import Membership
from relay.edge.peers import LOTS, Listing, Peers, picked
from relay.edge.presence import Presence
from relay.edge.standstill import Standstill
from relay.edge.streams import Streams
from relay.edge.takeovers import Takeover, Takeovers
from relay.errors import BusError, UnavailableError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.gateway")

SKEW_MS = 1_000  # that the clocks of two edges may differ by
TYPING_S = 2.0  # between two TYPINGs of a user in a room
STAY_S = 2.0  # after they were sent away, for clients that are on their way
HOLD_S = 0.25  # between two looks whether somebody takes clients again


class Gateway:
    """Connections by session, and the acts that need the bus."""

    def __init__(
        self,
        rules: Rules,
        hub: Hub,
        joining: Joining,
        publisher: Publisher,
        history: History,
        streams: Streams,
        presence: Presence,
        logbook: Logbook,
        peers: Peers,
        region: str,
        edge: str,
        epoch: int,
    ) -> None:
        self.rules = rules
        self.hub = hub
        self.counters = Counters()
        self.connections: set[ClientConnection] = set()
        self.takeovers = Takeovers()
        self.announcements: list[Takeover] = []
        self.standstill = Standstill(clock.now().mono_s)
        self.before: Callable[[], None] = lambda: None  # called before a client is answered
        self._joining = joining
        self._publisher = publisher
        self._history = history
        self._streams = streams
        self.presence = presence
        self._logbook = logbook
        self._typed = Pace(TYPING_S)
        self._peers = peers
        self._region = region
        self._edge = edge
        self._epoch = epoch
        self._tasks = Tasks("gateway")
        self._sessions: dict[str, ClientConnection] = {}
        self._listing: Listing = []
        self._empty = asyncio.Event()
        self._empty.set()

    async def close(self) -> None:
        """End what runs for connections."""
        await self._tasks.close()

    # --- what every client is told -------------------------------------------------------------

    def hello(self, lot: int) -> dict[str, Any]:
        """HELLO.d, for a client with this lot."""
        limits = self.rules.limits
        return {
            "heartbeat_interval": limits.heartbeat_interval_ms,
            "region": self._region,
            "edge": self._edge,
            "regions": self._peers.regions(clock.now().mono_s, lot),
            "reconnect": {"base_ms": 100, "jitter_ms": 1000, "max_ms": 30_000},
            "resume_window_s": limits.resume_window_s,
        }

    def resume_url(self, lot: int) -> str:
        """Where a client of this edge resumes first, by its lot."""
        return self._peers.resume_url(clock.now().mono_s, lot)

    def _ready(self, lot: int) -> dict[str, Any]:
        return {
            "v": 10,
            "resume_gateway_url": self.resume_url(lot),
            "region": self._region,
            "edge": self._edge,
            "regions": self._peers.regions(clock.now().mono_s, lot),
        }

    def tell_regions(self) -> None:
        """Send REGIONS to those for whom the list of HELLO has changed."""
        before, self._listing = self._listing, self._peers.listing(clock.now().mono_s)
        if not before or before == self._listing:
            return
        lists = [(picked(before, lot), picked(self._listing, lot)) for lot in range(LOTS)]
        frames: dict[tuple[int, str], bytes] = {}  # by lot and encoding
        for connection in list(self.connections):
            had, has = lists[connection.lot]
            if had == has or not connection.open:
                continue
            key = connection.lot, connection.codec.name
            if key not in frames:
                codec = connection.codec
                frames[key] = frame(codec.encode(Payload(Op.REGIONS, has)), binary=codec.binary)
            connection.write(frames[key])

    # --- connections ---------------------------------------------------------------------------

    def membership(self, connection: ClientConnection) -> Membership:
        """What brings a new connection into rooms."""
        return Membership(connection, self._joining)

    def opened(self, connection: ClientConnection) -> None:
        """A WebSocket opened."""
        self.counters.connections += 1
        connection.lot = self.counters.connections % LOTS
        self.connections.add(connection)
        self._empty.clear()
        connection.opened()

    def left(self, connection: ClientConnection, code: int) -> None:
        """The connection ends: nothing more is delivered to it. `code`: as it came."""
        code = known_code(code)
        connection.membership.release()
        self.presence.left(connection)
        session_id = connection.session.session_id
        if self._sessions.get(session_id) is connection:
            del self._sessions[session_id]
            self._logbook.went(session_id, code)
            self.presence.ended(session_id, code)

    def attend(self, connection: ClientConnection) -> None:
        """Who is there, or at whom it looks, has changed; unless it has left already."""
        if self._sessions.get(connection.session.session_id) is connection:
            connection.run(self.presence.attend(connection, connection.session))

    def gone(self, connection: ClientConnection, code: int) -> None:
        """The WebSocket is closed."""
        self.left(connection, code)
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()
        self.counters.closes[code if 1000 <= code < 5000 else 0] += 1

    def close_all(self, code: int) -> None:
        """Close every connection."""
        for connection in list(self.connections):
            connection.close(code)

    async def send_away(
        self,
        window_s: float,
        wanted: Callable[[], bool] = lambda: True,
        taken: Callable[[], bool] = lambda: True,
    ) -> None:
        """Ask everybody to resume elsewhere, spread evenly over a window; close who stays.

        Args:
            window_s: seconds.
            wanted: asked before each; False ends it.
            taken: likewise; while it is False, nobody is sent away.
        """
        waiting = list(self.connections)
        begin_s = clock.now().mono_s
        for number, connection in enumerate(waiting, 1):
            begin_s += await self._until(taken, wanted)
            if not wanted():
                return
            connection.send(Payload(Op.RECONNECT))
            due_s = begin_s + window_s * number / len(waiting)
            # By the clock: a pause is never as short as it is asked for.
            await asyncio.sleep(max(due_s - clock.now().mono_s, 0.0))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STAY_S):
                await self._empty.wait()
        await self._until(taken, wanted)
        if wanted():
            self.close_all(4021)

    async def _until(self, taken: Callable[[], bool], wanted: Callable[[], bool]) -> float:
        """Wait while clients have nowhere to go; for how long, in seconds."""
        since_s = clock.now().mono_s
        while not taken() and wanted():  # noqa: ASYNC110 (nobody says when an edge has room again)
            await asyncio.sleep(HOLD_S)
        return clock.now().mono_s - since_s

    # --- rooms ---------------------------------------------------------------------------------

    def join(self, connection: ClientConnection, effect: Enter | Resume | Join) -> None:
        """IDENTIFY, RESUME or SUBSCRIBE."""
        self._tasks.spawn(self._join(connection, effect), "join")

    async def _join(self, connection: ClientConnection, effect: Enter | Resume | Join) -> None:
        try:
            async with connection.membership.turn:
                if connection.alive:
                    await self._join_next(connection, effect)
        except Exception:
            self.counters.errors += 1
            connection.close(4000)
            raise

    async def _join_next(self, connection: ClientConnection, effect: Enter | Resume | Join) -> None:
        match effect:
            case Enter():
                self._sessions[effect.session_id] = connection
                who = _who(connection, effect.grants, effect.device)
                self._logbook.came(effect.session_id, who, How.IDENTIFY)
                await self._logbook.stored()
                if connection.alive:
                    await connection.membership.enter(effect, self._ready(connection.lot))
            case Join():
                await connection.membership.subscribe(effect)
            case Resume():
                await self._resume(connection, effect)

    async def _resume(self, connection: ClientConnection, effect: Resume) -> None:
        now = connection.now()
        limit = self.rules.limits.takeovers_per_minute
        if self.takeovers.too_many(effect.session_id, now.mono_s, limit):
            self.counters.resumes_refused += 1
            connection.run(connection.session.refuse(Invalid.SESSION, now))
            return
        # Later than any that was heard of, whatever the clocks of other edges say.
        connection.resumed_at = max(now.wall_ms, self.takeovers.newest(effect.session_id) + 1)
        await connection.membership.resume(effect, self._take_over)

    def _take_over(self, connection: ClientConnection, session_id: str) -> None:
        """The resume goes through: older connections of the session end, here and elsewhere."""
        takeover = Takeover(session_id, self._edge, self._epoch, connection.resumed_at)
        self.takeovers.resumed(takeover, connection.now().mono_s)
        self.announcements.append(takeover)
        older = self._sessions.get(session_id)
        if older is not None:
            self._logbook.went(session_id, 4022)
        self._sessions[session_id] = connection
        grants = connection.session.grants
        assert grants is not None, "only who was granted something resumes"
        self._logbook.came(session_id, _who(connection, grants, ""), How.RESUME)
        self.presence.back(connection.session, connection.resumed_at)
        if older is not None and older is not connection:
            self._displace(older, takeover)

    def hear_takeover(self, takeover: Takeover) -> None:
        """Another edge resumed a session, or closed an older connection of one."""
        if takeover.edge == self._edge and takeover.epoch == self._epoch:
            return
        if takeover.displaced:
            self.takeovers.displaced(takeover.session, clock.now().mono_s)
            return
        if takeover.told:
            shown = shown_of(takeover.shown)
            self.presence.told(takeover.session, takeover.resumed_at, shown, former=takeover.former)
            return
        if not self.takeovers.heard(takeover):
            return  # said again: it has come back since
        mine = self._sessions.get(takeover.session)
        if mine is not None and mine.resumed_at >= takeover.resumed_at:
            return  # said again: it has come back since
        self._tell_shown(takeover)
        self.presence.moved(takeover.session)
        if mine is None:
            return
        if takeover.resumed_at - mine.resumed_at < SKEW_MS:
            # By the clocks of two edges nobody can say which is the newer: a client that is there
            # resumes again, and is then later than both.
            mine.close(4000)
        else:
            self._displace(mine, takeover)

    def _tell_shown(self, takeover: Takeover) -> None:
        """What others see of a session that was here: the client may not say it again."""
        session = takeover.session
        if (seen := self.presence.seen(session)) is not None:
            self.announcements.append(
                Takeover(
                    session,
                    self._edge,
                    self._epoch,
                    takeover.resumed_at,
                    told=True,
                    shown=said_of(seen[0]),
                    former=self.presence.attendance.moved(session),
                )
            )

    def _displace(self, older: ClientConnection, takeover: Takeover) -> None:
        self.counters.takeovers += 1
        # One whose own RESUME was not through had nothing to lose: a slow client that tries again
        # and again is not two that fight over a session.
        if older.session.phase is Phase.LIVE:
            self.takeovers.displaced(takeover.session, clock.now().mono_s)
            session, resumed_at = takeover.session, older.resumed_at
            self.announcements.append(
                Takeover(session, self._edge, self._epoch, resumed_at, displaced=True)
            )
        older.close(4022)

    def leave(self, connection: ClientConnection, rooms: Iterable[str]) -> None:
        """UNSUBSCRIBE."""
        connection.membership.leave(rooms)

    # --- publishing ----------------------------------------------------------------------------

    def _publication(self, connection: ClientConnection, effect: Store | Emit) -> Publication:
        grants, now = connection.session.grants, connection.now()
        assert grants is not None, "only an identified session publishes"
        return Publication(
            tenant=grants.tenant,
            room=effect.room,
            user=grants.user,
            id=effect.id,
            session=connection.session.session_id[:16],
            data=effect.data,
            ts_ms=now.wall_ms,
            received_s=effect.received_s if isinstance(effect, Store) else now.mono_s,
        )

    def store(self, connection: ClientConnection, effect: Store) -> None:
        """PUBLISH."""
        publication = self._publication(connection, effect)
        self._tasks.spawn(self._store(connection, effect, publication), "store")

    async def _store(
        self, connection: ClientConnection, effect: Store, publication: Publication
    ) -> None:
        try:
            stored = await self._publisher.publish(publication, lambda: connection.alive)
        except BusError as error:
            connection.run(connection.session.failed(effect, str(error)))
            return
        except Exception:
            # The room's next publish waits for this one's end, whatever it is.
            self.counters.errors += 1
            connection.run(connection.session.failed(effect, "not known to be stored"))
            raise
        connection.run(
            connection.session.stored(
                effect, self._region, stored.epoch, stored.seq, duplicate=stored.duplicate
            )
        )

    def emit(self, connection: ClientConnection, effect: Emit) -> None:
        """PUBLISH of an ephemeral event."""
        self._tasks.spawn(self._emit(self._publication(connection, effect)), "emit")

    async def _emit(self, publication: Publication) -> None:
        try:
            await self._publisher.signal(publication)
        except UnavailableError as error:
            _log.debug("ephemeral event dropped: %s", error)

    def type_in(self, connection: ClientConnection, effect: Typing) -> None:
        """TYPING: once in a while for each user and room; more is nothing new."""
        grants = connection.session.grants
        assert grants is not None, "only an identified session types"
        key = (grants.tenant, effect.room, grants.user)
        if self._typed.take(key, clock.now().mono_s):
            emit = Emit(effect.room, "", TYPING)
            self._tasks.spawn(self._emit(self._publication(connection, emit)), "typing")

    # --- history -------------------------------------------------------------------------------

    def read_history(self, connection: ClientConnection, effect: ReadHistory) -> None:
        """HISTORY."""
        self._tasks.spawn(self._read_history(connection, effect), "history")

    async def _read_history(self, connection: ClientConnection, effect: ReadHistory) -> None:
        key = connection.key(effect.room)
        try:
            # All that is stored here, not only what this edge has delivered: who was just
            # acknowledged finds his own event.
            states = await self._streams.states(self.hub.epochs())
            here = {o: Position(state.epoch, state.last) for o, state in states.items()}
            if effect.after is not None:
                page = await self._history.following(
                    key, effect.limit, effect.after.positions, here
                )
            else:
                upto = _at_most(effect.before, here)
                page = await self._history.newest(key, effect.limit, upto)
        except BusError as error:
            _log.info("history of a room: %s", error)
            message = "the history can't be read now"
            d = {"nonce": effect.nonce, "code": ErrorCode.UNAVAILABLE, "message": message}
            connection.send(Payload(Op.ERROR, {k: v for k, v in d.items() if v is not None}))
            return
        async with connection.sending:  # pages that were asked for at once go out one by one
            await connection.drained()
            connection.send(Payload(Op.ACK, self._history_ack(connection, effect, page)))

    def _history_ack(
        self, connection: ClientConnection, effect: ReadHistory, page: HistoryPage
    ) -> dict[str, Any]:
        events = []
        for event in page.events:
            try:
                events.append(message_of(event, connection.codec.data(event.data)))
            except WireError:
                self.hub.poisoned += 1
        return {
            "nonce": effect.nonce,
            "events": events,
            "before": self.hub.cursor_at(page.before),
            "after": self.hub.cursor_at(page.after),
            "more": page.more,
        }


def _who(connection: ClientConnection, grants: Grants, device: str) -> Who:
    transport, country = connection.transport, connection.country
    return Who(grants.tenant, grants.user, transport, country, device)


def _at_most(before: Cursor | None, here: dict[str, Position]) -> dict[str, Position]:
    if before is None:
        return dict(here)
    return {
        origin: Position(
            place.epoch, min(place.seq, before.positions.get(origin, Position(0, 0)).seq)
        )
        for origin, place in here.items()
    }
