"""The drill that breaks the world meanwhile: as a process, and what its report says it did."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from regions.drills.catalogue import find_drill
from regions.drills.places import Places, choose
from regions.drills.survey import survey
from regions.drills.timeline import Stage
from regions.drills.verdict import read_verdict
from regions.faults.client import Faults
from regions.state import find_world
from tests.truth.expectations import disturbances, expected
from tests.truth.judge import Fault

LINE_BYTES = 2**24  # the verdict is one line


class DrillFailedError(Exception):
    """The drill did not come to its end."""


class _Line(msgspec.Struct):
    stage: Stage | None = None


class Drill:
    """One run of a drill in a running world.

    Args:
        state: the world's directory.
        report: where the drill's own report goes.
        name: of the drill.
        seed: of its choices.
        lasts_s: how long its fault lasts, or a campaign; None: as the drill has it.
    """

    def __init__(
        self, state: Path, report: Path, name: str, seed: int, lasts_s: float | None
    ) -> None:
        self._state = state
        self._report = report
        self._drill = find_drill(name)
        self._seed = seed
        self._lasts_s = lasts_s
        self._began_s = float("inf")  # monotonic
        self.word = ""

    async def run(self, tell: Callable[[Stage], None], *options: str) -> None:
        """Carry it out; `tell` is called with each stage.

        Raises:
            DrillFailedError: it could not run, or has no verdict.
        """
        command = [sys.executable, "-m", "cli", "drill", "run", self._drill.name, "--json"]
        command += ["--state", str(self._state), "--report", str(self._report)]
        command += ["--seed", str(self._seed), *options]
        if self._lasts_s is not None:
            command += ["--for", f"{self._lasts_s:g}s"]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, limit=LINE_BYTES
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                stage = msgspec.json.decode(line, type=_Line).stage
                if stage is not None:
                    self._began_s = min(self._began_s, time.monotonic() - stage.at_s)
                    tell(stage)
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        if code not in (0, 1):
            raise DrillFailedError(f"the drill ended with {code}")
        self.word = read_verdict(self._report).verdict

    async def places(self) -> Places:
        """What there is to be broken."""
        async with Faults(self._state) as faults:
            return await survey(faults, find_world(self._state))

    def faults(self, places: Places) -> list[Fault]:
        """What it broke: when, by its report; what, by its plan, which follows from the seed."""
        verdict = read_verdict(self._report)
        lasts_s = self._drill.hold_s if self._lasts_s is None else self._lasts_s
        plan = self._drill.plan(choose(places, self._seed), lasts_s)
        began_s = self._began_s + verdict.ledger_at_s
        steps = zip(disturbances(plan), verdict.faults, strict=True)
        return [
            Fault(
                seen.times.text,
                began_s + seen.times.at_s,
                None if seen.times.healed_s is None else began_s + seen.times.healed_s,
                expected(step, places),
            )
            for step, seen in steps
        ]
