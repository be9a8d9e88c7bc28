"""What came next in a room: asked once for all who want to know the same."""

import asyncio
from typing import NamedTuple

from relay.bus.copies import Copies
from relay.bus.reader import API, Reader
from relay.core.event import Event, RoomKey
from relay.core.names import DEFAULT_SHARD, event_subject, events_stream
from relay.errors import BusError, UnavailableError
from relay.tasks import Tasks

REMEMBERED = 10_000  # answers


class _Answer(NamedTuple):
    """The sequence that follows, or none; and up to where the stream held all when it was asked."""

    seq: int | None
    upto: int


class _Place(NamedTuple):
    origin: str
    epoch: int
    room: RoomKey
    after: int
    api: str


class Following:
    """Finds what follows in rooms, by reads that are shared and answers that are kept.

    Where this region's copy lacks some of the stretch, the origin is asked.
    """

    def __init__(self, reader: Reader, copies: Copies) -> None:
        self._reader = reader
        self._copies = copies
        self._reading: dict[_Place, asyncio.Task[_Answer | BusError]] = {}
        self._found: dict[_Place, int] = {}
        self._tasks = Tasks("following")
        self.reads = 0

    async def close(self) -> None:
        """End what is being read."""
        await self._tasks.close()

    async def within(self, event: Event, after: int, upto: int) -> int:
        """The first sequence that the event's room has in (`after`, `upto`], as its origin counts;
        0: it has none there.

        Raises:
            UnavailableError: no answer in time, there is no leader, or the stream that was read
                does not hold the stretch, or does not any more.
        """
        if upto <= after:
            return 0
        api = await self._copies.source(event.origin, after, upto)
        place = _Place(event.origin, event.epoch, event.key, after, api)
        seq = self._found.get(place)
        if seq is None:
            reading = self._reading.get(place)
            if reading is None:
                reading = self._tasks.spawn(self._read(place), "read")
                self._reading[place] = reading
            answer = await asyncio.shield(reading)
            if isinstance(answer, BusError):
                raise answer
            if answer.seq is None and answer.upto < upto:
                raise UnavailableError(f"{event.origin} holds less than was delivered of it")
            seq = answer.seq
        if seq is not None and seq <= upto:
            return seq
        # A mirror that is being filled anew shows nothing either.
        if api == API and not await self._copies.whole(event.origin, after, upto):
            raise UnavailableError(f"the mirror of {event.origin} changed while it was read")
        return 0

    async def _read(self, place: _Place) -> _Answer | BusError:
        tenant, room = place.room
        subject = event_subject(place.origin, tenant, DEFAULT_SHARD, room)
        self.reads += 1
        stream, following = events_stream(place.origin), place.after + 1
        try:
            last = await self._copies.last_at(place.origin, place.api)
            seq = await self._reader.next_seq(stream, following, subject, api=place.api)
        except BusError as error:
            return error  # for all who wait
        finally:
            del self._reading[place]
        if seq is not None:  # nothing that comes later changes that
            self._found[place] = seq
            while len(self._found) > REMEMBERED:
                del self._found[next(iter(self._found))]
        return _Answer(seq, last)
