"""A whole fleet in a word: what a check of it ends with, and a page begins with."""

from dataclasses import dataclass
from enum import IntEnum

from console.literal import clean
from console.model import FleetView, LinkState

MOST = 6  # reasons that are named
KEEPER_MS = (
    2_800  # who listened for so long has heard a keeper, if there is one: they tell every 2 s
)
_GOOD, _MILD = {"ok"}, {"degraded"}


class Level(IntEnum):
    """How it is; the numbers are the exit codes of a check (as of Nagios plugins)."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a fleet is, and why."""

    level: Level
    reasons: tuple[str, ...]  # the worst first; none where all is well

    @property
    def text(self) -> str:
        """The reasons in one line."""
        more = len(self.reasons) - MOST
        return "; ".join(self.reasons[:MOST]) + (f"; and {more} more" if more > 0 else "")


def judge(view: FleetView) -> Judgement:
    """How the fleet is: by its regions, the alerts that fire, and keepers' canaries."""
    if view.link.state is not LinkState.CONNECTED:
        if view.link.unkept:
            return Judgement(Level.UNKNOWN, (f"{view.link.reason} of this time",))
        lost = clean(view.link.reason, 100)
        return Judgement(Level.UNKNOWN, (f"no link{': ' if lost else ''}{lost}",))
    if not view.regions:
        return Judgement(Level.UNKNOWN, ("no edge of any region is heard",))
    found: list[tuple[Level, str]] = []
    for region in view.regions:
        if region.state in _GOOD:
            continue
        level = Level.WARNING if region.state in _MILD else Level.CRITICAL
        if region.state == "unknown":
            level = Level.UNKNOWN
        why = f"{region.name} {region.state.replace('_', ' ')}: {region.reason}"
        found.append((level, clean(why, 120)))
    for alert in view.alerts:
        if alert.state == "firing":
            level = Level.CRITICAL if alert.severity == "page" else Level.WARNING
            about = f"{alert.name} {alert.on}".rstrip()
            after = f" ({alert.acked_by} looks after it)" if alert.acked_by else ""
            found.append((level, clean(f"{about}: {alert.text}{after}", 160)))
    found += _canaries(view)
    age_ms = view.keeper_age_ms
    if not view.is_kept and (age_ms is not None or view.now_ms - view.link.since_ms > KEEPER_MS):
        since = "" if age_ms is None else f" for {age_ms // 1000} s"
        why = f"no keeper is heard{since}: which alerts there are is not known"
        found.append((Level.WARNING, why))
    # What is wrong for certain goes before what is not known.
    found.sort(key=lambda each: (each[0] is Level.UNKNOWN, -each[0]))
    reasons = tuple(text for _, text in found)
    return Judgement(found[0][0] if found else Level.OK, reasons)


def _canaries(view: FleetView) -> list[tuple[Level, str]]:
    """Those that do not come through, where nothing else is wrong that would explain it."""
    well = {region.name for region in view.regions if region.state in _GOOD}
    homes = {edge.name: edge.region for edge in view.edges}
    found: dict[str, tuple[Level, str]] = {}
    for each in view.canaries:
        places = [homes.get(each.on, each.on)] if each.is_door else each.on.split(">")
        if all(place in well for place in places):
            what = f"the door of {each.on}" if each.is_door else f"canaries {each.on}"
            found.setdefault(each.on, (Level.WARNING, clean(f"{what}: {each.why}", 120)))
    return list(found.values())


def summary(view: FleetView) -> str:
    """`3 regions ok, 6 of 6 edges ready`; and whether nobody looks for alerts."""
    well = sum(region.state in _GOOD for region in view.regions)
    of_all = f"{well} of {len(view.regions)}" if well < len(view.regions) else str(well)
    ready = sum(region.ready for region in view.regions)
    kept = "" if view.is_kept else ", no keeper is heard"
    return f"{of_all} regions ok, {ready} of {len(view.edges)} edges ready{kept}"
