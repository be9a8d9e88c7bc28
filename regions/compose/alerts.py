"""What somebody has to be told of: the table of alerts, as Prometheus asks for them. Pure."""

from dataclasses import dataclass
from typing import Literal

from relay.core.steering import EASY, FULL

Severity = Literal["page", "ticket"]

_FAILURES = "docs/reliability.md#under-which-failures"
_HEALTH = "docs/steering.md#health"
_WHAT_IF = "docs/steering.md#what-if"
_LATE_MS = 3_000  # the console shows a mirror as late from here on
_STILL_MS = 60_000
_SILENT_MS = 10_000


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that somebody has to be told of; what is not measured does not meet it."""

    name: str
    severity: Severity
    for_s: int  # that it has to last
    expr: str
    summary: str
    runbook: str  # a heading in docs/


_TARGETS = (
    Alert(
        "EdgeDown", "ticket", 30,
        'up{job="edge"} == 0',
        "Edge {{ $labels.instance }} of {{ $labels.region }} does not answer.",
        _FAILURES,
    ),
    Alert(
        "RegionWithoutEdges", "page", 30,
        'max by (region) (up{job="edge"}) == 0',
        "No edge of {{ $labels.region }} answers.",
        _FAILURES,
    ),
    Alert(
        "BalancerDown", "page", 30,
        'up{job="haproxy"} == 0',
        "The balancer of {{ $labels.region }} does not answer: clients come in through it.",
        _FAILURES,
    ),
)  # fmt: skip

_REGIONS = (
    Alert(
        "FleetTakesNobody", "page", 15,
        "max(jetrelay_steering_admits) == 0",
        "No region takes new clients.",
        _HEALTH,
    ),
    Alert(
        "RegionDown", "page", 15,
        'count by (region) (jetrelay_steering_admits{state="down"}) unless on (region)'
        ' jetrelay_steering_admits{state=~"ok|degraded"}',
        "Region {{ $labels.region }} is down: it is not heard, and its doors fail.",
        _HEALTH,
    ),
    Alert(
        "RegionDark", "page", 30,
        'count by (region) (jetrelay_steering_admits{state="dark"}) unless on (region)'
        ' jetrelay_steering_admits{state!="dark"}',
        "Region {{ $labels.region }} is dark: nobody here hears it.",
        _HEALTH,
    ),
    Alert(
        "RegionDegraded", "ticket", 120,
        'count by (region) (jetrelay_steering_admits{state="degraded"}) > 0',
        "Region {{ $labels.region }} is there, and not as it should be: `jetrelay steer status`.",
        _HEALTH,
    ),
    Alert(
        "RegionTakesNobody", "ticket", 60,
        'max by (region) (jetrelay_steering_admits{state!~"dark|down"}) == 0',
        "Region {{ $labels.region }} lives and takes no new clients: its edges are not ready, or"
        " an operator wants it so.",
        "docs/operations.md#orders",
    ),
    Alert(
        "RegionNearlyFull", "ticket", 120,
        f"max by (region) (jetrelay_steering_taken_ratio) > {EASY}",
        "Region {{ $labels.region }} is {{ $value | humanizePercentage }} full: part of its new"
        " clients are sent elsewhere.",
        "docs/steering.md#shares",
    ),
    Alert(
        "RegionFull", "page", 60,
        f"max by (region) (jetrelay_steering_taken_ratio) >= {FULL}",
        "Region {{ $labels.region }} is full: no new clients are sent there.",
        "docs/steering.md#shares",
    ),
    Alert(
        "NoRoomForRegion", "ticket", 300,
        "min by (region) (jetrelay_what_if_fits) == 0",
        "If {{ $labels.region }} died now, the other regions could not hold its clients.",
        _WHAT_IF,
    ),
    Alert(
        "SteeringBlind", "page", 15,
        "jetrelay_steering_age_seconds > 30",
        "{{ $labels.instance }} has heard nothing of the fleet for {{ $value | humanizeDuration }}:"
        " what it answers is old.",
        _HEALTH,
    ),
    Alert(
        "SteeringDeaf", "ticket", 60,
        "jetrelay_steering_hears == 0",
        "{{ $labels.instance }} does not reach the NATS of {{ $labels.region }}.",
        _HEALTH,
    ),
    Alert(
        "SteeringUnseen", "page", 60,
        "absent(jetrelay_steering_admits)",
        "Nobody says how the regions are: neither a name server nor a keeper is scraped.",
        _HEALTH,
    ),
)  # fmt: skip

# Of a region's edges the best figure counts: what one has on top of it is that edge's own. A region
# that is lost is one alarm, not one for each pair, and so is one that does not even hear itself.
_LAG = "min by (origin, region) (jetrelay_lag_ms)"
_HOME = 'label_replace(group by (region) (jetrelay_lag_ms), "origin", "$1", "region", "(.+)")'
_LOST = (
    'label_replace(count by (region) (jetrelay_steering_admits{state=~"dark|down"})'
    ' unless on (region) jetrelay_steering_admits{state=~"ok|degraded"},'
    ' "origin", "$1", "region", "(.+)")'
)
_NOT_ELSEWHERE = f"unless on (origin, region) {_HOME} unless on (origin) {_LOST}"

_MIRRORS = (
    Alert(
        "MirrorLate", "ticket", 30,
        f"{_LAG} > {_LATE_MS} {_NOT_ELSEWHERE}",
        "Events of {{ $labels.origin }} come to {{ $labels.region }} {{ $value | humanize }} ms"
        " late.",
        "docs/console.md#what-it-says",
    ),
    Alert(
        "MirrorStandsStill", "page", 15,
        f"{_LAG} > {_STILL_MS}"
        " and min by (origin, region) (delta(jetrelay_lag_ms[1m])) > 50000"
        f" {_NOT_ELSEWHERE}",
        "Nothing of {{ $labels.origin }} comes to {{ $labels.region }}: the link is cut, or the"
        " mirror is wedged.",
        _FAILURES,
    ),
    Alert(
        "HomeStreamSilent", "page", 30,
        f"{_LAG} > {_SILENT_MS} and on (origin, region) {_HOME}",
        "{{ $labels.region }} does not hear itself: its NATS is away, or stores nothing.",
        _FAILURES,
    ),
    Alert(
        "StreamAlarm", "page", 15,
        "max by (region) (jetrelay_alarms) > 0",
        "Edges of {{ $labels.region }} have an alarm about a stream: the console says which.",
        _FAILURES,
    ),
    Alert(
        "EpochBegan", "page", 5,
        "max by (origin, region) (changes(jetrelay_epoch[10m])) > 0",
        "The stream of {{ $labels.origin }} began a new epoch: acknowledged events may be lost, and"
        " clients were told of it.",
        _FAILURES,
    ),
    Alert(
        "MirrorUnlikeOrigin", "page", 15,
        'count by (region, origin) (jetrelay_mirror{state="diverged"}) > 0',
        "The mirror of {{ $labels.origin }} in {{ $labels.region }} holds other events than its"
        " origin.",
        _FAILURES,
    ),
    Alert(
        "MirrorWedged", "ticket", 30,
        'count by (region, origin) (jetrelay_mirror{state="wedged"}) > 0',
        "The mirror of {{ $labels.origin }} in {{ $labels.region }} stands still while its origin"
        " goes on: edges read there meanwhile.",
        _FAILURES,
    ),
    Alert(
        "MirrorSkipped", "ticket", 15,
        "sum by (region) (increase(jetrelay_skipped_by_mirrors_total[10m])) > 0",
        "Mirrors in {{ $labels.region }} lacked events: they are read at the origin, and the mirror"
        " is filled anew.",
        _FAILURES,
    ),
    Alert(
        "LiveFeedJumped", "ticket", 15,
        "sum by (region) (increase(jetrelay_skipped_live_total[10m])) > 0",
        "NATS in {{ $labels.region }} stored events and did not publish them live: the edges have"
        " read them.",
        _FAILURES,
    ),
    Alert(
        "HomeStreamLostItsEnd", "ticket", 15,
        "sum by (region) (increase(jetrelay_tail_repaired_total[10m])) > 0",
        "The home stream of {{ $labels.region }} had lost events, and got them back from mirrors.",
        _FAILURES,
    ),
)  # fmt: skip

_FAILED = "sum by (region) (rate(jetrelay_publishes_failed_total[1m]))"
_STORED = "sum by (region) (rate(jetrelay_publishes_total[1m]))"
_REFUSED = "sum by (region) (increase(jetrelay_resumes_refused_total[5m]))"
_RESUMED = "sum by (region) (increase(jetrelay_resumes_total[5m]))"

_EDGES = (
    Alert(
        "EdgeNearlyFull", "ticket", 60,
        "jetrelay_connections / (jetrelay_room > 0) > 0.9",
        "Edge {{ $labels.edge }} is {{ $value | humanizePercentage }} full.",
        "docs/topology.md#tokens-limits-origins",
    ),
    Alert(
        "EdgeFull", "page", 30,
        "sum by (region, edge)"
        ' (rate(jetrelay_handshakes_refused_total{reason="full"}[1m])) > 0',
        "Edge {{ $labels.edge }} is full and refuses clients.",
        "docs/steering.md#shares",
    ),
    Alert(
        "EdgeThrottles", "ticket", 120,
        "sum by (region, edge)"
        ' (rate(jetrelay_handshakes_refused_total{reason="rate"}[1m])) > 0',
        "More clients come to edge {{ $labels.edge }} in a second than it lets in.",
        "docs/steering.md#what-if",
    ),
    Alert(
        "EdgeLoopLags", "ticket", 60,
        "avg_over_time(jetrelay_loop_lag_ms[1m]) > 200",
        "The event loop of edge {{ $labels.edge }} is {{ $value | humanize }} ms late: it has more"
        " to do than it can.",
        "docs/architecture.md#threads-of-control-in-an-edge",
    ),
    Alert(
        "EdgeErrors", "ticket", 15,
        "increase(jetrelay_errors_total[5m]) + increase(jetrelay_handler_errors_total[5m]) > 0",
        "Something failed inside edge {{ $labels.edge }}; its log says what.",
        _FAILURES,
    ),
    Alert(
        "SlowConsumersClosed", "ticket", 60,
        'sum by (region, edge) (increase(jetrelay_closes_total{code="4020"}[5m])) > 10',
        "Edge {{ $labels.edge }} closed {{ $value | humanize }} connections in 5 min that read too"
        " slowly (4020).",
        "docs/codes.md#close-codes",
    ),
    Alert(
        "LogLost", "ticket", 15,
        "increase(jetrelay_log_lost_total[10m]) > 0",
        "Comings and goings at edge {{ $labels.edge }} did not get into the log: NATS took nothing"
        " for too long.",
        "docs/counting.md#bounds",
    ),
)  # fmt: skip

_CLIENTS = (
    Alert(
        "PublishesUnavailable", "page", 30,
        f"{_FAILED} / ({_FAILED} + {_STORED}) > 0.01",
        "{{ $value | humanizePercentage }} of the publishes in {{ $labels.region }} are"
        " unavailable.",
        _FAILURES,
    ),
    Alert(
        "ResumesRefused", "ticket", 60,
        f"{_REFUSED} / ({_REFUSED} + {_RESUMED}) > 0.05 and on (region) {_REFUSED} > 5",
        "{{ $value | humanizePercentage }} of the resumes in {{ $labels.region }} are refused: a"
        " new epoch, cursors that are too old, or streams that can't be read.",
        "docs/codes.md#why-a-resume-is-refused-op-9",
    ),
    Alert(
        "ReplaysCutShort", "ticket", 15,
        "sum by (region) (increase(jetrelay_budget_gaps_total[5m])) > 0",
        "Clients in {{ $labels.region }} missed more than one replay brings, and were sent a GAP.",
        "docs/protocol.md#resuming",
    ),
    Alert(
        "EventsPoisoned", "ticket", 15,
        "sum by (region) (increase(jetrelay_poisoned_total[10m])) > 0",
        "Stored events could not be sent in {{ $labels.region }}: clients got a GAP for each.",
        "docs/reliability.md#the-promises",
    ),
)  # fmt: skip

_NAMES = (
    Alert(
        "NameServerDown", "ticket", 30,
        'up{job="dns"} == 0',
        "The name server {{ $labels.instance }} does not answer.",
        "docs/dns.md#the-zone",
    ),
    Alert(
        "NameServerFails", "page", 60,
        'sum by (instance) (rate(jetrelay_dns_answers_total{code="SERVFAIL"}[1m])) > 0',
        "{{ $labels.instance }} answers {{ $value | humanize }} queries a second with SERVFAIL.",
        "docs/dns.md#the-zone",
    ),
    Alert(
        "NameServerDrops", "ticket", 120,
        'sum by (instance) (rate(jetrelay_dns_dropped_total{why!="no query"}[1m])) > 10',
        "{{ $labels.instance }} drops {{ $value | humanize }} queries a second.",
        "docs/dns.md#bounds",
    ),
)  # fmt: skip

_KEEPER = (
    Alert(
        "KeeperDown", "ticket", 60,
        'up{job="keeper"} == 0',
        "The keeper {{ $labels.instance }} does not answer: nobody looks after the streams.",
        "docs/topology.md#what-follows-from-it",
    ),
    Alert(
        "KeeperStuck", "ticket", 60,
        "increase(jetrelay_keeper_rounds_total[5m]) == 0"
        " or increase(jetrelay_keeper_errors_total[5m]) > 3",
        "The keeper of {{ $labels.region }} does not look after the streams, or fails at it; its"
        " log says why.",
        "docs/deployment.md#the-keeper",
    ),
    Alert(
        "CertificateEnds", "ticket", 60,
        "min by (name) (jetrelay_certificate_ends_timestamp_seconds) - time() < 30 * 86400",
        "The certificate of {{ $labels.name }} ends in {{ $value | humanizeDuration }}: render the"
        " deployment again, and bring the files.",
        "docs/deployment.md#machines-of-their-own",
    ),
    Alert(
        "CertificateEndsSoon", "page", 60,
        "min by (name) (jetrelay_certificate_ends_timestamp_seconds) - time() < 3 * 86400",
        "The certificate of {{ $labels.name }} ends in {{ $value | humanizeDuration }}.",
        "docs/deployment.md#machines-of-their-own",
    ),
    Alert(
        "CanaryLost", "page", 15,
        "min by (from, to) (jetrelay_canary_age_seconds) > 30",
        "Nothing that is published in {{ $labels.from }} has arrived in {{ $labels.to }} for"
        " {{ $value | humanizeDuration }}.",
        _FAILURES,
    ),
    Alert(
        "CanarySlow", "ticket", 60,
        f"min by (from, to) (jetrelay_canary_seconds) > {_LATE_MS / 1000:g}",
        "What is published in {{ $labels.from }} takes {{ $value | humanizeDuration }} to"
        " {{ $labels.to }}.",
        _FAILURES,
    ),
    Alert(
        "DoorShut", "ticket", 30,
        "max by (region, edge) (jetrelay_door_ok) == 0",
        "Nobody gets through the public door of edge {{ $labels.edge }}.",
        _HEALTH,
    ),
    Alert(
        "RegionShut", "page", 30,
        "max by (region) (jetrelay_door_ok) == 0",
        "Nobody gets through a public door of {{ $labels.region }}.",
        _HEALTH,
    ),
    Alert(
        "StreamsNotAsDeclared", "ticket", 60,
        "max by (region) (jetrelay_streams_failing) > 0",
        "The streams in {{ $labels.region }} are not as declared, and could not be made so:"
        " `jetrelay streams plan`.",
        "docs/topology.md#what-follows-from-it",
    ),
    Alert(
        "StreamsKeepChanging", "ticket", 60,
        "sum by (region) (increase(jetrelay_streams_changes_total[15m])) > 20",
        "The streams in {{ $labels.region }} were changed {{ $value | humanize }} times in 15 min:"
        " somebody else changes them, or a mirror does not stay filled.",
        "docs/topology.md#what-follows-from-it",
    ),
)  # fmt: skip


# All alerts, by what they are about.
ALERTS = {
    "targets": _TARGETS,
    "regions": _REGIONS,
    "mirrors": _MIRRORS,
    "edges": _EDGES,
    "clients": _CLIENTS,
    "names": _NAMES,
    "keeper": _KEEPER,
}
