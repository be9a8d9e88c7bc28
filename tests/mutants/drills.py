"""Drills that mutants need besides the real ones: made of the same steps."""

from regions.drills import catalogue
from regions.drills.catalogue import Drill
from regions.drills.places import Choice
from regions.drills.plans import CALM_S
from regions.drills.step import Break, Calm, Heal, Hold, Plan, Recover
from regions.faults.fault import DownFault, LinkFault
from regions.faults.flow import Change

ALONE_S = 4.0
AWAY_S = 30.0  # long enough for all to arrive elsewhere before the links are open, also when busy


def move_behind(choice: Choice, hold_s: float) -> Plan:
    """Cut a region off, then take its edges: its clients go where its newest events are not."""
    here = choice.at
    others = [name for name in choice.places.names if name != here.name]
    pairs = [pair for other in others for pair in ((here.name, other), (other, here.name))]
    return Plan(
        (
            Calm(CALM_S),
            Break("cut", LinkFault(pairs, Change(cut=True))),
            Hold(ALONE_S),
            Break("down", DownFault(list(here.edges))),
            Hold(hold_s),
            Heal("cut"),
            Heal("down", here.edges),
            Recover(),
            Calm(CALM_S),
        ),
        needs=("cut", "down"),
    )


MOVE_BEHIND = Drill(
    "move-behind", "clients go where what they have has not come", "other", move_behind, AWAY_S
)
DRILLS = (*catalogue.DRILLS, MOVE_BEHIND)


def find_drill(name: str) -> Drill:
    """The drill called `name`."""
    return next(drill for drill in DRILLS if drill.name == name)
