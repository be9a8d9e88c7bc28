"""The drills by name. Values only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from regions.drills import plans
from regions.drills.campaign import campaign
from regions.drills.places import Choice, Place, Places, choose
from regions.drills.step import Plan
from regions.errors import DrillError
from regions.faults.fault import FaultName

# What its clients' gaps are held against; None: only that everybody is current again in time.
Kind = Literal["planned", "operated", "killed", "hung", "lost", "wedge", "rewind", "cut", "other"]
Map = Literal["three", "leader"]


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill.

    `hold_s`: how long its fault lasts unless said otherwise; 0 where that follows from the fault.
    `safe`: it may be run against a deployment that others use. `map`: the world that it starts
    where none runs; `disks`: with small file systems.
    """

    name: str
    line: str
    kind: Kind
    plan: Callable[[Choice, float], Plan]
    hold_s: float = 0.0
    safe: bool = False
    map: Map = "three"
    disks: bool = False


DRILLS = (
    Drill("edge-kill", "kill an edge", "killed", plans.edge_kill),
    Drill("edge-hang", "stop an edge where it is (SIGSTOP)", "hung", plans.edge_hang, 20),
    Drill("edge-drain", "deploy an edge: drain and start again", "planned", plans.edge_drain,
          safe=True),
    Drill("edge-rolling", "deploy all edges under load, one by one", "planned",
          plans.edge_rolling, safe=True),
    Drill("nats-kill", "kill a nats-server, and the leader of three", "other", plans.nats_kill,
          map="leader"),
    Drill("region-isolate", "cut all links of a region", "cut", plans.region_isolate, 20),
    Drill("region-loss", "kill everything in a region; it returns later", "lost",
          plans.region_loss, 20),
    Drill("region-return", "a lost region returns, and its clients come home", "lost",
          plans.region_return, 12),
    Drill("pair-partition", "cut two regions from each other", "cut", plans.pair_partition, 10),
    Drill("one-way", "cut one direction between two regions", "cut", plans.one_way, 20),
    Drill("wan-slow", "slow, unsteady, narrow and lossy links", "other", plans.wan_slow, 20),
    Drill("evacuate", "a region is evacuated, and returns, as an operator does it", "operated",
          plans.evacuate, 12, safe=True),
    Drill("mirror-wedge", "stop what feeds a mirror, unnoticed by NATS", "wedge",
          plans.mirror_wedge, 20),
    Drill("partition-wedged", "cut two regions, and leave a mirror wedged after it", "cut",
          plans.partition_wedged, 10),
    Drill("origin-rewind", "an origin loses its newest events", "rewind", plans.origin_rewind, 8),
    Drill("disk-full", "no room for a nats-server to store anything", "other", plans.disk_full,
          15, disks=True),
    Drill("herd", "all clients of a region are dropped at once", "killed", plans.herd, safe=True),
    Drill("campaign", "random faults by seed, one by one, then in pairs", "other", campaign, 1800),
)  # fmt: skip


def find_drill(name: str) -> Drill:
    """The drill called `name`.

    Raises:
        DrillError: there is none.
    """
    for drill in DRILLS:
        if drill.name == name:
            return drill
    names = [drill.name for drill in DRILLS]
    near = get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    raise DrillError(f"no drill {name!r}; {hint}")


def why_not(drill: Drill, plan: Plan, choice: Choice) -> str | None:
    """Why it can't run in this world; None where it can."""
    places = choice.places
    if places.deployment and not drill.safe:
        safe = ", ".join(one.name for one in DRILLS if one.safe)
        return f"this NATS is a deployment that others use: only {safe} are run there"
    missing = [f"{need}: {places.why_not[need]}" for need in plan.needs if need in places.why_not]
    if missing:
        return missing[0]
    if len(places.edges) < 2:
        return "clients have nowhere to go: the world has one edge"
    return None


def hindrance(drill: Drill, places: Places) -> str | None:
    """Why a drill can't run in this world, wherever it strikes by the first seed; None: it can."""
    try:
        choice = choose(places, 1)
        return why_not(drill, drill.plan(choice, drill.hold_s), choice)
    except DrillError as error:
        return str(error)


def check_lasting(drill: Drill, said: str) -> None:
    """See that how long a drill's fault lasts is one's to say.

    Args:
        drill: it.
        said: where that was said, for the message.

    Raises:
        DrillError: it follows from the fault.
    """
    if not drill.hold_s:
        raise DrillError(f"{said}: how long the fault of {drill.name} lasts follows from the fault")


_LINKS, _OWN = "links relay or netns", "a NATS of its own"
_NEEDS: Mapping[FaultName, str] = {
    "cut": _LINKS, "one-way": _LINKS, "stall": "links relay", "delay": _LINKS, "rate": _LINKS,
    "loss": "links netns (root)", "fill-disk": "small disks (root)",
}  # fmt: skip
_MODEL = tuple(Place(name, (f"{name}-1", f"{name}-2"), (f"{name}-n1",)) for name in "abc")


def needs_of(drill: Drill) -> tuple[str, ...]:
    """What a world has to have for a drill, for people; besides two edges."""
    found = [] if drill.safe else [_OWN]
    if hindrance(drill, Places(_MODEL[:1])) is not None:
        found.append("two regions")
    plan = drill.plan(choose(Places(_MODEL, {"fill-disk": "no"}), 1), drill.hold_s)
    found += [_NEEDS[need] for need in plan.needs if need in _NEEDS]
    if drill.disks:
        found.append("small disks (root) for a full one")
    if drill.map == "leader":
        found.append("a cluster of three for a leader")
    return tuple(dict.fromkeys(found))
