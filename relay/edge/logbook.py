"""The edge's part of the log of who was here: written in batches, each until it is stored.

Who is told that he is in, is in the log: READY waits for it, a second at most.
"""

import asyncio
import logging
import math
from collections import deque
from dataclasses import dataclass

import msgspec

from relay.bus.ack import read_ack
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core.headcount import Headcount, How, Who
from relay.core.log import (
    Batch,
    Came,
    Entry,
    Snapshot,
    V,
    Went,
    decode_entry,
    encode_entry,
    pack_keys,
    session_key,
)
from relay.core.names import log_stream, log_subject
from relay.edge import clock
from relay.errors import BusError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.logbook")

BATCH_RECORDS = 200  # 54 kB with the longest names: a message of the stream may have 64
GATHER_S = 0.01  # what happens within it is stored together
BEAT_S = 1.0  # a batch at least, so that an edge that dies is known to have lived until then
RETRY_S = 0.25
ACK_S = 2.0
WAIT_S = 1.0  # READY waits no longer
WAITING = 100_000  # records; more are lost, and counted
SNAPSHOT_S = 60.0
PART_KEYS = 3_000  # packed in a few milliseconds
LOOKS = 10  # for the life before, that may fail
MSG_ID = "Nats-Msg-Id"


@dataclass(slots=True)
class _Noted:
    at_s: float
    key: bytes
    who: Who | None  # None: went
    how: str
    code: int
    changes: int
    sessions: int


class Logbook:
    """Writes the log of one edge.

    Args:
        inbox: to publish on.
        reader: of the edge.
        headcount: of this edge.
        region: this edge's.
        edge: its name.
        epoch: Unix ms of its start.
    """

    def __init__(
        self,
        inbox: Inbox,
        reader: Reader,
        headcount: Headcount,
        region: str,
        edge: str,
        epoch: int,
    ) -> None:
        self._inbox = inbox
        self._reader = reader
        self._headcount = headcount
        self._region, self._edge, self._epoch = region, edge, epoch
        self._stream, self._subject = log_stream(region), log_subject(region, "att", edge)
        self._begun = asyncio.Event()
        self._before_ms: int | None = None  # when this edge's life before was in the log last
        self._looks = LOOKS
        self._away_s = math.inf
        self._tasks = Tasks("logbook")
        self._waiting: deque[_Noted] = deque()
        self._due = asyncio.Event()
        self._stored = asyncio.Condition()
        self._number = 0
        # Of the batch that is being stored, until it is: records, changes and sessions after them.
        self._in_hand: tuple[int, int, int] | None = None
        self._stored_changes = 0  # of the last batch
        self._noted = 0  # records, in all
        self._snapshot_s = clock.now().mono_s
        self.late = 0  # READYs that did not wait until they were in the log
        self.lost = 0  # records that did not get into it

    def start(self) -> None:
        """Begin to write."""
        self._tasks.keep(self._write, "write")

    async def close(self) -> None:
        """Say that this edge ends, where NATS takes it within a second."""
        await self._tasks.close()
        try:
            async with asyncio.timeout(WAIT_S):
                while self._waiting or self._in_hand is not None:
                    await self._batch()
                await self._batch(final=True)
        except (TimeoutError, BusError):
            _log.info("the log lacks this edge's end")

    @property
    def batches(self) -> int:
        """How many batches were stored."""
        return self._number

    @property
    def waiting(self) -> int:
        """How many records are not stored yet."""
        return len(self._waiting)

    # --- what is noted -------------------------------------------------------------------------

    def came(self, session_id: str, who: Who, how: How) -> None:
        """A session came."""
        self._headcount.came(session_id, who, how)
        self._note(session_id, who, how, 0)

    def went(self, session_id: str, code: int) -> None:
        """A session went."""
        self._headcount.went(session_id, code)
        self._note(session_id, None, "", code)

    def _note(self, session_id: str, who: Who | None, how: str, code: int) -> None:
        count = self._headcount
        if len(self._waiting) >= WAITING:
            self.lost += 1
            return
        key, now_s = session_key(session_id), clock.now().mono_s
        self._waiting.append(_Noted(now_s, key, who, how, code, count.changes, len(count)))
        self._noted += 1
        self._due.set()

    async def stored(self) -> None:
        """Wait until all that is noted is stored; a second at most."""
        noted = self._noted
        try:
            async with asyncio.timeout(WAIT_S), self._stored:
                await self._stored.wait_for(lambda: self._noted - len(self._waiting) >= noted)
        except TimeoutError:
            self.late += 1

    # --- what is written -----------------------------------------------------------------------

    async def away_s(self) -> float:
        """For how long this edge was away before this life, by the stream's clock (s).

        Infinite where it was never there; 0.0 where that could not be found. Waits until the first
        batch is stored.
        """
        await self._begun.wait()
        return self._away_s

    async def _begin(self) -> None:
        """Store the first batch, and find how long ago the last of the life before was."""
        while not self._begun.is_set():
            try:
                if self._number == 0:
                    await self._look_back()
                    await self._batch()
                now_ms = await self._last_ms()
                if self._looks == 0:
                    self._away_s = 0.0
                elif self._before_ms is not None and now_ms is not None:
                    self._away_s = (now_ms - self._before_ms) / 1000
                self._begun.set()
            except BusError as error:
                _log.debug("the log waits: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _look_back(self) -> None:
        """Find the last of the life before. Who may not ask, writes all the same."""
        if self._in_hand is None and self._looks:  # else it may be stored already
            self._before_ms = await self._last_ms()

    async def _last_ms(self) -> int | None:
        if self._looks == 0:
            return None
        try:
            return await self._reader.last_stored_ms(self._stream, self._subject)
        except BusError:
            self._looks -= 1
            if self._looks:
                raise
            _log.warning("it is not known for how long this edge was away")
            return None

    async def _write(self) -> None:
        await self._begin()
        while True:
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._due.wait()
                await asyncio.sleep(GATHER_S)
            except TimeoutError:
                pass
            try:
                await self._batch()
                await self._snapshot()
            except BusError as error:
                _log.debug("the log waits: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _batch(self, *, final: bool = False) -> None:
        """Store what waits, up to a batch.

        Raises:
            BusError: it is not known to be stored; the same batch is stored again.
        """
        self._due.clear()
        if self._in_hand is None:  # else the same number says the same
            count = min(len(self._waiting), BATCH_RECORDS)
            if count:
                last = self._waiting[count - 1]
                self._in_hand = count, last.changes, last.sessions
            else:
                self._in_hand = 0, self._headcount.changes, len(self._headcount)
        count, changes, sessions = self._in_hand
        taken = [self._waiting[at] for at in range(count)]
        now_s, number = clock.now().mono_s, self._number + 1
        batch = Batch(
            V, self._region, self._edge, self._epoch, number, changes, sessions, self.lost, final,
            [_record(noted, now_s) for noted in taken],
        )  # fmt: skip
        await self._store(batch, f"{self._edge}.{self._epoch}.{number}.{len(taken)}")
        self._number, self._in_hand, self._stored_changes = number, None, changes
        for _ in taken:
            self._waiting.popleft()
        if self._waiting:
            self._due.set()
        async with self._stored:
            self._stored.notify_all()

    async def _snapshot(self) -> None:
        now_s = clock.now().mono_s
        if now_s - self._snapshot_s < SNAPSHOT_S or (self.lost and self._waiting):
            return
        changes, keys = self._stored_changes, sorted(self._as_stored())
        cut = [keys[at : at + PART_KEYS] for at in range(0, len(keys), PART_KEYS)] or [[]]
        for number, part in enumerate(cut):
            snapshot = Snapshot(
                V, self._region, self._edge, self._epoch, changes, number, len(cut), pack_keys(part)
            )
            await self._store(snapshot, f"{self._edge}.{self._epoch}.s{self._number}.{number}")
        self._snapshot_s = now_s

    def _as_stored(self) -> set[bytes]:
        """The sessions that are open after the last batch: what waits has not happened yet."""
        keys = {session_key(each) for each in self._headcount.sessions}
        for noted in reversed(self._waiting):
            if noted.who is None:
                keys.add(noted.key)
            else:
                keys.discard(noted.key)
        return keys

    async def _store(self, entry: Entry, msg_id: str) -> None:
        answer = await self._inbox.request(
            self._subject, encode_entry(entry), ACK_S, {MSG_ID: msg_id}
        )
        ack = read_ack(*answer)
        if ack.error is not None:
            raise BusError(f"the log is refused: {ack.error.description}")


async def epoch_after(reader: Reader, region: str, edge: str, wall_ms: int) -> int:
    """The epoch of a new life of an edge: the time, and later than its life before in any case.

    Args:
        reader: of the edge.
        region: its own.
        edge: its name.
        wall_ms: the time, Unix ms: by a clock that may have been set back meanwhile.
    """
    try:
        got = await reader.last_data(log_stream(region), log_subject(region, "att", edge))
        before = decode_entry(got).epoch if got is not None else 0
    except (BusError, msgspec.DecodeError) as error:
        _log.warning("it is not known when this edge began before: %s", error)
        return wall_ms
    return max(wall_ms, before + 1)


def _record(noted: _Noted, now_s: float) -> Came | Went:
    ago_ms = max(0, round((now_s - noted.at_s) * 1000))
    if noted.who is None:
        return Went(ago_ms, noted.key, noted.code)
    who = noted.who
    return Came(
        ago_ms, noted.key, noted.how, who.tenant, who.user, who.transport, who.country, who.device
    )
