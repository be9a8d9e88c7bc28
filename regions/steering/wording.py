"""What is said of steering, for people: on a command line and in the console. The texts may hold
what others wrote; who prints them makes them safe.
"""

from collections.abc import Sequence

from regions.columns import aligned
from regions.steering.what_if import Arrival, WhatIf
from relay.core.steering import Place, Share
from relay.geo.atlas import Origin

UNKNOWN = "—"


def explain_lines(origin: Origin, given: Sequence[Share], order: Sequence[str]) -> list[str]:
    """Where a client network is sent, and why.

    Args:
        origin: the network, and where it is.
        given: the shares of its place.
        order: the regions for this network, best first.
    """
    lines = [f"{origin.network}: {origin.how}{at_place(origin.whence.place)}", *share_lines(given)]
    return [*lines, f"this network: {', then '.join(order)}" if order else "no region at all"]


def at_place(place: Place | None) -> str:
    """` at 48.9, 2.4`; empty where no place is known."""
    return "" if place is None else f" at {place.lat:.1f}, {place.lon:.1f}"


def share_lines(given: Sequence[Share]) -> list[str]:
    """Where the networks of a place are sent: a line a region, below a header."""
    rows = [("region", "ms", "share", "why")]
    for each in given:
        distance = UNKNOWN if each.distance_ms is None else f"{each.distance_ms:.0f}"
        rows.append((each.region, distance, f"{each.share:.0%}", each.reason))
    return aligned(rows)


def what_if_lines(found: WhatIf) -> list[str]:
    """Where the clients of a region would go if it died now, and whether they fit."""
    lines = [f"{found.region} has {found.connections:,} connections; if it died now:"]
    if not found.arrivals:
        return [*lines, "there is no other region"]
    rows = [("region", "come", "per s", "then", "of", "")]
    rows += [
        (each.region, f"{each.connections:,}", f"{each.per_s:,.0f}", f"{each.after:,}",
         f"{each.room:,}" if each.room else UNKNOWN, _fits(each))
        for each in found.arrivals
    ]  # fmt: skip
    return [*lines, *aligned(rows)]


def _fits(arrival: Arrival) -> str:
    if not arrival.connections:
        return "gets none"
    if arrival.closed:
        return f"lets nobody in: {arrival.closed}"
    wrong = [] if arrival.fits else ["no room"]
    if not arrival.in_time:
        wrong.append(f"{arrival.admitted_per_s:,.0f}/s are let in: the rest waits")
    return "; ".join(wrong) or "fits"
