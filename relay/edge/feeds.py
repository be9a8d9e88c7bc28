"""The feeds at work: the live connection's one dispatch point, and the rooms on it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from relay.bus.connection import Connection, Headers, settle
from relay.bus.copies import Copies
from relay.bus.events import TYPING, event_of, signal_of
from relay.bus.reader import API, Reader
from relay.bus.replay import Pages, events_of
from relay.core.event import Event, RoomKey
from relay.core.feed import MARK, Action, Dispatch, Feed, Missed, Moved, NewEpoch, Overlooked, Scan
from relay.core.hold import Hold
from relay.core.marker import Head, decode_head
from relay.core.names import (
    DEFAULT_SHARD,
    event_subject,
    events_stream,
    head_subject,
    live_subject,
    mark_live_subject,
    signal_live_subject,
    void_live_subject,
)
from relay.core.pace import Pace
from relay.core.rings import Rings
from relay.edge import clock
from relay.edge.hub import Hub
from relay.edge.scans import FOLLOWER_WAIT_S, Scans
from relay.errors import BusError, UnavailableError
from relay.tasks import Tasks, together

_log = logging.getLogger("jetrelay.feeds")

FLUSH_S = 5
OPEN_DEADLINE_S = 5.0
REJOIN_S = 0.2
REACH_DEADLINE_S = 1.0  # for a scan to the head; then who waits reads for himself
TYPING_S = 1.9  # between two TYPINGs of a user in a room; edges pass on one in 2 s
SILENT_S = 2.5  # an origin says its head once a second: after longer, a link was cut
RESTART_S = 30.0  # in which an origin that fell silent may well be back
BROUGHT_S = 20.0  # in which mirrors have brought what was stored meanwhile, or are made anew


class Feeds:
    """Every origin's feed in one edge."""

    def __init__(
        self,
        connection: Connection,
        reader: Reader,
        copies: Copies,
        hub: Hub,
        rings: Rings,
        region: str,
        *,
        clustered: bool,
        pages: Pages,
        hold: Callable[[], Hold],
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._copies = copies
        self._hub = hub
        self._rings = rings
        self._region = region
        self._clustered = clustered
        self._hold = hold
        self._tasks = Tasks("feeds")
        self.scans = Scans(reader, copies, pages, self.carry_out, self.found)
        self._subscriptions: dict[RoomKey, tuple[int, ...]] = {}
        self._waiters: list[asyncio.Future[None]] = []  # of `until`
        self.feeds: dict[str, Feed] = {}
        self._since_s = clock.mono_ms() / 1000
        self.heads: dict[str, tuple[Head, float]] = {}  # origin -> what it said, when (mono s)
        self._back_s: dict[str, float] = {}  # origin -> when it was heard again after a silence
        self.marks: dict[str, tuple[int, int]] = {}  # origin -> (marker's stamp, arrival), ms
        self.events_in = 0
        self.undecodable = 0
        self._typed = Pace(TYPING_S)
        self.before: Callable[[], None] = lambda: None  # called before anything is dispatched
        self.on_epoch: Callable[[str, NewEpoch], None] = lambda _origin, _turned: None
        self.on_overlooked: Callable[[Event], None] = lambda _event: None

    async def start(self, epochs: Callable[[], Awaitable[Mapping[str, int]]]) -> None:
        """Join the live feed at the head of every stream.

        Args:
            epochs: tells the epoch of each origin's stream; asked when the heads are known, since
                what begins one must not lie in between.

        Raises:
            UnavailableError: NATS did not answer.
        """
        await self._connection.listen(mark_live_subject(self._region), self.receive)
        # An edge that has started an epoch may have nothing to store in it, and others go on in the
        # old one: the beginning itself has to be heard.
        await self._connection.listen(void_live_subject(self._region), self.receive)
        await self._connection.listen(head_subject("*"), self._receive_head)
        await self._settle()
        heads = {o: await self._reader.info(events_stream(o)) for o in self._copies.origins}
        for origin, epoch in (await epochs()).items():
            info = heads[origin]
            self.scans.begin(origin, info.last)
            feed = Feed(origin, epoch, info.last, self._hold(), info.last_ms, clock.mono_ms())
            self.feeds[origin] = feed
            self._hub.move(origin, epoch, info.last)
        for feed in self.feeds.values():
            self.carry_out(feed, feed.connected())

    async def close(self) -> None:
        """End the scans."""
        await self.scans.close()
        await self._tasks.close()

    @property
    def attached(self) -> bool:
        """Whether the live path works for every origin."""
        return all(feed.attached for feed in self.feeds.values())

    def unheard(self, origin: str, first: int, last: int) -> list[tuple[int, int]]:
        """The runs of these sequences of an origin that are not known to have come."""
        feed = self.feeds.get(origin)
        return [(first, last)] if feed is None else feed.unheard_in(first, last)

    def silent_s(self, origin: str) -> float:
        """For how long an origin was not heard, or this edge has been listening, in seconds."""
        heard_s = self.heads[origin][1] if origin in self.heads else self._since_s
        return clock.mono_ms() / 1000 - heard_s

    def is_late(self, origin: str) -> bool:
        """Whether what an origin has stored may be on its way here, however long that takes."""
        since_s = self._back_s.get(origin, self._since_s)
        back = clock.mono_ms() / 1000 - since_s >= BROUGHT_S
        return self.silent_s(origin) > SILENT_S or not back

    def may_come(self, origin: str) -> bool:
        """Whether what an origin has stored may not be here yet, and come soon: it is silent, and
        not for long, or was until lately.
        """
        silent_s = self.silent_s(origin)
        if silent_s > SILENT_S:
            return silent_s < RESTART_S
        since_s = self._back_s.get(origin, self._since_s)
        return clock.mono_ms() / 1000 - since_s < BROUGHT_S

    # --- the live connection -------------------------------------------------------------------

    async def lost(self) -> None:
        """The live connection is lost."""
        self.scans.generation += 1
        for feed in self.feeds.values():
            feed.disconnected()

    async def back(self) -> None:
        """It is back; its subscriptions were made again."""
        self._tasks.spawn(self._rejoin(self.scans.generation), "rejoin")

    async def _rejoin(self, generation: int) -> None:
        while generation == self.scans.generation:
            try:
                await self._settle()
            except UnavailableError as error:
                _log.info("%s", error)
                await asyncio.sleep(REJOIN_S)
                continue
            if generation == self.scans.generation:
                for feed in self.feeds.values():
                    self.carry_out(feed, feed.connected())
            return

    async def _settle(self) -> None:
        await settle(self._connection, FLUSH_S, clustered=self._clustered)

    def receive(self, _subject: str, _reply: str, headers: Headers, data: bytes) -> None:
        """The ordered dispatch point: every republished event comes through here."""
        self.before()
        try:
            event = event_of(headers, data, 0)
        except ValueError:
            self.undecodable += 1
            return
        feed = self.feeds.get(event.origin)
        if feed is None:
            return
        if event.epoch == 0:
            event = event_of(headers, data, feed.epoch)
        if event.key != MARK:
            self.events_in += 1
        else:
            self.marks[event.origin] = (event.ts_ms, clock.wall_ms())
        self.carry_out(feed, feed.live(event, clock.mono_ms()))

    def _receive_head(self, _subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        head = decode_head(data)
        if head is None or (feed := self.feeds.get(head.origin)) is None:
            return
        now_s = clock.mono_ms() / 1000
        before = self.heads.get(head.origin)
        self.heads[head.origin] = (head, now_s)
        silent = before is not None and now_s - before[1] > SILENT_S
        if silent:
            self._back_s[head.origin] = now_s
        if silent and head.origin != self._region and head.seq > feed.position:
            # The link is back: its mirror here may need seconds more to be.
            self.scans.beyond[head.origin] = head.seq
            self.carry_out(feed, feed.advance())

    def _receive_signal(self, subject: str, _reply: str, headers: Headers, data: bytes) -> None:
        self.before()
        try:
            # The SIGNAL stream's republish subject is the one the message came on.
            event = signal_of(subject, headers, data)
            if event.data != TYPING:
                self._hub.signal(event)
            elif event.user and self._typed.take((event.key, event.user), clock.now().mono_s):
                self._hub.typing(event)
        except ValueError:
            self.undecodable += 1

    def carry_out(self, feed: Feed, actions: Iterable[Action]) -> None:
        """Do what a feed decided."""
        for action in actions:
            match action:
                case Dispatch(event, position):
                    self._rings.append(event)
                    self._hub.dispatch(event, position)
                    self._wake()
                case Moved(position):
                    self._hub.move(feed.origin, feed.epoch, position)
                    self._wake()
                case Scan(first):
                    self.scans.want(feed, first)
                case Missed(event):
                    self._hub.missed(event)
                case Overlooked(event):
                    self._hub.missed(event)
                    self.found(event)
                    self.on_overlooked(event)
                case NewEpoch():
                    _log.error(
                        "%s: epoch %d follows %d after sequence %d",
                        feed.origin,
                        action.new,
                        action.old,
                        action.position,
                    )
                    self._rings.reset(feed.origin, action.position)
                    self.on_epoch(feed.origin, action)
                    # At once: who resumes before its first event comes must see the new epoch.
                    self._hub.move(feed.origin, action.new, action.position)

    def found(self, event: Event) -> None:
        """An event was found that did not come live: who resumes is sent it in its place."""
        self._rings.find(event)

    def _wake(self) -> None:
        """A position moved. (Nothing less: two that wait would wake each other for ever.)"""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    # --- rooms ---------------------------------------------------------------------------------

    async def open_room(self, key: RoomKey) -> None:
        """Open a room's live path, and prove that it works.

        After this, every event of the room beyond `Feed.reach` comes through the dispatch point.

        Raises:
            BusError: NATS did not answer, or not as it should. Nothing is left of it then.
        """
        try:
            async with asyncio.timeout(OPEN_DEADLINE_S):
                await self._open_room(key)
        except BaseException as error:
            await self.unlisten(self.detach(key))
            if isinstance(error, TimeoutError):
                raise UnavailableError(f"room {key[1]} could not be opened in time") from error
            raise

    async def _open_room(self, key: RoomKey) -> None:
        tenant, room = key
        live = await self._connection.listen(
            live_subject(self._region, "*", tenant, DEFAULT_SHARD, room), self.receive
        )
        self._subscriptions[key] = (live,)
        signals = await self._connection.listen(
            signal_live_subject(tenant, DEFAULT_SHARD, room), self._receive_signal
        )
        self._subscriptions[key] = (live, signals)
        while True:
            generation = self.scans.generation
            await self._settle()
            # None of them outlives this: it would meddle with the room's next opening.
            await together(*(self._base(feed, key) for feed in self.feeds.values()))
            if generation == self.scans.generation:
                return
            for feed in self.feeds.values():
                feed.leave(key)

    async def _base(self, feed: Feed, key: RoomKey) -> None:
        """Read the room from the position on: the base against which holes show."""
        tenant, room = key
        last = start = feed.joining(key)
        stream = events_stream(feed.origin)
        subject = event_subject(feed.origin, tenant, DEFAULT_SHARD, room)
        read: list[Event] = []
        while True:
            # Scans may have read on at the origin meanwhile.
            api = await self._source_of_base(feed.origin, max(last, feed.position))
            newest, pending = 0, 1
            if self._clustered and api == API:
                # A replica may lack the newest: the leader knows. What it stores later comes live.
                newest = await self._reader.last_seq(stream, subject) or 0
            while pending or last < newest:
                page = await self._reader.page(stream, last + 1, batch=64, subject=subject, api=api)
                if not page.messages and last < newest:
                    await asyncio.sleep(FOLLOWER_WAIT_S)
                last = max(last, page.last)
                newest_epoch = partial(self._copies.epoch_at, feed.origin, api)
                read += await events_of(page, feed.epoch, newest_epoch)
                pending = page.pending if page.messages else 0
            again = feed.joined(key, last)
            if again is None:
                break
            if again == last:
                await asyncio.sleep(FOLLOWER_WAIT_S)  # a copy here is behind, and is all there is
            last = start = again
            read.clear()
        self._open_ring(feed, key, start, last, read)

    def _open_ring(
        self, feed: Feed, key: RoomKey, start: int, last: int, read: list[Event]
    ) -> None:
        """From the sequence on that live events follow; before it what was read, up to `last`."""
        base = feed.base(key)
        self._rings.open(key, feed.origin, base)
        reading = self._rings.begin(key, feed.origin, start)
        if reading is not None:
            if base == last:
                self._rings.extend(reading, read)
            self._rings.end(reading)

    async def _source_of_base(self, origin: str, last: int) -> str:
        """Where to read what came after `last`: at the origin where the copy is further behind.

        A region that is cut off reads what it has: nothing that is not there can come live either.
        """
        if self._copies.known(origin).last >= last:
            return API
        api = await self._copies.source(origin, last - 1, last)
        if api != API:
            try:
                await self._reader.page(events_stream(origin), last, batch=1, api=api)
            except BusError:
                return API
        return api

    def detach(self, key: RoomKey) -> tuple[int, ...]:
        """The room has no local members any more. Returns what is to be given to `unlisten`."""
        for feed in self.feeds.values():
            feed.leave(key)
        self._rings.close(key)
        return self._subscriptions.pop(key, ())

    async def unlisten(self, subscriptions: Iterable[int]) -> None:
        """End subscriptions."""
        for sid in subscriptions:
            await self._connection.unlisten(sid)

    async def until(self, targets: Mapping[str, int]) -> None:
        """Wait until the edge's positions have reached these sequences.

        Raises:
            UnavailableError: they have not in time: a copy is behind, or NATS does not answer.
        """
        try:
            async with asyncio.timeout(OPEN_DEADLINE_S):
                await self._until(targets)
        except TimeoutError as error:
            raise UnavailableError("this region is behind; try again later") from error

    async def reached(self, origin: str, seq: int) -> bool:
        """Read on to a sequence, once for all who wait. Returns whether the position got there.

        It does not where the copy here is further behind than a room that was read at the origin.
        """
        try:
            async with asyncio.timeout(REACH_DEADLINE_S):
                await self._until({origin: seq})
        except TimeoutError:
            return False
        return True

    async def _until(self, targets: Mapping[str, int]) -> None:
        while short := [o for o, seq in targets.items() if self._hub.seqs.get(o, 0) < seq]:
            for origin in short:
                feed = self.feeds[origin]
                self.carry_out(feed, feed.advance())
            if any(self._hub.seqs.get(origin, 0) < targets[origin] for origin in short):
                moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiters.append(moved)
                await asyncio.wait([moved], timeout=0.5)

    def reach(self, key: RoomKey) -> dict[str, int]:
        """Per origin, up to where the room has been read: live events come beyond it."""
        return {origin: feed.reach(key) for origin, feed in self.feeds.items()}


def lag_ms(mark: tuple[int, int] | None, now_ms: int) -> float | None:
    """How long the newest marker took; grows while none comes (they come once a second)."""
    if mark is None:
        return None
    stamped, arrived = mark
    return float(max(arrived - stamped, now_ms - stamped - 1_000, 0))
