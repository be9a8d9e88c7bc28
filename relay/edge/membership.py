"""The rooms of one connection: held open, joined, replayed, and left."""

import asyncio
import logging
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from relay.bus.records import find_record
from relay.core import numbering
from relay.core.answers import refused_rooms
from relay.core.codes import Invalid
from relay.core.cursor import Cursor, Position
from relay.core.effects import Enter, Join, Resume, Wish
from relay.core.event import RoomKey
from relay.core.join import Ahead
from relay.core.resume import Accept, Gap, Refuse, judge
from relay.edge.connection import ClientConnection
from relay.edge.joining import Joining, Passage, replay_all
from relay.edge.owing import Came
from relay.errors import BusError, UnavailableError

_log = logging.getLogger("jetrelay.membership")

RECORDS_COME_MS = 20_000  # for so long the record of an `s` may be on its way from its region


class Membership:
    """Brings a session into rooms, without a hole and without a repeat, and out of them.

    `enter`, `subscribe` and `resume` run one at a time, under `turn`: each finds the rooms as the
    one before left them. `leave` and `release` come at any time.
    """

    def __init__(self, connection: ClientConnection, joining: Joining) -> None:
        self._owner = weakref.ref(connection)  # who is gone is freed at once, not by a collection
        self._joining = joining
        self._hub = joining.hub
        self._held: set[RoomKey] = set()  # rooms that are held open for this connection
        self.passages: list[Passage] = []  # joins at work
        self.turn = asyncio.Lock()

    @property
    def _connection(self) -> ClientConnection:
        connection = self._owner()
        assert connection is not None, "whoever asks for a membership holds its connection"
        return connection

    def brought(self, origin: str) -> list[int]:
        """Sequences up to which the session has this origin's events, where not the edge's."""
        brought = [passage.join.sent.get(origin, 0) for passage in self.passages]
        ahead = self._connection.ahead
        return [*brought, *([ahead.seqs[origin]] if ahead and origin in ahead.seqs else [])]

    # --- IDENTIFY and SUBSCRIBE ----------------------------------------------------------------

    async def enter(self, effect: Enter, hello: dict[str, Any]) -> None:
        """IDENTIFY: join, then READY. `hello` is what READY says besides."""
        connection = self._connection
        connection.tenant = effect.grants.tenant
        try:
            await self._join(effect.rooms)
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

    async def subscribe(self, effect: Join) -> None:
        """SUBSCRIBE: join, then its ACK."""
        connection = self._connection
        rooms = [wish.room for wish in effect.rooms]
        # A room that it is in already, and is not to be replayed, stays as it is.
        wishes = [wish for wish in effect.rooms if _dated(wish) or not self._has(wish.room)]
        fresh = [wish.room for wish in wishes if not self._has(wish.room)]
        try:
            await self._join(wishes)
        except BusError as error:
            self.leave(fresh)
            connection.run(connection.session.not_joined(effect, fresh, str(error)))
            return
        if connection.alive:
            joined = (*effect.settled, *rooms)
            connection.run(connection.session.joined(joined, effect.refused, effect.nonce))

    def _has(self, room: str) -> bool:
        return self._connection.key(room) in self._connection.seated

    async def _join(self, wishes: Sequence[Wish]) -> None:
        connection = self._connection
        await self._hold([wish.room for wish in wishes])
        wishes = [wish for wish in wishes if wish.room in connection.session.rooms]
        plain = [connection.key(wish.room) for wish in wishes if not _dated(wish)]
        dated = [wish for wish in wishes if _dated(wish)]
        share = len(dated) + 2
        brought = [self._passage(wish, share) for wish in dated]
        passages = [*brought]
        if plain:
            joining, seqs = self._joining, self._hub.seqs
            passages.append(Passage(joining, connection, plain, seqs, share=share))
        asked = {key for passage in passages for key in passage.join.rooms}
        interrupted = self._interrupt(asked, share)
        if interrupted is not None:
            passages.append(interrupted)
        came: list[Came] = []
        try:
            with ExitStack() as stack:
                for passage in passages:
                    stack.enter_context(passage)
                try:
                    for passage, wish in zip(brought, dated, strict=True):
                        await self._begin(passage, wish, came)
                    await self._bring(passages)
                except BusError:
                    self._go_on(interrupted)
                    raise
                if not connection.alive:
                    return
                # No await from here on: the held events go out, and the rooms are live.
                if interrupted is not None:
                    interrupted.join.left |= asked  # their own passages bring them
                for passage in passages:
                    passage.release()
                connection.frozen = None
                for passage in passages:
                    self._hub.take(connection, passage.join.rooms - passage.join.left)
                self._joining.owing.seat(came)
        finally:
            self._let_go_of_left()

    def _interrupt(self, asked: set[RoomKey], share: int) -> Passage | None:
        """Where rooms that the session is in are to be joined again, to be replayed, it gets
        nothing live meanwhile, in its other rooms either, and its cursor stands still: a resume
        from there brings all of it.
        """
        connection = self._connection
        seated = set(connection.seated)
        if not seated & asked:
            return None
        here = dict(self._hub.seqs)
        sent = here | (connection.ahead.seqs if connection.ahead else {})
        passage = Passage(self._joining, connection, seated, sent, share=share, dispatched=here)
        connection.frozen = self._hub.cursor_of(connection)
        for key in seated:
            self._hub.leave(connection, key)
        return passage

    def _go_on(self, interrupted: Passage | None) -> None:
        """The join failed: the rooms that the session was in go on as if nothing had been."""
        connection = self._connection
        if interrupted is None or not connection.alive:
            return
        if interrupted.join.overflowed or interrupted.join.missing:
            connection.close(4000)
            return
        interrupted.release()
        connection.frozen = None
        self._hub.take(connection, interrupted.join.rooms - interrupted.join.left)

    def _passage(self, wish: Wish, share: int) -> Passage:
        """The join of a room from `since` on."""
        key = self._connection.key(wish.room)
        if wish.since is None:
            sent = self._joining.target([key])
        else:
            there = wish.since.positions
            origins = self._hub.positions
            sent = {origin: there[origin].seq if origin in there else 0 for origin in origins}
        return Passage(self._joining, self._connection, [key], sent, room=wish.room, share=share)

    async def _begin(self, passage: Passage, wish: Wish, known: list[Came]) -> None:
        """Send the newest events that were asked for; say what of a `since` is gone."""
        if wish.last:
            here = self._hub.positions
            passage.join.ask_newest(here)
            upto = {o: Position(here[o].epoch, seq) for o, seq in passage.join.target.items()}
            key = self._connection.key(wish.room)
            page = await self._joining.history.newest(key, wish.last, upto)
            passage.join.show(page.events, more=page.more)
            await passage.send(page.events)
        if wish.since is None:
            return
        gone, begins = await self._gone(wish.since)
        for lost in gone:
            passage.declare(lost)
        for origin, first in begins.items():
            passage.join.read_up_to(origin, first - 1)
        owing, rooms = self._joining.owing, passage.join.rooms
        came = await owing.came(self._connection, rooms, wish.since, known)
        known += [each for each in came.each if each not in known]
        await passage.send(came.events)

    async def _gone(self, since: Cursor) -> tuple[list[Gap], dict[str, int]]:
        """What came after a cursor and can't be had any more; and where each stream begins now.

        Raises:
            UnavailableError: that can't be told now.
        """
        here, lost = dict(self._hub.positions), []
        for origin, there in since.positions.items():
            if origin not in here:
                lost.append(Gap(origin, there.epoch, there.seq + 1, None, "origin_removed"))
            elif there.epoch != here[origin].epoch:
                lost.append(Gap(origin, there.epoch, there.seq + 1, None, "epoch"))
                if there.seq and there.epoch < here[origin].epoch:
                    # Who began it may not have known how far the old one had been.
                    lost.append(Gap(origin, here[origin].epoch, 1, there.seq, "epoch"))
        states = await self._joining.streams.states_since(self._hub.epochs(), since.positions)
        for origin, state in states.items():
            # Of an origin that the cursor does not know, nothing is missed: see `judge`.
            start = since.positions[origin].seq if origin in since.positions else state.first
            if start + 1 < state.first:
                if state.unsure:
                    raise UnavailableError(f"{origin} does not say where it begins")
                lost.append(Gap(origin, state.epoch, start + 1, state.first - 1, "expired"))
        return lost, {origin: state.first for origin, state in states.items()}

    async def _bring(self, passages: Sequence[Passage]) -> None:
        """Replay until the edge stands where the session does, and nothing overflows."""
        connection, budget = self._connection, self._joining.budget()
        while connection.alive:
            await replay_all(passages, budget, connection)
            # Rooms just opened may have been read further than the edge's position, and a `since`
            # may come from a region that is further: the session's cursor will be the edge's.
            joins = [passage.join for passage in passages]
            reached = [seqs for join in joins for seqs in (join.target, join.sent)]
            await self._joining.feeds.until(_furthest(reached, connection.ahead))
            late = [join for join in joins if join.overflowed]
            for join in late:
                join.retarget(self._hub.seqs)
            if not late:
                return

    # --- RESUME --------------------------------------------------------------------------------

    async def resume(
        self, effect: Resume, announce: Callable[[ClientConnection, str], None]
    ) -> None:
        """RESUME: replay, then RESUMED."""
        connection = self._connection
        connection.tenant = effect.grants.tenant
        try:
            cursor = await self._presented(effect)
            if cursor is None:
                self._refuse(Refuse(Invalid.EXPIRED, missing={}))
                return
            presented = cursor.positions
            delivered = dict(self._hub.seqs)  # before the look: the stream goes on meanwhile
            states = await self._joining.streams.states_since(self._hub.epochs(), presented)
            if any(s.home and s.last < delivered[origin] for origin, s in states.items()):
                # The home stream lost its end: its gate will write it back, or start an epoch.
                raise UnavailableError("the home stream is shorter than what was delivered")
            unheard = [
                origin
                for origin, place in presented.items()
                if origin in states
                and self._hub.positions[origin].epoch < place.epoch <= states[origin].epoch
            ]
            if unheard:
                # Its next cursor would name the old one; the first event of the new one comes soon.
                for origin in unheard:
                    self._joining.on_newer_epoch(origin, states[origin].epoch)
                raise UnavailableError("this edge has not heard of the new epoch yet")
            verdict = judge(presented, states)
            if isinstance(verdict, Refuse):
                if verdict.reason is Invalid.AHEAD and not self._joining.home_is_whole():
                    raise UnavailableError("the home stream may get back an end that it lost")
                self._refuse(verdict)
                return
            await self._hold([wish.room for wish in effect.rooms])
            epochs = self._hub.epochs()
            if any(place.epoch < epochs.get(o, 0) for o, place in presented.items()):
                raise UnavailableError("a new epoch began meanwhile")
        except BusError as error:
            _log.info("a RESUME has to come again: %s", error)
            self._refuse(Refuse(Invalid.UNAVAILABLE, retry=True))
            return
        if connection.alive:  # else what the session has elsewhere stays
            announce(connection, effect.session_id)
        # What the region lacks: this edge's own position may stand up to a marker before its copy.
        here = {o: max(state.last, self._hub.seqs[o]) for o, state in states.items()}
        behind = {o: seq - here[o] for o, seq in verdict.after.items() if seq > here[o]}
        try:
            await self._resume(effect, cursor, verdict, behind)
        except BusError:
            # Some of the replay is out: the client resumes from the cursors it got with it.
            connection.close(4000)
        if not connection.alive:
            self._let_go()

    async def _presented(self, effect: Resume) -> Cursor | None:
        if effect.cursor is not None:
            return effect.cursor
        assert effect.seq is not None, "the session checked it"
        age_ms = self._connection.now().wall_ms - numbering.unix_ms_of(effect.seq)
        coming = abs(age_ms) < RECORDS_COME_MS
        region = self._joining.regions.get(numbering.region_index_of(effect.seq))
        if region is None:
            if coming:
                raise UnavailableError("this edge may not have heard of a new region yet")
            return None
        coming = coming or self._joining.feeds.may_come(region)
        record = await find_record(self._joining.reader, region, effect.seq, coming=coming)
        if record is None:
            return None
        places = {o: Position(*place) for o, place in record.positions.items()}
        return Cursor(region, places, record.holes, record.owes)

    def _refuse(self, refuse: Refuse) -> None:
        connection = self._connection
        self._let_go()
        missing = dict(refuse.missing) if refuse.missing is not None else None
        connection.gateway.counters.resumes_refused += 1
        connection.run(
            connection.session.refuse(
                refuse.reason, connection.now(), retry=refuse.retry, missing=missing
            )
        )

    async def _resume(
        self,
        effect: Resume,
        cursor: Cursor,
        accept: Accept,
        behind: Mapping[str, int],
    ) -> None:
        connection, budget = self._connection, self._joining.budget()
        keys = [connection.key(wish.room) for wish in effect.rooms]
        presented = cursor.positions.items()
        positions = {origin: place for origin, place in presented if origin in self._hub.seqs}
        base = replace(cursor, positions=positions)
        passage = Passage(self._joining, connection, keys, accept.after, base=base)
        join = passage.join
        for lost in accept.gaps:
            passage.declare(lost)
        with passage:
            came = await self._joining.owing.came(connection, join.rooms, cursor)
            await passage.send(came.events)
            while connection.alive:
                await replay_all([passage], budget, connection)
                if not join.overflowed:
                    break
                join.retarget(self._hub.seqs)
            if not connection.alive:
                return
            # No await from here on.
            passage.release()
            join.settle(self._hub.seqs)
            self._hub.set_ahead(connection, Ahead.of(join.sent, self._hub.seqs))
            self._hub.take(connection, keys)
            self._joining.owing.seat(came.each)
        self._say_resumed(effect, join.replayed + len(came.events), behind)

    def _say_resumed(self, effect: Resume, replayed: int, behind: Mapping[str, int]) -> None:
        connection = self._connection
        now = connection.now()
        if effect.seq is not None:
            s = self._hub.numbering.above(effect.seq, now.wall_ms)
        else:
            s = self._hub.numbering.at(now.wall_ms)
        resumed = {
            "replayed": replayed,
            "behind": dict(behind),
            "rooms": [wish.room for wish in effect.rooms],
            "refused": refused_rooms(effect.refused),
            "cursor": self._hub.cursor_of(connection),
            "resume_gateway_url": connection.gateway.resume_url(connection.lot),
        }
        connection.gateway.counters.resumes += 1
        connection.run(connection.session.resumed(resumed, s, now))

    # --- leaving -------------------------------------------------------------------------------

    def leave(self, rooms: Iterable[str]) -> None:
        """The session leaves these rooms."""
        keys = [self._connection.key(room) for room in rooms]
        for key in keys:
            self._hub.leave(self._connection, key)
        for passage in self.passages:
            passage.join.left.update(keys)
        self._let_go(keys)

    def release(self) -> None:
        """The connection is gone: hold nothing for it."""
        self._hub.forget(self._connection)
        self._let_go()

    # --- holding rooms open --------------------------------------------------------------------

    async def _hold(self, rooms: Iterable[str]) -> None:
        connection = self._connection
        wanted = [key for key in map(connection.key, rooms) if key not in self._held]
        results = await asyncio.gather(
            *(self._joining.rooms.acquire(key) for key in wanted), return_exceptions=True
        )
        failure: BaseException | None = None
        for key, result in zip(wanted, results, strict=True):
            if result is not None:
                failure = result
            elif connection.alive:
                self._held.add(key)
            else:
                self._joining.rooms.release(key)
        if failure is not None:
            self._let_go(wanted)
            raise UnavailableError("rooms could not be opened") from failure

    def _let_go_of_left(self) -> None:
        """Hold no room open that the session left while it was joined."""
        wanted = {self._connection.key(room) for room in self._connection.session.rooms}
        self._let_go([key for key in self._held if key not in wanted])

    def _let_go(self, keys: Iterable[RoomKey] | None = None) -> None:
        for key in list(self._held) if keys is None else list(keys):
            if key in self._held:
                self._held.discard(key)
                self._joining.rooms.release(key)


def _dated(wish: Wish) -> bool:
    """Whether a room is to be replayed, rather than joined from now on."""
    return wish.since is not None or bool(wish.last)


def _furthest(targets: Iterable[Mapping[str, int]], ahead: Ahead | None) -> dict[str, int]:
    furthest: dict[str, int] = dict(ahead.seqs) if ahead else {}
    for target in targets:
        for origin, seq in target.items():
            furthest[origin] = max(furthest.get(origin, 0), seq)
    return furthest
