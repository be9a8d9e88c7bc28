"""Carrying an operation out: its stages one after the other, until they have taken, or somebody
aborts it.

What was ordered stands by itself: edges do it also when nobody follows. So whoever carries an
operation out may die; somebody else takes it up where it is.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

import msgspec

from regions.errors import OperationError
from regions.operations.book import Book
from regions.operations.entry import Entry, Run, Stage, What
from regions.operations.lock import Lock
from regions.operations.pace import SLOWER, Takers, takers
from regions.operations.plan import MARGIN_S
from regions.operations.watch import Seen, Watch
from regions.steering.health import EdgeKey
from relay.core.orders import Order, Orders, Ramp, Scope
from relay.core.telemetry import ENDED

LOOK_S = 0.25
TELL_S = 1.0  # between two lines about the same stage
HEED_S = 1.0  # between two looks whether somebody aborts
MOST_WAIT_S = 3_600.0  # for somebody who takes clients; then it is not done in time
PACE_S = 5.0  # between two looks whether clients go too fast
SILENT_S = 10.0  # an edge that is not heard for so long is not waited for
READY, DRAINED = "ready", "drained"


class Progress(NamedTuple):
    """How far a stage is."""

    text: str
    done: bool


def progress(stage: Stage, given: Mapping[EdgeKey, int], seen: Mapping[EdgeKey, Seen]) -> Progress:
    """How far a stage is. Pure.

    Args:
        stage: it.
        given: when its orders were given (Unix ms), by region and edge.
        seen: what edges said last.
    """
    alive = {key: each for key, each in seen.items() if each.alive}
    if stage.wait == "known":
        late = sorted(
            key.edge
            for key, each in alive.items()
            if not all(_knows(each, scope, at_ms) for scope, at_ms in given.items())
        )
        return Progress(f"not known to {', '.join(late)}" if late else "every edge knows", not late)
    if stage.wait == "ready":
        mine = [each for key, each in alive.items() if key in given]  # not those that stay closed
        if not mine:  # they open when they are back
            regions = {key.region for key in given}
            others = [each for key, each in alive.items() if key.region in regions]
            ready = sum(each.frame.state == READY for each in others)
            names = ", ".join(sorted(key.edge for key in given))
            return Progress(f"{names} not heard; {ready} others ready", ready > 0)
        ready = sum(each.frame.state == READY for each in mine)
        return Progress(
            f"{ready} of {len(mine)} edges ready", bool(mine) and 2 * ready >= len(mine)
        )
    parts, done = [], True
    for key, at_ms in sorted(given.items()):
        there = seen.get(key)
        if key in alive:
            frame = alive[key].frame
            parts.append(f"{key.edge} {frame.connections:,}")
            done &= _knows(seen[key], key, at_ms) and frame.state == DRAINED
        else:
            parts.append(f"{key.edge} is not heard")
            done &= there is None or there.age_s > SILENT_S or there.frame.state == ENDED
    return Progress(f"clients left: {', '.join(parts)}", done)


def _knows(seen: Seen, scope: EdgeKey, at_ms: int) -> bool:
    """Whether an edge knows of the order that was given for a scope then, or of a newer one."""
    return seen.frame.ordered.get(Scope(*scope).key, 0) >= at_ms


class _Going:
    """A stage that goes on: until when it is waited for, and how fast clients go.

    Args:
        stage: it.
        given: when its orders were given (Unix ms).
        left_s: what is left of the time over which clients go, by the orders that stand.
        now_s: the time.
    """

    def __init__(
        self, stage: Stage, given: dict[EdgeKey, int], left_s: float, now_s: float
    ) -> None:
        self.stage = stage
        self.given = given
        self.now_s = now_s
        self.until_s = now_s + max(stage.patience_s, left_s + MARGIN_S)
        self._passed_s = 0.0
        self._gone_s = now_s + left_s
        self._next_s = now_s + PACE_S
        self._client_s = 0.0  # for each client, as it was when the pace was set
        self._waited_s = 0.0

    def pass_time(self, now_s: float) -> None:
        """It is later."""
        self._passed_s, self.now_s = now_s - self.now_s, now_s

    def wait(self) -> None:
        """Nobody was sent away since the last look; that is not held against the stage for ever."""
        self._waited_s += self._passed_s
        if self._waited_s < MOST_WAIT_S:
            self.until_s += self._passed_s
            self._gone_s += self._passed_s

    def left(self, seen: Mapping[EdgeKey, Seen]) -> int:
        """Clients that have not left yet."""
        alive = [seen[key] for key in self.given if key in seen and seen[key].alive]
        return sum(each.frame.connections for each in alive)

    def slower(self, left: int, who: Takers) -> float | None:
        """Over how many seconds the clients that are left should go from now on, where those who
        take them let in less than when the pace was set; None: as they do.
        """
        if not self._client_s:
            self._client_s = who.client_s
        if self.now_s < self._next_s or self.now_s >= self._gone_s:
            return None
        self._next_s = self.now_s + PACE_S
        if who.client_s <= self._client_s * SLOWER:
            return None
        self._client_s = who.client_s
        within_s = float(math.ceil(left * who.client_s))
        if within_s <= self._gone_s - self.now_s:
            return None
        self._gone_s = self.now_s + within_s
        self.until_s = max(self.until_s, self._gone_s + MARGIN_S)
        return within_s


class Execution:
    """Carries out one operation.

    Args:
        run: it, as it was submitted.
        book: all books.
        lock: of its region; held.
        watch: sees the fleet.
        by: who carries it out.
        tell: is told what happens, for people.
    """

    def __init__(
        self,
        run: Run,
        book: Book,
        lock: Lock,
        watch: Watch,
        by: str,
        tell: Callable[[str], None],
    ) -> None:
        self._run = run
        self._book = book
        self._lock = lock
        self._watch = watch
        self._by = by
        self._tell = tell
        self._last_ms = run.entries[-1].at_ms
        self._abort_known = False  # it stands in the books
        self._read: tuple[float, Orders] | None = None  # when, and what stood
        # Called when the orders were given by which clients move: others plan with them then.
        self.begun: Callable[[], Awaitable[None]] | None = None
        self.aborting = ""  # who wants it aborted, and why

    @property
    def name(self) -> str:
        """The operation's."""
        return self._run.name

    async def carry_out(self) -> What:
        """Do all of it; how it ended.

        Raises:
            OperationError: what happened could not be stored anywhere, the lease is lost, or
                somebody else has ended it; nothing more was done.
        """
        for stage in self._run.plan.stages:
            await self._heed()
            end = await self._abort() if self.aborting else await self._carry_out(stage)
            if end is not None:
                return end
        await self._heed()
        if self.aborting:
            return await self._abort()
        await self._note("done")
        self._tell("done")
        return "done"

    async def _carry_out(self, stage: Stage) -> What | None:
        """One stage; how the operation ended, if it did here."""
        given = await self._give(stage)
        if self.begun is not None and self._moves(stage):
            await self.begun()
            self.begun = None
        self._tell(stage.text)
        loop = asyncio.get_running_loop()
        going = _Going(stage, given, await self._left_s(stage), loop.time())
        heed_s, tell_s, told = going.now_s + HEED_S, going.now_s, ""
        while True:
            going.pass_time(loop.time())
            if not self._lock.stands:
                self._tell("the lease is lost: this stops here; `resume` goes on")
                return "failed"
            made = await self._look(going)
            if made.text != told and (made.done or going.now_s >= tell_s):
                told, tell_s = made.text, going.now_s + TELL_S
                self._tell(f"  {made.text}")
            if made.done:
                return None
            if going.now_s >= heed_s:
                heed_s = going.now_s + HEED_S
                await self._heed()
            if self.aborting:
                return await self._abort()
            if going.now_s >= going.until_s:
                return await self._give_up(stage, made)
            await asyncio.sleep(LOOK_S)

    def _moves(self, stage: Stage) -> bool:
        """Whether clients move by a stage, if they do by any of this operation."""
        return stage.wait == "gone" or all(each.wait != "gone" for each in self._run.plan.stages)

    async def _look(self, going: "_Going") -> Progress:
        """How far a stage is; clients that go are held to the pace of who takes them."""
        seen = self._watch.seen()
        made = progress(going.stage, going.given, seen)
        if going.stage.wait != "gone" or made.done:
            return made
        left = going.left(seen)
        outlook = self._watch.outlook(await self._orders(going.now_s), self._book.now_ms)
        who = takers(outlook, going.given, left)
        if not who.room and not self._override:
            going.wait()
            return made._replace(text=f"{made.text}; nobody takes them, they wait")
        as_ordered = self._override and self._run.request.within_s is not None
        within_s = None if as_ordered else going.slower(left, who)
        if within_s is not None:
            going.given = await self._pace(going.stage, within_s)
        return made

    async def _give_up(self, stage: Stage, made: Progress) -> What | None:
        """A stage was not done in its time."""
        if stage.wait == "known":
            # It stands: they do it when they hear of it.
            await self._note("note", made.text)
            self._tell(f"  {made.text}: not waited for any longer")
            return None
        text = f"not within {stage.patience_s:g} s: {made.text}"
        await self._note("failed", text)
        self._tell(f"{text}; what was ordered stands")
        return "failed"

    @property
    def _override(self) -> str:
        """Why it is done in spite of everything, as was said last; empty: it is not."""
        said = (each.override for each in reversed(self._run.entries) if each.override)
        return next(said, "")

    async def _left_s(self, stage: Stage) -> float:
        """How long clients still go, by the orders that stand: who took this up begins there."""
        orders, found = await self._book.orders(), [0.0]
        for wanted in stage.orders:
            known = orders.of(wanted.region, wanted.edge)
            if known is not None and known.drain_s is not None:
                found.append(known.drain_s - (self._book.now_ms - known.at_ms) / 1000)
        return max(found)

    async def _orders(self, now_s: float) -> Orders:
        """What stands, as it was read not long ago."""
        if self._read is None or now_s - self._read[0] > HEED_S:
            self._read = now_s, await self._book.orders()
        return self._read[1]

    async def _pace(self, stage: Stage, within_s: float) -> dict[EdgeKey, int]:
        """Let the clients that are left go over so many seconds from now on."""
        text = f"the others let in less than planned: what is left goes over {within_s:,.0f} s"
        orders, given = await self._book.orders(), dict[EdgeKey, int]()
        for wanted in stage.orders:
            known = orders.of(wanted.region, wanted.edge)
            slower = _within(wanted, within_s)
            given[EdgeKey(wanted.region, wanted.edge)] = await self._order(slower, known)
        await self._note("note", text)
        self._tell(f"  {text}")
        return given

    async def _give(self, stage: Stage) -> dict[EdgeKey, int]:
        """Give the orders that this operation has not given yet; when each was, Unix ms."""
        orders = await self._book.orders()
        given: dict[EdgeKey, int] = {}
        fresh = False
        for wanted in stage.orders:
            known = orders.of(wanted.region, wanted.edge)
            key = EdgeKey(wanted.region, wanted.edge)
            if known is not None and known.run == self._run.name and known.same(wanted):
                given[key] = known.at_ms
                if known.drain_s is not None and self._override and not known.alone:
                    # It goes on, from now on also where nobody takes them.
                    passed_s = (self._book.now_ms - known.at_ms) / 1000
                    rest = _within(wanted, max(known.drain_s - passed_s, 0.0))
                    given[key] = await self._order(rest, known)
                    fresh = True
            else:
                given[key] = await self._order(wanted, known)
                fresh = True
        if fresh:
            await self._note("given", stage.text)
        return given

    async def _order(self, wanted: Order, known: Order | None) -> int:
        if not self._lock.stands:
            raise OperationError("the lease is lost: this stops here; `resume` goes on")
        at_ms = self._book.stamp_ms(0 if known is None else known.at_ms)
        ramp = wanted.ramp and Ramp(at_ms, wanted.ramp.over_s)  # it begins now
        await self._book.give(
            msgspec.structs.replace(
                wanted,
                at_ms=at_ms,
                run=self._run.name,
                ramp=ramp,
                alone=wanted.drain_s is not None and bool(self._override),
            )
        )
        return at_ms

    async def _heed(self) -> None:
        run = await self._book.run(self._run.name)
        self._last_ms = max(self._last_ms, run.entries[-1].at_ms)
        if run.end is not None and run.end.what != "failed":
            raise OperationError(f"{run.end.by} has ended it: {run.end.what}")
        if run.abort is not None and not self.aborting:
            self.aborting = ": ".join(part for part in (run.abort.by, run.abort.text) if part)
            self._abort_known = True

    async def _abort(self) -> What:
        """Stop where it is: who was not sent away yet, stays, and who comes back, is let in."""
        if not self._abort_known:
            await self._note("abort", self.aborting)  # whoever takes it up goes on with that
        orders = await self._book.orders()
        kept = []
        for stage in self._run.plan.stages:
            for wanted in stage.orders:
                known = orders.of(wanted.region, wanted.edge)
                if known is None or known.run != self._run.name or known.drain_s is None:
                    continue
                await self._order(msgspec.structs.replace(known, drain_s=None), known)
                kept.append(known.edge)
        text = f"{', '.join(kept)} keep the clients that are left" if kept else "nothing to undo"
        order = orders.of(self._run.request.region)
        if order is not None and order.cordoned:
            name = order.region
            text += f"; {name} stays cordoned until `jetrelay ctl uncordon {name}`"
        await self._note("aborted", f"{text} ({self.aborting})")
        self._tell(f"aborted by {self.aborting}: {text}")
        return "aborted"

    async def _note(self, what: What, text: str = "") -> None:
        self._last_ms = self._book.stamp_ms(self._last_ms)
        await self._book.write(
            Entry(run=self._run.name, at_ms=self._last_ms, by=self._by, what=what, text=text)
        )


def _within(order: Order, drain_s: float) -> Order:
    """The order, with another time for its clients to go."""
    return msgspec.structs.replace(order, drain_s=drain_s)
