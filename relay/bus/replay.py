"""Replay: the events of some rooms of one origin, in order, read page by page."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

from relay.bus.events import event_of
from relay.bus.reader import API, Page, Reader
from relay.core.event import Event, RoomKey
from relay.core.names import DEFAULT_SHARD, event_subject, events_stream


@dataclass(frozen=True, slots=True)
class Pages:
    """How much is read at once."""

    events: int = 256
    bytes: int = 256 * 1024


def events_of(page: Page, epoch: int) -> list[Event]:
    """The events in a page; what is no event of ours is left out."""
    events = []
    for headers, data in page.messages:
        try:
            events.append(event_of(headers, data, epoch))
        except ValueError:
            continue
    return events


async def replay(
    reader: Reader,
    origin: str,
    epoch: int,
    rooms: Collection[RoomKey],
    after: int,
    upto: int,
    pages: Pages,
    api: str = API,
) -> AsyncIterator[Event]:
    """Events of `rooms` with sequences in (`after`, `upto`], in stream order.

    Reads room by room, or the whole range once where that takes fewer reads.

    Raises:
        UnavailableError: NATS did not answer.
    """
    if upto <= after or not rooms:
        return
    if (upto - after) <= pages.events * len(rooms):
        source = _scan(reader, origin, epoch, rooms, after, upto, pages, api)
    else:
        source = _by_room(reader, origin, epoch, rooms, after, upto, pages, api)
    async for event in source:
        yield event


async def _scan(
    reader: Reader,
    origin: str,
    epoch: int,
    rooms: Collection[RoomKey],
    after: int,
    upto: int,
    pages: Pages,
    api: str = API,
) -> AsyncIterator[Event]:
    stream, seq = events_stream(origin), after + 1
    subject = None
    if len(rooms) == 1:
        ((tenant, room),) = rooms
        subject = event_subject(origin, tenant, DEFAULT_SHARD, room)
    while seq <= upto:
        page = await reader.page(
            stream, seq, batch=pages.events, max_bytes=pages.bytes, subject=subject, api=api
        )
        for event in events_of(page, epoch):
            if event.seq > upto:
                return
            if event.key in rooms:
                yield event
        if not page.messages or page.pending == 0:
            return
        seq = page.last + 1


@dataclass(slots=True)
class _Room:
    subject: str
    seq: int
    events: deque[Event] = field(default_factory=deque)
    done: bool = False

    async def fill(
        self, reader: Reader, stream: str, epoch: int, upto: int, pages: Pages, api: str
    ) -> None:
        page = await reader.page(
            stream,
            self.seq,
            batch=pages.events,
            max_bytes=pages.bytes,
            subject=self.subject,
            api=api,
        )
        events = events_of(page, epoch)
        self.events.extend(event for event in events if event.seq <= upto)
        self.done = not page.messages or page.pending == 0 or page.last >= upto
        self.seq = page.last + 1


async def _by_room(
    reader: Reader,
    origin: str,
    epoch: int,
    rooms: Collection[RoomKey],
    after: int,
    upto: int,
    pages: Pages,
    api: str = API,
) -> AsyncIterator[Event]:
    stream = events_stream(origin)
    small = Pages(max(16, pages.events // len(rooms)), pages.bytes)
    sources = [
        _Room(event_subject(origin, tenant, DEFAULT_SHARD, room), after + 1)
        for tenant, room in rooms
    ]
    while sources:
        dry = [source for source in sources if not source.events and not source.done]
        if dry:
            await asyncio.gather(
                *(source.fill(reader, stream, epoch, upto, small, api) for source in dry)
            )
        sources = [source for source in sources if source.events]
        while sources:
            first = min(sources, key=lambda source: source.events[0].seq)
            yield first.events.popleft()
            if not first.events:
                break
        sources = [source for source in sources if source.events or not source.done]
