"""Comparing a region's copy of a stream with another region's, message by message."""

from collections.abc import Awaitable, Callable

from relay.bus.connection import Headers
from relay.bus.events import ID, SEQUENCE, SUBJECT, USER
from relay.bus.reader import API, Reader
from relay.core.marker import Marker, Segment
from relay.core.names import events_stream
from relay.errors import UnavailableError

_Message = tuple[str, str, str, bytes]


def _message(headers: Headers, data: bytes) -> _Message:
    # Not its time stamp: an event that was written back to the origin has a new one there.
    return headers.get(SUBJECT, ""), headers.get(USER, ""), headers.get(ID, ""), data


async def first_unlike(unlike: int, look: Callable[[int], Awaitable[tuple[int, bool]]]) -> int:
    """The first sequence at which two copies of a stream differ, where `unlike` is one.

    They are alike up to there, and differ from there to `unlike`, wherever both hold something.

    Args:
        unlike: a sequence that both hold, and not alike.
        look: the first sequence from one on that both hold, and whether they are unlike there.
    """
    low, top, found = 1, unlike, unlike
    while low < top:
        middle = (low + top) // 2
        seq, differ = await look(middle)
        if seq >= found:
            top = middle  # nothing in between
        elif differ:
            top, found = middle, seq
        else:
            low = seq + 1
    return found


class Comparison:
    """This region's copies against those of other regions, which `there` names as an API."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def holds(self, origin: str, marker: Marker) -> bool:
        """Whether the copy here has the marker's hash for its segment.

        Raises:
            UnavailableError: NATS did not answer.
        """
        segment, pending = Segment(marker.first), 1
        while pending and segment.last < marker.last:
            page = await self._reader.page(events_stream(origin), segment.last + 1, batch=256)
            for headers, data in page.messages:
                seq = int(headers[SEQUENCE])
                if seq <= marker.last:
                    segment.add(seq, headers[SUBJECT], data)
            pending = page.pending if page.messages and page.last < marker.last else 0
        return (segment.count, segment.hexdigest()) == (marker.count, marker.hash)

    async def differs(self, origin: str, first: int, last: int, there: str) -> int | None:
        """The last sequence from `first` to `last` that both hold, and not alike; None if none.

        Raises:
            UnavailableError: one of the two did not answer.
        """
        ours = await self._messages(origin, first, last, API)
        theirs = await self._messages(origin, first, last, there)
        unlike = [seq for seq in ours.keys() & theirs.keys() if ours[seq] != theirs[seq]]
        return max(unlike, default=None)

    async def fork(self, origin: str, seq: int, there: str) -> int:
        """The first sequence that differs, where `seq` does.

        Two copies of one stream are equal up to where the origin lost its end, and differ from
        there as long as the copy holds events that the origin lost.

        Raises:
            UnavailableError: one of the two did not answer.
        """

        async def look(first: int) -> tuple[int, bool]:
            at = first
            while True:
                ours = await self._next(origin, at, API)
                theirs = await self._next(origin, at, there)
                if ours is None or theirs is None:
                    return seq, True
                if ours[0] == theirs[0]:
                    return ours[0], ours != theirs
                at = max(ours[0], theirs[0])

        return await first_unlike(seq, look)

    async def _next(self, origin: str, seq: int, api: str) -> tuple[int, _Message] | None:
        page = await self._reader.page(events_stream(origin), seq, batch=1, api=api)
        if not page.messages:
            await self._end(origin, seq, None, api)
            return None
        headers, data = page.messages[0]
        return int(headers[SEQUENCE]), _message(headers, data)

    async def _messages(self, origin: str, first: int, last: int, api: str) -> dict[int, _Message]:
        found: dict[int, _Message] = {}
        seq = first
        while seq <= last:
            batch = min(256, last - seq + 1)
            page = await self._reader.page(events_stream(origin), seq, batch=batch, api=api)
            for headers, data in page.messages:
                found[int(headers[SEQUENCE])] = _message(headers, data)
            seq = max(page.last + 1, seq)
            if not page.messages or page.pending == 0:
                await self._end(origin, seq, last, api)
                break
        return {seq: message for seq, message in found.items() if seq <= last}

    async def _end(self, origin: str, seq: int, last: int | None, api: str) -> None:
        """Nothing stands from `seq` on, up to `last`: a replica said so, and may be behind.

        Raises:
            UnavailableError: its leader holds something there, or did not answer.
        """
        if last is not None and seq > last:
            return
        held = await self._reader.next_seq(events_stream(origin), seq, ">", api=api)
        if held is not None and (last is None or held <= last):
            raise UnavailableError(f"a replica of {origin} does not show {held} yet")
