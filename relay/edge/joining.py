"""Joining rooms: IDENTIFY, SUBSCRIBE and RESUME, from the open room to the live feed."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from relay.bus.copies import Copies
from relay.bus.history import History
from relay.bus.reader import Reader
from relay.bus.records import find_record
from relay.bus.replay import Pages, replay
from relay.config import Limits, RegionConfig
from relay.core import numbering
from relay.core.answers import refused_rooms
from relay.core.codes import EventName, Invalid
from relay.core.cursor import Cursor, Position
from relay.core.effects import Enter, Resume, Wish
from relay.core.effects import Join as JoinEffect
from relay.core.event import Event, RoomKey
from relay.core.join import Ahead, Join
from relay.core.resume import Accept, Gap, Refuse, judge
from relay.edge.connection import ClientConnection
from relay.edge.feeds import CLUSTER_SETTLE_S, Feeds
from relay.edge.hub import Hub, gap
from relay.edge.rooms import Rooms
from relay.edge.streams import Streams
from relay.errors import BusError, UnavailableError


class Joiner:
    """Brings sessions into rooms, without a hole and without a repeat."""

    def __init__(
        self,
        hub: Hub,
        feeds: Feeds,
        rooms: Rooms,
        streams: Streams,
        reader: Reader,
        copies: Copies,
        history: History,
        regions: Sequence[RegionConfig],
        limits: Limits,
        *,
        clustered: bool,
    ) -> None:
        self._clustered = clustered
        self._hub = hub
        self._feeds = feeds
        self._rooms = rooms
        self._streams = streams
        self._reader = reader
        self._copies = copies
        self._history = history
        self._regions = {region.index: region.name for region in regions}
        self._limits = limits
        self._pages = Pages(limits.replay_page_events, limits.replay_page_bytes)
        self.replayed = 0

    # --- IDENTIFY and SUBSCRIBE ----------------------------------------------------------------

    async def enter(
        self, connection: ClientConnection, effect: Enter, hello: dict[str, Any]
    ) -> None:
        """IDENTIFY: join, then READY. `hello` is what READY says besides."""
        connection.tenant = effect.grants.tenant
        try:
            await self._join(connection, effect.rooms)
        except BusError:
            connection.close(1013)
            return
        if not connection.alive:
            return
        now = connection.now()
        ready = hello | {
            "user": {"id": effect.grants.user},
            "session_id": effect.session_id,
            "cursor": self._hub.cursor_of(connection),
            "rooms": [wish.room for wish in effect.rooms],
            "refused": refused_rooms(effect.refused),
        }
        connection.run(connection.session.entered(ready, self._hub.numbering.at(now.wall_ms), now))

    async def subscribe(self, connection: ClientConnection, effect: JoinEffect) -> None:
        """SUBSCRIBE: join, then its ACK."""
        rooms = [wish.room for wish in effect.rooms]
        try:
            await self._join(connection, effect.rooms)
        except BusError as error:
            self.leave(connection, rooms)
            connection.run(connection.session.not_joined(rooms, effect.nonce, str(error)))
            return
        if connection.alive:
            joined = (*effect.settled, *rooms)
            connection.run(connection.session.joined(joined, effect.refused, effect.nonce))

    async def _join(self, connection: ClientConnection, wishes: Sequence[Wish]) -> None:
        await self._acquire(connection, [wish.room for wish in wishes])
        for wish in wishes:
            # A room that is joined again to be replayed is out of the live feed meanwhile.
            self._hub.leave(connection, connection.key(wish.room))
        plain = [wish for wish in wishes if wish.since is None and not wish.last]
        joins: list[tuple[Join, Wish | None]] = []
        if plain:
            joins.append((self._begin(connection, plain, self._hub.seqs), None))
        joins += [
            (self._begin(connection, [wish], self._start_of(connection, wish)), wish)
            for wish in wishes
            if wish not in plain
        ]
        ids = [self._hub.begin(join) for join, _ in joins]
        try:
            await self._replay_all(connection, joins)
            if not connection.alive:
                return
            # No await from here on: the held events go out, and the room is live.
            for join, _ in joins:
                for event in join.release():
                    connection.write(self._hub.framed(connection.codec, event, None, None))
            wanted = [w.room for w in wishes if w.room in connection.session.rooms]
            self._hub.take(connection, map(connection.key, wanted))
        finally:
            for join_id in ids:
                self._hub.end(join_id)
            self._let_go(connection)

    def _begin(
        self, connection: ClientConnection, wishes: Sequence[Wish], sent: Mapping[str, int]
    ) -> Join:
        keys = frozenset(connection.key(wish.room) for wish in wishes)
        return Join(
            rooms=keys,
            sent=dict(sent),
            target=self._target(keys),
            buffer_events=self._limits.join_buffer_events,
        )

    def _target(self, keys: Iterable[RoomKey]) -> dict[str, int]:
        target = dict(self._hub.seqs)
        for key in keys:
            for origin, seq in self._feeds.reach(key).items():
                target[origin] = max(target.get(origin, 0), seq)
        return target

    def _start_of(self, connection: ClientConnection, wish: Wish) -> dict[str, int]:
        """Where the replay for a `since` starts; what is gone is said first."""
        if wish.since is None:
            return self._target([connection.key(wish.room)])
        start: dict[str, int] = {}
        for origin, here in self._hub.positions.items():
            there = wish.since.positions.get(origin, Position(here.epoch, 0))
            start[origin] = there.seq
            if there.epoch != here.epoch:
                d = gap(origin, there.epoch, there.seq + 1, None, "epoch", wish.room)
                connection.dispatch(EventName.GAP, d)
        for origin, there in wish.since.positions.items():
            if origin not in start:
                d = gap(origin, there.epoch, there.seq + 1, None, "origin_removed", wish.room)
                connection.dispatch(EventName.GAP, d)
        return start

    async def _replay_all(
        self, connection: ClientConnection, joins: Sequence[tuple[Join, Wish | None]]
    ) -> None:
        for join, wish in joins:
            if wish is not None and wish.since is not None:
                await self._say_expired(connection, join, wish.room, wish.since)
            if wish is not None and wish.last:
                await self._send_last(connection, join, wish)
        while connection.alive:
            for join, _ in joins:
                await self._replay(connection, join)
            # Rooms just opened may have been read further than the edge's position, and a `since`
            # may come from a region that is further: the session's cursor will be the edge's.
            reached = [seqs for join, _ in joins for seqs in (join.target, join.sent)]
            await self._feeds.until(_furthest(reached, connection.ahead))
            late = [join for join, _ in joins if join.overflowed]
            for join in late:
                join.retarget(self._hub.seqs)
            if not late:
                return

    async def _say_expired(
        self, connection: ClientConnection, join: Join, room: str, since: Cursor
    ) -> None:
        states = await self._streams.states(self._hub.epochs())
        for origin, state in states.items():
            start = join.sent.get(origin, 0)
            # Of an origin that the cursor does not know, nothing is missed: see `judge`.
            if origin in since.positions and start + 1 < state.first:
                d = gap(origin, state.epoch, start + 1, state.first - 1, "expired", room)
                connection.dispatch(EventName.GAP, d)

    async def _send_last(self, connection: ClientConnection, join: Join, wish: Wish) -> None:
        upto = {
            origin: Position(self._hub.positions[origin].epoch, seq)
            for origin, seq in join.target.items()
        }
        page = await self._history.newest(connection.key(wish.room), wish.last, upto)
        for event in page.events:
            await self._send(connection, event, None)

    # --- RESUME --------------------------------------------------------------------------------

    async def resume(
        self,
        connection: ClientConnection,
        effect: Resume,
        announce: Callable[[ClientConnection, str], None],
    ) -> None:
        """RESUME: replay, then RESUMED."""
        connection.tenant = effect.grants.tenant
        try:
            presented = await self._presented(effect)
            if presented is None:
                self._refuse(connection, Refuse(Invalid.EXPIRED, missing={}))
                return
            states = await self._streams.states(self._hub.epochs())
            verdict = judge(presented, states)
            if isinstance(verdict, Refuse):
                self._refuse(connection, verdict)
                return
            await self._acquire(connection, [wish.room for wish in effect.rooms])
        except BusError:
            self._refuse(connection, Refuse(Invalid.UNAVAILABLE, retry=True))
            return
        if connection.alive:  # else what the session has elsewhere stays
            announce(connection, effect.session_id)
        try:
            held = {origin: state.last for origin, state in states.items()}
            await self._resume(connection, effect, presented, verdict, held)
        except BusError:
            # Some of the replay is out: the client resumes from the cursors it got with it.
            connection.close(4000)
        if not connection.alive:
            self._release_all(connection)

    async def _presented(self, effect: Resume) -> Mapping[str, Position] | None:
        if effect.cursor is not None:
            return effect.cursor.positions
        assert effect.seq is not None, "the session checked it"
        region = self._regions.get(numbering.region_index_of(effect.seq))
        if region is None:
            return None
        record = await find_record(self._reader, region, effect.seq)
        if record is None:
            return None
        return {origin: Position(*place) for origin, place in record.positions.items()}

    def _refuse(self, connection: ClientConnection, refuse: Refuse) -> None:
        self._release_all(connection)
        missing = dict(refuse.missing) if refuse.missing is not None else None
        connection.gateway.counters.resumes_refused += 1
        connection.run(
            connection.session.refuse(
                refuse.reason, connection.now(), retry=refuse.retry, missing=missing
            )
        )

    async def _resume(
        self,
        connection: ClientConnection,
        effect: Resume,
        presented: Mapping[str, Position],
        accept: Accept,
        held: Mapping[str, int],
    ) -> None:
        keys = frozenset(connection.key(wish.room) for wish in effect.rooms)
        join = Join(
            rooms=keys,
            sent=dict(accept.after),
            target=self._target(keys),
            buffer_events=self._limits.join_buffer_events,
        )
        # What the region lacks: this edge's own position may stand up to a marker before its copy.
        behind = {
            origin: seq - max(held[origin], self._hub.seqs[origin])
            for origin, seq in accept.after.items()
            if seq > max(held[origin], self._hub.seqs[origin])
        }
        for lost in accept.gaps:
            connection.dispatch(EventName.GAP, gap_of(lost))
        join_id = self._hub.begin(join)
        base = {origin: place for origin, place in presented.items() if origin in self._hub.seqs}
        try:
            while connection.alive:
                await self._replay(connection, join, base)
                if not join.overflowed:
                    break
                join.retarget(self._hub.seqs)
            if not connection.alive:
                return
            # No await from here on.
            for event in join.release():
                cursor = self._hub.private_cursor(join.sent, base)
                connection.write(self._hub.framed(connection.codec, event, None, cursor))
            join.settle(self._hub.seqs)
            self._hub.set_ahead(connection, Ahead.of(join.sent, self._hub.seqs))
            self._hub.take(connection, keys)
        finally:
            self._hub.end(join_id)
        self._say_resumed(connection, effect, join, behind)

    def _say_resumed(
        self,
        connection: ClientConnection,
        effect: Resume,
        join: Join,
        behind: Mapping[str, int],
    ) -> None:
        now = connection.now()
        if effect.seq is not None:
            s = self._hub.numbering.above(effect.seq, now.wall_ms)
        else:
            s = self._hub.numbering.at(now.wall_ms)
        resumed = {
            "replayed": join.replayed,
            "behind": dict(behind),
            "rooms": [wish.room for wish in effect.rooms],
            "refused": refused_rooms(effect.refused),
            "cursor": self._hub.cursor_of(connection),
        }
        connection.gateway.counters.resumes += 1
        connection.run(connection.session.resumed(resumed, s, now))

    # --- replay --------------------------------------------------------------------------------

    async def _replay(
        self,
        connection: ClientConnection,
        join: Join,
        base: Mapping[str, Position] | None = None,
    ) -> None:
        for origin, (after, upto) in join.missing.items():
            await self._replay_origin(connection, join, origin, after, upto, base)
            if self._clustered and connection.alive:
                # A follower may have answered that did not hold the newest yet: look again, from
                # the last that came.
                await asyncio.sleep(CLUSTER_SETTLE_S)
                last = max(after, join.sent.get(origin, 0))
                await self._replay_origin(connection, join, origin, last, upto, base)
            if not connection.alive:
                return
            join.read_up_to(origin, upto)

    async def _replay_origin(
        self,
        connection: ClientConnection,
        join: Join,
        origin: str,
        after: int,
        upto: int,
        base: Mapping[str, Position] | None,
    ) -> None:
        epoch = self._hub.positions[origin].epoch
        api = await self._copies.source(origin, after, upto)
        async for event in replay(
            self._reader, origin, epoch, join.rooms, after, upto, self._pages, api
        ):
            if not join.replay(event):
                continue
            cursor = None if base is None else self._hub.private_cursor(join.sent, base)
            await self._send(connection, event, cursor)
            if not connection.alive:
                return

    async def _send(self, connection: ClientConnection, event: Event, cursor: str | None) -> None:
        connection.write(self._hub.framed(connection.codec, event, None, cursor))
        self.replayed += 1
        await connection.drained()

    # --- holding rooms open --------------------------------------------------------------------

    async def _acquire(self, connection: ClientConnection, rooms: Iterable[str]) -> None:
        wanted = [key for key in map(connection.key, rooms) if key not in connection.held]
        results = await asyncio.gather(
            *(self._rooms.acquire(key) for key in wanted), return_exceptions=True
        )
        failure: BaseException | None = None
        for key, result in zip(wanted, results, strict=True):
            if result is not None:
                failure = result
            elif connection.alive:
                connection.held.add(key)
            else:
                self._rooms.release(key)
        if failure is not None:
            self._release_all(connection, wanted)
            raise UnavailableError("rooms could not be opened") from failure

    def leave(self, connection: ClientConnection, rooms: Iterable[str]) -> None:
        """The session leaves these rooms."""
        keys = [connection.key(room) for room in rooms]
        for key in keys:
            self._hub.leave(connection, key)
        self._release_all(connection, keys)

    def release(self, connection: ClientConnection) -> None:
        """The connection is gone: hold nothing for it."""
        self._hub.forget(connection)
        self._release_all(connection)

    def _let_go(self, connection: ClientConnection) -> None:
        """Hold no room open that the session left while it was joined."""
        wanted = {connection.key(room) for room in connection.session.rooms}
        self._release_all(connection, [key for key in connection.held if key not in wanted])

    def _release_all(
        self, connection: ClientConnection, keys: Iterable[RoomKey] | None = None
    ) -> None:
        for key in list(connection.held) if keys is None else list(keys):
            if key in connection.held:
                connection.held.discard(key)
                self._rooms.release(key)


def gap_of(lost: Gap) -> dict[str, Any]:
    """GAP.d of an origin's lost events."""
    return gap(lost.origin, lost.epoch, lost.first, lost.last, lost.reason)


def _furthest(targets: Iterable[Mapping[str, int]], ahead: Ahead | None) -> dict[str, int]:
    furthest: dict[str, int] = dict(ahead.seqs) if ahead else {}
    for target in targets:
        for origin, seq in target.items():
            furthest[origin] = max(furthest.get(origin, 0), seq)
    return furthest
