"""A check of a running fleet, for people, Nagios and Prometheus."""

import asyncio

import msgspec
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from cli.doors import Fleet
from console.clock import Clock
from console.judgement import Judgement, Level, judge, summary
from console.model import FleetView
from console.model.lag import BAD_MS, OK_MS

STATES = ("ok", "degraded", "cut_off", "dark", "down", "unknown")


async def look_at(fleet: Fleet) -> FleetView:
    """The fleet after 3 s of listening: by then each edge and each keeper has spoken.

    Raises:
        NoLinkError: no region's NATS could be reached.
    """
    from console.live import LiveFeed
    from console.once import look

    feed = LiveFeed(fleet.doors)
    return await look(feed, fleet.known, Clock(), link_s=feed.round_s)


def check_fleet(fleet: Fleet, format_: str) -> tuple[str, Level]:
    """What to print, and how the fleet is."""
    from console.errors import NoLinkError

    try:
        view = asyncio.run(look_at(fleet))
    except NoLinkError as error:
        judgement = Judgement(Level.UNKNOWN, (str(error),))
        return _without(judgement, format_), judgement.level
    judgement = judge(view)
    match format_:
        case "nagios":
            return nagios(view, judgement), judgement.level
        case "prometheus":
            return prometheus(view, judgement), judgement.level
        case "json":
            return _json(judgement, view), judgement.level
    return _text(view, judgement), judgement.level


def nagios(view: FleetView, judgement: Judgement) -> str:
    """One line with performance data, as the Nagios plugin guidelines want it."""
    ready = sum(region.ready for region in view.regions)
    figures = [
        f"edges_ready={ready};;;0;{len(view.edges)}",
        *([] if view.connections is None else [f"connections={view.connections};;;0"]),
        *(
            []
            if view.worst_lag is None or view.worst_lag.lag_ms is None
            else [f"lag={view.worst_lag.lag_ms:.0f}ms;{OK_MS};{BAD_MS};0"]
        ),
    ]
    said = f"{judgement.text}; " if judgement.reasons else ""
    said = (said + summary(view)).replace("|", "/")  # what follows a bar is figures
    return f"JETRELAY {judgement.level.name} - {said} | {' '.join(figures)}"


def prometheus(view: FleetView | None, judgement: Judgement) -> str:
    """The text format, for a textfile collector."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"jetrelay_check_{name}", text, labels, registry=registry)

    gauge("status", "0 ok, 1 warning, 2 critical, 3 unknown.").set(judgement.level)
    if view is not None:
        states = gauge("region_state", "1 of the state that a region is in.", "region", "state")
        connections = gauge("connections", "Open WebSockets.", "region")
        ready = gauge("edges_ready", "Edges that take clients.", "region")
        lag = gauge("lag_milliseconds", "What a region reads of another one.", "origin", "region")
        alerts = gauge("alerts", "Alerts that fire.", "severity")
        for region in view.regions:
            for state in STATES:
                states.labels(region.name, state).set(region.state == state)
            ready.labels(region.name).set(region.ready)
            if region.connections is not None:
                connections.labels(region.name).set(region.connections)
        for (origin, reader), cell in view.lag.items():
            if origin != reader and cell.lag_ms is not None:
                lag.labels(origin, reader).set(cell.lag_ms)
        for severity in ("page", "ticket"):
            firing = [each for each in view.alerts if each.state == "firing"]
            alerts.labels(severity).set(sum(each.severity == severity for each in firing))
    return generate_latest(registry).decode().rstrip("\n")


def _json(judgement: Judgement, view: FleetView | None) -> str:
    told = {
        "status": judgement.level.name.lower(),
        "reasons": list(judgement.reasons),
        "summary": "" if view is None else summary(view),
    }
    return msgspec.json.encode(told).decode()


def _text(view: FleetView, judgement: Judgement) -> str:
    lines = [f"{judgement.level.name.lower()}: {summary(view)}"]
    return "\n".join([*lines, *(f"  {reason}" for reason in judgement.reasons)])


def _without(judgement: Judgement, format_: str) -> str:
    """What to print where nothing is heard."""
    match format_:
        case "nagios":
            return f"JETRELAY {judgement.level.name} - {judgement.text}".replace("|", "/")
        case "prometheus":
            return prometheus(None, judgement)
        case "json":
            return _json(judgement, None)
    return f"{judgement.level.name.lower()}: {judgement.text}"
