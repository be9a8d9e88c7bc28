"""What sessions missed: from the rings, else from NATS, read once for all who wait for it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing

from relay.bus.copies import Copies
from relay.bus.replay import Pages, Source, StreamRanges
from relay.core.cursor import Position
from relay.core.event import Event, RoomKey
from relay.core.rings import Reading, Rings
from relay.edge import clock
from relay.errors import BusError, DroppedError
from relay.tasks import Tasks

PART_EVENTS = 256  # taken from the rings at once
SHARED = 4  # a page that many wait for is so much larger than one of a single session

_Fill = asyncio.Task[BusError | None]


class Replays:
    """Replays ranges of rooms.

    What lies before the rings is read into them, by one read at a time for each room and origin:
    a herd that comes back shares it. What is larger than a ring is read for each session alone,
    page by page, until the ring can take over.
    """

    def __init__(
        self,
        rings: Rings,
        ranges: StreamRanges,
        copies: Copies,
        positions: Mapping[str, Position],
        reached: Callable[[str, int], Awaitable[bool]],
        overlooked: Callable[[str, int, int], bool],
        block: int,
        streams: int,
        turn_s: float,
    ) -> None:
        """Replay from `rings`, and from what `ranges` reads.

        Args:
            rings: of the edge.
            ranges: reads from NATS.
            copies: say where to read.
            positions: of the edge, kept up to date by it.
            reached: lets the edge's position of an origin reach a sequence, if it can soon.
            overlooked: whether the copy here had skipped anything in (`after`, `upto`] of an
                origin that was passed, and not dealt with yet.
            block: reads begin at multiples of it, in sequences: cursors near by share one.
            streams: sessions that may read what is too large for a ring at once.
            turn_s: after which such a session makes room for those that wait.
        """
        self._rings = rings
        self._ranges = ranges
        self._copies = copies
        self._positions = positions
        self._reached = reached
        self._overlooked = overlooked
        self._block = block
        self._streams = asyncio.Semaphore(streams)
        self._turn_ms = turn_s * 1000
        pages = ranges.pages
        self._pages = Pages(pages.events * SHARED, pages.bytes * SHARED)
        self._filling: dict[tuple[str, RoomKey], _Fill] = {}
        self._oldest: dict[tuple[str, RoomKey], int] = {}  # wanted by those who wait
        self._tasks = Tasks("replays")
        self.shared = 0  # waits for a read that somebody else had begun, total
        self.streamed = 0  # ranges that were too large for a ring, total

    async def close(self) -> None:
        """End what is being read."""
        await self._tasks.close()

    async def events(
        self, origin: str, rooms: Collection[RoomKey], after: int, upto: int
    ) -> AsyncGenerator[Sequence[Event], None]:
        """Events of open rooms with sequences in (`after`, `upto`], in order, a few at a time.

        Close it where it is not read to its end: it may hold a place that others wait for.

        Raises:
            UnavailableError: NATS did not answer.
        """
        rings, asked, caught_up = self._rings, False, False
        while after < upto:
            # Rings have what was delivered: a room just opened at the origin may be further.
            held = min(upto, self._positions[origin].seq)
            if after >= held and not caught_up:
                caught_up = True  # or tried: one scan, rather than a read for each who comes
                await self._reached(origin, upto)
                continue
            if after >= held:
                source = await self._source(origin, after, upto)
                async for part in self._ranges.read(source, rooms, after, upto):
                    yield part
                return
            if self._overlooked(origin, after, held):
                # The rings lack it as well: nobody has dealt with it yet.
                source = await self._source(origin, after, held)
                async for part in self._ranges.read(source, rooms, after, held):
                    yield part
                after = held
                continue
            cold = rings.cold(origin, rooms, after)
            if not asked:
                asked = True
                rings.hits += len(rooms) - len(cold)
                rings.misses += len(cold)
            if cold and not await self._fill(origin, cold, after):
                end = self._taken_over(origin, rooms, after, held)
                self.streamed += 1
                async with aclosing(self._by_turns(origin, rooms, after, end)) as parts:
                    async for part in parts:
                        yield part
                after = end
                continue
            part, after = rings.after(origin, rooms, after, held, PART_EVENTS)
            if part:
                yield part

    @property
    def crowded(self) -> bool:
        """Whether sessions wait for a place to read what is too large for a ring."""
        return self._streams.locked()

    async def _by_turns(
        self, origin: str, rooms: Collection[RoomKey], after: int, upto: int
    ) -> AsyncGenerator[Sequence[Event], None]:
        """What is too large for a ring: for this session alone, which holds a place meanwhile.

        While others wait for one, a session that takes long gives its place up now and then.
        """
        while after < upto:
            async with self._streams:
                ends_ms = clock.mono_ms() + self._turn_ms
                source = await self._source(origin, after, upto)
                async for part in self._ranges.read(source, rooms, after, upto):
                    yield part
                    after = part[-1].seq
                    if self.crowded and clock.mono_ms() > ends_ms:
                        break
                else:
                    return

    def _taken_over(self, origin: str, rooms: Collection[RoomKey], after: int, upto: int) -> int:
        """Up to where a session reads for itself: the rings have the rest."""
        bases = []
        for key in self._rings.cold(origin, rooms, after):
            ring = self._rings.get(key, origin)
            bases.append(upto if ring is None else ring.base)
        return min(upto, max(bases, default=upto))

    async def _source(self, origin: str, after: int, upto: int) -> Source:
        api = await self._copies.whole_source(origin, after, upto)
        return Source(origin, self._positions[origin].epoch, api, strict=True)

    # --- filling the rings ---------------------------------------------------------------------

    async def _fill(self, origin: str, cold: Sequence[RoomKey], after: int) -> bool:
        """Read into the rings what follows `after`. Returns whether it is there now."""
        wanted = [(origin, key) for key in cold]
        for place in wanted:
            self._oldest[place] = min(after, self._oldest.get(place, after))
        try:
            return await self._fill_rooms(origin, cold, after)
        finally:
            for place in wanted:
                if self._oldest.get(place) == after:
                    del self._oldest[place]

    async def _fill_rooms(self, origin: str, cold: Sequence[RoomKey], after: int) -> bool:
        begun = False
        while cold := self._rings.cold(origin, cold, after):
            running = {self._filling[origin, key] for key in cold if (origin, key) in self._filling}
            if running:
                self.shared += len(running)
                await asyncio.wait(running)
                failures = [error for fill in running if (error := fill.result()) is not None]
                if failures:
                    return self._failed(failures[0])
                continue
            starts = [self._start_of(origin, key, after) for key in cold]
            if begun or None in starts:
                return False
            begun = True
            begin = self._rings.begin
            begins = [begin(key, origin, at or 0) for key, at in zip(cold, starts, strict=True)]
            readings = [reading for reading in begins if reading is not None]
            fill = self._tasks.spawn(self._read(origin, readings), "fill")
            for reading in readings:
                self._filling[origin, reading.key] = fill
                self._oldest.pop((origin, reading.key), None)
            if (failure := await asyncio.shield(fill)) is not None:
                return self._failed(failure)
        return True

    def _failed(self, failure: BusError) -> bool:
        """A fill failed: what it wanted besides may be gone, and what this session wants be there.

        Raises:
            BusError: the failure, else.
        """
        if isinstance(failure, DroppedError):
            return False
        raise failure

    def oldest(self, origin: str) -> int:
        """The oldest sequence of an origin that can be replayed, as known."""
        return self._copies.known(origin).oldest

    def _start_of(self, origin: str, key: RoomKey, after: int) -> int | None:
        """From where a room is to be read into its ring; None where that is too small for it."""
        ring = self._rings.get(key, origin)
        if ring is None or after <= ring.unfit:
            return None
        oldest = min(after, self._oldest.get((origin, key), after))
        # Nobody wants what lies before the copy here: it might have to be asked for elsewhere.
        begins = min(self._copies.known(origin).oldest - 1, oldest)
        for start in (max(oldest // self._block * self._block, begins), oldest, after):
            if start > ring.unfit:
                return start
        return None

    async def _read(self, origin: str, readings: Sequence[Reading]) -> BusError | None:
        try:
            after, upto = min(r.after for r in readings), max(r.upto for r in readings)
            source = await self._source(origin, after, upto)
            if len(readings) > 1 and self._ranges.scans(len(readings), after, upto):
                await self._scan(source, readings, after, upto)
            else:
                ends = await asyncio.gather(
                    *(self._read_room(source, one) for one in readings), return_exceptions=True
                )
                for error in ends:
                    if error is not None:
                        raise error
        except BusError as error:
            return error  # for all who wait
        else:
            return None
        finally:
            for reading in readings:
                self._rings.end(reading)
                del self._filling[origin, reading.key]

    async def _read_room(self, source: Source, reading: Reading) -> None:
        subject, events, size = source.subject(reading.key), list[Event](), 0
        seq, done = reading.after + 1, False
        while not done:
            chunk = await self._ranges.chunk(source, seq, reading.upto, subject, self._pages)
            events += chunk.events
            size += sum(len(event.data) for event in chunk.events)
            beyond = len(reading.ring.events)  # counted in `left`, and in the ring already
            left = 0 if chunk.done else max(chunk.left - beyond, 0)
            if not self._rings.fits(reading, len(events) + left, _extrapolate(events, size, left)):
                return
            seq, done = chunk.next_seq, chunk.done
        self._rings.extend(reading, events)

    async def _scan(
        self, source: Source, readings: Sequence[Reading], after: int, upto: int
    ) -> None:
        """One read of the stream, for all rooms that are open and lack something of it."""
        wanted = {reading.key: reading for reading in readings}
        others = []
        for key, ring in list(self._rings.of(source.origin)):
            if key not in wanted and after > ring.unfit and after < ring.base <= upto:
                reading = self._rings.begin(key, source.origin, after)
                if reading is not None:
                    wanted[key] = reading
                    others.append(reading)
        try:
            await self._scan_into(source, wanted, after, upto)
        finally:
            for reading in others:
                self._rings.end(reading)

    async def _scan_into(
        self, source: Source, wanted: Mapping[RoomKey, Reading], after: int, upto: int
    ) -> None:
        found: dict[RoomKey, list[Event]] = {}
        seq, done = after + 1, False
        while not done:
            chunk = await self._ranges.chunk(source, seq, upto, None, self._pages)
            for event in chunk.events:
                if event.key in wanted:
                    found.setdefault(event.key, []).append(event)
            seq, done = chunk.next_seq, chunk.done
        for key, reading in wanted.items():
            self._rings.extend(reading, found.get(key, ()))


def _extrapolate(events: Sequence[Event], size: int, left: int) -> int:
    """The bytes that events and those left have, where these are like those."""
    return size + (size // max(len(events), 1)) * left
