"""What the live feed of the region jumped over: dealt with by each of its edges."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from relay.core.hole import Hole, Stretch, widened
from relay.core.runs import joined, ranges
from relay.edge.holes import HoleLog
from relay.edge.mirrors import Mirrors
from relay.errors import BusError

_log = logging.getLogger("jetrelay.jumps")

WAITING = 1_024  # stretches; beyond, those that are not recorded grow together
RUNS = 64  # holes that are recorded of one stretch
PART = 4_096  # sequences that are dealt with at once


class Dealt(NamedTuple):
    """What this edge gave, at one time, to who was there."""

    stamp: int  # of that moment, see `Jumps.stamp`
    origin: str
    events: frozenset[int]  # sequences


class News(NamedTuple):
    """A hole that is known now."""

    hole: Hole
    dealt: tuple[Dealt, ...] = ()  # what this edge gave of it; nothing where it is another region's


@dataclass(slots=True)
class _Waiting:
    stretch: Stretch
    hole: Hole | None = None  # where it was recorded
    reached: int = 0  # up to which it was dealt with, where it is long
    done: bool = False
    said: bool = False


class Jumps:
    """Delivers what was jumped over, and lets new cursors say so."""

    def __init__(self, log: HoleLog, mirrors: Mirrors, region: str) -> None:
        self._log = log
        self._mirrors = mirrors
        self._region = region
        self._waiting: deque[_Waiting] = deque()
        self._one_at_a_time = asyncio.Lock()
        self._elsewhere: list[Hole] = []  # holes of other regions, read and not returned yet
        self._dealt: deque[Dealt] = deque(maxlen=2 * WAITING)
        self.look = _nothing  # has `turn` called soon
        self.stamp = 0  # grows with each stretch that was dealt with

    def told(self, stretch: Stretch) -> None:
        """The region's watcher saw the live feed jump: `turn` deals with it."""
        if not stretch.number:  # one that is recorded comes with the record, in its turn
            self._wait(stretch)
        self.look()

    def _wait(self, stretch: Stretch) -> None:
        if len(self._waiting) >= WAITING:
            for each in reversed(self._waiting):
                unrecorded = each.hole is None and not each.done
                wide = widened(each.stretch, stretch) if unrecorded else None
                if wide is not None:
                    each.stretch, each.reached = wide, 0
                    return
        self._waiting.append(_Waiting(stretch))

    async def skipped(self, origin: str, first: int, last: int) -> None:
        """The region's copy had not stored these, and the position is past them."""
        stretch = Stretch(origin, first, last, skipped=True)
        if any(_within(stretch, waiting.stretch) for waiting in self._waiting):
            return
        # It is delivered after it was recorded, so that nobody who comes in between is left out.
        if not await self._log.note(origin, first, last, skipped=True):
            self._wait(stretch)
        self.look()

    async def turn(self) -> list[News]:
        """Once a second, and when told: read what was recorded, and deal with what is ours.

        Returns:
            The holes that are new, of all regions; those of this one when they were dealt with.

        Raises:
            BusError: NATS did not answer; the next second goes on.
        """
        async with self._one_at_a_time:
            for hole in await self._log.poll():
                if hole.region == self._region:
                    stretch = Stretch(hole.origin, hole.first, hole.last, hole.number)
                    self._waiting.append(_Waiting(stretch, hole))
                else:
                    self._elsewhere.append(hole)
            await self._deal_with_all()
            news = [News(hole) for hole in self._elsewhere]
            self._elsewhere = []
            for waiting in self._waiting:
                if waiting.hole is not None and waiting.done and not waiting.said:
                    waiting.said = True
                    hole = waiting.hole
                    news.append(News(hole, self.given(hole.origin, hole.first, hole.last)))
            self._let_go()
            return news

    def _let_go(self) -> None:
        """A cursor says how far in the record its edge is: none is left out on the way."""
        waiting: deque[_Waiting] = deque()
        for each in self._waiting:
            if not each.done:
                waiting.append(each)
            elif not waiting:
                self._log.dealt(each.stretch.number)
            elif each.hole is not None:
                if waiting[-1].done:
                    waiting.pop()  # the later number says it as well
                waiting.append(each)
        self._waiting = waiting

    async def _deal_with_all(self) -> None:
        silent: set[str] = set()  # origins that can't be read now
        for each in list(self._waiting):
            if each.done or each.stretch.origin in silent:
                continue
            stretch = each.stretch
            try:
                done = await self._deal_with(each, stretch)
                each.done = done and each.stretch is stretch  # it may have grown meanwhile
            except BusError as error:
                _log.info("what %s sent and was not heard waits: %s", each.stretch.origin, error)
                silent.add(each.stretch.origin)

    async def _deal_with(self, waiting: _Waiting, stretch: Stretch) -> bool:
        """A part at a time, so that no stretch is held in memory, or holds the loop, as a whole."""
        first = max(stretch.first, waiting.reached + 1)
        while first <= stretch.last:
            last = min(first + PART - 1, stretch.last)
            if not await self._deal_with_part(stretch, first, last):
                return False
            first = last + 1
            if waiting.stretch is stretch:
                waiting.reached = last
        return True

    async def _deal_with_part(self, stretch: Stretch, first: int, last: int) -> bool:
        origin = stretch.origin
        lacked = await self._mirrors.jumped(origin, first, last)
        if lacked is None:
            return False
        # No await in between: who is here has got it, and who comes from now on has not.
        self.stamp += 1
        if any(lacked):
            self._dealt.append(Dealt(self.stamp, origin, lacked.unheard | lacked.skipped))
        if not stretch.number and not stretch.skipped:
            # The watcher was not sure; of these it is now: cursors of this edge had passed them.
            for start, end in _runs(lacked.unheard):
                await self._log.note(origin, start, end)
            for start, end in _runs(lacked.skipped):
                await self._log.note(origin, start, end, skipped=True)
        return True

    def given(self, origin: str, first: int, last: int) -> tuple[Dealt, ...]:
        """What this edge gave of these sequences lately, to who was there."""
        return tuple(
            dealt
            for dealt in self._dealt
            if dealt.origin == origin and any(first <= seq <= last for seq in dealt.events)
        )


def _nothing() -> None:
    pass


def _runs(sequences: Iterable[int]) -> list[tuple[int, int]]:
    """As `ranges`; of too many to be recorded one by one, those that lie nearest become one."""
    return joined(ranges(sorted(sequences)), RUNS)


def _within(stretch: Stretch, other: Stretch) -> bool:
    same = other.origin == stretch.origin and other.skipped >= stretch.skipped
    return same and other.first <= stretch.first and stretch.last <= other.last
