"""Writing the minutes of a region: one edge has the duty, and makes them of what the stream of
telemetry holds, so that whoever takes the duty over goes on where the one before it stood.
"""

import logging

import msgspec

from relay.bus.ack import read_ack
from relay.bus.events import STAMP, rfc3339, stamp_ms
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core.minute import MINUTE_MS, Heard, decode_minute, encode_minute, minute_of
from relay.core.names import TELEMETRY_STREAM, minute_subject, minutes_stream, telemetry_subject
from relay.core.telemetry import decode_frame
from relay.errors import BusError

_log = logging.getLogger("jetrelay.minutes")

SETTLE_MS = 2_000  # after a minute's end its last frames are stored
LOOK_BACK_MS = 86_400_000  # what the stream of telemetry holds
READ_FRAMES = 256
MSG_ID = "Nats-Msg-Id"


class Minutes:
    """Stores the minutes of one region, while its edge has the duty."""

    def __init__(self, inbox: Inbox, reader: Reader, region: str, edge: str) -> None:
        self._inbox = inbox
        self._reader = reader
        self._region = region
        self._edge = edge
        self._done: int | None = None  # the last minute that is stored
        self.written = 0

    async def turn(self, *, on_duty: bool) -> None:
        """Store a minute that is over and is not stored yet.

        Args:
            on_duty: whether this edge is the one that stores them.

        Raises:
            BusError: NATS did not answer; the next turn tries again.
        """
        if not on_duty:
            self._done = None
            return
        now_ms = await self._now_ms()
        if self._done is None:
            self._done = max(await self._newest(), (now_ms - LOOK_BACK_MS) // MINUTE_MS)
        last = (now_ms - SETTLE_MS) // MINUTE_MS - 1
        if self._done >= last:
            return
        minute = self._done + 1
        heard, next_ms = await self._frames(minute)
        if next_ms is None:
            return  # this edge has said something since: the replica that answered lacks it yet
        if heard:
            await self._store(minute, [*await self._before(minute), *heard])
            self._done = minute
        else:  # nobody was there: on to when somebody was
            self._done = min(last, next_ms // MINUTE_MS - 1)

    async def _now_ms(self) -> int:
        """The time by the stream's clock, a second old at most; 0 where it holds nothing."""
        subject = telemetry_subject(self._region, "*")
        got = await self._reader.last_by_subject(TELEMETRY_STREAM, subject)
        return stamp_ms(got[0].get(STAMP, "")) if got else 0

    async def _newest(self) -> int:
        subject = minute_subject(self._region, "*")
        got = await self._reader.last_by_subject(minutes_stream(self._region), subject)
        if got is None:
            return 0
        try:
            newest = decode_minute(got[1])
            return newest.minute - (newest.part + 1 < newest.parts)
        except msgspec.DecodeError:
            _log.exception("the newest minute can't be read")
            return 0

    async def _frames(self, minute: int) -> tuple[list[Heard], int | None]:
        """The frames of a minute, and when the next one was stored; None: that is not shown."""
        start, end_ms = rfc3339(minute * MINUTE_MS), (minute + 1) * MINUTE_MS
        subject = telemetry_subject(self._region, "*")
        page = await self._reader.since(TELEMETRY_STREAM, start, batch=READ_FRAMES, subject=subject)
        heard: list[Heard] = []
        while page.messages:
            for headers, data in page.messages:
                at_ms = stamp_ms(headers.get(STAMP, ""))
                if at_ms >= end_ms:
                    return heard, at_ms
                heard += _heard(at_ms, data)
            if page.pending == 0:
                break
            page = await self._reader.page(
                TELEMETRY_STREAM, page.last + 1, batch=READ_FRAMES, subject=subject
            )
        return heard, None

    async def _before(self, minute: int) -> list[Heard]:
        """The newest frame of each edge from before a minute."""
        subject = telemetry_subject(self._region, "*")
        page = await self._reader.newest(
            TELEMETRY_STREAM, subject, up_to=rfc3339(minute * MINUTE_MS)
        )
        found = [_heard(stamp_ms(head.get(STAMP, "")), data) for head, data in page.messages]
        return [one for each in found for one in each if one.at_ms < minute * MINUTE_MS]

    async def _store(self, minute: int, heard: list[Heard]) -> None:
        subject = minute_subject(self._region, self._edge)
        for part, data in enumerate(encode_minute(minute_of(self._region, minute, heard))):
            headers = {MSG_ID: f"minute.{minute}.{self._edge}.{part}"}
            ack = read_ack(*await self._inbox.request(subject, data, 2.0, headers))
            if ack.error is not None:
                raise BusError(f"a minute is refused: {ack.error.description}")
        self.written += 1


def _heard(at_ms: int, data: bytes) -> list[Heard]:
    """The frame, or nothing where it can't be read."""
    try:
        return [Heard(at_ms, decode_frame(data))]
    except msgspec.DecodeError:
        return []
