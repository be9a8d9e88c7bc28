"""Writing markers: one edge of a region has the duty, and stores one each second."""

import logging

import msgspec

from relay.bus.ack import read_ack
from relay.bus.events import EPOCH, SEQUENCE, SUBJECT, TS
from relay.bus.gatekeeper import Gatekeeper
from relay.bus.inbox import Inbox
from relay.bus.leases import Leases
from relay.bus.reader import Reader
from relay.core.marker import Head, Marker, Segment, decode_marker
from relay.core.names import events_stream, head_subject, mark_subject
from relay.errors import BusError

_log = logging.getLogger("jetrelay.marks")

DUTY = "marker"
SEGMENT_EVENTS = 20_000  # hashed for one marker; a longer segment is caught up by the next ones


class MarkWriter:
    """Stores the markers of one region while its edge has the duty."""

    def __init__(
        self,
        inbox: Inbox,
        reader: Reader,
        leases: Leases,
        gate: Gatekeeper,
        region: str,
        edge: str,
    ) -> None:
        self._inbox = inbox
        self._reader = reader
        self._leases = leases
        self._gate = gate
        self._region = region
        self._edge = edge
        self._stream = events_stream(region)
        self._last: Marker | None = None
        self._known = False
        self.written = 0

    async def write(self, now_ms: int) -> None:
        """Store one marker, if this edge has the duty and writes are open.

        Raises:
            UnavailableError: NATS did not answer; the next second tries again.
        """
        if not self._gate.is_open or not await self._leases.take_duty(DUTY):
            self._known = False
            return
        if not self._known:
            self._last = await self._newest()
            self._known = True
        segment = await self._hash_since(self._last)
        marker = Marker(
            number=self._last.number + 1 if self._last else 1,
            at_ms=now_ms,
            epoch=self._gate.epoch,
            first=segment.first,
            last=segment.last,
            count=segment.count,
            hash=segment.hexdigest(),
            edge=self._edge,
        )
        headers = {EPOCH: str(marker.epoch), TS: str(now_ms)}
        body = msgspec.json.encode(marker)
        self._known = False  # until it is known to be stored
        ack = read_ack(*await self._inbox.request(mark_subject(self._region), body, 2.0, headers))
        if ack.error is not None:
            raise BusError(f"marker refused: {ack.error.description}")
        self._last, self._known = marker, True
        self._gate.saw(ack.seq)
        self.written += 1
        head = Head(self._region, ack.seq, marker)
        await self._inbox.send(head_subject(self._region), msgspec.json.encode(head), "")

    async def _newest(self) -> Marker | None:
        # Of the leader: after what a replica that is behind shows, a stretch were told twice.
        got = await self._reader.last_data(self._stream, mark_subject(self._region))
        return None if got is None else decode_marker(got)

    async def _hash_since(self, last: Marker | None) -> Segment:
        segment = Segment(first=last.last + 1 if last else 1)
        pending = 1
        while pending and segment.count < SEGMENT_EVENTS:
            page = await self._reader.page(self._stream, segment.last + 1, batch=256)
            for headers, data in page.messages:
                segment.add(int(headers[SEQUENCE]), headers[SUBJECT], data)
            pending = page.pending if page.messages else 0
        return segment
