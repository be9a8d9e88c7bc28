"""The region's mirrors as one edge sees them: what they skipped, and how far they are behind."""

import asyncio
import logging
from collections.abc import Awaitable, Callable  # noqa: TC003 (an attribute names them)
from functools import partial
from typing import NamedTuple

from relay.bus.copies import Copies
from relay.bus.events import SEQUENCE
from relay.bus.reader import API, Reader, remote_api
from relay.bus.replay import events_of
from relay.core.event import Event
from relay.core.feed import Feed
from relay.core.names import below, events_stream
from relay.core.pair import Pair
from relay.core.runs import Runs
from relay.edge import clock
from relay.edge.feeds import Feeds
from relay.errors import BusError, UnavailableError

_log = logging.getLogger("jetrelay.mirrors")


class Lacked(NamedTuple):
    """Sequences that rooms here lacked."""

    unheard: frozenset[int] = frozenset()  # the copy has them: the live feed passed over them
    skipped: frozenset[int] = frozenset()  # the copy does not: no later event showed the hole


class Mirrors:
    """Looks at every mirror once a second, and delivers what did not come live."""

    def __init__(self, feeds: Feeds, copies: Copies, reader: Reader) -> None:
        self._feeds = feeds
        self._copies = copies
        self._reader = reader
        self.pairs = {origin: Pair(origin) for origin in copies.mirrored}
        self.on_skipped: Callable[[str, int, int], Awaitable[None]]  # what a copy has not stored
        self.unheard = 0  # events that the live feed had passed over

    async def watch(self) -> None:
        """Find what a mirror skipped, judge how it stands, and go past one that is wedged."""
        await asyncio.gather(*(self._watch(pair) for pair in self.pairs.values()))

    async def _watch(self, pair: Pair) -> None:
        origin = pair.origin
        feed, silent = self._feeds.feeds[origin], self._feeds.scans.silent
        if origin in silent:  # it may take seconds not to answer again
            self._go_past(feed)
        try:
            await self._copies.look(origin)
            silent.discard(origin)
        except BusError as error:
            _log.info("%s: its copy does not show itself: %s", origin, error)
            if isinstance(error, UnavailableError):
                silent.add(origin)
        said = self._feeds.heads.get(origin)
        head = None if said is None else (said[0].seq, said[1])
        pair.look(clock.now().mono_s, self._copies.known(origin).last, head)
        self._go_past(feed)

    async def inquire(self) -> None:
        """Ask the origins what their mirrors lack, and have delivered what did not come.

        Apart from `watch`, which an origin that does not answer is not to hold up.
        """
        await asyncio.gather(*(self.inquire_about(origin) for origin in self.pairs))

    async def inquire_about(self, origin: str) -> None:
        """Ask one origin."""
        await self._copies.inquire(origin)
        if origin not in self._feeds.scans.silent:
            await self._tell(origin)

    async def _tell(self, origin: str) -> None:
        """What was skipped below the position has been passed: to be delivered, or declared."""
        feed, handled = self._feeds.feeds[origin], self._feeds.scans.handled[origin]
        if feed.repairing:
            return  # the scan reads it
        later: list[tuple[int, int]] = []
        for first, last in self._copies.dropped(origin):
            if last > feed.position:
                later.append((first, last))
                continue
            for start, end in (Runs.between(first, last) - handled.runs).runs:
                handled.add(start, end)
                self._say_dropped(feed, start, end)
                await self.on_skipped(origin, start, end)  # others may be told, who come from here
        self._copies.not_yet(origin, later)
        missing = self._copies.known(origin).missing.within(1, feed.position)
        for first, last in (missing - handled.runs).runs:
            await self.on_skipped(origin, first, last)

    def _say_dropped(self, feed: Feed, first: int, last: int) -> None:
        """Declare them under the epoch in which they were passed: a newer one may stand by now."""
        for epoch, start, end in feed.passed_in(first, last):
            self._feeds.scans.on_dropped(feed.origin, epoch, start, end)

    def _go_past(self, feed: Feed) -> None:
        """The origin is further than its mirror here for a second: read it at the origin."""
        said = self._feeds.heads.get(feed.origin)
        before = self._feeds.scans.beyond.pop(feed.origin, 0)
        if said is None or said[0].seq <= feed.position:
            return
        self._feeds.scans.beyond[feed.origin] = said[0].seq
        if before > feed.position or feed.origin in self._feeds.scans.silent:
            self._feeds.carry_out(feed, feed.advance())

    async def jumped(self, origin: str, first: int, last: int) -> Lacked | None:
        """The live feed jumped over these sequences: deliver, or declare, what rooms here lack.

        What the copy here had skipped is read at the origin. All of it goes out in one turn of the
        loop, in which the call returns.

        Returns:
            What rooms here lacked; None: not now, a scan comes first.

        Raises:
            BusError: NATS did not answer.
        """
        feed, handled = self._feeds.feeds[origin], self._feeds.scans.handled[origin]
        if feed.repairing or last > feed.position:
            self._feeds.carry_out(feed, feed.advance())
            return None
        here, held = await self._read(feed, first, last, API)
        lacking = Runs.between(first, last) - Runs.of(held) - handled.runs
        there: dict[int, Event] = {}
        for start, end in lacking.runs if origin in self.pairs else ():
            events, shown = await self._read(feed, start, end, remote_api(origin))
            there |= {event.seq: event for event in events}
            held |= shown
        unheard: set[int] = set()
        for event in sorted((*here, *there.values()), key=lambda event: event.seq):
            actions = feed.late(event) if event.seq in there else feed.unheard(event)
            if actions:
                unheard.add(event.seq)
            self._feeds.carry_out(feed, actions)
            self._feeds.found(event)
        for start, end in lacking.runs:
            handled.add(start, end)
        # What is held nowhere, limits have dropped; here a mirror may have been filled anew since.
        for start, end in (lacking - Runs.of(held)).runs:
            for dropped in feed.unheard_in(start, end):
                self._say_dropped(feed, *dropped)
        self.unheard += len(unheard)
        return Lacked(frozenset(unheard - there.keys()), frozenset(unheard & there.keys()))

    async def _read(
        self, feed: Feed, first: int, last: int, api: str
    ) -> tuple[list[Event], set[int]]:
        """The events from `first` to `last`, and all sequences that are held there."""
        events: list[Event] = []
        held: set[int] = set()
        seq = first
        while seq <= last:
            page = await self._reader.page(events_stream(feed.origin), seq, batch=256, api=api)
            newest = partial(self._copies.epoch_at, feed.origin, api)
            read = await events_of(page, feed.epoch, newest)
            events += [event for event in read if event.seq <= last]
            held.update(int(headers[SEQUENCE]) for headers, _ in page.messages)
            if page.messages:
                seq = page.last + 1
            elif await self._end_before(feed.origin, seq, last, api):
                break
            else:
                raise UnavailableError(f"{feed.origin}: {seq} to {last} are not shown yet")
        return events, held

    async def _end_before(self, origin: str, seq: int, last: int, api: str) -> bool:
        """Whether nothing is stored from `seq` to `last`, where a replica showed nothing at all.

        Of another region only a later event can say so (there is one soon: its next marker).
        """
        if api != API or (await self._copies.look(origin)).last < last:
            return False  # being filled anew, say
        found = await self._reader.next_seq(events_stream(origin), seq, below("ev", origin))
        return found is None or found > last
