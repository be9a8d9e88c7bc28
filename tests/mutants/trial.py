"""One trial: a world whose edges have a mutant, the real drill in it, and its verdict."""

import asyncio
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from regions.drills.judge import EPOCH
from regions.drills.own_world import OwnWorld
from regions.drills.run import DrillRun, Order
from regions.drills.survey import wanted
from regions.drills.timeline import Stage
from regions.drills.verdict import Verdict
from relay.errors import RelayError
from relay.tasks import Tasks
from tests.mutants import edge
from tests.mutants.catalogue import MUTANTS
from tests.mutants.drills import find_drill
from tests.mutants.mutant import OLD_CURSORS, STRUCK, Mutant

Word = Literal["killed", "SURVIVED", "clean", "UNCLEAN", "confounded", "no verdict"]
_STRUCK = re.compile(rf"{STRUCK}(\d+)")


@dataclass(frozen=True, slots=True)
class Load:
    """What runs in the drill. `hold_s`: how long its fault lasts; None: the drill's own choice."""

    clients: int = 300
    rate: float = 200.0
    seed: int = 1
    hold_s: float | None = None

    def again(self, drill: str) -> "Load":
        """For another try: other places are hit, and for twice as long."""
        hold_s = self.hold_s or find_drill(drill).hold_s
        return replace(self, seed=self.seed + 1, hold_s=hold_s * 2 or None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a trial; `mutant` None: of the edge as it is."""

    mutant: Mutant | None
    drill: str
    took_s: float
    load: float  # load average of the machine, at the end
    struck: int = 0
    acked: int = 0
    delivered: int = 0
    violations: Mapping[str, int] = field(default_factory=dict)
    missed: tuple[str, ...] = ()  # objectives
    proves_nothing: bool = False  # the drill could not be judged
    failure: str = ""

    @property
    def found(self) -> Mapping[str, int]:
        """What is wrong: violations, and missed objectives (0) as far as a mutant is known by them.

        Others are missed on any slow machine.
        """
        telling = {name for one in MUTANTS if one.drill == self.drill for name in one.found}
        return {**self.violations, **{name: 0 for name in self.missed if name in telling}}

    @property
    def word(self) -> Word:
        """The outcome in a word."""
        if self.failure:
            return "no verdict"
        if self.mutant is None:
            return "UNCLEAN" if self.found or self.proves_nothing else "clean"
        if self.struck and set(self.mutant.found) & set(self.found):
            own = sum(self.violations.get(name, 0) for name in self.mutant.found)
            return "confounded" if self.mutant.single and own > self.struck else "killed"
        # Its code did not run, or not in a drill that would have shown it.
        return "SURVIVED" if self.struck and not self.proves_nothing else "no verdict"


def try_out(
    mutant: Mutant | None,
    drill: str,
    load: Load,
    directory: Path,
    tell: Callable[[Stage], None],
    *,
    keep: bool,
) -> Outcome:
    """Run `drill` in a world whose edges are `mutant`, to its verdict.

    Args:
        mutant: None runs the edge as it is.
        drill: its name.
        load: how much runs.
        directory: for the report and the world.
        tell: called with each stage.
        keep: leave the report, also where nothing about it is remarkable.
    """
    begin_s = time.monotonic()
    try:
        run = asyncio.run(_carry_out(mutant, drill, load, directory, tell))
        verdict = run.judge()
    except RelayError as error:
        return _outcome(mutant, drill, begin_s, directory, failure=str(error))
    outcome = _outcome(mutant, drill, begin_s, directory, verdict)
    if not keep and outcome.word in {"killed", "clean"}:
        shutil.rmtree(directory, ignore_errors=True)
    return outcome


async def _carry_out(
    mutant: Mutant | None, drill: str, load: Load, directory: Path, tell: Callable[[Stage], None]
) -> DrillRun:
    found = find_drill(drill)
    want = wanted(found, None, None)
    directory.mkdir(parents=True, exist_ok=True)
    name = edge.NONE if mutant is None else mutant.name
    program = edge.program(name, seed=load.seed)
    world = OwnWorld(directory / "world", want.topology, want.links, want.disk_mb, program)
    order = Order(
        found, world.directory, directory, load.clients, load.rate, load.seed, load.hold_s
    )
    run = DrillRun(order, tell, lambda _: False)
    tasks = Tasks("trial")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(world.stop)
        stack.push_async_callback(tasks.close)
        await world.start()
        tasks.spawn(world.drop_output(), "output")
        await run.carry_out()
    return run


def _outcome(
    mutant: Mutant | None,
    drill: str,
    begin_s: float,
    directory: Path,
    verdict: Verdict | None = None,
    failure: str = "",
) -> Outcome:
    took_s, load = round(time.monotonic() - begin_s, 1), round(os.getloadavg()[0], 1)
    logs = (directory / "world" / "edges").glob("*.log")
    struck = sum(strikes(path.read_text(errors="replace").splitlines()) for path in logs)
    if verdict is None:
        return Outcome(mutant, drill, took_s, load, struck, failure=failure)
    violations = dict(verdict.violations)
    if taken := sum(count for why, count in verdict.old_cursors.items() if why != EPOCH):
        violations[OLD_CURSORS] = taken
    missed = tuple(dict.fromkeys(result.key for result in verdict.objectives if not result.met))
    return Outcome(
        mutant, drill, took_s, load, struck, verdict.acked, verdict.delivered, violations, missed,
        proves_nothing=verdict.verdict == "failed",
    )  # fmt: skip


def strikes(lines: Iterable[str]) -> int:
    """How often a mutant struck, by an edge's log; an edge that started again counts anew."""
    total = newest = 0
    for line in lines:
        if (match := _STRUCK.search(line)) is not None:
            count = int(match[1])
            if count < newest:
                total += newest
            newest = count
    return total + newest
