"""Comparing a region's copy of a stream with another region's, message by message."""

from relay.bus.connection import Headers
from relay.bus.events import ID, SEQUENCE, SUBJECT, USER
from relay.bus.reader import API, Reader
from relay.core.marker import Marker, Segment
from relay.core.names import events_stream

_Message = tuple[str, str, str, bytes]


def _message(headers: Headers, data: bytes) -> _Message:
    # Not its time stamp: an event that was written back to the origin has a new one there.
    return headers.get(SUBJECT, ""), headers.get(USER, ""), headers.get(ID, ""), data


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
        stream = events_stream(origin)
        low = 1
        for api in (API, there):
            page = await self._reader.page(stream, 1, batch=1, api=api)
            low = max(low, int(page.messages[0][0][SEQUENCE]) if page.messages else seq)
        high = seq
        while low < high:
            middle = (low + high) // 2
            if await self._equal(origin, middle, there):
                low = middle + 1
            else:
                high = middle
        return low

    async def _equal(self, origin: str, seq: int, there: str) -> bool:
        ours = await self._messages(origin, seq, seq, API)
        return ours == await self._messages(origin, seq, seq, there)

    async def _messages(self, origin: str, first: int, last: int, api: str) -> dict[int, _Message]:
        found: dict[int, _Message] = {}
        seq = first
        while seq <= last:
            batch = min(256, last - seq + 1)
            page = await self._reader.page(events_stream(origin), seq, batch=batch, api=api)
            for headers, data in page.messages:
                found[int(headers[SEQUENCE])] = _message(headers, data)
            if not page.messages or page.pending == 0:
                break
            seq = page.last + 1
        return {seq: message for seq, message in found.items() if seq <= last}
