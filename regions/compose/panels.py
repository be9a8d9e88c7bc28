"""What the dashboard shows: its rows of panels, and what each asks Prometheus for. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["timeseries", "state-timeline"]


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and how its series are called."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Word:
    """What a value is shown as."""

    value: int
    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture."""

    title: str
    unit: str  # as Grafana calls it
    description: str  # one sentence
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Panels about one thing."""

    title: str
    panels: tuple[Panel, ...]


def _now(how: str, metric: str, *by: str, name: str = "", of: str = "region") -> Query:
    """A gauge, put together.

    Args:
        how: `sum`, `max` or `min`.
        metric: its name.
        by: the labels that are kept.
        name: what the series are called besides.
        of: the label that the choice of regions is about; empty: none.
    """
    return Query(f"{how} by ({', '.join(by)}) ({_chosen(metric, of)})", _legend(by, name))


def _rate(metric: str, *by: str, name: str = "", of: str = "region") -> Query:
    """A counter a second, summed; arguments as of a gauge."""
    expr = f"sum by ({', '.join(by)}) (rate({_chosen(metric, of)}[$__rate_interval]))"
    return Query(expr, _legend(by, name))


def _chosen(metric: str, label: str) -> str:
    return f'{metric}{{{label}=~"$region"}}' if label else metric


def _legend(by: Sequence[str], name: str) -> str:
    return " ".join([*(f"{{{{{label}}}}}" for label in by), *([name] if name else [])])


def _pair(how: str, metric: str, one: str, other: str, *, of: str = "") -> Query:
    """A gauge of ordered pairs of regions."""
    return Query(_now(how, metric, one, other, of=of or other).expr,
                 f"{{{{{one}}}}} → {{{{{other}}}}}")  # fmt: skip


def _panel(
    title: str,
    unit: str,
    description: str,
    *queries: Query,
    kind: Kind = "timeseries",
    words: tuple[Word, ...] = (),
) -> Panel:
    return Panel(title, unit, description, queries, kind, words)


def _states() -> Query:
    worst = " or ".join(
        f'0 * jetrelay_steering_admits{{region=~"$region", state="{word.text}"}} + {word.value}'
        for word in _STATES
    )
    return Query(f"min by (region) ({worst})", "{{region}}")


def _ring_hits() -> Query:
    hits, misses = (
        _rate(f"jetrelay_ring_{each}_total", "region").expr for each in ("hits", "misses")
    )
    return Query(f"{hits} / ({hits} + {misses})", "{{region}}")


def _apart() -> Query:
    first, last = (
        _now(how, "jetrelay_position", "origin", "region").expr for how in ("max", "min")
    )
    return Query(f"{first} - {last}", "{{origin}} in {{region}}")


def _clients_of_regions() -> Query:
    moving = _now("max", "jetrelay_what_if_connections", "region", "to").expr
    return Query(f"sum by (region) ({moving})", "{{region}}")


# --- the dashboard -------------------------------------------------------------------------------

_STATES = (
    Word(0, "down", "dark-red"),
    Word(1, "dark", "purple"),
    Word(2, "degraded", "orange"),
    Word(3, "ok", "green"),
)
_YES = (Word(0, "no", "dark-red"), Word(1, "yes", "green"))

_FLEET = Row("Fleet", (
    _panel("Regions", "short", "How each region is, as the worst of those who look at it see it.",
           _states(), kind="state-timeline", words=_STATES),
    _panel("New clients", "short", "Whether new clients are sent to a region.",
           _now("max", "jetrelay_steering_admits", "region"), kind="state-timeline", words=_YES),
    _panel("Alerts", "short", "Alerts that are firing, by name.",
           Query('count by (severity, alertname) (ALERTS{alertstate="firing"})',
                 "{{severity}} {{alertname}}")),
    _panel("Connections", "short", "Open WebSockets at the edges that are scraped here.",
           _now("sum", "jetrelay_connections", "region")),
    _panel("Connections of the fleet", "short",
           "Clients of each region, scraped here or not, as steering would have to move them.",
           _clients_of_regions()),
    _panel("Sessions", "short", "Identified sessions at the edges that are scraped here.",
           _now("sum", "jetrelay_sessions", "region")),
    _panel("Users", "short", "Different users over all edges, of each region and in all.",
           _now("max", "jetrelay_all_users", "scope")),
    _panel("Edges", "short", "Edges that answer, and those whose public door lets clients in.",
           Query('sum by (region) (up{job="edge", region=~"$region"})', "{{region}} answer"),
           Query('sum by (region) (max by (region, edge) (jetrelay_door_ok{region=~"$region"}))',
                 "{{region}} let in")),
    _panel("Visits", "short", "Plain pages that are open.",
           _now("sum", "jetrelay_visits", "region")),
))  # fmt: skip

_EVENTS = Row("Events", (
    _panel("Publishes", "cps", "Publishes that were stored, and those answered unavailable.",
           _rate("jetrelay_publishes_total", "region", name="stored"),
           _rate("jetrelay_publishes_failed_total", "region", name="unavailable")),
    _panel("Publishes in flight", "short", "Publishes that wait for NATS.",
           _now("sum", "jetrelay_publishes_waiting", "region")),
    _panel("Deliveries", "cps", "Events written to clients.",
           _rate("jetrelay_events_out_total", "region")),
    _panel("Events from NATS", "cps", "Events that the edges receive for rooms with members.",
           _rate("jetrelay_events_in_total", "region")),
    _panel("Bytes to clients", "Bps", "Bytes written to clients.",
           _rate("jetrelay_bytes_out_total", "region")),
    _panel("Signals dropped", "cps", "Ephemeral events that slow readers were not sent.",
           _rate("jetrelay_signals_dropped_total", "region")),
))  # fmt: skip

_MIRRORS = Row("Mirrors", (
    _panel("Lag", "ms", "How late an origin's markers come to a region; it grows while none comes.",
           _pair("min", "jetrelay_lag_ms", "origin", "region")),
    _panel("Progress", "cps", "Sequences of an origin that the fastest edge of a region passes.",
           Query('max by (origin, region) (rate(jetrelay_position{region=~"$region"}'
                 "[$__rate_interval]))", "{{origin}} → {{region}}")),
    _panel("Edges apart", "short",
           "Sequences between the first and the last edge of a region, for each origin.", _apart()),
    _panel("Holes", "cps", "Events that the live feed passed over, or that a mirror lacked.",
           _rate("jetrelay_skipped_live_total", "region", name="jumped over live"),
           _rate("jetrelay_skipped_by_mirrors_total", "region", name="lacking in mirrors"),
           _rate("jetrelay_holes_total", "region", name="repaired")),
    _panel("Late deliveries", "cps", "Events delivered after the live feed had passed over them.",
           _rate("jetrelay_unheard_total", "region")),
    _panel("Home stream", "cps", "Markers that the edges store, and events that mirrors gave back.",
           _rate("jetrelay_markers_total", "region", name="markers"),
           _rate("jetrelay_tail_repaired_total", "region", name="given back")),
))  # fmt: skip

_RESUMES = Row("Resumes and losses", (
    _panel("Resumes", "cps", "Sessions that went on, and those answered INVALID_SESSION.",
           _rate("jetrelay_resumes_total", "region", name="resumed"),
           _rate("jetrelay_resumes_refused_total", "region", name="refused")),
    _panel("Sessions that came", "cps", "Sessions that began or came back, by how.",
           _rate("jetrelay_sessions_opened_total", "region", "how")),
    _panel("Connections closed", "cps", "Closed connections, by close code.",
           _rate("jetrelay_closes_total", "region", "code")),
    _panel("GAPs", "cps", "Replays that were cut short, and stored events that can't be sent.",
           _rate("jetrelay_budget_gaps_total", "region", name="cut short"),
           _rate("jetrelay_poisoned_total", "region", name="can't be sent")),
    _panel("Replay", "cps", "Events that were sent by replay.",
           _rate("jetrelay_replayed_total", "region")),
    _panel("Replay from memory", "percentunit", "Share of replayed ranges that a ring held.",
           _ring_hits()),
    _panel("Takeovers", "cps", "Connections closed because a newer one resumed their session.",
           _rate("jetrelay_takeovers_total", "region")),
    _panel("Reads for sessions", "cps", "Reads from NATS for sessions, and waits for another's.",
           _rate("jetrelay_replay_reads_total", "region", name="read"),
           _rate("jetrelay_replay_reads_shared_total", "region", name="shared")),
))  # fmt: skip

_PRESENCE = Row("Presence", (
    _panel("Present", "short", "Sessions that are present, those in their grace time included.",
           _now("sum", "jetrelay_attendants", "region")),
    _panel("Presence sent", "cps", "Frames of who is there, and those a slow reader was not sent.",
           _rate("jetrelay_presence_frames_total", "region", name="sent"),
           _rate("jetrelay_presence_dropped_total", "region", name="dropped")),
    _panel("Presence missed", "cps", "Gaps in what other edges said of presence.",
           _rate("jetrelay_presence_missed_total", "region")),
    _panel("Edges known", "short", "Other edges whose presence each edge knows, at the least.",
           _now("min", "jetrelay_presence_edges", "region")),
    _panel("Rosters", "short", "Rooms and users of which the edges keep a roster.",
           _now("sum", "jetrelay_presence_scopes", "region")),
    _panel("Log", "short", "Comings and goings that are not stored yet.",
           _now("sum", "jetrelay_log_waiting", "region")),
))  # fmt: skip

_EDGES = Row("Edges", (
    _panel("Loop lag", "ms", "The worst lag of an edge's event loop in the last second.",
           _now("max", "jetrelay_loop_lag_ms", "edge")),
    _panel("Send buffers", "bytes", "Bytes that wait for clients to read.",
           _now("sum", "jetrelay_send_buffer_bytes", "edge")),
    _panel("Memory", "bytes", "Resident memory of an edge.",
           _now("sum", "jetrelay_rss_bytes", "edge")),
    _panel("Rings", "bytes", "Memory that holds the newest events of rooms.",
           _now("sum", "jetrelay_ring_bytes", "edge")),
    _panel("Handshakes refused", "cps", "Connections that an edge did not let in, by reason.",
           _rate("jetrelay_handshakes_refused_total", "edge", "reason")),
    _panel("Errors", "cps", "Failures inside an edge, and NATS messages that it can't read.",
           _rate("jetrelay_errors_total", "edge", name="failures"),
           _rate("jetrelay_handler_errors_total", "edge", name="handlers"),
           _rate("jetrelay_undecodable_total", "edge", name="no events")),
    _panel("Connections of an edge", "short", "Open WebSockets of each edge.",
           _now("sum", "jetrelay_connections", "edge")),
    _panel("Rooms", "short", "Rooms with members at an edge.",
           _now("sum", "jetrelay_rooms", "edge")),
    _panel("Reads of an edge", "cps", "Reads from NATS for the edge itself.",
           _rate("jetrelay_reads_total", "edge")),
))  # fmt: skip

_DNS = Row("DNS", (
    _panel("Queries", "reqps", "Queries that were read, by transport and number of the type.",
           _rate("jetrelay_dns_queries_total", "region", "transport", "type")),
    _panel("Answers", "reqps", "Answers, by code.",
           _rate("jetrelay_dns_answers_total", "region", "code")),
    _panel("Queries dropped", "reqps", "What was not answered or was cut short, by why.",
           _rate("jetrelay_dns_dropped_total", "region", "why")),
))  # fmt: skip

_STEERING = Row("Steering", (
    _panel("Room taken", "percentunit", "How much of a region's room is taken.",
           _now("max", "jetrelay_steering_taken_ratio", "region")),
    _panel("If a region died", "short",
           "Whether the other regions could hold the clients of a region if it died now.",
           _now("min", "jetrelay_what_if_fits", "region"), kind="state-timeline", words=_YES),
    _panel("Where its clients would go", "short",
           "Connections that would come to another region if one died now.",
           _pair("max", "jetrelay_what_if_connections", "region", "to", of="region")),
    _panel("How fast they would come", "cps", "Connections that would come there in a second.",
           _pair("max", "jetrelay_what_if_connections_per_second", "region", "to", of="region")),
    _panel("Age of the outlook", "s", "Since who steers has looked at the fleet.",
           _now("max", "jetrelay_steering_age_seconds", "instance", of="")),
    _panel("Heard regions", "short", "Whether a region's NATS is listened to.",
           _now("min", "jetrelay_steering_hears", "region"), kind="state-timeline", words=_YES),
    _panel("Changes", "cps", "Times that what is answered has changed.",
           _rate("jetrelay_steering_changes_total", "instance", of="")),
))  # fmt: skip

_CANARIES = Row("Canaries", (
    _panel("Canary", "s", "Time from a publish in one region until it arrived in another.",
           _pair("min", "jetrelay_canary_seconds", "from", "to")),
    _panel("Age of the newest canary", "s", "Since a publish of one region arrived in another.",
           _pair("min", "jetrelay_canary_age_seconds", "from", "to")),
    _panel("Doors", "short", "Whether an edge's public door was gone through at the last try.",
           _now("max", "jetrelay_door_ok", "region", "edge"), kind="state-timeline", words=_YES),
    _panel("Time through the door", "s", "Time to connect, identify, publish and receive.",
           _now("min", "jetrelay_door_seconds", "region", "edge")),
    _panel("Streams failing", "short", "Whether a region's streams can't be made as declared.",
           _now("max", "jetrelay_streams_failing", "region"), kind="state-timeline",
           words=(Word(0, "no", "green"), Word(1, "yes", "dark-red"))),
    _panel("Streams changed", "cps", "Changes that the keeper made to streams, by what it did.",
           _rate("jetrelay_streams_changes_total", "region", "action")),
))  # fmt: skip

ROWS = (
    _FLEET, _EVENTS, _MIRRORS, _RESUMES, _PRESENCE, _EDGES, _DNS, _STEERING, _CANARIES,
)  # fmt: skip
