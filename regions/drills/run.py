"""One drill from its begin to its verdict."""

import os
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from regions.drills.actor import Actor
from regions.drills.catalogue import Drill, why_not
from regions.drills.crier import About, Crier, found_by
from regions.drills.evidence import shortcomings
from regions.drills.history import read_history
from regions.drills.judge import results
from regions.drills.lags import first_signs, pair_lags
from regions.drills.own_world import OwnWorld
from regions.drills.page import write_page
from regions.drills.places import Places, choose
from regions.drills.preflight import check_healthy, check_room
from regions.drills.signs import Watchman
from regions.drills.step import Plan
from regions.drills.survey import running, survey, wanted
from regions.drills.telemetry import Heard, Telemetry, crowded_out, read_telemetry
from regions.drills.timeline import Outage, Stage, StageName, Wait
from regions.drills.verdict import (
    Run,
    Verdict,
    Word,
    WorldSaid,
    partial,
    verdict_of,
    write_verdict,
)
from regions.errors import AdminError, DrillError, WorldError
from regions.faults.client import Faults
from regions.ledger.checker import check
from regions.ledger.crowd import Crowd
from regions.ledger.record import Opening
from regions.ledger.scan import look, scan, write_openings
from regions.ledger.spec import CrowdSpec
from regions.machine import describe
from regions.state import StateDir, find_world
from regions.topology import LinkMode, Topology
from regions.world import World
from relay.tasks import Tasks

READY_S = 90.0
HUSH_S = 20.0
DRAIN_S = 90.0
MAX_CLIENTS = 100_000
MAX_RATE = 100_000  # events/s
MEMBERS_A_ROOM = 10  # clients for each room, of which each is in three


@dataclass(frozen=True, slots=True)
class Order:
    """What to run, and with whom. `hold_s` and `region`: instead of the drill's own choice."""

    drill: Drill
    state: Path
    report: Path
    clients: int = 300
    rate: float = 200.0
    seed: int = 1
    hold_s: float | None = None
    region: str | None = None
    topology: Path | None = None
    links: LinkMode | None = None
    rooms: int | None = None  # None: one for each ten clients
    by: str = ""  # who runs it
    why: str = ""


class DrillRun:
    """One run. `carry_out`, then `judge`; or `give_up` where it did not come to its end.

    Args:
        order: what to run.
        tell: called with each stage.
        allow: asked before anything is done to a deployment that others use.
    """

    def __init__(
        self, order: Order, tell: Callable[[Stage], None], allow: Callable[[str], bool]
    ) -> None:
        self.order = order
        self.broke = False  # whether it went as far as disturbing anything
        self._tell = tell
        self._allow = allow
        self._began_s = time.monotonic()
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._load = round(os.getloadavg()[0], 2)
        self._stages: list[Stage] = []
        self._outages: list[Outage] = []
        self._cursors: dict[str, int] = {}
        self._waits: list[Wait] = []
        self._unhealed: list[str] = []
        self._faults: Faults | None = None
        self._world: WorldSaid | None = None
        self._topology: Topology | None = None
        self._own: OwnWorld | None = None
        self._spec: CrowdSpec | None = None
        self._name = f"{order.drill.name}-{secrets.token_hex(3)}"
        self._crier: Crier | None = None

    @property
    def _ledger(self) -> Path:
        return self.order.report / "ledger"

    async def carry_out(self) -> None:
        """Do it: clients, faults, healing, the final scan. Whatever happens, all is healed.

        Raises:
            DrillError: it can't run here, and nothing was broken.
            WorldError: the world, or CrowdError: the crowd, did not do what was asked.
        """
        order = self.order
        try:
            order.report.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DrillError(f"{order.report}: {error.strerror}") from error
        check_room(order.report, order.clients)
        async with AsyncExitStack() as stack:
            world, state = await self._enter_world(stack)
            await self._tell_consoles(world, stack)
            self._faults = faults = await stack.enter_async_context(Faults(state.path))
            places = await survey(faults, world)
            plan = self._plan(places)
            self._describe(world, places)
            watchman = Watchman()
            telemetry = Telemetry(
                {name: world.nats_config(name, "console") for name in places.names},
                order.report,
                lambda heard: _hear(watchman, heard),
            )
            stack.push_async_callback(telemetry.close)
            telemetry.start()
            healthy = check_healthy(faults, watchman, telemetry.refused)
            await self._timed("preflight", "the world is healthy", healthy)
            openings = await self._openings(world)
            self._spec = CrowdSpec(
                run=self._name,
                seed=order.seed,
                clients=order.clients,
                rooms=order.rooms or max(1, order.clients // MEMBERS_A_ROOM),
                rate=order.rate,
                home_after_s=plan.home_after_s,
            )
            crowd = await Crowd.start(state.path, self._spec, self._ledger)
            try:
                write_openings(self._ledger, openings)
                assert self._topology is not None
                await self._play(Actor(
                    state, world, faults, crowd, watchman, self._topology.objectives, self._note,
                    self._began_s,
                ), crowd, plan)  # fmt: skip
            finally:
                await crowd.stop()
            await self._timed("scan", "every copy of every stream is read",
                              scan(world, self._ledger, openings=openings))  # fmt: skip

    def judge(self) -> Verdict:
        """Check the ledger, measure, and write the report.

        Raises:
            LedgerError: it can't be read or written.
        """
        begin_s = time.monotonic()
        order = self.order
        findings = check(order.report)
        history = read_history(order.report, self._outages)
        frames = read_telemetry(order.report)
        fault_ns = min((one.from_ns for one in self._outages), default=history.first_ns)
        assert self._topology is not None
        objectives = results(
            order.drill.kind, self._topology.objectives, findings, history, self._outages,
            self._waits, crowded_out(frames, fault_ns),
        )  # fmt: skip
        lags = pair_lags(frames, history.first_ns, fault_ns)
        seen = first_signs(frames, self._outages)
        why_not_judged = [
            *self._unhealed,
            *shortcomings(order.drill.kind, order.rate, history, seen, lags),
        ]
        text = f"{findings.records} records"
        self._say("check", text, time.monotonic() - begin_s)
        verdict = verdict_of(
            self._run(), findings, history, objectives, lags, seen, self._cursors, why_not_judged
        )
        self._write(verdict)
        if self._own is not None and verdict.verdict == "pass":
            self._own.forget_stores()
        return verdict

    @property
    def aftermath(self) -> str:
        """What became of what was broken, as far as it is known after `carry_out`."""
        if not self.broke:
            return "nothing was broken"
        if self._own is not None:
            return "the world that it started is ended"
        if self._unhealed:
            return "; ".join(self._unhealed)
        if self._faults is None or self._faults.unhealed is not None:
            return (
                "the supervisor heals what was broken: `jetrelay ctl fault list` shows what is left"
            )
        return "what was broken is healed"

    def give_up(self, word: Word, why: str) -> Verdict:
        """Write what there is of a report."""
        verdict = partial(self._run(), word, why)
        self._write(verdict)
        return verdict

    async def tell_end(self, verdict: Verdict) -> None:
        """Tell consoles how it ended, where the world is still there."""
        if self._crier is not None and self._own is None:
            await self._crier.end(verdict.verdict, "; ".join(verdict.why), found_by(verdict))

    async def tell_failure(self, why: str) -> None:
        """Tell consoles that were told of it that nothing became of it."""
        if self._crier is not None and self._own is None and self._crier.began:
            await self._crier.end("failed", why)

    # --- parts ---------------------------------------------------------------------------------

    async def _enter_world(self, stack: AsyncExitStack) -> tuple[World, StateDir]:
        order = self.order
        world = running(order.state)
        if world is not None:
            if order.topology is not None or order.links is not None:
                what = "--links" if order.topology is None else "--topology"
                raise DrillError(
                    f"{what} is for a world that the drill starts, and one runs in {order.state}: "
                    "end it, or take another --state"
                )
            self._topology = world.topology()
            return world, StateDir(order.state)
        want = wanted(order.drill, order.topology, order.links)
        self._topology = want.topology
        self._plan(want.places())
        self._own = OwnWorld(order.report / "world", want.topology, want.links, want.disk_mb)
        stack.push_async_callback(self._own.stop)
        text = f"a world of its own, links {want.links}"
        await self._timed("start", text, self._own.start())
        tasks = Tasks("drill.world")
        stack.push_async_callback(tasks.close)
        tasks.spawn(self._own.drop_output(), "output")
        return find_world(self._own.directory), StateDir(self._own.directory)

    async def _tell_consoles(self, world: World, stack: AsyncExitStack) -> None:
        """Let those who watch the world see what is done to it."""
        try:
            nats = {each.name: world.nats_config(each.name, "control") for each in world.regions}
        except WorldError:
            return  # there is no login that may tell
        order = self.order
        report = str(order.report.absolute())
        about = About(self._name, order.drill.name, order.by, order.why, report)
        self._crier = Crier(nats, about)
        self._crier.start()
        stack.push_async_callback(self._crier.close)
        for stage in self._stages:
            self._crier.say(stage)

    def _plan(self, places: Places) -> Plan:
        drill, order = self.order.drill, self.order
        choice = choose(places, order.seed, order.region)
        plan = drill.plan(choice, drill.hold_s if order.hold_s is None else order.hold_s)
        if why := why_not(drill, plan, choice):
            raise DrillError(f"{drill.name}: {why}")
        if places.deployment and not self._allow(drill.name):
            raise DrillError(f"{drill.name}: not allowed on this deployment; nothing was done")
        return plan

    def _describe(self, world: World, places: Places) -> None:
        assert self._topology is not None
        links = "direct" if world.record.wan is None else "through relays or a WAN"
        if self._own is not None:
            links = self._own.links
        self._world = WorldSaid(
            own=self._own is not None,
            state=str(self.order.state if self._own is None else self._own.directory),
            topology=self._topology.where,
            links=links,
            regions=places.names,
            edges=len(places.edges),
            nats_servers=sum(len(region.servers) for region in places.regions),
        )

    async def _openings(self, world: World) -> list[Opening]:
        """Where the streams begin and end, before the crowd comes.

        Raises:
            DrillError: the login may not read them.
            AdminError, BusError: a copy can't be read.
        """
        try:
            return await look(world)
        except AdminError as error:
            if not world.is_deployment:
                raise
            region = str(error).partition(":")[0]
            raise DrillError(
                f"{error}; the streams are read as `control`: give `jetrelay up` "
                f"--creds {region}:control=FILE, a login that may use the JetStream API"
            ) from error

    async def _play(self, actor: Actor, crowd: Crowd, plan: Plan) -> None:
        assert self._spec is not None
        text = f"{self._spec.clients} clients in {self._spec.rooms} rooms, {self._spec.rate:g}/s"
        await self._timed("start", text, crowd.ready(READY_S))
        self.broke = True
        self._outages, self._waits = actor.outages, actor.waits
        self._unhealed = actor.unhealed
        await actor.perform(plan)
        self._cursors = actor.cursors
        begin_s = time.monotonic()
        waiting = await crowd.hush(HUSH_S)
        short = await crowd.drain(DRAIN_S)
        text = f"{len(short)} clients lack something" if short else "everybody has everything"
        text += f"; {waiting} publishes have no answer" if waiting else ""
        self._say("drain", text, time.monotonic() - begin_s)

    async def _timed(self, name: StageName, text: str, work: Awaitable[object]) -> None:
        begin_s = time.monotonic()
        await work
        self._say(name, text, time.monotonic() - begin_s)

    def _say(self, name: StageName, text: str, took_s: float | None = None) -> None:
        took = None if took_s is None else round(took_s, 3)
        self._note(Stage(name, round(time.monotonic() - self._began_s, 3), text, took))

    def _note(self, stage: Stage) -> None:
        self._stages.append(stage)
        self._tell(stage)
        if self._crier is not None:
            self._crier.say(stage)

    def _run(self) -> Run:
        return Run(
            drill=self.order.drill.name,
            seed=self.order.seed,
            started=self._started,
            began_s=self._began_s,
            took_s=round(time.monotonic() - self._began_s, 1),
            stages=self._stages,
            spec=self._spec,
            world=self._world,
            machine=describe(self._load),
        )

    def _write(self, verdict: Verdict) -> None:
        write_verdict(self.order.report, verdict)
        write_page(self.order.report, verdict)


def _hear(watchman: Watchman, heard: Heard) -> None:
    watchman.hear(heard.t / 1e9, heard.frame)
