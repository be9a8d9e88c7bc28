"""What a drill is going to do, in words, for people. Values only."""

from collections.abc import Sequence

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
from regions.faults.words import said

MOST = 14  # steps that are told; of a campaign there are hundreds
_ALWAYS = {
    Recover: "until all is as before",
    Home: "until every client is home",
    TakeCursors: "leave sessions with their cursors",
    PresentCursors: "present those cursors",
}


def plan_text(plan: Plan) -> str:
    """The steps in one line, up to `MOST` of them."""
    texts = [step_text(step) for step in plan.steps]
    more = len(texts) - MOST
    return " → ".join([*texts[:MOST], *([f"and {more} more"] if more > 0 else [])])


def step_text(step: Step) -> str:
    """One step."""
    match step:
        case Calm(seconds):
            return f"{seconds:g} s calm"
        case Snapshot(region):
            return f"remember what {region} has stored"
        case Break():
            return said(step.fault)
        case KillLeader(region):
            return f"kill the nats-server that leads the stream of {region}"
        case Hold(seconds):
            return f"for {seconds:g} s"
        case Heal(_, names):
            return f"heal{_until(names)}"
        case Up(names):
            return _until(names).removeprefix(", ")
        case Restart(edge):
            return f"drain {edge} and start it again"
        case Operate(verb, region):
            return f"{verb} {region}, as an operator does"
        case Drop(region):
            return f"drop all its clients in {region}"
        case Recover() | Home() | TakeCursors() | PresentCursors():
            return _ALWAYS[type(step)]


def _until(names: Sequence[str]) -> str:
    if not names:
        return ""
    some = ", ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} more"
    return f", until {some} serve{'s' if len(names) == 1 else ''} again"
