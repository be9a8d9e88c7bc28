"""What a console's report says is wrong, thing by thing. Values only."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from console.report import EdgeReport, FleetReport

SILENT_MS = 3_000
LATE_MS = 1_000
SLOWER, SLOWER_MS = 2.0, 50.0  # a lag of more than so many times what it was, and so much
WELL = ("ready", "ended")
SILENT = ("dark", "unknown")

Kind = Literal["edge", "region", "pair", "slower", "alert", "link"]


class Statement(NamedTuple):
    """Something that is wrong."""

    kind: Kind
    on: str  # `eu-1`, `eu`, `us>eu` (eu reads us); of a link: the region that it went through
    text: str
    is_silence: bool = False  # of an edge: that nothing is heard of it


def statements(now: FleetReport, before: FleetReport) -> Iterator[Statement]:
    """What is wrong now; `before`: when nothing was."""
    if now.link.state != "connected":
        yield Statement("link", now.link.via, f"link {now.link.state}: {now.link.reason}")
    elif now.link.via != before.link.via:
        yield Statement("link", before.link.via, f"link through {now.link.via} instead")
    for region in now.regions:
        if region.state != "ok":
            yield Statement("region", region.name, f"{region.state}: {region.reason}")
    earlier = {edge.name: edge for region in before.regions for edge in region.edges}
    for region in now.regions:
        for edge in region.edges:
            yield from _edge(edge, earlier.get(edge.name))
    yield from _pairs(now, before)
    for alert in now.alerts:
        if alert.state == "firing":
            yield Statement("alert", alert.on, f"{alert.name}: {alert.text}")


def _edge(edge: EdgeReport, before: EdgeReport | None) -> Iterator[Statement]:
    if edge.state not in WELL:
        silent = edge.state in SILENT
        yield Statement("edge", edge.name, edge.state.replace("_", " "), silent)
    elif edge.age_ms is not None and edge.age_ms > SILENT_MS:
        yield Statement("edge", edge.name, f"heard {edge.age_ms / 1000:.0f} s ago", True)
    if before is not None and edge.restarts > before.restarts:
        yield Statement("edge", edge.name, "began anew")
    if edge.publishes_failed_per_s:
        yield Statement("edge", edge.name, f"{edge.publishes_failed_per_s:g} publishes/s fail")


def _pairs(now: FleetReport, before: FleetReport) -> Iterator[Statement]:
    for origin, readers in now.lag_ms.items():
        for reader, lag in readers.items():
            pair, mirror = f"{origin}>{reader}", now.mirrors.get(origin, {}).get(reader)
            if mirror not in (None, "current", "behind"):
                yield Statement("pair", pair, f"mirror {mirror}")
            usual = before.lag_ms.get(origin, {}).get(reader)
            if lag is not None and lag > LATE_MS:
                yield Statement("pair", pair, f"lag {lag:.0f} ms")
            elif lag is not None and usual is not None and lag > usual * SLOWER + SLOWER_MS:
                yield Statement("slower", pair, f"lag {lag:.0f} ms, {usual:.0f} before")
