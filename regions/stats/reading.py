"""Frames and minutes as the streams of one region hold them: its own copy of every region's."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import NamedTuple

import msgspec

from regions.doors import Door
from regions.readers import PAGE, first_reader, messages
from relay.bus.events import SEQUENCE, STAMP, SUBJECT, rfc3339, stamp_ms
from relay.bus.reader import API, Reader, remote_api
from relay.core.minute import MINUTE_MS, Heard, Minute, decode_minute, joined, minute_of
from relay.core.names import (
    TELEMETRY_STREAM,
    LogKind,
    log_stream,
    log_subject,
    minute_subject,
    minutes_stream,
    telemetry_subject,
)
from relay.core.telemetry import decode_frame
from relay.errors import BusError

FRAMES = telemetry_subject("", "").rstrip(".") + "."  # how subjects of frames begin
CURRENT_NS = 5_000_000_000  # a mirror hears its origin once a second
FRESH_MINUTES = 5  # which may not be stored yet, or not have come over


class LogBegin(NamedTuple):
    """The oldest entry of a log: when it was stored (Unix ms), and whether none came before."""

    at_ms: int
    whole: bool


class LogState(NamedTuple):
    """How far a region's log has come."""

    last_ms: int  # Unix ms of its newest entry; 0 where it has none
    current: bool  # it is at home, or its mirror hears the home and lacks nothing that it knows of


class Past:
    """What the streams in one region hold. `open_past` makes it.

    Args:
        region: in which it is read.
        reader: there.
    """

    def __init__(self, region: str, reader: Reader) -> None:
        self.region = region
        self._reader = reader
        self._apis: dict[str, str] = {}  # stream -> where it is read

    async def newest_frames(self, before_ms: int | None = None) -> list[Heard]:
        """The newest frame of each edge, or the newest that was stored before a time (Unix ms).

        Raises:
            BusError: NATS did not answer.
        """
        up_to = None if before_ms is None else rfc3339(before_ms)
        page = await self._reader.newest(TELEMETRY_STREAM, telemetry_subject("*", "*"), up_to=up_to)
        return [heard for heard in map(_heard, page.messages) if heard is not None]

    async def frames(self, since_ms: int, until_ms: int) -> AsyncIterator[Heard]:
        """All frames that were stored in a time.

        Raises:
            BusError: NATS did not answer.
        """
        stored = messages(self._reader, TELEMETRY_STREAM, since_ms=since_ms)
        async with aclosing(stored):
            async for message in stored:
                if not message[0].get(SUBJECT, "").startswith(FRAMES):
                    continue  # the news beside them
                heard = _heard(message)
                if heard is not None and heard.at_ms >= until_ms:
                    return
                if heard is not None:
                    yield heard

    async def log(
        self, origin: str, kind: LogKind, since_ms: int, until_ms: int
    ) -> AsyncIterator[tuple[int, bytes]]:
        """A kind of entry of a region's log in a time: when each was stored (Unix ms), and it.

        Raises:
            BusError: NATS did not answer.
        """
        stream, subject = log_stream(origin), log_subject(origin, kind, "*")
        api = await self._api(stream, origin)
        stored = messages(self._reader, stream, since_ms=since_ms, subject=subject, api=api)
        async with aclosing(stored):
            async for headers, data in stored:
                at_ms = stamp_ms(headers.get(STAMP, ""))
                if at_ms >= until_ms:
                    return
                yield at_ms, data

    async def now_ms(self) -> int:
        """The time by the region's NATS (Unix ms): no other machine's clock is compared with it.

        Raises:
            BusError: NATS did not answer.
        """
        answer = await self._reader.api(f"STREAM.INFO.{TELEMETRY_STREAM}", {})
        return stamp_ms(answer["ts"])

    async def origins(self) -> list[str]:
        """The regions whose logs are kept here.

        Raises:
            BusError: NATS did not answer.
        """
        answer = await self._reader.api("STREAM.NAMES", {})
        names, prefix = answer.get("streams") or (), log_stream("")
        return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))

    async def log_state(self, origin: str) -> LogState:
        """How far a region's log has come here; how far it is, where its copy here has holes.

        Raises:
            BusError: NATS did not answer.
        """
        return await self._state(log_stream(origin), origin)

    async def _state(self, stream: str, origin: str) -> LogState:
        answer = await self._reader.api(f"STREAM.INFO.{stream}", {})
        mirror, state = answer.get("mirror"), answer["state"]
        if mirror is None:
            self._apis[stream] = API
            return LogState(max(stamp_ms(state.get("last_ts", "")), 0), current=True)
        if state.get("num_deleted", 0):
            # A mirror may have skipped some after a cut, and says that it lacks nothing.
            self._apis[stream] = remote_api(origin)
            try:
                got = await self._reader.last_by_subject(stream, ">", api=self._apis[stream])
            except BusError:
                return LogState(0, current=False)
            return LogState(stamp_ms(got[0].get(STAMP, "")) if got else 0, current=True)
        self._apis[stream] = API
        active_ns = mirror.get("active", -1)
        current = mirror.get("lag", 0) == 0 and 0 <= active_ns < CURRENT_NS
        return LogState(max(stamp_ms(state.get("last_ts", "")), 0), current)

    async def _api(self, stream: str, origin: str) -> str:
        if stream not in self._apis:
            await self._state(stream, origin)
        return self._apis[stream]

    async def log_begins(self, origin: str) -> LogBegin | None:
        """The oldest entry of a region's log; None where it holds nothing.

        Raises:
            BusError: NATS did not answer.
        """
        page = await self._reader.page(log_stream(origin), 1, batch=1)
        if not page.messages:
            return None
        headers = page.messages[0][0]
        return LogBegin(stamp_ms(headers.get(STAMP, "")), whole=headers[SEQUENCE] == "1")

    async def minutes(self, origin: str, since: int, until: int) -> AsyncIterator[Minute]:
        """A region's minutes in a time, each once, in order.

        Args:
            origin: whose.
            since: Unix time in minutes.
            until: the first that is not wanted any more.

        Raises:
            BusError: NATS did not answer.
        """
        stream, subject = minutes_stream(origin), minute_subject(origin, "*")
        api, start = await self._api(stream, origin), rfc3339(since * MINUTE_MS)
        page = await self._reader.since(stream, start, batch=PAGE, subject=subject, api=api)
        last, parts = since - 1, dict[str, list[Minute]]()  # of each edge that writes
        while page.messages:
            for headers, data in page.messages:
                try:
                    part = decode_minute(data)
                except msgspec.DecodeError:
                    continue
                if part.minute >= until:
                    return
                if part.minute <= last or part.region != origin:
                    continue
                written = parts.setdefault(headers.get(SUBJECT, ""), [])
                if part.part == 0:
                    written.clear()
                if part.part == len(written):  # else one before it is lacking
                    written.append(part)
                if len(written) == part.parts:
                    last = part.minute
                    yield joined(written)
            if page.pending == 0:
                return
            page = await self._reader.page(
                stream, page.last + 1, batch=PAGE, subject=subject, api=api
            )

    async def together(
        self, origins: Sequence[str], since: int, until: int
    ) -> AsyncIterator[tuple[int, dict[str, Minute]]]:
        """The minutes of several regions, those of one time together; times in order.

        Minutes that nobody has stored yet are made of the frames that were heard here.

        Raises:
            BusError: NATS did not answer.
        """
        newest = await self.now_ms() // MINUTE_MS
        stored: dict[int, dict[str, Minute]] = {}
        async for number, minutes in self.stored(origins, since, until):
            if number < newest - FRESH_MINUTES:
                yield number, minutes
            else:
                stored[number] = minutes
        for number in range(max(since, newest - FRESH_MINUTES), min(until, newest + 1)):
            known = stored.get(number, {})
            lacking = [origin for origin in origins if origin not in known]
            made = await self._made(lacking, number) if lacking else {}
            if known or made:
                yield number, known | made

    async def stored(
        self, origins: Sequence[str], since: int, until: int
    ) -> AsyncIterator[tuple[int, dict[str, Minute]]]:
        """As `together`, but only what is stored.

        Raises:
            BusError: NATS did not answer.
        """
        sources = {origin: self.minutes(origin, since, until) for origin in origins}
        waiting: dict[str, Minute] = {}
        while True:
            for origin in [each for each in sources if each not in waiting]:
                following = await anext(sources[origin], None)
                if following is None:
                    del sources[origin]
                else:
                    waiting[origin] = following
            if not waiting:
                return
            first = min(minute.minute for minute in waiting.values())
            yield first, {o: m for o, m in waiting.items() if m.minute == first}
            waiting = {o: m for o, m in waiting.items() if m.minute != first}

    async def _made(self, origins: Sequence[str], number: int) -> dict[str, Minute]:
        begin_ms = number * MINUTE_MS
        heard = await self.newest_frames(begin_ms)
        heard += [each async for each in self.frames(begin_ms, begin_ms + MINUTE_MS)]
        made = {origin: minute_of(origin, number, heard) for origin in origins}
        return {origin: minute for origin, minute in made.items() if minute.edges}


@asynccontextmanager
async def open_past(doors: Sequence[Door]) -> AsyncIterator[Past]:
    """The streams of the first region that answers.

    Raises:
        UnavailableError: none does.
    """
    async with first_reader(doors, "jetrelay stats") as (region, reader):
        yield Past(region, reader)


def _heard(message: tuple[dict[str, str], bytes]) -> Heard | None:
    headers, data = message
    try:
        return Heard(stamp_ms(headers.get(STAMP, "")), decode_frame(data))
    except msgspec.DecodeError:
        return None
