"""Replay: the events of some rooms of one origin, in order, read page by page.

A range that was read to its end is proved to be whole: in a region of three servers a direct get
may be answered by a replica that lacks the newest, so the stream's leader is asked whether there is
anything more.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from relay.bus.connection import Headers
from relay.bus.copies import Standing
from relay.bus.events import event_of
from relay.bus.reader import API, Page
from relay.bus.sharing import Ask, SharedReader
from relay.core.event import Event, RoomKey
from relay.core.names import DEFAULT_SHARD, below, event_subject, events_stream
from relay.errors import DroppedError, UnavailableError

REPLICA_WAIT_S, REPLICA_WAITS = 0.05, 40  # for a replica to get what the leader has


@dataclass(frozen=True, slots=True)
class Pages:
    """How much is read at once."""

    events: int = 256
    bytes: int = 256 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """One origin's stream, and where it is read: here, or at the origin across the link."""

    origin: str
    epoch: int  # that it is in
    api: str = API
    strict: bool = False  # what the stream does not hold any more is an error

    def subject(self, room: RoomKey) -> str:
        """The subject of a room's events."""
        return event_subject(self.origin, room[0], DEFAULT_SHARD, room[1])


@dataclass(frozen=True, slots=True)
class Chunk:
    """A page of a range."""

    events: Sequence[Event]  # of the range
    next_seq: int  # where the next page begins
    done: bool  # whether the range is read to its end
    left: int = 0  # messages that match behind the page, also beyond the range


async def events_of(page: Page, epoch: int, newest: Callable[[int], Awaitable[int]]) -> list[Event]:
    """The events in a page, with their true epochs; what is no event of ours is left out.

    Args:
        page: in stream order, of whatever rooms.
        epoch: that the reader knows the stream in: of events that are stamped with none.
        newest: tells the newest epoch that an edge has written to say that it began. Asked only
            where an event claims a later one than is known (a backend's may claim any), with the
            last sequence that does.

    Raises:
        UnavailableError: by `newest`.
    """
    events = [event for event in map(_event_in, page.messages) if event is not None]
    most = max((event.epoch for event in events), default=0)
    if most > epoch:
        last = max(event.seq for event in events if event.epoch > epoch)
        most = max(epoch, await newest(last))
    return [
        event
        if 0 < event.epoch <= max(most, epoch)
        else replace(event, epoch=min(event.epoch, most) or epoch)
        for event in events
    ]


def _event_in(message: tuple[Headers, bytes]) -> Event | None:
    """The event in a stored message; its epoch is 0 where it is stamped with none."""
    try:
        return event_of(*message, 0)
    except ValueError:
        return None


def _check(now: Standing, source: Source, first: int, upto: int) -> None:
    """Whether what was not read is not there, as the stream stands right after.

    Raises:
        DroppedError: its limits have dropped some of it.
        UnavailableError: it was cut short, and what it lost will be written back, or an epoch has
            begun that this edge has not heard of yet: it may stand where other events stood.
    """
    origin = source.origin
    if now.first > first:
        raise DroppedError(f"{origin} dropped events before they were read")
    if now.last < upto:
        raise UnavailableError(f"{origin} holds less than was delivered of it")
    if now.epoch > source.epoch:
        raise UnavailableError(f"this edge has not heard of epoch {now.epoch} of {origin} yet")


class Holdings(Protocol):
    """What a region holds, asked right after a read."""

    async def whole(self, origin: str, after: int, upto: int) -> bool:
        """Whether this region's copy of an origin holds (`after`, `upto`] still."""

    def made(self, origin: str) -> str:
        """What tells this mirror from one that was made anew, at the last look."""

    async def stands_at(self, origin: str, api: str) -> Standing:
        """How an origin's stream stands at an API."""

    async def epoch_at(self, origin: str, api: str, claimed: int) -> int:
        """The newest epoch that an edge wrote into an origin's stream, at an API."""


class StreamRanges:
    """Reads ranges of streams."""

    def __init__(
        self,
        reader: SharedReader,
        pages: Pages,
        clustered: Collection[str],
        region: str,
        holdings: Holdings,
    ) -> None:
        """Read with `reader`, in `pages`.

        Args:
            reader: pages that several ask for are read once.
            pages: how much is read at once.
            clustered: the regions of more than one NATS server.
            region: the one that this is in.
            holdings: asked after each read of a mirror whether it is the same still, and after
                each that is strict where the stream begins.
        """
        self._reader = reader
        self._clustered = clustered
        self._region = region
        self.pages = pages
        self._holdings = holdings

    async def chunk(
        self, source: Source, first: int, upto: int, subject: str | None, pages: Pages | None = None
    ) -> Chunk:
        """A page of the events in [`first`, `upto`] on one subject, or of all.

        Raises:
            UnavailableError: NATS did not answer, a replica lacks what it should have, or the
                stream that was read is another one, or a shorter one, than it was.
            DroppedError: the stream may have dropped some of it before it was read.
        """
        origin, held = source.origin, self._holdings
        mirrored = source.api == API and origin != self._region
        made = held.made(origin) if mirrored else ""
        chunk = await self._chunk(source, first, upto, subject, pages or self.pages)
        if mirrored:
            # Nor may it be another one that is whole, since the one that was read was not.
            whole = await held.whole(origin, first - 1, chunk.next_seq - 1)
            if not whole or (made and held.made(origin) != made):
                raise UnavailableError(f"the mirror of {origin} changed while it was read")
        if source.strict:
            _check(await held.stands_at(source.origin, source.api), source, first, upto)
        return chunk

    async def _chunk(
        self, source: Source, first: int, upto: int, subject: str | None, pages: Pages
    ) -> Chunk:
        ask = Ask(
            events_stream(source.origin), first, pages.events, pages.bytes, subject, source.api
        )
        for _ in range(REPLICA_WAITS):
            page, fresh = await self._reader.page(ask)
            newest = partial(self._holdings.epoch_at, source.origin, source.api)
            events = await events_of(page, source.epoch, newest)
            if page.messages and page.last >= upto:
                events = [event for event in events if event.seq <= upto]
                return Chunk(events, upto + 1, done=True)
            if page.messages and (page.pending or not fresh):
                return Chunk(events, page.last + 1, done=False, left=page.pending)
            if not fresh:
                continue  # it may have been read before the last of the range was stored
            following = max(page.last + 1, first)
            if await self.is_end(source, following, upto, subject):
                return Chunk(events, upto + 1, done=True)
            if page.messages:
                return Chunk(events, following, done=False)
            await asyncio.sleep(REPLICA_WAIT_S)
        raise UnavailableError(f"{source.origin}: no replica has what the leader has")

    async def is_end(self, source: Source, seq: int, upto: int, subject: str | None) -> bool:
        """Whether nothing is stored from `seq` to `upto` that a replica did not show.

        Raises:
            UnavailableError: NATS did not answer.
        """
        if (self._region if source.api == API else source.origin) not in self._clustered:
            return True
        found = await self._reader.next_seq(
            events_stream(source.origin),
            seq,
            subject or below("ev", source.origin),
            api=source.api,
        )
        return found is None or found > upto

    async def read(
        self, source: Source, rooms: Collection[RoomKey], after: int, upto: int
    ) -> AsyncIterator[Sequence[Event]]:
        """Events of `rooms` with sequences in (`after`, `upto`], in stream order, a few at a time.

        Reads room by room, or the whole range once where that takes fewer reads.

        Raises:
            UnavailableError: NATS did not answer.
        """
        if upto <= after or not rooms:
            return
        if len(rooms) == 1 or self.scans(len(rooms), after, upto):
            parts = self._scan(source, rooms, after, upto)
        else:
            parts = self._by_room(source, rooms, after, upto)
        async for part in parts:
            yield part

    def scans(self, rooms: int, after: int, upto: int) -> bool:
        """Whether reading a range once, for all rooms, takes fewer reads than room by room."""
        return (upto - after) <= self.pages.events * rooms

    async def _scan(
        self, source: Source, rooms: Collection[RoomKey], after: int, upto: int
    ) -> AsyncIterator[Sequence[Event]]:
        subject = source.subject(next(iter(rooms))) if len(rooms) == 1 else None
        seq, done = after + 1, False
        while not done:
            chunk = await self.chunk(source, seq, upto, subject)
            if events := [event for event in chunk.events if event.key in rooms]:
                yield events
            seq, done = chunk.next_seq, chunk.done

    async def _by_room(
        self, source: Source, rooms: Collection[RoomKey], after: int, upto: int
    ) -> AsyncIterator[Sequence[Event]]:
        small = Pages(max(16, self.pages.events // len(rooms)), self.pages.bytes)
        sources = [_Room(source.subject(room), after + 1) for room in rooms]
        while sources:
            dry = [room for room in sources if not room.events and not room.done]
            if dry:
                await asyncio.gather(*(room.fill(self, source, upto, small) for room in dry))
            sources = [room for room in sources if room.events]
            merged: list[Event] = []
            while sources:
                first = min(sources, key=lambda room: room.events[0].seq)
                merged.append(first.events.popleft())
                if not first.events:
                    break
            if merged:
                yield merged
            sources = [room for room in sources if room.events or not room.done]


@dataclass(slots=True)
class _Room:
    subject: str
    seq: int
    events: deque[Event] = field(default_factory=deque)
    done: bool = False

    async def fill(self, ranges: StreamRanges, source: Source, upto: int, pages: Pages) -> None:
        chunk = await ranges.chunk(source, self.seq, upto, self.subject, pages)
        self.events.extend(chunk.events)
        self.seq, self.done = chunk.next_seq, chunk.done
