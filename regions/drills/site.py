"""Where drills can be run from here: a world of this machine, and how to start one in it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regions.drills.catalogue import DRILLS, Drill, hindrance
from regions.drills.prospect import Prospect, look_ahead
from regions.drills.run import Order
from regions.drills.survey import running, survey
from regions.errors import WorldError
from regions.faults.client import Faults


@dataclass(frozen=True, slots=True)
class Site:
    """A world that a supervisor runs.

    Args:
        state: its state directory.
        program: `jetrelay`, as it is started.
    """

    state: Path
    program: Sequence[str]

    @property
    def is_up(self) -> bool:
        """Whether its supervisor runs."""
        return running(self.state) is not None

    async def hindrances(self) -> Mapping[str, str | None]:
        """Every drill, and why it can't run here; None where it can.

        Raises:
            WorldError: no world runs there, or its supervisor does not answer.
        """
        world = running(self.state)
        if world is None:
            raise WorldError(f"no world runs in {self.state}")
        async with Faults(self.state) as faults:
            places = await survey(faults, world)
        return {drill.name: hindrance(drill, places) for drill in DRILLS}

    async def look_ahead(self, order: Order) -> Prospect:
        """As `prospect.look_ahead`."""
        return await look_ahead(order)

    def report(self, drill: Drill) -> Path:
        """Where the report of one that begins now goes."""
        return self.state / "drills" / f"{drill.name}-{time.strftime('%Y%m%d-%H%M%S')}"

    def command(self, order: Order) -> list[str]:
        """The command line that carries an order out: it asks nothing, and ends with its stdin."""
        words: dict[str, object] = {
            "--state": order.state,
            "--report": order.report,
            "--clients": order.clients,
            "--rate": f"{order.rate:g}",
            "--seed": order.seed,
            "--by": order.by,
            "--why": order.why,
        }
        if order.hold_s is not None:
            words["--for"] = f"{order.hold_s:g}s"
        if order.region is not None:
            words["--region"] = order.region
        options = [f"{name}={value}" for name, value in words.items()]
        return [*self.program, "drill", "run", order.drill.name, *options, "--yes", "--until-eof"]
