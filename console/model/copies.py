"""The copies of one stream side by side: what each region holds of it, and whether they agree.

Who compares is the watcher, an edge of each region: it checks the hash that every marker of an
origin carries against what came, and the copy's newest marker against the origin's. The console
only repeats what the edges' frames say of that.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from console.model.lag import LagCell
from console.model.streams import StreamRow, stream_rows
from console.model.view import EdgeView, FleetView, Freshness
from relay.core.names import book_stream, events_stream, log_stream, minutes_stream, records_stream

_MIRRORED = (events_stream, records_stream, log_stream, minutes_stream, book_stream)


class Agreement(Enum):
    """Whether a copy holds what the stream at home holds."""

    HOME = "home"  # it is what the others are compared with
    AGREES = "agrees"
    DIVERGES = "diverges"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True)
class Copy:
    """What one region holds of a stream."""

    region: str
    row: StreamRow | None  # None: nobody tells of it
    kind: str  # home, mirror, or own: each region has one, and none is another's copy
    epoch: int | None = None  # in which the edges there read it; at home: as the stream says
    epoch_differs: bool = False  # from that of the home
    pair: LagCell | None = None  # as the edges there see it
    agreement: Agreement = Agreement.NOT_COMPARED
    why: str = ""


def copies(view: FleetView, stream: str) -> list[Copy]:
    """What all regions hold of a stream, home first."""
    rows = {row.region: row for row in stream_rows(view) if row.stream.name == stream}
    origin = origin_of(view, stream, rows.values())
    if not origin:
        return [_own(row) for row in rows.values()]
    events = stream == events_stream(origin)
    home = _home(view, origin, rows.get(origin), events=events)
    others = [region.name for region in view.regions if region.name != origin]
    return [home, *(_mirror(view, home, name, rows.get(name), events=events) for name in others)]


def origin_of(view: FleetView, stream: str, rows: Iterable[StreamRow]) -> str:
    """The region whose stream it is; empty: each region has one of its own."""
    said = next((row.stream.origin for row in rows if row.stream.origin), "")
    if said:
        return said
    regions = (region.name for region in view.regions)
    return next((name for name in regions if stream in {of(name) for of in _MIRRORED}), "")


def _own(row: StreamRow) -> Copy:
    return Copy(row.region, row, "own", why="each region has its own")


def _home(view: FleetView, origin: str, row: StreamRow | None, *, events: bool) -> Copy:
    said = None if row is None or row.freshness is Freshness.GONE else row.stream.epoch
    epoch = said if said is not None else _epoch(view, origin, origin)
    why = "the others are compared with it" if events else ""
    return Copy(origin, row, "home", epoch, agreement=Agreement.HOME, why=why)


def _mirror(
    view: FleetView, home: Copy, region: str, row: StreamRow | None, *, events: bool
) -> Copy:
    if not events:
        return Copy(region, row, "mirror", why="only copies of events are compared")
    origin = home.region
    epoch = _epoch(view, region, origin)
    differs = None not in (epoch, home.epoch) and epoch != home.epoch
    pair = view.lag.get((origin, region))
    agreement, why = _compared(_edges(view, region), origin, region, pair)
    return Copy(region, row, "mirror", epoch, differs, pair, agreement, why)


def _compared(
    edges: list[EdgeView], origin: str, region: str, pair: LagCell | None
) -> tuple[Agreement, str]:
    """What the edges of a region say of its mirror's bytes."""
    mirror = None if pair is None else pair.mirror
    if mirror == "diverged":
        about = f"the mirror of {origin} in {region} is diverged"
        alarms = (alarm for edge in edges if edge.frame is not None for alarm in edge.frame.alarms)
        said = next((alarm for alarm in alarms if alarm.startswith(about)), "")
        return Agreement.DIVERGES, said or "an edge there says so"
    if mirror is None:
        return Agreement.NOT_COMPARED, "no edge there is heard"
    watcher = next((edge.name for edge in edges if edge.frame and edge.frame.watching), "")
    if not watcher:
        return Agreement.NOT_COMPARED, "no edge there watches"
    if mirror == "cut":
        return Agreement.NOT_COMPARED, f"nothing comes from {origin}"
    if mirror == "wedged":
        return Agreement.NOT_COMPARED, "it stands still: what it lacks is not there to compare"
    so_far = ", as far as it is" if mirror == "behind" else ""
    return Agreement.AGREES, f"{watcher} finds the hash of each marker right{so_far}"


def _epoch(view: FleetView, region: str, origin: str) -> int | None:
    """The epoch in which most edges of a region read an origin's events."""
    epochs = Counter(
        edge.frame.epochs[origin]
        for edge in _edges(view, region)
        if edge.frame is not None and origin in edge.frame.epochs
    )
    return epochs.most_common(1)[0][0] if epochs else None


def _edges(view: FleetView, region: str) -> list[EdgeView]:
    return [
        edge
        for edge in view.edges
        if edge.region == region and edge.freshness is not Freshness.GONE
    ]
