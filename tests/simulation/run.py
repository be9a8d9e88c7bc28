"""One seed: the world starts, clients act, faults happen, everything heals, and all is compared."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from relay.core.names import events_stream
from tests.simulation.faults import KINDS, Heal
from tests.simulation.keeper import Keeper
from tests.simulation.loop import LivelockError
from tests.simulation.plan import make_plan
from tests.simulation.world import World

START_S = 12.0
HEALED_S = 60.0
PROBED_S = 20.0
LOOK_S = 0.25
AT_ONCE = 3  # faults that last at the same time


@dataclass(slots=True)
class Outcome:
    """What one seed showed."""

    seed: int
    steps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    virtual_s: float = 0.0
    turns: int = 0
    healed_s: float = 0.0
    history: str = ""  # a hash of all that clients were told


class Run:
    """Drives one world."""

    def __init__(self, seed: int, steps: int, kinds: tuple[str, ...], *, trace: bool) -> None:
        self.plan = make_plan(seed, steps, kinds)
        self.world = World(self.plan)
        self._active: list[tuple[str, Heal]] = []
        self._steps = 0
        self._healing = False
        self.world.tracing = trace
        self._errors = _Errors(self.world)

    # --- phases --------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """All of it."""
        world = self.world
        logger = logging.getLogger("jetrelay")
        logger.addHandler(self._errors)
        outcome = Outcome(self.plan.seed)
        try:
            self._run(outcome)
        except LivelockError as error:
            world.violated(f"livelock: {error}")
        finally:
            logger.removeHandler(self._errors)
        for failure in world.scheduler.failures:
            world.violated(f"inside: {failure}")
        outcome.violations = world.violations
        outcome.steps = self._steps
        outcome.faults, outcome.effects = world.faults, world.effects
        outcome.counts = world.truth.counts
        for client in world.clients:
            outcome.counts.update(client.view.reasons)
        outcome.virtual_s, outcome.turns = world.scheduler.now, world.scheduler.turns
        outcome.history = self._history()
        return outcome

    def _run(self, outcome: Outcome) -> None:
        world = self.world
        scheduler = world.scheduler
        for edge in world.edges.values():
            edge.start()
        if not self._until(START_S, lambda: all(e.edge is not None for e in world.edges.values())):
            world.violated("start: edges do not serve")
            return
        for client in world.clients:
            client.start()
        started = self._until(START_S, lambda: all(client.ready for client in world.clients))
        if not started:
            world.violated("start: clients are not ready")
            return
        keeper = Keeper(world)
        if self.plan.keeper:
            keeper.start()
        scheduler.after(0.0, self._step)
        while self._steps < self.plan.steps and not world.violations:
            scheduler.run(scheduler.now + LOOK_S)
        if world.violations:
            return
        self._heal_all()
        keeper.start()
        healed_s = scheduler.now
        if not self._until(HEALED_S, self._settled):
            self._explain()
            return
        outcome.healed_s = scheduler.now - healed_s
        for client in world.clients:
            client.publish(self.plan.rooms[0])
        if not self._until(PROBED_S, self._settled):
            self._explain()
            return
        self._compare()

    def _until(self, seconds: float, done: Callable[[], bool]) -> bool:
        scheduler, world = self.world.scheduler, self.world
        end_s = scheduler.now + seconds
        while scheduler.now < end_s:
            scheduler.run(scheduler.now + LOOK_S)
            if world.violations:
                return True
            if done():
                return True
        return False

    # --- steps ---------------------------------------------------------------------------------

    def _step(self) -> None:
        if self._healing:
            return
        world, dice = self.world, self.world.dice
        self._steps += 1
        throw = dice.random()
        owed = self._steps > self.plan.steps * 0.6 and sum(world.faults.values()) < 2
        if throw < self.plan.fault_rate or owed:
            self._fault()
        elif throw < 0.80:
            client = dice.choice(world.clients)
            client.publish(dice.choice(self.plan.rooms))
        elif throw < 0.86:
            dice.choice(world.clients).reconnect()
        # else: only time passes
        pause_s = dice.expovariate(1 / self.plan.pause_s)
        world.scheduler.after(min(pause_s, 2.0), self._step)

    def _fault(self) -> None:
        world, dice = self.world, self.world.dice
        if len(self._active) >= AT_ONCE:
            return
        name = dice.choice(self.plan.faults)
        kind = KINDS[name]
        heal = kind.begin(world, dice)
        if heal is None:
            name = dice.choice(("herd", "client's network gone", "live connection lost"))
            kind = KINDS[name]
            heal = kind.begin(world, dice)
            if heal is None:
                return
        world.faults[name] += 1
        lasts_s = dice.uniform(*kind.lasts_s)
        world.log(f"FAULT {name} for {lasts_s:.2f} s")
        entry = (name, heal)
        self._active.append(entry)
        world.scheduler.after(lasts_s, self._heal, entry)

    def _heal(self, entry: tuple[str, Heal]) -> None:
        if any(each is entry for each in self._active):
            self._active = [each for each in self._active if each is not entry]
            self.world.log(f"HEAL {entry[0]}")
            entry[1]()

    def _heal_all(self) -> None:
        self._healing = True
        self.world.log("HEAL everything")
        for entry in list(self._active):
            self._heal(entry)
        for edge in self.world.edges.values():
            if edge.loop is None:
                edge.start()

    # --- judgement -----------------------------------------------------------------------------

    def _settled(self) -> bool:
        origins = list(self.world.systems)
        return (
            all(
                client.ready and client.unsettled == 0 and not client.view.lacks(origins)
                for client in self.world.clients
            )
            and not self._gone()
        )

    def _explain(self) -> None:
        origins = list(self.world.systems)
        for client in self.world.clients:
            if not client.ready:
                self.world.violated(f"liveness: {client.name} is not ready")
            if client.unsettled:
                self.world.violated(f"liveness: {client.name}: {client.unsettled} publishes")
            if lacks := client.view.lacks(origins):
                text = ", ".join(f"{place} in {room}" for place, room in lacks[:4])
                self.world.violated(f"lost: {client.name} lacks {len(lacks)}: {text}")
        self._compare()

    def _compare(self) -> None:
        for silent in self._gone():
            self.world.violated(silent)

    def _gone(self) -> list[str]:
        """Acknowledged events that no stream holds any more, and who was not told of it."""
        world, found = self.world, []
        for place, (room, user, publish_id) in world.truth.acked.items():
            if world.truth.held(place, room):
                continue
            expired = self._expired(place.origin, place.seq)  # whom it was for, is told
            if not expired and world.truth.epoch(place.origin) <= place.epoch:
                found.append(
                    f"lost in silence: {place} ({user} {publish_id} in {room}) was acknowledged, "
                    f"no stream holds it, and there is no new epoch"
                )
            found += [
                f"lost: {client.name}: {place} in {room}: not declared"
                for client in world.clients
                if client.view.lost(place, room)
            ]
        return found

    def _expired(self, origin: str, seq: int) -> bool:
        return self.world.systems[origin].streams[events_stream(origin)].first > seq

    def _history(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for client in self.world.clients:
            view = client.view
            text = f"{client.name} {view.events} {sorted(view._received)} {view.gaps}"
            digest.update(text.encode())
        digest.update(f"{self.world.scheduler.now:.9f} {self.world.scheduler.turns}".encode())
        return digest.hexdigest()


class _Errors(logging.Handler):
    """What the edges log as a failure inside is one; in a trace, all that they log is shown."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.INFO)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            error = record.exc_info[1]
            self._world.violated(f"inside: {record.getMessage()}: {error!r}")
        self._world.log(f"  log: {record.getMessage()}")


def run_seed(
    seed: int, steps: int = 200, kinds: tuple[str, ...] = tuple(KINDS), *, trace: bool = False
) -> Outcome:
    """Run one seed: `steps` acts, of them at least two faults of these kinds."""
    return Run(seed, steps, kinds, trace=trace).run()
