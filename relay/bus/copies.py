"""The region's copies of all origins' streams, and where to read what a copy lacks.

A mirror may lose events for good and show nothing: nats-server 2.15 resets a mirror's durable
consumer after a cut link, and where that consumer delivers before the mirror listens again, the
mirror skips what it did not hear (its `lag` is 0, its last sequence is current). But a skipped
sequence counts as deleted, and nothing is ever deleted inside a home stream. So each look at a
mirror names what it lacks, and whoever needs that reads it from the origin, across the link.

A look asks this region alone. What only the origin knows is asked in the background; until it has
answered, it is taken to hold what the mirror does not.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from relay.bus.events import SEQUENCE, epoch_in
from relay.bus.home import home_of
from relay.bus.reader import API, Reader, StreamInfo, remote_api
from relay.core.copy import Beginning, Copy, Seen, ranges
from relay.core.names import events_stream, mark_subject, void_subject
from relay.errors import BusError, UnavailableError

_log = logging.getLogger("jetrelay.copies")

_EMPTY = Copy(1, 0)
REPLICA_LOOKS, REPLICA_WAIT_S = 3, 0.05
MOST_BEFORE = 65_536  # events before a mirror's beginning that are read at the origin one by one


class Proved(NamedTuple):
    """Up to a sequence, a mirror was seen to hold nothing of a later epoch."""

    created: str  # what tells it from one that was made anew
    last: int
    epoch: int


@dataclass(slots=True)
class _Mirror:
    """A mirror at the last look, and what its origin has said of it."""

    info: StreamInfo | None = None
    deleted: set[int] = field(default_factory=set)  # missing here
    gone: set[int] = field(default_factory=set)  # of those, proved to be missing at the origin too
    held: set[int] = field(default_factory=set)  # of those, seen at the origin
    beginning: Beginning = field(default_factory=Beginning)
    reached: int | None = None  # the furthest that it was ever seen to hold
    jumped: list[tuple[int, int]] = field(default_factory=list)  # never held: it began behind them
    before: set[int] = field(default_factory=set)  # of those, what its origin holds
    behind: int = 0  # the origin has dropped all up to here
    proved: Proved | None = None
    asked: int = 0  # up to where it was asked whether it has dropped what neither holds

    def look(
        self, info: StreamInfo, deleted: set[int], heard: Callable[[int, int], int | None]
    ) -> None:
        """It stands like this now. `heard`: the first of a stretch that came live, if any did."""
        if self.reached is not None and info.messages and info.first > self.reached + 1:
            # It was empty, and went on later than where it had been; or has dropped them since.
            first, last = self.reached + 1, info.first - 1
            came = heard(first, last)
            if came != first:
                self.jumped.append((first, last if came is None else came - 1))
        self.reached = max(self.reached or 0, info.last)
        if self.info is not None and info.last < self.info.last:
            self.proved = None  # it lost its end: something else may come there
        deleted = deleted | self.before
        self.info, self.deleted = info, deleted
        self.gone &= deleted
        self.held &= deleted
        self.beginning.look(Seen(info.created, info.first, info.last))

    @property
    def unknown(self) -> list[tuple[int, int]]:
        """The runs that the origin has not been heard about."""
        return ranges(sorted(self.deleted - self.gone - self.held))

    @property
    def copy(self) -> Copy:
        """What it holds, and what its origin may hold besides.

        What neither holds, the origin has dropped, with all before it: the copy begins behind that.
        """
        assert self.info is not None
        first, origin_first = self.info.first, self.beginning.origin_first
        if self.behind:
            first = origin_first = max(first, self.behind + 1)
        missing = sorted(seq for seq in self.deleted - self.gone if seq > self.behind)
        return Copy(first, self.info.last, tuple(missing), origin_first)


class Standing(NamedTuple):
    """A stream as it stands: its first and last sequence, and its epoch; 0: not known there."""

    first: int
    last: int
    epoch: int


class Copies:
    """What this region holds, looked at anew whenever it matters."""

    def __init__(self, reader: Reader, region: str, origins: Iterable[str]) -> None:
        self._reader = reader
        self._region = region
        self.origins = tuple(origins)
        self._copies: dict[str, Copy] = {}
        self._mirrors = {origin: _Mirror() for origin in self.mirrored}
        self._dropped: dict[str, list[tuple[int, int]]] = {}  # not told of yet
        self.found = 0  # sequences ever found missing
        self.on_found: Callable[[str], None] = lambda _origin: None  # other ones are missing now
        self.heard: Callable[[str, int, int], int | None] = lambda _origin, _first, _last: None
        self.home_epoch = 0  # of the home stream, at the last look

    @property
    def mirrored(self) -> tuple[str, ...]:
        """The origins whose stream is a mirror here."""
        return tuple(origin for origin in self.origins if origin != self._region)

    def known(self, origin: str) -> Copy:
        """The copy as it was at the last look."""
        return self._copies.get(origin, _EMPTY)

    async def look(self, origin: str) -> Copy:
        """The copy as it is now, as far as this region knows.

        Raises:
            UnavailableError: the region's NATS did not answer.
            BusError: there is no such stream here (a mirror may be made anew).
        """
        stream = events_stream(origin)
        info = await self._reader.info(stream)
        if origin == self._region:
            self.home_epoch = home_of(info).epoch
            copy = Copy(info.first, info.last, origin_first=info.first)
        else:
            deleted = await self._reader.deleted(stream) if info.deleted else set()
            self._mirrors[origin].look(info, deleted, partial(self.heard, origin))
            copy = self._mirrors[origin].copy
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

    async def whole_source(self, origin: str, after: int, upto: int) -> str:
        """As `source`, where all of it is stored now: what is not shown there then, is not there.

        A stream that lost its end may get it back while it is read: it must have it before.

        Raises:
            UnavailableError: NATS did not answer, or that stream ends before `upto`.
        """
        api = await self.source(origin, after, upto)
        if api == API and not await self.whole(origin, after, upto):
            api = remote_api(origin)
        if api == API and origin != self._region:
            return api  # `whole` has looked
        for waited in range(REPLICA_LOOKS):
            if await self.last_at(origin, api) >= upto:
                return api
            if api != API and waited + 1 < REPLICA_LOOKS:
                await asyncio.sleep(REPLICA_WAIT_S)  # any replica there may have answered
        raise UnavailableError(f"{origin} holds less than was delivered of it")

    async def last_at(self, origin: str, api: str) -> int:
        """The last sequence that is stored of an origin, at an API; 0 where there is none.

        Raises:
            UnavailableError: NATS did not answer.
            BusError: there is no such stream here.
        """
        if api == API:
            return (await self.look(origin)).last
        got = await self._reader.last_by_subject(events_stream(origin), ">", api=api)
        return int(got[0][SEQUENCE]) if got else 0

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

    async def stands_at(self, origin: str, api: str) -> Standing:
        """How an origin's stream stands at an API, right after a read there.

        Raises:
            UnavailableError: NATS did not answer.
        """
        if api == API and origin == self._region:
            copy = await self.look(origin)
            return Standing(copy.first, copy.last, self.home_epoch)
        if api == API:
            return await self._mirror_stands(origin)
        stream = events_stream(origin)
        first, last, epoch = await asyncio.gather(
            self._reader.page(stream, 1, batch=1, api=api),
            self.last_at(origin, api),
            self.epoch_at(origin, api),
        )
        return Standing(first.last or 1, last, epoch)

    async def _mirror_stands(self, origin: str) -> Standing:
        """How a mirror here stood at the look of `whole`.

        One that is filled anew, or was behind, may hold a later epoch's where this edge has passed
        what an epoch before had. What it holds up to a sequence is looked at once.
        """
        mirror, copy = self._mirrors[origin], self.known(origin)
        created = "" if mirror.info is None else mirror.info.created
        proved = mirror.proved
        if proved is None or proved.created != created or proved.last < copy.last:
            stream = events_stream(origin)
            found = await asyncio.gather(
                *(
                    self._reader.last_headers(stream, subject)
                    for subject in (mark_subject(origin), void_subject(origin))
                )
            )
            epoch = max((epoch_in(headers) for headers in found if headers), default=1)
            proved = mirror.proved = Proved(created, copy.last, epoch)
        return Standing(copy.first, copy.last, proved.epoch)

    async def epoch_at(self, origin: str, api: str) -> int:
        """The newest epoch that an edge wrote into an origin's stream, at an API.

        Raises:
            UnavailableError: NATS did not answer.
        """
        if api == API and origin == self._region:
            await self.look(origin)
            return self.home_epoch
        # Which of them is newer says nothing: an edge may not have heard of the epoch yet.
        subjects = (mark_subject(origin), void_subject(origin))
        stream = events_stream(origin)
        found = await asyncio.gather(
            *(self._reader.last_by_subject(stream, subject, api=api) for subject in subjects)
        )
        return max((epoch_in(got[0]) for got in found if got), default=1)

    # --- what only the origin knows ------------------------------------------------------------

    async def inquire(self, origin: str) -> Copy:
        """Ask the origin what the last look left open; the copy as it is known then.

        An origin that does not answer is asked no further.
        """
        mirror = self._mirrors[origin]
        if mirror.info is None:
            return _EMPTY
        try:
            while mirror.jumped:
                await self._inquire_jumped(origin, *mirror.jumped[0])
                mirror.jumped.pop(0)
            for first, last in mirror.unknown:
                await self._inquire_run(origin, first, last)
            if mirror.gone and max(mirror.gone) > mirror.asked:
                await self._inquire_gone(origin)
            if mirror.copy.origin_first is None and mirror.copy.first > 1:
                await self._inquire_beginning(origin)
        except BusError as error:
            _log.info("%s is not heard about what its mirror lacks: %s", origin, error)
        self._copies[origin] = mirror.copy
        return mirror.copy

    def dropped(self, origin: str) -> list[tuple[int, int]]:
        """What the origin's limits had dropped before its mirror here could store it, in runs.

        Each is named once, and again where it is given to `not_yet`.
        """
        return self._dropped.pop(origin, [])

    def not_yet(self, origin: str, runs: list[tuple[int, int]]) -> None:
        """What `dropped` named can't be dealt with now."""
        self._dropped.setdefault(origin, [])[:0] = runs

    async def begins(self, origin: str) -> Copy:
        """Ask the origin where it begins now, for who needs what came before this copy's first.

        Where it does not answer, the copy is returned as it is known.
        """
        mirror = self._mirrors.get(origin)
        if mirror is None or mirror.info is None or mirror.beginning.whole:
            return self.known(origin)
        try:
            await self._inquire_beginning(origin)
        except BusError as error:
            _log.info("%s does not say where it begins: %s", origin, error)
        self._copies[origin] = mirror.copy
        return mirror.copy

    async def _inquire_beginning(self, origin: str) -> None:
        beginning = self._mirrors[origin].beginning
        asked = beginning.seen
        page = await self._reader.page(events_stream(origin), 1, batch=1, api=remote_api(origin))
        if page.messages:
            beginning.heard(int(page.messages[0][0][SEQUENCE]), asked)

    async def _inquire_jumped(self, origin: str, first: int, last: int) -> None:
        """A mirror began behind these: whether the origin holds them, or has dropped them too."""
        mirror, stream = self._mirrors[origin], events_stream(origin)
        page = await self._reader.page(stream, first, batch=1, api=remote_api(origin))
        if not page.messages:
            raise UnavailableError(f"{origin} shows nothing from {first} on")
        begins = int(page.messages[0][0][SEQUENCE])
        if begins > first:
            dropped = (first, min(begins - 1, last))
            mirror.behind = max(mirror.behind, dropped[1])
            self._dropped.setdefault(origin, []).append(dropped)
        held = range(max(begins, first), last + 1)
        if len(held) > MOST_BEFORE:
            self._dropped.setdefault(origin, []).append((held[0], held[-1]))
        elif held:
            mirror.before.update(held)
            mirror.deleted |= mirror.before

    async def _inquire_gone(self, origin: str) -> None:
        """What neither holds: whether the origin's limits have dropped it, with all before it."""
        mirror, stream = self._mirrors[origin], events_stream(origin)
        page = await self._reader.page(stream, 1, batch=1, api=remote_api(origin))
        begins = int(page.messages[0][0][SEQUENCE]) if page.messages else 1
        mirror.asked = max(mirror.gone)
        fresh = [seq for seq in mirror.gone if mirror.behind < seq < begins]
        if fresh:
            mirror.behind = max(fresh)
            self._dropped.setdefault(origin, []).extend(ranges(sorted(fresh)))

    async def _inquire_run(self, origin: str, first: int, last: int) -> None:
        """Which of these sequences the origin holds.

        That it does not hold one is proved by a later one in its answer: a replica that is behind
        shows nothing either.
        """
        mirror, stream, seq = self._mirrors[origin], events_stream(origin), first
        while seq <= last:
            page = await self._reader.page(stream, seq, batch=256, api=remote_api(origin))
            if not page.messages:
                return
            held = {int(headers[SEQUENCE]) for headers, _ in page.messages}
            asked = set(range(seq, min(page.last, last) + 1))
            held &= asked
            if held:
                self.found += len(held - mirror.held)
                _log.error(
                    "%s: the mirror skipped %d events in %d to %d; they are read from the origin",
                    origin,
                    len(held),
                    min(held),
                    max(held),
                )
            mirror.held |= held
            mirror.gone |= asked - held
            seq = page.last + 1
