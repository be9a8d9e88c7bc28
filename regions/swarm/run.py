"""A swarm from its first connection to what it found."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from regions.errors import SwarmError
from regions.machine import describe
from regions.swarm.figures import (
    ACK,
    ACKED,
    DELIVERED,
    DELIVERY,
    LAG,
    MISSING,
    PUBLISHED,
    STOPPED,
    WITHHELD,
    Moment,
    histogram,
    summed,
)
from regions.swarm.limit import Bounds, Limit, Search, Seen, Step, full, judge
from regions.swarm.result import Ending, Point, Result, point, result
from regions.swarm.spec import Place, SwarmSpec
from regions.swarm.swarm import Swarm
from regions.swarm.watch import Sight, Watch
from regions.world import World

What = Literal["rate", "clients"]
STUCK_S = 10  # without anybody who is let in: no more come
LEAD_S = 2  # of a step of a search that is not counted: what was before is still on its way
STEP_S = 6
MEASURED = "measured"  # the stage that counts
CALM_S = 15  # between two steps, at most
HUSH_S, SETTLE_S = 10.0, 15.0
_REASONS = ("not let in", "no connection", "close ")
_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run.

    Args:
        spec: the swarm.
        places: the edges that its clients know from the start.
        state: the state directory of the world that it goes to.
        token: what its clients show, where it goes elsewhere.
        directory: where what edges say is kept meanwhile.
        search: what is raised until it is too much: the rate of events, or the clients.
        bounds: what a load must keep to.
    """

    spec: SwarmSpec
    places: Sequence[Place]
    directory: Path
    state: Path | None = None
    token: str | None = None
    search: What | None = None
    bounds: Bounds = _BOUNDS


@dataclass(frozen=True, slots=True)
class Said:
    """A second, for whoever watches."""

    stage: str
    moment: Moment
    sight: Sight
    point: Point


class _EnoughError(Exception):
    """Somebody wants no more of it."""


class Run:
    """One run of a swarm.

    Args:
        order: what is run.
        world: the world that it goes to, if it is one.
        hear: called with each second.
        step: called with each step of a search.
    """

    def __init__(
        self,
        order: Order,
        world: World | None,
        hear: Callable[[Said], None],
        step: Callable[[Step], None] = lambda _: None,
    ) -> None:
        self._order = order
        self._spec = order.spec
        self._hear, self._step = hear, step
        self._watch = Watch(world, order.directory)
        self._whole: list[Moment] = []
        self._timeline: list[Point] = []
        self._sights: list[Sight] = []
        self._steps: list[Step] = []
        self._measured: list[Moment] = []
        self._is_enough = False

    def end(self) -> None:
        """Measure no more: the run ends in order, with what was measured until now."""
        self._is_enough = True

    async def run(self) -> Result:
        """Run it, to the end.

        Raises:
            SwarmError: nobody was let in, or a process of the swarm ended.
        """
        order, spec = self._order, self._spec
        started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        load = round(describe(0.0).load_after, 2)
        swarm = await Swarm.start(spec, order.places, state=order.state, token=order.token)
        try:
            self._watch.start()
            limit = None
            try:
                if order.search is None:
                    await self._measure(swarm)
                else:
                    limit = await self._look_for_limit(swarm, order.search)
            except _EnoughError:
                pass
            spoken, unanswered = await swarm.hush(HUSH_S)
            short = await swarm.settle(spoken, SETTLE_S)
        finally:
            await swarm.stop()
            await self._watch.close()
        return result(
            spec,
            started,
            describe(load),
            self._whole,
            self._measured,
            Ending(short, unanswered),
            self._watch.used(),
            self._timeline,
            limit,
        )

    # --- one load ------------------------------------------------------------------------------

    async def _measure(self, swarm: Swarm) -> None:
        spec, behaviour = self._spec, self._spec.behaviour
        rate = spec.rate if behaviour.talks else 0.0
        if behaviour.arrive == "first":
            await self._gather(swarm, spec.clients)
            swarm.speak(rate)
            await self._seconds(swarm, "warm-up", round(spec.warm_up_s))
            await self._seconds(swarm, MEASURED, round(spec.measured_s))
        elif behaviour.arrive == "launch":
            swarm.speak(rate)
            await self._seconds(swarm, "warm-up", round(spec.warm_up_s))
            swarm.come(spec.clients)
            await self._seconds(swarm, MEASURED, round(spec.measured_s))
        else:
            swarm.come(spec.clients)
            for _ in range(round(spec.measured_s)):
                [moment] = await self._seconds(swarm, MEASURED, 1)
                swarm.speak(rate * moment.here / spec.clients)

    async def _gather(self, swarm: Swarm, clients: int) -> None:
        """Let clients come, until all are here or no more are let in."""
        swarm.come(clients)
        most, since_s = -1, time.monotonic()
        while most < clients:
            [moment] = await self._seconds(swarm, "connecting", 1)
            if moment.here > most:
                most, since_s = moment.here, time.monotonic()
            elif time.monotonic() - since_s > STUCK_S:
                break
            counts, _ = summed(self._whole)
            if moment.here + counts[STOPPED] >= clients:
                break  # those who are not here were told not to come back
        if most <= 0:
            counts, _ = summed(self._whole)
            why = [name for name in counts if name.startswith(_REASONS)]
            raise SwarmError(f"nobody was let in: {', '.join(sorted(why)) or 'no answer'}")

    async def _seconds(self, swarm: Swarm, stage: str, count: int) -> list[Moment]:
        found = []
        for _ in range(count):
            if self._is_enough:
                raise _EnoughError
            moment = await swarm.moment()
            sight = self._watch.look()
            seen = point(moment, stage, sum(sight.edges.values()), sum(sight.nats.values()))
            self._whole.append(moment)
            self._timeline.append(seen)
            self._sights.append(sight)
            if stage == MEASURED:
                self._measured.append(moment)
            self._hear(Said(stage, moment, sight, seen))
            found.append(moment)
        return found

    # --- the limit -----------------------------------------------------------------------------

    async def _look_for_limit(self, swarm: Swarm, what: What) -> Limit:
        spec = self._spec
        if what == "rate":
            await self._gather(swarm, spec.clients)
            search = Search(spec.rate)
        else:
            search = Search(max(spec.clients / 16, 1), spec.clients)
        steps = self._steps
        while (load := search.next()) is not None:
            rate, clients = (load, spec.clients) if what == "rate" else (spec.rate, round(load))
            if what == "clients":
                await self._gather(swarm, clients)
            step, moments = await self._try(swarm, load, rate, clients)
            steps.append(step)
            self._step(step)
            search.note(load, carried=step.carried)
            if step.carried and load == search.found[0]:
                self._measured = moments  # what is told in the end is the load that was carried
            if not step.carried:
                if what == "clients":
                    break  # they are here: fewer of them is another run
                await self._calm(swarm)
        carried, broke = search.found
        at_break = [step.full for step in steps if step.seen.load == broke]
        return Limit(
            what=what,
            carried=carried,
            broke_at=broke,
            full=at_break[-1] if at_break else (),
            steps=tuple(steps),
        )

    async def _try(
        self, swarm: Swarm, load: float, rate: float, clients: int
    ) -> tuple[Step, list[Moment]]:
        swarm.speak(rate)
        await self._seconds(swarm, "step", LEAD_S)
        moments = await self._seconds(swarm, "step", STEP_S)
        sights = self._sights[-STEP_S:]
        spec = self._spec
        seen = _seen(load, moments, sights, describe(0.0).cores)
        expected = seen.acked * clients * min(spec.rooms_each, spec.rooms) / spec.rooms
        why = judge(seen, expected, self._order.bounds)
        return Step(seen=seen, why=why, full=full(seen) if why else ()), moments

    async def _calm(self, swarm: Swarm) -> None:
        """Wait until what was too much has been worked off."""
        swarm.speak(0.0)
        for _ in range(CALM_S):
            [moment] = await self._seconds(swarm, "calm", 1)
            if not moment.waiting and not moment.counts.get(DELIVERED, 0):
                return


def _seen(load: float, moments: Sequence[Moment], sights: Sequence[Sight], cores: int) -> Seen:
    counts, times = summed(moments)
    seconds = len(moments)
    p50, p99 = histogram(times, DELIVERY).at(0.5, 0.99)
    processes = len(moments[0].cpus)
    return Seen(
        load=load,
        due=(counts[PUBLISHED] + counts[WITHHELD]) / seconds,
        acked=counts[ACKED] / seconds,
        delivered=counts[DELIVERED] / seconds,
        p50_ms=p50,
        p99_ms=p99,
        ack_p99_ms=histogram(times, ACK).at(0.99)[0],
        failed=sum(n for name, n in counts.items() if name.startswith("publish: ")),
        missing=counts[MISSING],
        refused=sum(sight.refused for sight in sights),
        slow_closes=counts["close 4020"],
        swarm_lag_p99_ms=histogram(times, LAG).at(0.99)[0],
        swarm={
            f"swarm {index}": sum(moment.cpus[index] for moment in moments) / seconds
            for index in range(processes)
        },
        edges=_means([sight.edges for sight in sights]),
        nats=_means([sight.nats for sight in sights]),
        machine=sum(sight.machine for sight in sights) / len(sights),
        cores=cores,
        loop_lag_ms=max(sight.loop_lag_ms for sight in sights),
        buffered_bytes=max(sight.buffered_bytes for sight in sights),
        free_share=min(sight.free for sight in sights),
        fds_share=max(sight.fds for sight in sights),
        disk_share=sum(sight.disk for sight in sights) / len(sights),
    )


def _means(shares: Sequence[dict[str, float]]) -> dict[str, float]:
    names = {name for one in shares for name in one}
    return {name: sum(one.get(name, 0.0) for one in shares) / len(shares) for name in sorted(names)}
