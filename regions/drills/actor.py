"""Carries out the steps of a plan in a running world."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine

import msgspec

from regions.drills import cursors, hand
from regions.drills.lookout import Lookout
from regions.drills.operating import ABORT_S, operate
from regions.drills.signs import Watchman
from regions.drills.step import (
    Break,
    Calm,
    Drop,
    Heal,
    Hold,
    Home,
    KillLeader,
    Operate,
    Plan,
    PresentCursors,
    Recover,
    Restart,
    Snapshot,
    Step,
    TakeCursors,
    Up,
)
from regions.drills.timeline import Outage, Stage, StageName, Wait
from regions.errors import OperationError, WorldError
from regions.faults.client import Faults
from regions.faults.fault import Held, RewindFault, WedgeFault
from regions.ledger.crowd import Crowd
from regions.objectives import Objectives
from regions.operations.entry import Request
from regions.state import StateDir
from regions.world import World
from relay.errors import RelayError
from relay.tasks import Tasks

UP_S = 90.0
OPENED_S = 30.0  # in which a region takes clients again
FAULT, HEALED = "fault", "healed"


class Actor:
    """One run of one plan.

    Args:
        state: of the world.
        world: itself.
        faults: how faults are made.
        crowd: the clients.
        watchman: who hears the telemetry.
        objectives: say how long recoveries are waited for.
        tell: called with each stage when it is over, or begins where it lasts.
        began_s: the drill's begin, monotonic.
    """

    def __init__(
        self,
        state: StateDir,
        world: World,
        faults: Faults,
        crowd: Crowd,
        watchman: Watchman,
        objectives: Objectives,
        tell: Callable[[Stage], None],
        began_s: float,
    ) -> None:
        self.outages: list[Outage] = []
        self.cursors: dict[str, int] = {}  # what old ones were answered -> how many
        self.waits: list[Wait] = []
        self.unhealed: list[str] = []  # faults that were not, and why
        self.lookout = Lookout(crowd, watchman, self._say)
        self._state = state
        self._world = world
        self._faults = faults
        self._crowd = crowd
        self._objectives = objectives
        self._tell = tell
        self._began_s = began_s
        self._tasks = Tasks("drill.actor")
        self._old: list[cursors.Old] = []
        self._held: dict[str, tuple[Held, int]] = {}  # and the number of its outage
        self._emptied: set[str] = set()  # regions that were evacuated, and did not return yet

    async def perform(self, plan: Plan) -> None:
        """Carry out all steps.

        Raises:
            WorldError: one can't be done.
            CrowdError: the crowd does not answer.
        """
        try:
            await self._perform(plan)
        except BaseException:
            # Others may use this world: it does not wait for the crowd to go, nor for regions.
            with contextlib.suppress(WorldError):
                await self._faults.heal()
            raise
        finally:
            await self._open_again()

    async def _perform(self, plan: Plan) -> None:
        last = len(plan.steps) - 1
        for number, step in enumerate(plan.steps):
            if isinstance(step, Calm):
                name = "before" if number == 0 else "after" if number == last else "between"
                self._crowd.mark(name)
                self._say("calm", f"nothing is broken for {step.seconds:g} s")
                await self.lookout.rest(step.seconds)
            else:
                await self._do(step)

    async def _do(self, step: Step) -> None:
        match step:
            case Snapshot(region):
                await self._faults.snapshot(region)
                self._say("snapshot", f"what {region} has stored is remembered")
            case Break():
                await self._break(step)
            case KillLeader(region):
                await self._kill_leader(region)
            case Hold(seconds):
                self._say("hold", f"it stays so for {seconds:g} s")
                await self.lookout.rest(seconds)
            case Heal(key, names):
                await self._heal(key, names)
            case Up(names):
                await self._up(names)
            case Restart() | Operate() | Drop():
                await self._move(step)
            case Recover() | Home():
                await self._wait(step)
            case TakeCursors() | PresentCursors():
                await self._cursors(step)
            case Calm():
                raise AssertionError(step)

    async def _move(self, step: Restart | Operate | Drop) -> None:
        """Make clients go elsewhere."""
        match step:
            case Restart(edge):
                await self._restart(edge)
            case Operate():
                await self._operate(step)
            case Drop(region):
                await self._drop(region)

    async def _cursors(self, step: TakeCursors | PresentCursors) -> None:
        begin_s = time.monotonic()
        if isinstance(step, TakeCursors):
            self._old = await cursors.take(self._world, self._crowd.spec.run)
            text = f"{len(self._old)} sessions are left with their cursors"
        else:
            self.cursors = await cursors.present(self._world, self._old)
            said = ", ".join(f"{count} {why}" for why, count in self.cursors.items())
            text = f"old cursors are presented: {said}"
        self._say("cursors", text, time.monotonic() - begin_s)

    async def _wait(self, step: Recover | Home) -> None:
        begin_s = time.monotonic()
        if isinstance(step, Recover):
            limit_s = self._objectives.recovered_s
            why = await self.lookout.recover(limit_s)
            if why is not None:
                self._say("note", f"not as before after {limit_s:g} s: {why}")
        else:
            limit_s = self._objectives.home_s
            why = await self.lookout.home(limit_s)
            if why is not None:
                self._say("note", f"not home after {limit_s:g} s: {why}")
        took_s = None if why else round(time.monotonic() - begin_s, 3)
        self.waits.append(
            Wait("recovered_s" if isinstance(step, Recover) else "home_s", took_s, why or "")
        )

    async def _break(self, step: Break) -> None:
        await self.lookout.begin()
        self._crowd.mark(FAULT)
        held = await self._faults.make(step.fault)
        self.lookout.disturbed(held.at_s)
        rewind = step.fault if isinstance(step.fault, RewindFault) else None
        served_ns = None if rewind is None else time.monotonic_ns()
        self._held[step.key] = (held, len(self.outages))
        self.outages.append(
            Outage(
                held.text,
                _ns(held.at_s),
                lost=step.lost,
                excuses=not isinstance(step.fault, WedgeFault),
                served_ns=served_ns,
                repairable=rewind is None or rewind.mirrors,
            )
        )
        self._say("fault", held.text)

    async def _kill_leader(self, region: str) -> None:
        leader = await hand.leader_of(self._world, region)
        await self.lookout.begin()
        self._crowd.mark(FAULT)
        held = await self._faults.kill(leader)
        self.lookout.disturbed(held.at_s)
        self.outages.append(Outage(f"{held.text}, the leader of {region}", _ns(held.at_s)))
        self._say("fault", f"{held.text}, which leads the stream of {region}")

    async def _heal(self, key: str, names: tuple[str, ...]) -> None:
        held, number = self._held.pop(key)
        begin_s = time.monotonic()
        try:
            at_s = await self._faults.heal(held)
        except WorldError as error:
            # The others are healed all the same, and the verdict says that this one was not.
            why = str(error)
            if held.text not in why:
                why = f"{held.text} is not healed: {why}"
            self.unhealed.append(why)
            self._say("note", why)
            return
        if names:
            at_s = await self._until_up(names)
        self._healed(number, at_s, _ns(begin_s))
        self._say("heal", held.text, time.monotonic() - begin_s)

    async def _up(self, names: tuple[str, ...]) -> None:
        begin_s = time.monotonic()
        at_s = await self._until_up(names)
        self._healed(len(self.outages) - 1, at_s, _ns(begin_s))
        self._say("heal", f"up again: {', '.join(names)}", time.monotonic() - begin_s)

    async def _restart(self, edge: str) -> None:
        await self.lookout.begin(planned=True)
        self._crowd.mark(FAULT)
        begin_ns = time.monotonic_ns()
        number = len(self.outages)
        self.outages.append(Outage(f"drain {edge}", begin_ns, planned=True))
        self._say("fault", f"{edge} is told to end: it drains")
        restarting = hand.restart(self._state, edge)
        await self._while_looking(restarting)
        at_s = await self._until_up((edge,))
        self._healed(number, at_s, begin_ns)
        self._say("heal", f"up again: {edge}", at_s - begin_ns / 1e9)

    async def _operate(self, step: Operate) -> None:
        await self.lookout.begin(planned=True)
        self._crowd.mark(FAULT)
        begin_ns = time.monotonic_ns()
        number = len(self.outages)
        text = f"{step.verb} {step.region}"
        self.outages.append(Outage(text, begin_ns, planned=True))
        self._say("fault", text)
        request = Request(
            verb=step.verb, region=step.region, by="jetrelay drill", why="a drill",
            over_s=step.over_s,
        )  # fmt: skip
        self._emptied.add(step.region)
        operating = operate(self._world, request, lambda said: self._say("note", said))
        await self._while_looking(operating)
        if step.verb == "return":
            self._emptied.discard(step.region)
        if step.over_s:
            self._say("hold", f"{step.region} takes more and more for {step.over_s:g} s")
            await self.lookout.rest(step.over_s)
        at_s = time.monotonic()
        self._healed(number, at_s, begin_ns)
        self._say("heal", f"{text}: done", at_s - begin_ns / 1e9)

    async def _open_again(self) -> None:
        """Let what was emptied take clients again, where the drill did not come so far."""
        for region in sorted(self._emptied):
            request = Request(
                verb="return", region=region, by="jetrelay drill", why="the drill ended early"
            )
            try:
                async with asyncio.timeout(OPENED_S):
                    await operate(self._world, request, lambda said: self._say("note", said))
            except (RelayError, OSError, TimeoutError) as error:
                why = str(error) or f"not within {OPENED_S:g} s"
                self.unhealed.append(
                    f"{region} is cordoned and drained still ({why}): "
                    f"`jetrelay ctl return {region}` opens it"
                )
            else:
                self._say("heal", f"{region} takes clients again")

    async def _while_looking(self, work: Coroutine[None, None, None]) -> None:
        doing = self._tasks.spawn(_outcome(work), "work")
        try:
            while not doing.done():
                await self.lookout.rest(0.2)
        finally:
            doing.cancel()
            await asyncio.wait([doing], timeout=ABORT_S)
        if failure := doing.result():
            raise failure

    async def _drop(self, region: str) -> None:
        await self.lookout.begin()
        self._crowd.mark(FAULT)
        now_ns = time.monotonic_ns()
        count = await self._crowd.drop(region)
        self.lookout.disturbed(now_ns / 1e9)
        text = f"drop {count} clients in {region}"
        self.outages.append(Outage(text, now_ns, now_ns))
        self._say("fault", f"{count} connections in {region} break at once")

    async def _until_up(self, names: tuple[str, ...]) -> float:
        deadline_s = time.monotonic() + UP_S
        while True:
            down = [
                one.name
                for one in await self._faults.processes()
                if one.name in names and (one.state != "up" or one.paused)
            ]
            if not down:
                return time.monotonic()
            if time.monotonic() > deadline_s:
                raise WorldError(f"{', '.join(down)}: not up within {UP_S:g} s")
            await self.lookout.rest(0.1)

    def _healed(self, number: int, at_s: float, begun_ns: int) -> None:
        self._crowd.mark(HEALED)
        self.lookout.healed(at_s)
        self.outages[number] = msgspec.structs.replace(
            self.outages[number], to_ns=_ns(at_s), heal_ns=begun_ns
        )

    def _say(self, name: StageName, text: str, took_s: float | None = None) -> None:
        took = None if took_s is None else round(took_s, 3)
        self._tell(Stage(name, round(time.monotonic() - self._began_s, 3), text, took))


async def _outcome(work: Coroutine[None, None, None]) -> RelayError | None:
    """Do `work`; what was refused, as a value: that is the drill's to say, not the log's."""
    try:
        await work
    except (WorldError, OperationError) as error:
        return error
    return None


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
