"""The figures of regions, edges, pairs, streams and the fleet, by the names that queries, alert
rules and the console's filters know them by.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from console.model.lag import LagCell
from console.model.streams import STORE_FIELDS, STREAM_FIELDS, store_rows, stream_rows
from console.model.view import Aged, EdgeView, FleetView, Freshness, RegionView
from regions.news import EdgeNews, FlightNews
from relay.core.query import Field, Value
from relay.core.telemetry import EdgeFrame


@dataclass(frozen=True, slots=True)
class FlightRow:
    """What is published in one region and comes out of another one, as a keeper saw it."""

    by: str
    flight: FlightNews


@dataclass(frozen=True, slots=True)
class DoorRow:
    """An edge's door, as a keeper saw it."""

    by: str
    edge: EdgeNews


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """A certificate, and when it ends."""

    by: str
    name: str
    left_ms: float


def _of_frame(get: Callable[[EdgeFrame], Value]) -> Callable[[EdgeView], Value]:
    return lambda edge: None if edge.frame is None else get(edge.frame)


def _rate(name: str) -> Callable[[EdgeView], Value]:
    return lambda edge: None if edge.rates is None else getattr(edge.rates, name)


def _taken(connections: int | None, room: int | None) -> float | None:
    return None if connections is None or not room else connections / room


def _failed(edge: EdgeNews) -> float | None:
    return None if edge.door is None else float(bool(edge.door))


EDGE_FIELDS: tuple[Field[EdgeView], ...] = (
    Field("name", "text", lambda edge: edge.name, "the edge's name"),
    Field("region", "text", lambda edge: edge.region, "its region"),
    Field("state", "text", lambda edge: edge.state, "what it says of itself, dark, or unknown"),
    Field("age", "ms", lambda edge: edge.age_ms, "since it was heard"),
    Field("connections", "number", lambda edge: edge.connections, "open WebSockets"),
    Field("sessions", "number", _of_frame(lambda frame: frame.sessions), "identified"),
    Field("users", "number", _of_frame(lambda frame: frame.users), "different users"),
    Field("rooms", "number", _of_frame(lambda frame: frame.rooms), "rooms with members there"),
    Field(
        "taken", "share", lambda edge: _taken(edge.connections, edge.room), "of what it can hold"
    ),
    Field("in", "number", _rate("events_in"), "events from NATS a second"),
    Field("out", "number", _rate("events_out"), "events to clients a second"),
    Field("bytes", "bytes", _rate("bytes_out"), "bytes to clients a second"),
    Field("publishes", "number", _rate("publishes"), "acknowledged a second"),
    Field("failed", "number", _rate("failed"), "publishes answered `unavailable` a second"),
    Field("resumes", "number", _rate("resumes"), "a second"),
    Field("closes", "number", _rate("closes"), "connections that ended a second"),
    Field("refused", "number", _rate("refused"), "handshakes that were refused a second"),
    Field("cpu", "share", _rate("cpu"), "of one core"),
    Field("loop", "ms", lambda edge: edge.loop_lag_ms, "the event loop's worst lag in a second"),
    Field("rss", "bytes", lambda edge: edge.rss_bytes, "memory"),
    Field(
        "buffer", "bytes", _of_frame(lambda frame: frame.send_buffer_bytes),
        "waits to be sent, in all",
    ),
    Field("slow", "number", _rate("slow"), "slow readers that were closed a second"),
    Field(
        "lag", "ms", lambda edge: None if edge.lag is None else edge.lag.lag_ms,
        "the worst of what it reads from another region",
    ),
    Field("holes", "number", _of_frame(lambda frame: frame.holes), "found and repaired, in all"),
    Field("alarms", "number", _of_frame(lambda frame: len(frame.alarms)), "that stand"),
    Field("restarts", "number", lambda edge: edge.restarts, "since the console listens"),
    Field("version", "text", lambda edge: edge.version, "what it runs"),
)  # fmt: skip

REGION_FIELDS: tuple[Field[RegionView], ...] = (
    Field("name", "text", lambda region: region.name, "the region's name"),
    Field(
        "state", "text", lambda region: region.state,
        "ok, degraded, cut_off, dark, down or unknown",
    ),
    Field("reason", "text", lambda region: region.reason, "why it is not ok"),
    Field("age", "ms", lambda region: region.age_ms, "since any of its edges was heard"),
    Field("edges", "number", lambda region: len(region.edges), "known"),
    Field("ready", "number", lambda region: region.ready, "edges that say so"),
    Field("connections", "number", lambda region: region.connections, "open WebSockets"),
    Field(
        "taken", "share", lambda region: _taken(region.connections, region.room),
        "of what its ready edges can hold",
    ),
    Field(
        "lost", "share", lambda region: region.if_lost, "how full the others would be without it"
    ),
    Field(
        "out", "number", lambda region: None if region.rates is None else region.rates.events_out,
        "events to clients a second",
    ),
    Field(
        "publishes", "number",
        lambda region: None if region.rates is None else region.rates.publishes,
        "acknowledged a second",
    ),
    Field(
        "lag", "ms", lambda region: None if region.lag is None else region.lag.lag_ms,
        "the worst of what it reads from another one",
    ),
)  # fmt: skip

PAIR_FIELDS: tuple[Field[LagCell], ...] = (
    Field("name", "text", lambda pair: f"{pair.origin}>{pair.region}", "`us>eu`: eu reads us"),
    Field("origin", "text", lambda pair: pair.origin, "where it is stored first"),
    Field("region", "text", lambda pair: pair.region, "where it is read"),
    Field("lag", "ms", lambda pair: pair.lag_ms, "from the stamp of a marker to its arrival"),
    Field("events", "number", lambda pair: pair.lag_events, "that the mirror lacks"),
    Field("mirror", "text", lambda pair: pair.mirror, "current, behind, wedged, cut, diverged"),
)

FLIGHT_FIELDS: tuple[Field[FlightRow], ...] = (
    Field("name", "text", lambda row: f"{row.flight.origin}>{row.flight.region}", "the pair"),
    Field("origin", "text", lambda row: row.flight.origin, "where it is published"),
    Field("region", "text", lambda row: row.flight.region, "where it comes out"),
    Field("took", "ms", lambda row: row.flight.took_ms, "the newest that came"),
    Field("age", "ms", lambda row: row.flight.age_ms, "since one came, or is waited for"),
)

DOOR_FIELDS: tuple[Field[DoorRow], ...] = (
    Field("name", "text", lambda row: row.edge.name, "the edge"),
    Field("region", "text", lambda row: row.edge.region, "its region"),
    Field("reason", "text", lambda row: row.edge.reason, "why the edge is not as it should be"),
    Field("door", "text", lambda row: row.edge.door, "why it could not be gone through"),
    Field("took", "ms", lambda row: row.edge.door_ms if row.edge.door == "" else None, "to go"),
    Field("failed", "number", lambda row: _failed(row.edge), "1: it could not be, 0: it could"),
)

CERTIFICATE_FIELDS: tuple[Field[CertificateRow], ...] = (
    Field("name", "text", lambda row: row.name, "whose certificate"),
    Field("left", "ms", lambda row: row.left_ms, "until it ends"),
)

FLEET_FIELDS: tuple[Field[FleetView], ...] = (
    Field("connections", "number", lambda view: view.connections, "open WebSockets"),
    Field("regions", "number", lambda view: len(view.regions), "known"),
    Field(
        "open", "number", lambda view: sum(region.ready > 0 for region in view.regions),
        "regions with an edge that is ready",
    ),
    Field("publishes", "number", lambda view: None if view.rates is None else view.rates.publishes),
)  # fmt: skip


FIELDS: Mapping[str, tuple[Field[Any], ...]] = {
    "edge": EDGE_FIELDS,
    "region": REGION_FIELDS,
    "pair": PAIR_FIELDS,
    "stream": STREAM_FIELDS,
    "store": STORE_FIELDS,
    "flight": FLIGHT_FIELDS,
    "door": DOOR_FIELDS,
    "certificate": CERTIFICATE_FIELDS,
    "fleet": FLEET_FIELDS,
}


def rows(view: FleetView, wall_ms: int, by: str) -> Mapping[str, list[Any]]:
    """Everything that has figures, by kind. What is too old to count is left out.

    Args:
        view: the fleet.
        wall_ms: Unix ms, by which certificates end.
        by: the region whose keeper's eyes count where several look at the same.
    """
    seen = {region: news for region, news in view.steering.items() if region == by}
    return {
        "edge": list(view.edges),
        "region": list(view.regions),
        "pair": [cell for (origin, region), cell in view.lag.items() if origin != region],
        "stream": [row for row in stream_rows(view) if row.freshness is not Freshness.GONE],
        "store": [row for row in store_rows(view) if row.freshness is not Freshness.GONE],
        "flight": [FlightRow(by, flight) for by, news in _fresh(seen) for flight in news.flights],
        "door": [DoorRow(by, edge) for by, news in _fresh(seen) for edge in news.edges],
        "certificate": _certificates(view, wall_ms),
        "fleet": [view],
    }


def _certificates(view: FleetView, wall_ms: int) -> list[CertificateRow]:
    ends: dict[str, CertificateRow] = {}
    for by, news in _fresh(view.certificates):
        for name, end_s in news.ends.items():
            ends[name] = CertificateRow(by, name, end_s * 1000 - wall_ms)
    return list(ends.values())


def _fresh(told: Mapping[str, Aged[Any]]) -> Iterator[tuple[str, Any]]:
    return (
        (region, each.value)
        for region, each in told.items()
        if each.freshness is not Freshness.GONE
    )
