"""`/metrics`: the telemetry frame's figures and the bounds, in OpenMetrics, read at scrape."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from relay.core.telemetry import EdgeFrame
from relay.edge.counters import Counters

CONTENT_TYPE = CONTENT_TYPE_LATEST

Extra = dict[str, tuple[str, float]]

_GAUGES = {
    "connections": "Open WebSockets.",
    "sessions": "Identified sessions.",
    "users": "Different users with a session.",
    "visits": "Visits of plain pages.",
    "rooms": "Rooms with local members.",
    "publishes_waiting": "Publishes in flight.",
    "send_buffer_bytes": "Bytes waiting in send buffers.",
    "loop_lag_ms": "Worst lag of the event loop in the last second.",
    "rss_bytes": "Resident memory.",
    "room": "WebSockets that it can hold.",
}
_COUNTERS = {
    "events_in": "Events received from NATS.",
    "events_out": "Frames of events written to clients.",
    "bytes_out": "Bytes written to clients.",
    "publishes": "Publishes acknowledged.",
    "publishes_failed": "Publishes answered unavailable.",
    "resumes": "Sessions resumed.",
    "visits_opened": "Visits of plain pages that opened.",
    "resumes_refused": "INVALID_SESSION sent.",
    "replayed": "Events sent by replay.",
    "holes": "Holes found in the live feed and repaired.",
}


class _EdgeCollector(Collector):
    def __init__(
        self,
        frame: Callable[[], EdgeFrame],
        counters: Counters,
        extra: Callable[[], Extra],
        levels: Callable[[], Extra],
    ) -> None:
        self._extra = extra
        self._levels = levels
        self._frame = frame
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        frame = self._frame()
        labels = [frame.region, frame.edge]
        for name, text in _GAUGES.items():
            gauge = GaugeMetricFamily(f"jetrelay_{name}", text, labels=["region", "edge"])
            gauge.add_metric(labels, float(getattr(frame, name)))
            yield gauge
        for name, text in _COUNTERS.items():
            counter = CounterMetricFamily(f"jetrelay_{name}", text, labels=["region", "edge"])
            counter.add_metric(labels, float(getattr(frame, name)))
            yield counter
        yield from self._by_label(frame, labels)
        yield from self._bounds(labels)

    def _bounds(self, labels: list[str]) -> Iterator[Metric]:
        for name, (text, value) in self._extra().items():
            counter = CounterMetricFamily(f"jetrelay_{name}", text, labels=["region", "edge"])
            counter.add_metric(labels, value)
            yield counter
        for name, (text, value) in self._levels().items():
            gauge = GaugeMetricFamily(f"jetrelay_{name}", text, labels=["region", "edge"])
            gauge.add_metric(labels, value)
            yield gauge

    def _by_label(self, frame: EdgeFrame, labels: list[str]) -> Iterator[Metric]:
        closes = CounterMetricFamily(
            "jetrelay_closes", "Closed connections.", labels=["region", "edge", "code"]
        )
        for code, count in sorted(frame.closes.items()):
            closes.add_metric([*labels, code], count)
        yield closes
        yield from self._headcount(frame, labels)
        refused = CounterMetricFamily(
            "jetrelay_handshakes_refused",
            "Handshakes refused.",
            labels=["region", "edge", "reason"],
        )
        for reason, number in sorted(self._counters.refused.items()):
            refused.add_metric([*labels, reason], number)
        yield refused
        lag = GaugeMetricFamily(
            "jetrelay_lag_ms", "Lag of the pair (origin, region).", labels=["origin", "region"]
        )
        for origin, value in sorted(frame.lag_ms.items()):
            if value is not None:
                lag.add_metric([origin, frame.region], value)
        yield lag
        yield from self._streams(frame, labels)
        cpu = CounterMetricFamily(
            "jetrelay_cpu_seconds", "CPU time of the process.", labels=["region", "edge"]
        )
        cpu.add_metric(labels, frame.cpu_s)
        yield cpu
        position = GaugeMetricFamily(
            "jetrelay_position", "Sequence delivered.", labels=["region", "edge", "origin"]
        )
        for origin, seq in sorted(frame.positions.items()):
            position.add_metric([*labels, origin], seq)
        yield position

    def _streams(self, frame: EdgeFrame, labels: list[str]) -> Iterator[Metric]:
        state = GaugeMetricFamily(
            "jetrelay_state", "What the edge says that it is.", labels=["region", "edge", "state"]
        )
        state.add_metric([*labels, frame.state], 1)
        yield state
        for name, text, figures in (
            ("lag_events", "Events that the copy here is behind its origin.", frame.lag_events),
            ("epoch", "Epoch of the origin's stream.", frame.epochs),
        ):
            gauge = GaugeMetricFamily(f"jetrelay_{name}", text, labels=["region", "edge", "origin"])
            for origin, value in sorted(figures.items()):
                if value is not None:
                    gauge.add_metric([*labels, origin], value)
            yield gauge
        mirror = GaugeMetricFamily(
            "jetrelay_mirror",
            "How the mirror of an origin stands here.",
            labels=["region", "edge", "origin", "state"],
        )
        for origin, how in sorted(frame.mirrors.items()):
            mirror.add_metric([*labels, origin, how], 1)
        yield mirror
        alarms = GaugeMetricFamily(
            "jetrelay_alarms", "Alarms about streams that stand.", labels=["region", "edge"]
        )
        alarms.add_metric(labels, len(frame.alarms))
        yield alarms

    def _headcount(self, frame: EdgeFrame, labels: list[str]) -> Iterator[Metric]:
        for name, text, label, totals in (
            ("sessions_opened", "Sessions that came, by how.", "how", frame.opened),
            ("sessions_closed", "Sessions that went, by close code.", "code", frame.closed),
            ("visits_ended", "Visits that ended, by how.", "how", frame.visits_ended),
        ):
            counter = CounterMetricFamily(
                f"jetrelay_{name}", text, labels=["region", "edge", label]
            )
            for value, total in sorted(totals.items()):
                counter.add_metric([*labels, value], total)
            yield counter
        for label, tallies in (("country", frame.countries), ("transport", frame.transports)):
            gauge = GaugeMetricFamily(
                f"jetrelay_sessions_by_{label}",
                f"Identified sessions, by {label}.",
                labels=["region", "edge", label],
            )
            counters = [
                CounterMetricFamily(
                    f"jetrelay_sessions_{what}_by_{label}",
                    f"Sessions that {came}, by {label}.",
                    labels=["region", "edge", label],
                )
                for what, came in (("opened", "came"), ("closed", "went"))  # in this order
            ]
            for value, (now, opened, closed) in sorted(tallies.items()):
                gauge.add_metric([*labels, value], now)
                counters[0].add_metric([*labels, value], opened)
                counters[1].add_metric([*labels, value], closed)
            yield gauge
            yield from counters
        if frame.census is not None:
            users = GaugeMetricFamily(
                "jetrelay_all_users",
                "Different users over all edges, as counted in this region; scope is a region or"
                " total.",
                labels=["region", "edge", "scope"],
            )
            for scope, count in sorted(frame.census.regions.items()):
                users.add_metric([*labels, scope], count)
            users.add_metric([*labels, "total"], frame.census.users)
            yield users


def registry(
    frame: Callable[[], EdgeFrame],
    counters: Counters,
    extra: Callable[[], Extra],
    levels: Callable[[], Extra],
) -> CollectorRegistry:
    """The metrics of one edge.

    Args:
        frame: its telemetry frame of now.
        counters: what it counts besides.
        extra: name -> (help, total) of what the frame does not carry.
        levels: name -> (help, value now), likewise.
    """
    made = CollectorRegistry(auto_describe=False)
    made.register(_EdgeCollector(frame, counters, extra, levels))
    return made


def exposition(registry: CollectorRegistry) -> bytes:
    """All metrics, in OpenMetrics text."""
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return text
