"""The watcher: one edge of a region proves the whole live feed against the streams.

It hears every event that the region's copies republish, on a connection of its own. What the feed
jumped over is read, told to the region's edges and recorded; what a marker's hash does not confirm
is compared with the origin, and a difference raises an alarm.
"""

import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import msgspec

from relay.bus.compare import Comparison
from relay.bus.connection import Connection, Headers, settle
from relay.bus.copies import Copies
from relay.bus.events import SEQUENCE, SUBJECT
from relay.bus.inbox import Inbox
from relay.bus.leases import Leases
from relay.bus.reader import Reader, remote_api
from relay.core.alarm import Alarm, Wrong
from relay.core.hole import Stretch
from relay.core.marker import Marker, decode_marker
from relay.core.names import alarm_subject, below, events_stream, mark_subject, skipped_subject
from relay.core.pair import HEARD_S, MirrorState
from relay.core.watch import Again, Check, Finding, Skipped, Watch
from relay.edge import clock
from relay.edge.feeds import Feeds
from relay.edge.holes import HoleLog
from relay.edge.mirrors import Mirrors
from relay.errors import BusError

_log = logging.getLogger("jetrelay.watcher")

DUTY = "watch"
SKIPS = 1_024  # jumps that wait; beyond, those of one origin that follow each other become one
FLUSH_S = 2
TOLD = 1_024  # stretches that are told once more: an edge may have been reconnecting to NATS
TOLD_AGAIN_S = 5  # after they were told first
CHECKS = 64  # markers that wait to be compared; the heads are compared besides
HAND_OVER_S = 6  # a watcher that is new looks back so far: longer than the duty's lease

Connect = Callable[[], Coroutine[Any, Any, Connection]]


class Watcher:
    """Watches while its edge has the duty."""

    def __init__(
        self,
        connect: Connect,
        inbox: Inbox,
        reader: Reader,
        copies: Copies,
        leases: Leases,
        feeds: Feeds,
        mirrors: Mirrors,
        holes: HoleLog,
        region: str,
        *,
        clustered: bool,
    ) -> None:
        self._connect = connect
        self._inbox = inbox
        self._reader = reader
        self._copies = copies
        self._leases = leases
        self._feeds = feeds
        self._mirrors = mirrors
        self._holes = holes
        self._region = region
        self._clustered = clustered
        self._comparison = Comparison(reader)
        self._connection: Connection | None = None
        self._joined = False
        self._lost = 0  # how often the connection was
        self._watches: dict[str, Watch] = {}
        self._skips: deque[tuple[str, Skipped]] = deque()
        self._told: deque[tuple[float, bytes]] = deque(maxlen=TOLD)  # when, of no record
        self._checks: deque[tuple[str, Marker]] = deque(maxlen=CHECKS)
        self._past: deque[dict[str, int]] = deque(maxlen=HAND_OVER_S)  # positions, each second
        self._suspects: dict[str, tuple[int, int]] = {}  # origin -> where the copies may differ
        self._diverged: dict[str, Alarm] = {}
        self._checked: dict[str, int] = {}  # origin -> head that was compared
        self._again = 0  # a sequence of the home stream that came a second time, this turn
        self.skipped = 0  # sequences that the live feed jumped over and the copy holds
        self.on_again: Callable[[int], None] = lambda _seq: None  # the home stream went back

    @property
    def watching(self) -> bool:
        """Whether this edge has the duty."""
        return self._connection is not None

    async def turn(self) -> None:
        """Once a second: take or keep the duty, and follow what was found.

        Raises:
            BusError: NATS did not answer; the next second tries again.
        """
        self._past.append({origin: feed.position for origin, feed in self._feeds.feeds.items()})
        # First of all: an origin that does not answer must not cost the region its watcher.
        on_duty = await self._leases.take_duty(DUTY)
        await self._follow_skips()  # also those that were found before the duty was lost
        await self._tell_again()
        if not on_duty or (self._connection is not None and self._connection.is_closed):
            await self.close()
        if not on_duty:
            return
        if self._connection is None:
            await self._begin()
        if not self._joined:
            await self._join()
        await self._follow_skips()
        again, self._again = self._again, 0
        if again:
            self.on_again(again)
        await self._check_markers()
        await self._check_heads()
        await self._compare_suspects()
        await self._raise_alarms()

    async def close(self) -> None:
        """Watch no more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._watches.clear()
            self._checks.clear()
            await connection.close()

    # --- listening -----------------------------------------------------------------------------

    async def _begin(self) -> None:
        connection = await self._connect()
        self._watches = {origin: Watch(origin) for origin in self._copies.origins}
        self._joined = False

        async def lost() -> None:
            self._joined = False  # and what comes after a reconnect says nothing of what did not
            self._lost += 1

        connection.on_lost = lost
        await connection.listen(below("live", self._region), self._receive)
        self._connection = connection
        _log.info("watching the live feed of %s", self._region)

    async def _join(self) -> None:
        assert self._connection is not None
        await settle(self._connection, FLUSH_S, clustered=self._clustered)
        lost = self._lost
        for origin, watch in self._watches.items():
            # What comes before this is answered jumps over what was missed: nobody is sure of it.
            info = await self._reader.info(events_stream(origin))
            # Who had the duty before may have died with a jump that nobody was told of.
            self._found(origin, watch.joined(info.last, self._past[0].get(origin, 0)))
        self._joined = lost == self._lost

    def _receive(self, _subject: str, _reply: str, headers: Headers, data: bytes) -> None:
        subject = headers.get(SUBJECT, "")
        origin = subject.split(".", 2)[1] if subject.startswith("ev.") else ""
        watch, text = self._watches.get(origin), headers.get(SEQUENCE, "")
        if watch is None or not text.isdigit():
            return
        findings = watch.heard(int(text), subject, data)
        if not self._joined:
            findings = tuple(
                replace(finding, sure=False) if isinstance(finding, Skipped) else finding
                for finding in findings
            )
        self._found(origin, findings)
        if subject == mark_subject(origin):
            marker = decode_marker(data)
            if marker is not None:
                self._found(origin, watch.marked(marker))

    def _found(self, origin: str, findings: tuple[Finding, ...]) -> None:
        for finding in findings:
            match finding:
                case Skipped():
                    self._add_skip(origin, finding)
                case Again(seq) if origin == self._region:
                    self._again = seq
                case Check(marker) if origin != self._region:
                    self._checks.append((origin, marker))
                case _:
                    pass  # a mirror that is filled anew republishes what it had

    def _add_skip(self, origin: str, skip: Skipped) -> None:
        if len(self._skips) >= SKIPS and self._skips[-1][0] == origin:
            # Too many to tell apart: each edge looks for itself what it lacks of all of it.
            _, before = self._skips.pop()
            skip = Skipped(before.first, skip.last, sure=False)
        self._skips.append((origin, skip))

    # --- what was found ------------------------------------------------------------------------

    async def _follow_skips(self) -> None:
        """Tell of each; those of an origin that does not answer wait, in order."""
        waiting: list[tuple[str, Skipped]] = []
        silent: set[str] = set()
        try:
            while self._skips:
                origin, skip = self._skips[0]
                if origin not in silent:
                    try:
                        await self._tell_skipped(origin, skip.first, skip.last, sure=skip.sure)
                    except BusError as error:
                        _log.info("%s: what was jumped over waits: %s", origin, error)
                        silent.add(origin)
                if origin in silent:
                    waiting.append((origin, skip))
                self._skips.popleft()
        finally:
            self._skips.extendleft(reversed(waiting))

    async def _tell_skipped(self, origin: str, first: int, last: int, *, sure: bool) -> None:
        page = await self._reader.page(events_stream(origin), first, batch=1)
        if not page.messages:
            # A replica that is behind shows nothing either: the leader knows.
            stream, subject = events_stream(origin), below("ev", origin)
            found = await self._reader.next_seq(stream, first, subject)
            if found is None or found > last:
                return
        elif page.last > last:
            return  # the copy does not hold them either: it skipped them itself
        if sure:
            self.skipped += last - first + 1
            _log.warning("%s: the live feed jumped over %d to %d", origin, first, last)
        number = await self._holes.record(origin, first, last) if sure else 0
        body = msgspec.json.encode(Stretch(origin, first, last, number))
        await self._inbox.send(skipped_subject(self._region), body, "")
        if not number:
            self._told.append((clock.now().mono_s, body))

    async def _tell_again(self) -> None:
        """What is in no record, an edge hears here or never."""
        while self._told and clock.now().mono_s - self._told[0][0] >= TOLD_AGAIN_S:
            await self._inbox.send(skipped_subject(self._region), self._told[0][1], "")
            self._told.popleft()

    # --- divergence ----------------------------------------------------------------------------

    async def _check_markers(self) -> None:
        """Those that can't be checked now are checked later, while there is room for them."""
        checks, waiting = list(self._checks), list[tuple[str, Marker]]()
        self._checks.clear()
        for origin, marker in checks:
            try:
                await self._check(origin, marker)
            except BusError as error:
                _log.info("%s: a marker can't be checked now: %s", origin, error)
                waiting.append((origin, marker))
        came = list(self._checks)
        self._checks.clear()
        self._checks.extend([*waiting, *came])

    async def _check(self, origin: str, marker: Marker) -> None:
        if marker.last < marker.first or self._copies.known(origin).first > marker.first:
            return
        if (await self._copies.look(origin)).lacks(marker.first - 1, marker.last):
            return  # not here yet, or skipped: what is here can't be judged by that hash
        if not await self._comparison.holds(origin, marker):
            self._suspects[origin] = (marker.first, marker.last)

    async def _check_heads(self) -> None:
        """What stands here under the sequence of the newest marker must be that marker."""
        for origin in self._copies.mirrored:
            head, heard_s = self._feeds.heads.get(origin, (None, 0.0))
            if head is None or clock.now().mono_s - heard_s > HEARD_S:
                continue
            copy = self._copies.known(origin)
            if head.seq == self._checked.get(origin) or not copy.first <= head.seq <= copy.last:
                continue
            try:
                page = await self._reader.page(events_stream(origin), head.seq, batch=1)
            except BusError as error:
                _log.info("%s: its head can't be compared now: %s", origin, error)
                continue
            if page.messages and page.last == head.seq:
                self._checked[origin] = head.seq
                if decode_marker(page.messages[0][1]) != head.marker:
                    self._suspects[origin] = (head.seq, head.seq)

    async def _compare_suspects(self) -> None:
        """Only what was read on both sides, and is not alike, is a divergence."""
        for origin, (first, last) in list(self._suspects.items()):
            there = remote_api(origin)
            try:
                unlike = await self._comparison.differs(origin, first, last, there)
                if unlike is not None:
                    fork = await self._comparison.fork(origin, unlike, there)
                    alarm = Alarm(self._region, origin, Wrong.DIVERGED, fork, unlike)
                    _log.error("%s", alarm)
                    self._diverged[origin] = alarm
            except BusError as error:
                _log.info("%s: %d to %d can't be compared now: %s", origin, first, last, error)
                continue
            del self._suspects[origin]

    async def _raise_alarms(self) -> None:
        for origin, alarm in list(self._diverged.items()):
            try:
                there = remote_api(origin)
                if await self._comparison.differs(origin, alarm.last, alarm.last, there) is None:
                    del self._diverged[origin]  # the mirror was filled anew
            except BusError:
                continue
        for alarm in [*self._diverged.values(), *self._wedged()]:
            body = msgspec.json.encode(alarm)
            await self._inbox.send(alarm_subject(self._region), body, "")

    def _wedged(self) -> list[Alarm]:
        return [
            Alarm(self._region, origin, Wrong.WEDGED)
            for origin, pair in self._mirrors.pairs.items()
            if pair.state is MirrorState.WEDGED
        ]
