"""The region's mirrors as one edge sees them: what they skipped, and how far they are behind."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable

from relay.bus.copies import Copies
from relay.bus.reader import API, Reader, remote_api
from relay.bus.replay import events_of
from relay.core.copy import ranges
from relay.core.event import Event
from relay.core.feed import MARK, Feed
from relay.core.names import events_stream
from relay.core.pair import Pair
from relay.edge import clock
from relay.edge.feeds import Feeds
from relay.edge.holes import HoleLog
from relay.errors import BusError, UnavailableError

_log = logging.getLogger("jetrelay.mirrors")


class Mirrors:
    """Looks at every mirror once a second, and delivers what did not come live."""

    def __init__(self, feeds: Feeds, copies: Copies, reader: Reader, holes: HoleLog) -> None:
        self._feeds = feeds
        self._copies = copies
        self._reader = reader
        self._holes = holes
        self.pairs = {origin: Pair(origin) for origin in copies.mirrored}
        self.on_dealt: Callable[[], None] = lambda: None  # what a copy had skipped was delivered
        self.unheard = 0  # events that the live feed had passed over

    async def watch(self) -> None:
        """Find what a mirror skipped, judge how it stands, and go past one that is wedged."""
        await asyncio.gather(*(self._watch(pair) for pair in self.pairs.values()))

    async def _watch(self, pair: Pair) -> None:
        origin = pair.origin
        feed, silent = self._feeds.feeds[origin], self._feeds.silent
        if origin in silent:  # it may take seconds not to answer again
            self._go_past(feed)
        try:
            copy = await self._copies.look(origin)
            silent.discard(origin)
            if not feed.repairing:
                await self._deal_with(feed, copy.missing)
        except BusError as error:
            _log.info("%s: what its copy lacks waits: %s", origin, error)
            if isinstance(error, UnavailableError):
                silent.add(origin)
        said = self._feeds.heads.get(origin)
        head = None if said is None else (said[0].seq, said[1])
        pair.look(clock.now().mono_s, self._copies.known(origin).last, head)
        self._go_past(feed)

    async def _deal_with(self, feed: Feed, missing: Iterable[int]) -> None:
        """Deliver, or declare, what was skipped below the position."""
        handled = self._feeds.handled[feed.origin]
        fresh = [seq for seq in missing if seq not in handled and seq <= feed.position]
        for first, last in ranges(fresh):
            there = self._events(feed, first, last, remote_api(feed.origin))
            events = [event async for event in there]
            if any(event.key != MARK for event in events):
                await self._holes.skipped(feed.origin, first, last)
            for event in events:
                self._feeds.carry_out(feed, feed.late(event))
                self._feeds.found(event)
            handled.add(first, last)
        if fresh:
            self.on_dealt()

    def lacks(self, origin: str, first: int, last: int) -> bool:
        """Whether the copy had skipped any of these, and they were not dealt with yet."""
        handled = self._feeds.handled[origin]
        missing = self._copies.known(origin).missing
        return any(first <= seq <= last and seq not in handled for seq in missing)

    def _go_past(self, feed: Feed) -> None:
        """The origin is further than its mirror here for a second: read it at the origin."""
        said = self._feeds.heads.get(feed.origin)
        before = self._feeds.beyond.pop(feed.origin, 0)
        if said is None or said[0].seq <= feed.position:
            return
        self._feeds.beyond[feed.origin] = said[0].seq
        if before > feed.position or feed.origin in self._feeds.silent:
            self._feeds.carry_out(feed, feed.advance())

    async def jumped(self, origin: str, first: int, last: int) -> int | None:
        """The watcher saw the live feed jump over these sequences: deliver what rooms here lack.

        Returns:
            How many events had been passed over; None: not now, a scan comes first.

        Raises:
            UnavailableError: NATS did not answer.
        """
        feed = self._feeds.feeds[origin]
        if feed.repairing or last > feed.position:
            self._feeds.carry_out(feed, feed.advance())
            return None
        delivered = 0
        async for event in self._events(feed, first, last, API):
            actions = feed.unheard(event)
            delivered += len(actions)
            self._feeds.carry_out(feed, actions)
            self._feeds.found(event)
        self.unheard += delivered
        return delivered

    async def _events(self, feed: Feed, first: int, last: int, api: str) -> AsyncIterator[Event]:
        seq = first
        while seq <= last:
            page = await self._reader.page(events_stream(feed.origin), seq, batch=256, api=api)
            for event in events_of(page, feed.epoch):
                if event.seq <= last:
                    yield event
            if not page.messages or page.pending == 0:
                return
            seq = page.last + 1
