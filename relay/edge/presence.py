"""Presence at work: what this edge says of its sessions, and what it hears of all others.

Every 2 s, at the same moments everywhere, an edge says what changed (`pres.<region>.<edge>`); 0.7 s
later, when all have been heard, it tells its clients. Who lacks something asks for it.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import msgspec

from relay.bus.connection import Connection, Headers
from relay.bus.inbox import Inbox
from relay.config import Limits
from relay.core import presence_messages as messages
from relay.core.answers import error
from relay.core.attendance import Attendance
from relay.core.codes import ErrorCode
from relay.core.effects import Appear, Effect, Watch
from relay.core.limits import TokenBucket
from relay.core.names import (
    is_edge,
    is_region,
    presence_answer_subject,
    presence_ask_subject,
    presence_subject,
)
from relay.core.presence import EVERYWHERE, ONLINE, Scope, Shown
from relay.core.rosters import GONE_S, Rosters, Source
from relay.core.session import Session
from relay.edge import clock
from relay.edge.seat import Seat
from relay.edge.viewers import Viewers
from relay.errors import BusError
from relay.tasks import Tasks

WINDOW_S = 2.0
HEARD_S = 0.7  # after a window ended: by then every edge has been heard
LEAST_S = 1.5  # between two windows, whatever the wall clock does
TURN_S = 0.05
TOLD_S = 1.0  # in which another edge says how it had shown a session; it shows it for longer
LATE_S = 10.0  # for which what it says later is believed still
FULL = "this edge can't look at more users and rooms now"
CLEAN = (1000, 1001, 4009)  # closes after which the user is gone at once
ANSWERED_SCOPES = 1_000  # at once: windows wait for it
ASKED_SCOPES = 100_000  # that wait for an answer, of one edge


class _Unsure(NamedTuple):
    """A session of which it is not known yet how it is seen."""

    until_s: float
    session: Session
    first: int  # Unix ms of the first resume since it was known
    former: tuple[Shown | None] | None = None  # how it was seen at an edge before the last one


class Presence:
    """The presence of one edge.

    Args:
        connection: on which others are heard.
        inbox: of the same connection: what is said goes out in order.
        me: region, edge and Unix ms of its start.
        limits: bounds.
        numbering: of `s`.
    """

    def __init__(
        self,
        connection: Connection,
        inbox: Inbox,
        me: Source,
        limits: Limits,
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._me = me
        self._limits = limits
        self._tasks = Tasks("presence")
        self.attendance = Attendance()
        self.rosters = Rosters(me)
        self.viewers = Viewers(self.rosters, self._mine, limits)
        self._number = 0
        self._saying = asyncio.Lock()  # an answer counts the windows before it
        self._asked: dict[tuple[str, str], dict[Scope, None]] = {}
        self._has_asked = asyncio.Event()
        self._updates: OrderedDict[tuple[str, str], TokenBucket] = OrderedDict()
        # Sessions that were resumed here, with a connection or without one again, and of which
        # nobody has said yet how they were seen where they were before; in the order of `until_s`.
        self._unsure: dict[str, _Unsure] = {}
        # Those of which nobody said it in time: who says it later is believed still.
        self._presumed: dict[str, _Unsure] = {}
        self._said = asyncio.Event()  # a window
        self.before: Callable[[], None] = lambda: None  # called before anything is said
        self._heard_me = 0  # the number of its own word that it heard last
        self._hearing_since_s = clock.now().mono_s
        self.undecodable = 0

    async def start(self) -> None:
        """Hear others, and begin to speak."""
        region, edge, _ = self._me
        await self._connection.listen(presence_subject("*", "*"), self._hear_window)
        await self._connection.listen(presence_ask_subject(region, edge), self._hear_ask)
        await self._connection.listen(presence_answer_subject(region, edge), self._hear_answer)
        self._begin_to_hear()
        for act in (self._windows, self._passing, self._turns, self._answers):
            self._tasks.keep(act, act.__name__.strip("_"))

    def _begin_to_hear(self) -> None:
        """From now on: within a window and what it takes to come, all edges will have spoken."""
        self._hearing_since_s = clock.now().mono_s
        self.rosters.whole_s = self._hearing_since_s + WINDOW_S + HEARD_S

    async def close(self) -> None:
        """Say no more."""
        await self._tasks.close()

    # --- what sessions do ----------------------------------------------------------------------

    def attend(self, seat: Seat, session: Session) -> list[Effect]:
        """The session has begun, or what it shows, where it is or at whom it looks has changed.

        Returns:
            What it is told of rooms for which there is no room here: it does not look at them.
        """
        grants, now_s = session.grants, clock.now().mono_s
        if grants is None:
            return []
        self._enter(session, [room for room, joined in session.rooms.items() if joined])
        wanted = {(grants.tenant, room) for room in session.looking if session.rooms.get(room)}
        wanted |= {(grants.tenant, EVERYWHERE + user) for user in session.watched}
        refused = sorted(scope[1] for scope in self.viewers.look(seat, wanted, now_s))
        if refused:
            session.looking -= set(refused)
            session.watched -= {name[1:] for name in refused if name.startswith(EVERYWHERE)}
        return [_told_no_more(name) for name in refused]

    def asked(self, session: Session, effect: Appear | Watch) -> list[Effect]:
        """PRESENCE_UPDATE, or WATCH: all of the users, or none."""
        if isinstance(effect, Appear):
            return self.appear(session, effect.shown)
        assert session.grants is not None, "only who was granted something watches"
        tenant = session.grants.tenant
        if not self.viewers.has_room({(tenant, EVERYWHERE + user) for user in effect.users}):
            return [error(effect.nonce, ErrorCode.UNAVAILABLE, FULL)]
        return session.watch(effect.users, effect.nonce)

    def back(self, session: Session, resumed_at: int) -> None:
        """A session is being resumed here: it is seen at once, however long its replay takes.

        One that says nothing of itself, and was at another edge, is seen as it was there: for so
        long the other edge shows it. That one says how, if it lives.

        Args:
            session: which says already who it is.
            resumed_at: the Unix ms of the resume, by which edges know it.
        """
        session_id = session.session_id
        earlier = self._known_no_more(session_id)
        if not session.shows and (
            earlier is not None
            or not self.attendance.sure(session_id)
            or self.attendance.moved(session_id)
        ):
            until_s = clock.now().mono_s + TOLD_S
            self._unsure[session_id] = (
                _Unsure(until_s, session, resumed_at)
                if earlier is None
                else earlier._replace(until_s=until_s, session=session)
            )
        self._enter(session, session.rooms)

    def seen(self, session_id: str) -> tuple[Shown | None] | None:
        """What a session that was here showed, for the edge where it is now; None: not known."""
        if session_id in self._unsure or session_id in self._presumed:
            return None
        if not self.attendance.sure(session_id):
            return None
        return (self.attendance.shown(session_id),)

    def told(
        self, session_id: str, resumed_at: int, shown: Shown | None, *, former: bool = False
    ) -> None:
        """How a session was seen at another edge.

        Args:
            session_id: whose.
            resumed_at: the Unix ms of the resume that is answered.
            shown: what it showed; None: nothing.
            former: the edge had it earlier, and it was elsewhere since: that counts if nobody who
                knows better says anything.
        """
        waiting = session_id in self._unsure
        found = (self._unsure if waiting else self._presumed).get(session_id)
        if found is None or resumed_at < found.first:
            return
        if not former:
            self._known_no_more(session_id)
            self._show(found.session, shown)
        elif waiting:
            self._unsure[session_id] = found._replace(former=(shown,))
        elif found.former is None:
            self._presumed[session_id] = found._replace(former=(shown,))
            self._show(found.session, shown)

    def _show(self, session: Session, shown: Shown | None) -> None:
        if not session.shows:
            session.shown = shown
            self.attendance.show(session.session_id, shown)

    def _known_no_more(self, session_id: str) -> _Unsure | None:
        """Wait no longer for what another edge says; what was waited for."""
        unsure = self._unsure.pop(session_id, None)
        return unsure or self._presumed.pop(session_id, None)

    def _stop_waiting(self, now_s: float) -> None:
        """Where nobody says how a session was seen, it is as it was earlier or here, or online."""
        for session_id, unsure in _over(self._unsure, now_s):
            self._presumed[session_id] = unsure._replace(until_s=now_s + LATE_S)
            if unsure.former is not None:
                self._show(unsure.session, unsure.former[0])
            elif self.attendance.sure(session_id):
                self._show(unsure.session, self.attendance.shown(session_id))
            else:
                self._show(unsure.session, ONLINE)
        for _ in _over(self._presumed, now_s):
            pass

    def _enter(self, session: Session, rooms: Iterable[str]) -> None:
        grants, session_id = session.grants, session.session_id
        assert grants is not None, "only a session that was granted something begins"
        if session.shows:
            self._known_no_more(session_id)
        elif self.attendance.sure(session_id):
            session.shown = self.attendance.shown(session_id)  # as before its resume
        sure = session_id not in self._unsure
        self.attendance.enter(
            session_id, grants.tenant, grants.user, session.shown, rooms, sure=sure
        )

    def appear(self, session: Session, shown: Shown | None) -> list[Effect]:
        """PRESENCE_UPDATE, unless the user changes too often: whichever session he does it in."""
        grants, now_s = session.grants, clock.now().mono_s
        if grants is None:
            return []
        limits, key = self._limits, (grants.tenant, grants.user)
        rate = limits.status_updates / limits.status_updates_s
        bucket = self._updates.setdefault(key, TokenBucket.full(rate, limits.status_updates, now_s))
        self._updates.move_to_end(key)
        while len(self._updates) > self._limits.connections:
            self._updates.popitem(last=False)
        if (wait_s := bucket.take(now_s)) > 0:
            most, per_s = limits.status_updates, limits.status_updates_s
            text = f"more than {most} status updates in {per_s:g} s"
            return [error(None, ErrorCode.RATE_LIMITED, text, retry_after=wait_s)]
        return session.appear(shown)

    def left(self, seat: Seat) -> None:
        """The connection is closing: it looks at nobody."""
        self.viewers.look(seat, set(), clock.now().mono_s)

    def ended(self, session_id: str, code: int) -> None:
        """The session has no connection here any more."""
        grace_s = 0.0 if code in CLEAN else self._limits.grace_s
        self.attendance.end(session_id, clock.now().mono_s, grace_s)

    def moved(self, session_id: str) -> None:
        """The session was resumed at another edge."""
        self._known_no_more(session_id)
        self.attendance.move(session_id, clock.now().mono_s)

    def fence(self, stopped_s: float) -> None:
        """This edge stood still; for so long that others have let its sessions go, it does too."""
        self._begin_to_hear()
        if stopped_s >= GONE_S - WINDOW_S:  # they count from its last word, a window ago at most
            self.attendance.clear()

    def _mine(self, scope: Scope) -> Mapping[str, Shown]:
        return self.attendance.snapshot([scope]).get(scope, {})

    # --- what it hears -------------------------------------------------------------------------

    def _hear_window(self, subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        try:
            window = messages.decode_window(data)
        except (msgspec.DecodeError, RecursionError):
            self.undecodable += 1
            return
        if subject != presence_subject(window.region, window.edge):
            self.undecodable += 1
            return
        self.before()
        now_s = clock.now().mono_s
        source = (window.region, window.edge, window.epoch)
        if source == self._me:
            if window.number > self._heard_me + 1:  # what others said meanwhile is lost, too
                self._hearing_since_s = now_s
            self._heard_me = window.number
            return
        if source[:2] == self._me[:2]:
            return  # a process that this one replaced
        self.rosters.hear(source, window.number, messages.changes_in(window.changes), now_s)
        self.viewers.tell_of_users()

    def _hear_answer(self, _subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        try:
            said = messages.decode_answer(data)
        except (msgspec.DecodeError, RecursionError):
            self.undecodable += 1
            return
        source = (said.region, said.edge, said.epoch)
        members = messages.members_in(said.scopes)
        self.rosters.answer(source, said.number, members, said.total)
        self.viewers.tell_of_users()
        self.viewers.tell_newcomers(clock.now().mono_s, members)

    def _hear_ask(self, _subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        try:
            ask = messages.decode_ask(data)
        except (msgspec.DecodeError, RecursionError):
            self.undecodable += 1
            return
        if not (is_region(ask.region) and is_edge(ask.edge)):
            self.undecodable += 1
            return
        scopes = self._asked.setdefault((ask.region, ask.edge), {})
        for tenant, names in ask.scopes.items():
            for name in names:
                if len(scopes) < ASKED_SCOPES:
                    scopes[tenant, name] = None
        self._has_asked.set()

    # --- what it says --------------------------------------------------------------------------

    async def _windows(self) -> None:
        last_s = 0.0
        while True:
            await asyncio.sleep(WINDOW_S - clock.wall_ms() / 1000 % WINDOW_S)
            now_s = clock.now().mono_s
            if now_s - last_s < LEAST_S:
                continue
            last_s = now_s
            with contextlib.suppress(BusError):
                await self._say(now_s)
            self._said.set()

    async def _passing(self) -> None:
        """Tell clients of each window; this edge's next word does not wait for that."""
        while True:
            await self._said.wait()
            self._said.clear()
            await asyncio.sleep(HEARD_S)
            self.before()
            await self._pass_on()

    async def _say(self, now_s: float) -> None:
        async with self._saying:
            self.before()
            changes = self.attendance.window(now_s)
            self.rosters.mine(changes)
            self.viewers.tell_of_users()
            region, edge, epoch = self._me
            for table in [table for table, _ in messages.tables(changes)] or [{}]:
                self._number += 1
                window = messages.Window(region, edge, epoch, self._number, table)
                await self._inbox.send(presence_subject(region, edge), messages.encode(window), "")

    async def _pass_on(self) -> None:
        now_s = clock.now().mono_s
        if self._heard_me == self._number:  # else what others said may be on its way
            self.rosters.sweep(now_s, self._hearing_since_s)
        self.viewers.tell_of_users(window_ended=True)
        await self.viewers.flush(now_s)
        self.viewers.sweep(now_s)

    async def _turns(self) -> None:
        """Ask for what is lacking, and tell who waits for it."""
        while True:
            await asyncio.sleep(TURN_S)
            self.before()
            now_s = clock.now().mono_s
            self._stop_waiting(now_s)
            region, edge, _ = self._me
            for (to_region, to_edge, _epoch), scopes in self.rosters.asks(now_s).items():
                subject = presence_ask_subject(to_region, to_edge)
                with contextlib.suppress(BusError):
                    for ask in messages.asks(region, edge, scopes):
                        await self._inbox.send(subject, messages.encode(ask), "")
            self.viewers.tell_newcomers(now_s)

    async def _answers(self) -> None:
        """Answer who asks: a message at a time, so that nobody waits for a long list."""
        region, edge, epoch = self._me
        while True:
            await self._has_asked.wait()
            self._has_asked.clear()
            asked, self._asked = self._asked, {}
            parts = (
                (place, part)
                for place, scopes in asked.items()
                for part in _parts(scopes, ANSWERED_SCOPES)
            )
            for place, scopes in parts:
                async with self._saying:
                    self.before()
                    found = self.attendance.snapshot(scopes)
                    whole = {scope: found.get(scope, {}) for scope in scopes}
                    with contextlib.suppress(BusError):
                        for table, total in messages.tables(whole):
                            answer = messages.Answer(
                                region, edge, epoch, self._number, table, total
                            )
                            subject = presence_answer_subject(*place)
                            await self._inbox.send(subject, messages.encode(answer), "")
                            await asyncio.sleep(0)


def _over(unsure: dict[str, _Unsure], now_s: float) -> Iterator[tuple[str, _Unsure]]:
    """Take out those whose time is over: they are in the order of it."""
    while unsure:
        session_id, first = next(iter(unsure.items()))
        if first.until_s > now_s:
            return
        del unsure[session_id]
        yield session_id, first


def _told_no_more(scope: str) -> Effect:
    """Says of which user, or of which room, nothing is told."""
    if scope.startswith(EVERYWHERE):
        return error(None, ErrorCode.UNAVAILABLE, FULL, user=scope[1:])
    return error(None, ErrorCode.UNAVAILABLE, FULL, presence=scope)


def _parts(scopes: Iterable[Scope], size: int) -> Iterator[list[Scope]]:
    rest = iter(scopes)
    while part := list(islice(rest, size)):
        yield part
