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
from relay.bus.gaps import find_gaps
from relay.bus.home import home_of
from relay.bus.reader import API, Reader, StreamInfo, remote_api
from relay.core.copy import Beginning, Copy, Seen
from relay.core.names import events_stream, mark_subject, void_subject
from relay.core.runs import NONE, Run, Runs
from relay.errors import BusError, UnavailableError

_log = logging.getLogger("jetrelay.copies")

_EMPTY = Copy(1, 0)
REPLICA_LOOKS, REPLICA_WAIT_S = 3, 0.05
MOST_BEFORE = 65_536  # events before a mirror's beginning that are read at the origin one by one
MOST_DELETED = 500_000  # sequences that a server is asked to name: 5 MB
SEARCH_S = 2.0  # for what is more than that: beyond, it goes on later
VAIN_S = 30.0  # between two searches of which the first did not find all


class Proved(NamedTuple):
    """Up to a sequence, a mirror was seen to hold nothing of a later epoch."""

    created: str  # what tells it from one that was made anew
    last: int
    epoch: int


@dataclass(slots=True)
class _Mirror:
    """A mirror at the last look, and what its origin has said of it."""

    info: StreamInfo | None = None
    skipped: Runs = NONE  # between its first and its last, as the server says
    deleted: Runs = NONE  # missing here
    gone: Runs = NONE  # of those, proved to be missing at the origin too
    held: Runs = NONE  # of those, seen at the origin
    beginning: Beginning = field(default_factory=Beginning)
    reached: int | None = None  # the furthest that it was ever seen to hold
    jumped: list[Run] = field(default_factory=list)  # never held: it began behind them
    before: Runs = NONE  # of those, what its origin holds
    behind: int = 0  # the origin has dropped all up to here
    proved: Proved | None = None
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)  # its origin
    searching: asyncio.Lock = field(default_factory=asyncio.Lock)  # for what it lacks
    found: tuple[str, Runs] = ("", NONE)  # so far; of the mirror that was made then
    vain_s: float = -VAIN_S  # when not all was found
    asked: int = 0  # up to where it was asked whether it has dropped what neither holds

    def still_skipped(self, info: StreamInfo) -> Runs:
        """What is left, in the stream as it stands now, of what was known to be skipped: all of it,
        where it is as many. It grows at its end alone, and drops the oldest.
        """
        if self.info is None or self.info.created != info.created or info.last < self.info.last:
            return NONE
        if len(self.skipped) != self.info.deleted:
            return NONE  # it was taken to lack all, since it could not be found out
        return self.skipped.within(info.first, info.last)

    def look(
        self, info: StreamInfo, skipped: Runs, unheard: Callable[[int, int], list[Run]]
    ) -> None:
        """It stands like this now. `unheard`: the runs of a stretch that did not come live."""
        if self.reached is not None and info.messages and info.first > self.reached + 1:
            # It was empty, and went on later than where it had been, perhaps more than once since
            # the last look; or has held them, and dropped them since.
            self.jumped += unheard(self.reached + 1, info.first - 1)
        self.reached = max(self.reached or 0, info.last)
        if self.info is not None and info.last < self.info.last:
            self.proved = None  # it lost its end: something else may come there
        self.info, self.skipped = info, skipped
        self.deleted = skipped | self.before
        self.gone &= self.deleted
        self.held &= self.deleted
        self.beginning.look(Seen(info.created, info.first, info.last))

    @property
    def unknown(self) -> Runs:
        """What the origin has not been heard about."""
        return self.deleted - self.gone - self.held

    @property
    def copy(self) -> Copy:
        """What it holds, and what its origin may hold besides.

        What neither holds, the origin has dropped, with all before it: the copy begins behind that.
        """
        assert self.info is not None
        first, origin_first = self.info.first, self.beginning.origin_first
        if self.behind:
            first = origin_first = max(first, self.behind + 1)
        missing = (self.deleted - self.gone).within(self.behind + 1, self.info.last)
        return Copy(first, self.info.last, missing, origin_first)


async def epoch_said(reader: Reader, origin: str, api: str) -> int:
    """The newest epoch that an edge wrote into an origin's stream, as its leader at an API says.

    Which message is newer says nothing: an edge may not have heard of the epoch yet.

    Raises:
        UnavailableError: NATS did not answer.
    """
    stream, subjects = events_stream(origin), (mark_subject(origin), void_subject(origin))
    found = await asyncio.gather(
        *(reader.last_headers(stream, subject, api=api) for subject in subjects)
    )
    return max((epoch_in(headers) for headers in found if headers), default=1)


@dataclass(slots=True)
class _Looks:
    """Looks at one copy, one at a time."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    begun: int = 0
    ended: tuple[int, Copy] = (0, _EMPTY)  # the newest one, by its number, and what it saw


def _all(_origin: str, first: int, last: int) -> list[Run]:
    return [(first, last)]


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
        self._looks = {origin: _Looks() for origin in self.origins}
        self._mirrors = {origin: _Mirror() for origin in self.mirrored}
        self._dropped: dict[str, list[Run]] = {}  # not told of yet
        self.found = 0  # sequences ever found missing
        self.on_found: Callable[[str], None] = lambda _origin: None  # other ones are missing now
        self.unheard: Callable[[str, int, int], list[Run]] = _all
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

        One look at a time: who asks while one is under way shares the next with all who do.

        Raises:
            UnavailableError: the region's NATS did not answer.
            BusError: there is no such stream here (a mirror may be made anew).
        """
        looks = self._looks[origin]
        since = looks.begun  # what began before this call does not do
        async with looks.turn:
            number, seen = looks.ended
            if number > since:
                return seen
            looks.begun += 1
            number = looks.begun
            seen = await self._look(origin)
            looks.ended = number, seen
            return seen

    async def _look(self, origin: str) -> Copy:
        stream = events_stream(origin)
        info = await self._reader.info(stream)
        if origin == self._region:
            self.home_epoch = home_of(info).epoch
            copy = Copy(info.first, info.last, origin_first=info.first)
        else:
            info, skipped = await self._skipped(origin, info)
            self._mirrors[origin].look(info, skipped, partial(self.unheard, origin))
            copy = self._mirrors[origin].copy
        before, self._copies[origin] = self.known(origin), copy
        if copy.missing and copy.missing != before.missing:
            self.on_found(origin)
        return copy

    async def _skipped(self, origin: str, info: StreamInfo) -> tuple[StreamInfo, Runs]:
        """What a mirror does not hold between its first and last, and how it stands then.

        The server names all of it, each time, where it is asked to: that may be millions, while a
        mirror catches up behind what its origin has dropped. It is asked where there is more; and
        where that is too much, what follows a place, until all is found.
        """
        mirror, stream = self._mirrors[origin], events_stream(origin)
        known = mirror.still_skipped(info)
        if len(known) == info.deleted:
            return info, known
        if info.deleted <= MOST_DELETED:
            return await self._reader.deleted(stream)  # both from one answer
        if mirror.info is not None and mirror.info.created == info.created:
            after = max(mirror.info.last, info.first - 1)
            follows = await self._reader.next_seq(stream, after + 1, ">") or info.last + 1
            known |= Runs.between(after + 1, follows - 1).within(info.first, info.last)
            if len(known) == info.deleted:
                return info, known
        async with mirror.searching:
            return await self._search(mirror, stream, known)

    async def _search(self, mirror: _Mirror, stream: str, known: Runs) -> tuple[StreamInfo, Runs]:
        """Go on where the last search ended, which may have been somebody else's a moment ago."""
        now_s = asyncio.get_running_loop().time
        info = await self._reader.info(stream)
        created, found = mirror.found
        known |= found if created == info.created else NONE
        known = known.within(info.first, info.last)
        if len(known) == info.deleted:
            return info, known
        if created != info.created or now_s() - mirror.vain_s >= VAIN_S:
            ends_s = now_s() + SEARCH_S
            found = await find_gaps(
                partial(self._reader.next_seq, stream, subject=">"),
                info.first, info.last, info.deleted, known, lambda: now_s() >= ends_s,
            )  # fmt: skip
            mirror.found = (info.created, found)
            now = await self._reader.info(stream)
            if now.created == info.created and now.last >= info.last:
                left = found.within(now.first, info.last)  # it may have dropped its oldest since
                if len(left) == now.deleted:
                    return now, left
            mirror.vain_s = now_s() if len(found) < info.deleted else -VAIN_S
        return info, Runs.between(info.first, info.last)  # what of it is held, is not known

    async def look_at_all(self) -> dict[str, Copy]:
        """All copies as they are now.

        Raises:
            BusError: as `look`.
        """
        copies = await asyncio.gather(*(self.look(origin) for origin in self.origins))
        return dict(zip(self.origins, copies, strict=True))

    def made(self, origin: str) -> str:
        """What tells a mirror from one of the same name that was made anew, at the last look."""
        info = self._mirrors[origin].info
        return "" if info is None else info.created

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
                await asyncio.sleep(REPLICA_WAIT_S)  # a leader that has just begun applies the rest
        raise UnavailableError(f"{origin} holds less than was delivered of it")

    async def last_at(self, origin: str, api: str) -> int:
        """The last sequence that is stored of an origin, at an API; 0 where there is none.

        Raises:
            UnavailableError: NATS did not answer.
            BusError: there is no such stream here.
        """
        if api == API:
            return (await self.look(origin)).last
        return await self._reader.last_seq(events_stream(origin), ">", api=api) or 0

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
            self._reader.next_seq(stream, 1, ">", api=api),
            self.last_at(origin, api),
            epoch_said(self._reader, origin, api),
        )
        return Standing(first or 1, last, epoch)

    async def _mirror_stands(self, origin: str) -> Standing:
        """How a mirror here stood at the look of `whole`.

        One that is filled anew, or was behind, may hold a later epoch's where this edge has passed
        what an epoch before had. What it holds up to a sequence is looked at once.
        """
        mirror, copy = self._mirrors[origin], self.known(origin)
        created = "" if mirror.info is None else mirror.info.created
        proved = mirror.proved
        if proved is None or proved.created != created or proved.last < copy.last:
            epoch = await epoch_said(self._reader, origin, API)
            proved = mirror.proved = Proved(created, copy.last, epoch)
        return Standing(copy.first, copy.last, proved.epoch)

    async def epoch_at(self, origin: str, api: str, claimed: int = 0) -> int:
        """The newest epoch that an edge wrote into an origin's stream, at an API.

        Args:
            origin: whose stream.
            api: where.
            claimed: up to which sequence a replica has shown events that claim a later epoch.

        Raises:
            UnavailableError: NATS did not answer, or its leader does not hold that sequence (yet),
                and so may not hold what began that epoch.
        """
        try:
            last = await self.last_at(origin, api)
        except UnavailableError:
            raise
        except BusError as error:
            raise UnavailableError(f"{origin}: its copy is made anew") from error
        if api == API and origin == self._region:
            return self.home_epoch
        if last < claimed:
            raise UnavailableError(f"{origin} does not hold {claimed} (yet)")
        return await epoch_said(self._reader, origin, api)

    # --- what only the origin knows ------------------------------------------------------------

    async def inquire(self, origin: str) -> Copy:
        """Ask the origin what the last look left open; the copy as it is known then.

        An origin that does not answer is asked no further. One is asked by one at a time: who comes
        meanwhile waits for what that one hears.
        """
        mirror = self._mirrors[origin]
        if mirror.info is None:
            return _EMPTY
        if mirror.asking.locked():
            async with mirror.asking:
                return self.known(origin)
        async with mirror.asking:
            return await self._inquire(origin, mirror)

    async def _inquire(self, origin: str, mirror: _Mirror) -> Copy:
        try:
            while mirror.jumped:
                await self._inquire_jumped(origin, *mirror.jumped[0])
                mirror.jumped.pop(0)
            for first, last in mirror.unknown.runs:
                await self._inquire_run(origin, first, last)
            if mirror.gone.last > mirror.asked:
                await self._inquire_gone(origin)
            if mirror.copy.origin_first is None and mirror.copy.first > 1:
                await self._inquire_beginning(origin)
        except BusError as error:
            _log.info("%s is not heard about what its mirror lacks: %s", origin, error)
        self._copies[origin] = mirror.copy
        return mirror.copy

    def dropped(self, origin: str) -> list[Run]:
        """What the origin's limits had dropped before its mirror here could store it, in runs.

        Each is named once, and again where it is given to `not_yet`.
        """
        return self._dropped.pop(origin, [])

    def not_yet(self, origin: str, runs: list[Run]) -> None:
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
        held = Runs.between(max(begins, first), last)
        if len(held) > MOST_BEFORE:
            self._dropped.setdefault(origin, []).append((held.first, held.last))
        elif held:
            mirror.before |= held
            mirror.deleted |= held

    async def _inquire_gone(self, origin: str) -> None:
        """What neither holds: whether the origin's limits have dropped it, with all before it."""
        mirror, stream = self._mirrors[origin], events_stream(origin)
        page = await self._reader.page(stream, 1, batch=1, api=remote_api(origin))
        begins = int(page.messages[0][0][SEQUENCE]) if page.messages else 1
        mirror.asked = mirror.gone.last
        fresh = mirror.gone.within(mirror.behind + 1, begins - 1)
        if fresh:
            mirror.behind = fresh.last
            self._dropped.setdefault(origin, []).extend(fresh.runs)

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
            asked = Runs.between(seq, min(page.last, last))
            held = asked & Runs.of(int(headers[SEQUENCE]) for headers, _ in page.messages)
            if held:
                self.found += len(held - mirror.held)
                _log.error(
                    "%s: the mirror skipped %d events in %d to %d; they are read from the origin",
                    origin,
                    len(held),
                    held.first,
                    held.last,
                )
            mirror.held |= held
            mirror.gone |= asked - held
            seq = page.last + 1
