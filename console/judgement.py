"""A whole fleet in a word: what a check of it ends with, and a page begins with."""

from dataclasses import dataclass
from enum import IntEnum

from console.literal import clean
from console.model import FleetView, LinkState

MOST = 6  # reasons that are named
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
    """How the fleet is: by its regions, and by the alerts that fire."""
    if view.link.state is not LinkState.CONNECTED:
        lost = clean(view.link.reason, 100)
        return Judgement(Level.UNKNOWN, (f"no link{': ' if lost else ''}{lost}",))
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
    # What is wrong for certain goes before what is not known.
    found.sort(key=lambda each: (each[0] is Level.UNKNOWN, -each[0]))
    reasons = tuple(text for _, text in found)
    return Judgement(found[0][0] if found else Level.OK, reasons)


def summary(view: FleetView) -> str:
    """`3 regions ok, 6 of 6 edges ready`."""
    well = sum(region.state in _GOOD for region in view.regions)
    of_all = f"{well} of {len(view.regions)}" if well < len(view.regions) else str(well)
    ready = sum(region.ready for region in view.regions)
    return f"{of_all} regions ok, {ready} of {len(view.edges)} edges ready"
