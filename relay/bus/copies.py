"""The region's copies of all origins' streams, and where to read what a copy lacks.

A mirror may lose events for good and show nothing: nats-server 2.15 resets a mirror's durable
consumer after a cut link, and where that consumer delivers before the mirror listens again, the
mirror skips what it did not hear (its `lag` is 0, its last sequence is current). But a skipped
sequence counts as deleted, and nothing is ever deleted inside a home stream. So each look at a
mirror names what it lacks, and whoever needs that reads it from the origin, across the link.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from relay.bus.events import SEQUENCE
from relay.bus.home import home_of
from relay.bus.reader import API, Reader, StreamInfo, remote_api
from relay.core.copy import Copy, ranges
from relay.core.names import events_stream
from relay.errors import BusError, UnavailableError

_log = logging.getLogger("jetrelay.copies")

_EMPTY = Copy(1, 0)


class Copies:
    """What this region holds, looked at anew whenever it matters."""

    def __init__(self, reader: Reader, region: str, origins: Iterable[str]) -> None:
        self._reader = reader
        self._region = region
        self._copies: dict[str, Copy] = {}
        self._gone: dict[str, set[int]] = {}  # missing here, and no longer held by the origin
        self._missing: dict[str, set[int]] = {}  # missing here, and held by the origin
        self.origins = tuple(origins)
        self.found = 0  # sequences ever found missing
        self.on_found: Callable[[str], None] = lambda _origin: None  # other ones are missing now
        self.home_epoch = 0  # of the home stream, at the last look

    @property
    def mirrored(self) -> tuple[str, ...]:
        """The origins whose stream is a mirror here."""
        return tuple(origin for origin in self.origins if origin != self._region)

    def known(self, origin: str) -> Copy:
        """The copy as it was at the last look."""
        return self._copies.get(origin, _EMPTY)

    async def look(self, origin: str) -> Copy:
        """The copy as it is now.

        Raises:
            UnavailableError: the region's NATS did not answer.
            BusError: there is no such stream here (a mirror may be made anew).
        """
        info = await self._reader.info(events_stream(origin))
        missing: tuple[int, ...] = ()
        if origin != self._region and info.deleted:
            missing = await self._missing_of(origin, info)
        if origin == self._region:
            self.home_epoch = home_of(info).epoch
        copy = Copy(info.first, info.last, missing, await self._origin_first(origin, info.first))
        before, self._copies[origin] = self.known(origin), copy
        if copy.missing and copy.missing != before.missing:
            self.on_found(origin)
        return copy

    async def look_at_all(self) -> dict[str, Copy]:
        """All copies as they are now.

        Raises:
            BusError: as `look`.
        """
        copies = await asyncio.gather(*(self.look(origin) for origin in self.origins))
        return dict(zip(self.origins, copies, strict=True))

    async def source(self, origin: str, after: int, upto: int) -> str:
        """The JetStream API to read (`after`, `upto`] of `origin` from: here, or at the origin.

        Raises:
            UnavailableError: the region's NATS did not answer.
        """
        if origin == self._region or not self.known(origin).lacks(after, upto):
            return API
        try:
            lacking = (await self.look(origin)).lacks(after, upto)
        except UnavailableError:
            raise
        except BusError:
            lacking = True  # the mirror is being made anew
        return remote_api(origin) if lacking else API

    async def whole(self, origin: str, after: int, upto: int) -> bool:
        """Whether this region's copy holds (`after`, `upto`] still, as it is now.

        Asked after a read of it: a mirror may have been made anew meanwhile, and skip again.

        Raises:
            UnavailableError: the region's NATS did not answer.
        """
        if origin == self._region:
            return True
        try:
            return not (await self.look(origin)).lacks(after, upto)
        except UnavailableError:
            raise
        except BusError:
            return False

    async def _origin_first(self, origin: str, first: int) -> int | None:
        """Where the origin begins: a mirror that began later may have skipped its beginning."""
        known = self._copies.get(origin)
        if origin == self._region or first <= 1:
            return None
        if known is not None and known.first == first and known.origin_first is not None:
            return known.origin_first
        try:
            page = await self._reader.page(
                events_stream(origin), 1, batch=1, api=remote_api(origin)
            )
        except BusError:
            return None
        return int(page.messages[0][0][SEQUENCE]) if page.messages else None

    async def _missing_of(self, origin: str, info: StreamInfo) -> tuple[int, ...]:
        deleted = await self._reader.deleted(events_stream(origin))
        gone = self._gone.setdefault(origin, set())
        missing = self._missing.setdefault(origin, set())
        gone &= deleted
        missing &= deleted
        unknown: set[int] = set()  # the origin does not answer: asked again at the next look
        for first, last in ranges(sorted(deleted - gone - missing)):
            held = await self._held_by_origin(origin, first, last)
            if held is None:
                unknown |= set(range(first, last + 1))
                continue
            missing |= held
            gone |= set(range(first, last + 1)) - held
            if held:
                self.found += len(held)
                _log.error(
                    "%s: the mirror skipped %d events in %d to %d; they are read from the origin",
                    origin,
                    len(held),
                    first,
                    last,
                )
        return tuple(sorted(seq for seq in missing | unknown if seq >= info.first))

    async def _held_by_origin(self, origin: str, first: int, last: int) -> set[int] | None:
        """Which of these sequences the origin holds; None when it does not answer."""
        held: set[int] = set()
        seq = first
        while seq <= last:
            try:
                page = await self._reader.page(
                    events_stream(origin), seq, batch=256, api=remote_api(origin)
                )
            except BusError:
                return None
            found = {int(headers[SEQUENCE]) for headers, _ in page.messages}
            held |= {number for number in found if number <= last}
            if not page.messages:
                break
            seq = page.last + 1
        return held
