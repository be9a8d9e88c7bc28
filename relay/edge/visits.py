"""Visits of plain pages at an edge: opened here and kept, or passed on to the edge they belong to.

What opens and ends is stored before it is answered, many at a time; after a crash the edge goes on
with what its log says is open.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from relay.bus.connection import Connection, Headers
from relay.bus.inbox import Inbox
from relay.bus.visit_log import VisitLog
from relay.config import Limits
from relay.core.limits import Shares, TokenBucket
from relay.core.names import is_edge, is_region, visit_answer_subject, visit_subject
from relay.core.visits import (
    KEY_BYTES,
    Change,
    VisitAnswer,
    VisitId,
    VisitIds,
    VisitOps,
    VisitTable,
    decode_answer,
    decode_ops,
    encode_ops,
)
from relay.edge import clock
from relay.errors import BusError, UnavailableError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.visits")

GATHER_S = 0.01  # what happens within it is stored together
BATCH_RECORDS = 1_000
RETRY_S = 0.25
ANSWER_S = 2.0  # in which an opening is stored, or refused
SWEEP_S = 1.0
CHECKPOINT_S = 60.0
PASS_ON_S = 0.05
PASS_AGAIN_S = 1.0
PASSED_AT_ONCE = 1_000
PASSED = 20_000  # that wait for one edge
WAIT_S = 1.0  # a page waits so long for the edge that its visit belongs to
STOOD_S = 2.0  # more than a turn of the loop may take: the process stood still
UNSTORED = 20_000  # openings and ends; while so many wait, no visit opens

Place = tuple[str, str]


class Outcome(Enum):
    """What became of a beat or a close."""

    TAKEN = "taken"
    HELD = "held"  # the edge that it belongs to does not answer: it is told later
    OVER = "over"  # the visit is over


class FullError(UnavailableError):
    """As many visits as can be are open."""


class RateError(UnavailableError):
    """Too many visits are being opened."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many visits are being opened")
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class _Owner:
    """What waits for an edge that visits belong to."""

    beats: dict[bytes, float] = field(default_factory=dict)  # key -> when it was heard
    closes: dict[bytes, float] = field(default_factory=dict)
    # (key, whether it closes) -> who waits for the answer
    waiting: dict[tuple[bytes, bool], list[asyncio.Future[Outcome]]] = field(default_factory=dict)
    number: int = 0
    sent: VisitOps | None = None
    sent_s: float = -1e9
    used_s: float = -1e9  # when a page last had something for it
    asked_s: float | None = None  # since when it owes an answer

    def silent_s(self, now_s: float) -> float:
        """For how long it owes an answer; 0.0: it does not."""
        return now_s - self.asked_s if self.asked_s is not None else 0.0


class Visits:
    """The visits of one edge.

    Args:
        connection: on which others are heard.
        inbox: of the same connection.
        log: of this edge's visits.
        away_s: says for how long this edge was away before this life (s).
        ids: makes and reads ids.
        region: this edge's.
        edge: its name.
        limits: bounds.
    """

    def __init__(
        self,
        connection: Connection,
        inbox: Inbox,
        log: VisitLog,
        away_s: Callable[[], Awaitable[float]],
        ids: VisitIds,
        region: str,
        edge: str,
        limits: Limits,
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._log = log
        self._away_s = away_s
        self._ids = ids
        self._me: Place = (region, edge)
        self._limits = limits
        self._tasks = Tasks("visits")
        self.table = VisitTable(limits.visit_timeout_s, limits.visits)
        self._looked_s = clock.now().mono_s
        self._rate = TokenBucket.full(limits.visits_per_s, limits.visits_per_s, self._looked_s)
        self._shares = Shares(limits.address_visits_per_s)
        self._recovered = asyncio.Event()
        self._changes: list[Change] = []  # not stored yet
        self._closing: dict[bytes, Change] = {}  # of them, those that pages wait for
        self._in_hand = 0
        self._due = asyncio.Event()
        self._stored = asyncio.Condition()
        self._unmarked = 0  # changes since the last checkpoint
        self._owners: dict[Place, _Owner] = {}
        self._passing = asyncio.Event()  # something waits for another edge
        self.passed_on = 0
        self.undecodable = 0

    async def start(self) -> None:
        """Hear others, and go on with what the log says is open."""
        await self._connection.listen(visit_subject(*self._me), self._hear_ops)
        await self._connection.listen(visit_answer_subject(*self._me), self._hear_answer)
        for act in (self._recover, self._write, self._sweep, self._pass_on):
            self._tasks.keep(act, act.__name__.strip("_"))

    async def close(self) -> None:
        """Store what waits, where NATS takes it within a second."""
        await self._tasks.close()
        if not self._recovered.is_set():
            return  # a batch of this life would be read as of the last
        with contextlib.suppress(TimeoutError, BusError):
            async with asyncio.timeout(1.0):
                while self._changes:
                    await self._batch()

    @property
    def waiting(self) -> int:
        """What is not told yet to the edges that it belongs to."""
        return sum(len(one.beats) + len(one.closes) for one in self._owners.values())

    def _now_s(self) -> float:
        """The time; after a look at whether this edge stood still, when it could hear nobody."""
        now_s = clock.now().mono_s
        stood_s, self._looked_s = now_s - self._looked_s, now_s
        if stood_s > SWEEP_S + STOOD_S:
            self.table.stood_still(stood_s, now_s)
        return now_s

    # --- what pages do -------------------------------------------------------------------------

    async def open(self, country: str, share: str) -> str:
        """A visit opens here. Its id, when it is stored.

        Args:
            country: of the page's address.
            share: whose share of the rate it takes.

        Raises:
            FullError: no more can be open.
            RateError: too many open.
            UnavailableError: it was not stored in time.
        """
        now_s = self._now_s()
        if self.table.full:
            raise FullError("as many visits as can be are open at this edge")
        if len(self._changes) >= UNSTORED:
            raise UnavailableError("no visit can be stored now")
        if (wait_s := self._shares.take(share, now_s) or self._rate.take(now_s)) > 0:
            raise RateError(wait_s)
        key = secrets.token_bytes(KEY_BYTES)
        change = self.table.open(key, country, now_s)
        self._note(change)
        if not await self._until_stored(change):
            self._take_back(change)
            raise UnavailableError("the visit could not be stored")
        return self._ids.make(VisitId(*self._me, key))

    def _take_back(self, opened: Change) -> None:
        """The page was told that its visit is none."""
        ended = self.table.close(opened.key, self._now_s())
        if ended is None:
            return  # its end is noted
        for at in range(len(self._changes) - 1, self._in_hand - 1, -1):
            if self._changes[at] is opened:
                del self._changes[at]
                return
        self._note(ended)  # it is being stored, or was just now

    def read(self, text: object) -> VisitId | None:
        """The visit that an id names; None where it is none of ours."""
        return self._ids.read(text)

    async def beat(self, visit: VisitId) -> Outcome:
        """A page is still open."""
        return await self._act(visit, closes=False)

    async def end(self, visit: VisitId) -> Outcome:
        """A page is closed."""
        return await self._act(visit, closes=True)

    async def _act(self, visit: VisitId, *, closes: bool) -> Outcome:
        place = (visit.region, visit.edge)
        if place != self._me:
            return await self._pass(place, visit.key, closes=closes)
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._recovered.wait()
        except TimeoutError as error:
            raise UnavailableError("what was open before is not known yet") from error
        if not closes:
            lives = self.table.beat(visit.key, self._now_s())
            return Outcome.TAKEN if lives else Outcome.OVER
        change = self._end(visit.key)
        if change is None:
            return Outcome.OVER
        if not await self._until_stored(change):
            raise UnavailableError("the close is not stored yet")
        return Outcome.TAKEN

    def _end(self, key: bytes) -> Change | None:
        """A visit closes, and that is noted, also where it was before; None: it was over."""
        change = self.table.close(key, self._now_s())
        if change is None:
            return self._closing.get(key)
        self._closing[key] = change
        self._note(change)
        return change

    # --- what is stored ------------------------------------------------------------------------

    def _note(self, change: Change) -> None:
        self._changes.append(change)
        self._due.set()

    async def _until_stored(self, *changes: Change) -> bool:
        try:
            async with asyncio.timeout(ANSWER_S), self._stored:
                await self._stored.wait_for(lambda: all(change.stored for change in changes))
        except TimeoutError:
            return False
        return True

    async def _recover(self) -> None:
        away_s, since_s = await self._away_s(), clock.now().mono_s
        while True:
            try:
                found = await self._log.recover()
            except BusError as error:
                _log.info("the visits from before are not known yet: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            now_s = self._now_s()
            away_s += now_s - since_s  # what it took counts: it heard of nobody
            for change in self.table.restore(found.keys, away_s, now_s):
                self._note(change)
            if found.keys:
                count, read = len(found.keys), found.batches
                _log.info(
                    "%d visits are open since before, %.1f s ago, %d batches read",
                    count, away_s, read,
                )  # fmt: skip
            self._unmarked = found.batches
            self._recovered.set()
            return

    async def _write(self) -> None:
        await self._recovered.wait()  # a batch of this life would else be read as of the last
        checked_s = clock.now().mono_s
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S):
                    await self._due.wait()
            if self._changes:
                await asyncio.sleep(GATHER_S)
            try:
                if self._changes:
                    await self._batch()
                due = clock.now().mono_s - checked_s > CHECKPOINT_S
                if due and (self._unmarked or len(self.table)):
                    checked_s = clock.now().mono_s
                    await self._checkpoint()
            except BusError as error:
                _log.debug("the log of visits waits: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _batch(self) -> None:
        self._due.clear()
        self._in_hand = self._in_hand or min(len(self._changes), BATCH_RECORDS)
        taken = self._changes[: self._in_hand]
        await self._log.store(taken, clock.now().mono_s)
        for change in taken:
            change.stored = True
            if self._closing.get(change.key) is change:  # not its opening
                del self._closing[change.key]
        del self._changes[: self._in_hand]
        self._in_hand = 0
        self._unmarked += len(taken)
        if self._changes:
            self._due.set()
        async with self._stored:
            self._stored.notify_all()

    async def _checkpoint(self) -> None:
        # What is not stored yet comes in a batch after it.
        late = {change.key for change in self._changes if change.how is None}
        over = [change.key for change in self._changes if change.how is not None]
        keys = [key for key in self.table.keys if key not in late]
        self._unmarked = 0
        await self._log.checkpoint([*keys, *(key for key in over if key not in late)])

    async def _sweep(self) -> None:
        await self._recovered.wait()
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = self._now_s()
            for change in self.table.sweep(now_s):
                self._note(change)
            for place in [p for p, owner in self._owners.items() if self._idle(owner, now_s)]:
                del self._owners[place]

    # --- what belongs to other edges -----------------------------------------------------------

    async def _pass(self, place: Place, key: bytes, *, closes: bool) -> Outcome:
        owner = self._owners.setdefault(place, _Owner())
        if len(owner.beats) + len(owner.closes) >= PASSED:
            raise UnavailableError(f"too much waits for {place[1]}")
        now_s = owner.used_s = clock.now().mono_s
        self._passing.set()
        if owner.silent_s(now_s) > self._limits.visit_timeout_s:
            return Outcome.OVER  # there it is over, too
        if closes:
            owner.beats.pop(key, None)
            owner.closes[key] = now_s
        elif key not in owner.closes:
            owner.beats[key] = now_s
        if owner.silent_s(now_s) > WAIT_S:
            return Outcome.HELD  # it does not answer: nobody waits for that
        told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        owner.waiting.setdefault((key, closes), []).append(told)
        try:
            async with asyncio.timeout(WAIT_S):
                return await told
        except TimeoutError:
            return Outcome.HELD
        finally:
            waiting = owner.waiting.get((key, closes), [])
            if told in waiting:
                waiting.remove(told)
            if not waiting:
                owner.waiting.pop((key, closes), None)

    async def _pass_on(self) -> None:
        while True:
            await self._passing.wait()
            await asyncio.sleep(PASS_ON_S)
            now_s = clock.now().mono_s
            if not any(self._owed(owner) for owner in self._owners.values()):
                self._passing.clear()
            for place, owner in list(self._owners.items()):
                if owner.sent is not None and now_s - owner.sent_s < PASS_AGAIN_S:
                    continue
                self._forget_late(owner, now_s)
                beats = list(owner.beats)[:PASSED_AT_ONCE]
                closes = list(owner.closes)[:PASSED_AT_ONCE]
                if not self._owed(owner):
                    continue
                owner.number += 1
                owner.sent, owner.sent_s = VisitOps(*self._me, owner.number, beats, closes), now_s
                owner.asked_s = owner.asked_s or now_s
                with contextlib.suppress(BusError):
                    await self._inbox.send(visit_subject(*place), encode_ops(owner.sent), "")

    @staticmethod
    def _owed(owner: _Owner) -> bool:
        """Whether there is something to tell it; one that is silent is asked until it answers."""
        return bool(owner.beats or owner.closes) or owner.asked_s is not None

    def _idle(self, owner: _Owner, now_s: float) -> bool:
        rests = now_s - owner.used_s > self._limits.visit_timeout_s
        return rests and not (owner.beats or owner.closes or owner.waiting)

    def _forget_late(self, owner: _Owner, now_s: float) -> None:
        """An edge that is gone for longer than a visit's time: they are over."""
        for table in (owner.beats, owner.closes):
            limit_s = now_s - self._limits.visit_timeout_s
            for key in [key for key, heard_s in table.items() if heard_s < limit_s]:
                del table[key]

    def _hear_answer(self, subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        del subject
        try:
            answer = decode_answer(data)
        except msgspec.DecodeError:
            self.undecodable += 1
            return
        owner = self._owners.get((answer.region, answer.edge))
        if owner is None or owner.sent is None or owner.sent.number != answer.number:
            return
        sent, owner.sent, owner.asked_s = owner.sent, None, None
        over = set(answer.over)
        for key in sent.beats:
            owner.beats.pop(key, None)
        for key in sent.closes:
            owner.closes.pop(key, None)
            over.discard(key)  # whoever closes what is over has what he wants
        self.passed_on += len(sent.beats) + len(sent.closes)
        for closes, keys in ((False, sent.beats), (True, sent.closes)):
            for key in keys:
                for told in owner.waiting.pop((key, closes), ()):
                    if not told.done():
                        told.set_result(Outcome.OVER if key in over else Outcome.TAKEN)

    def _hear_ops(self, _subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        try:
            ops = decode_ops(data)
        except msgspec.DecodeError:
            self.undecodable += 1
            return
        if not (is_region(ops.region) and is_edge(ops.edge)):
            self.undecodable += 1
            return
        if self._recovered.is_set():  # else it is told again
            self._tasks.spawn(self._take_ops(ops), "ops")

    async def _take_ops(self, ops: VisitOps) -> None:
        now_s = self._now_s()
        over = [key for key in ops.beats if not self.table.beat(key, now_s)]
        ends = [self._end(key) for key in ops.closes]
        if not await self._until_stored(*(end for end in ends if end is not None)):
            return  # it is told again
        answer = VisitAnswer(*self._me, ops.number, over)
        with contextlib.suppress(BusError):
            subject = visit_answer_subject(ops.region, ops.edge)
            await self._inbox.send(subject, encode_ops(answer), "")
