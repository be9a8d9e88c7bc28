"""A drill before it is run: whether this world can have it now, and what it is going to do."""

from dataclasses import dataclass

from regions.drills.catalogue import check_lasting, why_not
from regions.drills.places import choose
from regions.drills.preflight import HEALTHY_S, broken_already, check_room, not_serving
from regions.drills.run import Order
from regions.drills.survey import running, survey
from regions.drills.wording import plan_text
from regions.errors import DrillError, WorldError
from regions.faults.client import Faults

BESIDES_S = 15.0  # clients come, and go; streams and ledger are read
ENDS = (
    f"It ends early, and heals, if the world is not healthy within {HEALTHY_S:g} s (then nothing "
    "was broken), a process does not come back, its clients do not answer, or it is interrupted."
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so before anything is broken."""

    text: str
    why_not: str | None = None  # None: it is so


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a drill would find and do."""

    checks: tuple[Check, ...]
    steps: str  # empty: it can't be planned
    seconds: float  # how long it takes at least
    recovered_s: float  # the most that each recovery is waited for
    others: bool  # whether its NATS is a deployment that others may use

    @property
    def why_not(self) -> str | None:
        """Why it can't run; None where it can."""
        return next((check.why_not for check in self.checks if check.why_not is not None), None)


async def look_ahead(order: Order) -> Prospect:
    """What `order` would find and do in the world that runs, of which nothing is disturbed.

    Args:
        order: what is to be run.

    Raises:
        WorldError: no world runs there, or its supervisor does not answer.
        DrillError: there is no such region, or how long its fault lasts is not one's to say.
    """
    drill = order.drill
    if order.hold_s is not None:
        check_lasting(drill, f"{order.hold_s:g} s")
    world = running(order.state)
    if world is None:
        raise WorldError(f"no world runs in {order.state}: start one with `jetrelay up`")
    async with Faults(order.state) as faults:
        places = await survey(faults, world)
        broken = await broken_already(faults)
        processes = await faults.processes()
    choice = choose(places, order.seed, order.region)
    hold_s = drill.hold_s if order.hold_s is None else order.hold_s
    steps, seconds = "", 0.0
    try:
        plan = drill.plan(choice, hold_s)
        cannot = why_not(drill, plan, choice)
        steps, seconds = plan_text(plan), plan.seconds
    except DrillError as error:
        cannot = str(error)
    checks = (
        Check("the fault can be made in this world", cannot),
        Check("nothing is broken", broken),
        Check(f"all {len(processes)} processes serve", not_serving(processes)),
        Check(f"there is room for its report and {order.clients} clients", _no_room(order)),
    )
    objectives = world.topology().objectives
    return Prospect(checks, steps, seconds, objectives.recovered_s, places.deployment)


def prospect_lines(order: Order, prospect: Prospect) -> list[str]:
    """All of it, for people."""
    lines = [
        f"✓ {check.text}" if check.why_not is None else f"✗ {check.why_not}"
        for check in prospect.checks
    ]
    if prospect.others:
        lines.append("▲ the NATS of this world is a deployment that others may use")
    if prospect.steps:
        lines += ["", f"It does to the running world: {prospect.steps}"]
    about_s = prospect.seconds + BESIDES_S
    lines += [
        "",
        f"With {order.clients} clients of its own, {order.rate:g} events/s, seed {order.seed}.",
        f"About {about_s:.0f} s, and each recovery, {prospect.recovered_s:g} s at most.",
        ENDS,
        f"Report: {order.report}",
    ]
    return lines


def _no_room(order: Order) -> str | None:
    try:
        check_room(order.state, order.clients)
    except DrillError as error:
        return str(error)
    return None
