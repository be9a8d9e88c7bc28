"""The fleet for people without a screen and for programs: text and JSON, from the same view."""

import json
from collections.abc import Sequence

import msgspec
from rich.cells import cell_len

from console import figures
from console.judgement import judge
from console.literal import clean
from console.model import AlertView, EdgeView, FleetView, LagCell, RegionView
from console.signs import LAG_SIGNS, edge_sign, region_sign


class EdgeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One edge; a figure is null where nothing young enough is known."""

    name: str
    state: str  # as the edge says it (`relay.core.telemetry.EdgeFrame`), dark or unknown
    connections: int | None
    events_in_per_s: float | None
    events_out_per_s: float | None
    publishes_per_s: float | None
    publishes_failed_per_s: float | None
    loop_lag_ms: float | None
    rss_bytes: int | None
    age_ms: int | None  # of its newest frame; null: never heard
    clock_off_ms: int  # ahead of most others' by more than 2 s; less than 0: behind
    restarts: int  # seen since the console listens
    alarms: list[str]  # that stand, as the edge says them
    url: str
    version: str


class RegionReport(msgspec.Struct, frozen=True, kw_only=True):
    """One region; sums over the edges that were heard of late."""

    name: str
    state: str  # ok | degraded | cut_off | dark | down | unknown
    reason: str
    connections: int | None
    if_lost: float | None  # how full the others would be with its clients; 1.0: all of their room
    events_out_per_s: float | None
    edges: list[EdgeReport]


class AlertReport(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that stands, as keepers say it."""

    name: str
    on: str  # `eu-1`, `eu`, `us>eu`; empty: the fleet
    severity: str  # page | ticket
    state: str  # pending | firing
    since_ms: int  # Unix ms, by the keeper's clock
    text: str
    by: list[str]  # the regions whose keepers see it
    age_ms: int  # since the last of them said so
    runbook: str  # what to do
    acked_by: str  # who looks after it; empty: nobody
    acked_why: str


class CanaryReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a keeper sends through doors, and between regions, and does not come through."""

    on: str  # `eu-1`: its door; `us>eu`: what is published in us does not come out in eu
    why: str
    by: str  # the region whose keeper says so
    age_ms: int  # since it did


class LinkReport(msgspec.Struct, frozen=True, kw_only=True):
    """The console's own connection."""

    state: str  # connecting | connected | lost
    via: str  # region
    reason: str


class FleetReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `jetrelay console --once --format json` prints."""

    at_ms: int  # Unix ms
    status: str  # ok | warning | critical | unknown, as `jetrelay check` says it
    reasons: list[str]  # why it is not ok, the worst first
    link: LinkReport
    regions: list[RegionReport]
    lag_ms: dict[str, dict[str, float | None]]  # origin -> region that reads -> ms
    lag_events: dict[str, dict[str, int | None]]
    mirrors: dict[str, dict[str, str | None]]  # current | behind | wedged | cut | diverged
    alerts: list[AlertReport]
    canaries: list[CanaryReport]  # that fail
    keepers: dict[str, int]  # region -> ms since its keeper said which alerts stand
    frames_refused: int
    frames_over_limit: int


def report(view: FleetView, wall_ms: int) -> FleetReport:
    """The report of `view` at `wall_ms`, Unix ms."""
    names = [region.name for region in view.regions]
    judgement = judge(view)
    return FleetReport(
        at_ms=wall_ms,
        status=judgement.level.name.lower(),
        reasons=list(judgement.reasons),
        link=LinkReport(
            state=view.link.state.value, via=view.link.via, reason=clean(view.link.reason, 200)
        ),
        regions=[_region(region) for region in view.regions],
        lag_ms={
            origin: {reader: _lag(view.lag[origin, reader]) for reader in names if reader != origin}
            for origin in names
        },
        lag_events={
            origin: {
                reader: view.lag[origin, reader].lag_events for reader in names if reader != origin
            }
            for origin in names
        },
        mirrors={
            origin: {
                reader: view.lag[origin, reader].mirror for reader in names if reader != origin
            }
            for origin in names
        },
        alerts=[_alert(alert) for alert in view.alerts],
        canaries=[
            CanaryReport(on=each.on, why=each.why, by=each.by, age_ms=each.age_ms)
            for each in view.canaries
        ],
        keepers=dict(view.alerts_age_ms),
        frames_refused=view.refused,
        frames_over_limit=view.over_limit,
    )


def to_json(view: FleetView, wall_ms: int) -> str:
    """The report as one line of JSON, in ASCII: names keep what they hold, terminals obey none."""
    return json.dumps(msgspec.to_builtins(report(view, wall_ms)))


def to_text(view: FleetView, wall_ms: int) -> str:
    """How it is, regions, edges and the lag matrix as aligned text, without control codes."""
    names = [region.name for region in view.regions]
    link = clean(f"link {view.link.state.value} via {view.link.via}", 60)
    judgement = judge(view)
    blocks = [
        f"{figures.clock(wall_ms)}  {figures.count(view.connections)} connections  {link}",
        "\n".join((judgement.level.name.lower(), *(f"  {why}" for why in judgement.reasons))),
        _table(
            [
                "region",
                "state",
                "edges",
                "conns",
                "in/s",
                "out/s",
                "pub/s",
                "if lost",
                "lag ms",
                "why",
            ],
            [_region_row(region) for region in view.regions],
            left={0, 1, 9},
        ),
        _table(
            ["edge", "region", "state", "conns", "in/s", "out/s", "pub/s", "lag ms", "age"],
            [_edge_row(edge) for edge in view.edges],
            left={0, 1, 2},
        ),
        _table(
            ["lag ms", *(f"from {name}" for name in names)],
            [
                [reader, *(_matrix(view.lag[origin, reader]) for origin in names)]
                for reader in names
            ],
            left={0},
        ),
    ]
    return "\n\n".join(blocks)


def _region(region: RegionView) -> RegionReport:
    return RegionReport(
        name=region.name,
        state=region.state,
        reason=region.reason,
        connections=region.connections,
        if_lost=None if region.if_lost is None else round(region.if_lost, 4),
        events_out_per_s=_round(region.rates.events_out if region.rates else None),
        edges=[_edge(edge) for edge in region.edges],
    )


def _alert(alert: AlertView) -> AlertReport:
    return AlertReport(
        name=alert.name,
        on=alert.on,
        severity=alert.severity,
        state=alert.state,
        since_ms=alert.since_ms,
        text=alert.text,
        by=list(alert.said_by),
        age_ms=alert.age_ms,
        runbook=alert.runbook,
        acked_by=alert.acked_by,
        acked_why=alert.acked_why,
    )


def _edge(edge: EdgeView) -> EdgeReport:
    rates = edge.rates
    return EdgeReport(
        name=edge.name,
        state=edge.state,
        connections=edge.connections,
        events_in_per_s=_round(rates.events_in if rates else None),
        events_out_per_s=_round(rates.events_out if rates else None),
        publishes_per_s=_round(rates.publishes if rates else None),
        publishes_failed_per_s=_round(rates.failed if rates else None),
        loop_lag_ms=_round(edge.loop_lag_ms),
        rss_bytes=edge.rss_bytes,
        age_ms=edge.age_ms,
        clock_off_ms=edge.clock_off_ms,
        restarts=edge.restarts,
        alarms=[] if edge.frame is None else list(edge.frame.alarms),
        url=edge.url,
        version=edge.version,
    )


def _lag(lag: LagCell) -> float | None:
    return _round(lag.lag_ms)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _region_row(region: RegionView) -> list[str]:
    sign = region_sign(region.state)
    rates = region.rates
    return [
        region.name,
        f"{sign.glyph} {sign.word}",
        f"{region.ready}/{len(region.edges)}",
        figures.count(region.connections),
        figures.rate(rates.events_in if rates else None),
        figures.rate(rates.events_out if rates else None),
        figures.rate(rates.publishes if rates else None),
        figures.percent(region.if_lost),
        _lag_text(region.lag),
        region.reason,
    ]


def _edge_row(edge: EdgeView) -> list[str]:
    sign = edge_sign(edge.state)
    rates = edge.rates
    return [
        edge.name,
        edge.region,
        f"{sign.glyph} {sign.word}",
        figures.count(edge.connections),
        figures.rate(rates.events_in if rates else None),
        figures.rate(rates.events_out if rates else None),
        figures.rate(rates.publishes if rates else None),
        _lag_text(edge.lag),
        figures.age(edge.age_ms),
    ]


def _matrix(lag: LagCell) -> str:
    if lag.broken:
        return f"✗ {lag.mirror}"
    return "·" if lag.origin == lag.region else _lag_text(lag)


def _lag_text(lag: LagCell | None) -> str:
    if lag is None:
        return figures.NONE
    return f"{LAG_SIGNS[lag.level].glyph} {figures.duration(lag.lag_ms)}".strip()


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: set[int]) -> str:
    drawn = [[clean(text, 40) for text in row] for row in (head, *rows)]
    widths = [max(cell_len(row[at]) for row in drawn) for at in range(len(head))]

    def pad(text: str, at: int) -> str:
        spare = " " * (widths[at] - cell_len(text))
        return text + spare if at in left else spare + text

    return "\n".join(
        "  ".join(pad(text, at) for at, text in enumerate(row)).rstrip() for row in drawn
    )
