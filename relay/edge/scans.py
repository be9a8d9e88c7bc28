"""Scans: reading an origin's stream on, where the live feed can't be trusted to be whole."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from relay.bus.copies import Copies
from relay.bus.events import SEQUENCE
from relay.bus.reader import API, Page, Reader, remote_api
from relay.bus.replay import Pages, events_of
from relay.core.event import Event
from relay.core.feed import Action, Feed
from relay.core.names import below, events_stream
from relay.core.spans import Spans
from relay.edge import clock
from relay.errors import BusError, UnavailableError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.scans")

AFRESH_S = 0.2
FOLLOWER_WAIT_S, FOLLOWER_WAITS = 0.05, 20
ACROSS = 8.0  # a page that is read across a link is so much larger: each costs a round trip
LEAST = 1 / 16  # of a page, across a link that brings no larger one in time


def _nothing(_origin: str, _epoch: int, _first: int, _last: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Part:
    """What a scan read, for the feed (see `Feed.scanned`)."""

    events: Sequence[Event]
    next_seq: int
    asked_ms: int
    more: bool
    ahead: bool


class Scans:
    """One scan at a time for each origin: of this region's copy, or of the origin itself.

    Args:
        reader: of the edge.
        copies: say what each copy lacks.
        pages: how much is read at once.
        carry_out: does what a feed decides.
        found: takes each event that was read.
    """

    def __init__(
        self,
        reader: Reader,
        copies: Copies,
        pages: Pages,
        carry_out: Callable[[Feed, Iterable[Action]], None],
        found: Callable[[Event], None],
    ) -> None:
        self._reader = reader
        self._copies = copies
        self._pages = pages
        self._carry_out = carry_out
        self._found = found
        self._tasks = Tasks("scans")
        self._wanted: dict[str, int] = {}  # origin -> where the scan that is wanted starts
        self._scanning: set[str] = set()
        self._across: dict[str, float] = {}  # origin -> how much larger a page is there
        self.generation = 0  # of the live connection
        self.beyond: dict[str, int] = {}  # origin -> what a wedged mirror lacks is read up to here
        self.silent: set[str] = set()  # origins whose mirror here does not answer: a full disk, say
        # What was read at the origin, or came before the edge: missing here or not, it is done.
        self.handled: dict[str, Spans] = {}
        self.before: Callable[[], None] = lambda: None  # called before anything is dispatched
        # Told of what a stream dropped before it was read: origin, epoch, first and last sequence.
        self.on_dropped: Callable[[str, int, int, int], None] = _nothing

    def begin(self, origin: str, last: int) -> None:
        """The edge starts at the head of an origin's stream: what came before is none of its."""
        self.handled[origin] = Spans()
        self.handled[origin].add(1, last)

    async def close(self) -> None:
        """End them."""
        await self._tasks.close()

    def overlooked(self, origin: str, after: int, upto: int) -> bool:
        """Whether the copy had skipped anything in (`after`, `upto`] that is not dealt with yet."""
        missing = self._copies.known(origin).missing.within(after + 1, upto)
        return bool(missing and missing - self.handled[origin].runs)

    def want(self, feed: Feed, first: int) -> None:
        """Read the stream from `first` on, for this feed: after the scan that runs, if one does."""
        self._wanted[feed.origin] = first
        if feed.origin not in self._scanning:
            self._scanning.add(feed.origin)
            self._tasks.spawn(self._scan_on(feed), f"scan.{feed.origin}")

    async def _scan_on(self, feed: Feed) -> None:
        try:
            await self._scan(feed)
        except Exception:
            _log.exception("%s: a scan failed: the feed starts over where it stands", feed.origin)
            await asyncio.sleep(AFRESH_S)
            if feed.attached:
                self._carry_out(feed, feed.connected())

    async def _scan(self, feed: Feed) -> None:
        origin, head, waits = feed.origin, 0, 0
        looked: tuple[int, int] | None = None  # connections lost, holds dropped before that look
        try:
            while (first := self._wanted.pop(origin, None)) is not None:
                asked_ms, generation = clock.mono_ms(), self.generation
                try:
                    state = (generation, feed.overflows)
                    if looked != state and not self._past_mirror(origin, first):
                        looked = state
                        head = (await self._copies.look(origin)).last
                    page, api = await self._read(feed, first)
                    dropped = await self._dropped(origin, first, page, api)
                    newest = partial(self._copies.epoch_at, origin, api)
                    read = await events_of(page, feed.epoch, newest)
                except BusError as error:
                    _log.info("%s: scan from %d waits: %s", origin, first, error)
                    looked = None
                    await asyncio.sleep(0.2)
                    self._carry_out(feed, feed.rescan())
                    continue
                if generation != self.generation:
                    continue  # read before the connection was lost: the next scan reads it again
                self.before()
                # What came live is delivered already; what the copy here lacks did not come.
                passed = min(dropped, feed.position)  # live, or else the mirrors tell
                if dropped > feed.position and (feed.doubtful or api != API):
                    # Of which epoch it was, nobody can tell who did not read it.
                    for epoch in sorted({feed.epoch, *(event.epoch for event in read)}):
                        if epoch >= feed.epoch:
                            first_gone = max(first, feed.position + 1)
                            self.on_dropped(origin, epoch, first_gone, dropped)
                events = [event for event in read if event.seq >= first]
                next_seq = max(page.last + 1, first)
                more = page.pending > 0 and bool(page.messages)
                if not more and next_seq <= max(head, feed.dropped):
                    # A follower answered that does not hold yet what the leader said there is; or
                    # it is gone since, with a mirror that is made anew, say.
                    waits += 1
                    more = waits % FOLLOWER_WAITS > 0 or await self._leader_has(feed, next_seq, api)
                    await asyncio.sleep(FOLLOWER_WAIT_S if more else 0)
                    if generation != self.generation:
                        continue
                if api != API:
                    self.handled[origin].add(max(first, passed + 1), next_seq - 1)
                ahead = self._behind(feed, page, api, next_seq - 1)
                await self._scanned(feed, _Part(events, next_seq, asked_ms, more, ahead))
        finally:
            self._scanning.discard(origin)
            if origin in self._wanted:
                self.want(feed, self._wanted[origin])

    async def _scanned(self, feed: Feed, read: _Part) -> None:
        """Hand the feed what a scan read, a part at a time: a long page does not hold the loop."""
        generation, size = self.generation, self._pages.events
        while len(read.events) > size:
            part, rest = read.events[:size], read.events[size:]
            self._take_part(feed, replace(read, events=part, next_seq=rest[0].seq, more=True))
            await asyncio.sleep(0)
            if generation != self.generation or self._wanted.get(feed.origin) != rest[0].seq:
                return  # the scan goes on elsewhere
            del self._wanted[feed.origin]
            read = replace(read, events=rest)
        self._take_part(feed, read)

    def _take_part(self, feed: Feed, part: _Part) -> None:
        actions = feed.scanned(
            part.events, part.next_seq, part.asked_ms, more=part.more, ahead=part.ahead
        )
        self._carry_out(feed, actions)
        for event in part.events:
            self._found(event)  # the room may have been past it

    async def _read(self, feed: Feed, first: int) -> tuple[Page, str]:
        """A page of a scan: from this region's copy, or from the origin where the copy lacks it."""
        origin = feed.origin
        if self._past_mirror(origin, first):
            api = remote_api(origin)
        else:
            known = self._copies.known(origin).last
            upto = max(known, self.beyond.get(origin, 0), feed.dropped)
            api = await self._copies.source(origin, first - 1, upto)
        page = await self._page(origin, first, api)
        holed = page.messages and page.last - first + 1 > len(page.messages)
        if api == API and holed and origin in self._copies.mirrored:
            # It may have skipped them since it was looked at, or have been filled anew since.
            await self._copies.look(origin)
            api = await self._copies.source(origin, first - 1, page.last)
            page = await self._page(origin, first, api)
        return page, api

    async def _page(self, origin: str, first: int, api: str) -> Page:
        larger = 1.0 if api == API else self._across.get(origin, ACROSS)
        try:
            page = await self._reader.page(
                events_stream(origin),
                first,
                batch=max(1, round(self._pages.events * larger)),
                max_bytes=round(self._pages.bytes * larger),
                api=api,
            )
        except UnavailableError:
            if api != API:  # it may be larger than the link can bring in time
                self._across[origin] = max(larger / 2, LEAST)
            raise
        if api != API:
            self._across[origin] = min(larger * 2, ACROSS)
        return page

    async def _dropped(self, origin: str, first: int, page: Page, api: str) -> int:
        """Up to where the stream has dropped what was to be read from `first` on; else 0.

        Its limits drop the oldest, so the page begins behind it.
        """
        begins = int(page.messages[0][0][SEQUENCE]) if page.messages else first
        if begins <= first:
            return 0
        if api != API:
            return begins - 1  # a home stream holds all from its first on
        return min(begins, (await self._copies.look(origin)).oldest) - 1

    def _behind(self, feed: Feed, page: Page, api: str, upto: int) -> bool:
        """Whether this region's copy had not come as far as was read up to now, or before."""
        last = self._copies.known(feed.origin).last  # it was looked at before the read
        if api == API:
            return max(last, page.last) < feed.ahead
        return last < max(upto, feed.ahead)

    async def _leader_has(self, feed: Feed, seq: int, api: str) -> bool:
        """Whether the leader of the copy here holds anything from `seq` on, or does not answer."""
        if api != API:
            return False
        stream, subject = events_stream(feed.origin), below("ev", feed.origin)
        try:
            return await self._reader.next_seq(stream, seq, subject) is not None
        except BusError:
            return True

    def _past_mirror(self, origin: str, first: int) -> bool:
        """Whether the mirror does not answer, and the origin is known to have something."""
        return origin in self.silent and self.beyond.get(origin, 0) >= first
