"""What a keeper does and sees besides steering, in the exposition format."""

import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from regions.apply import Report
from regions.certificates import CertificateWatch
from regions.keeper import StreamKeeper
from regions.steering.health import NO_FLIGHTS
from regions.steering.steerer import Steerer


class StreamCounts:
    """What was done to a region's streams, and whether they are as declared."""

    def __init__(self, region: str) -> None:
        self.region = region
        self.failing = False
        self.changes: Counter[str] = Counter()  # by action

    def take(self, report: Report) -> None:
        """A round changed something, or ended otherwise than the one before."""
        self.failing = bool(report.failures)
        self.changes.update(change.action for change in report.changes)


class KeeperFigures(Collector):
    """All figures of one keeper."""

    def __init__(
        self,
        streams: StreamCounts,
        keeper: StreamKeeper,
        steerer: Steerer,
        certificates: CertificateWatch,
    ) -> None:
        self._streams = streams
        self._keeper = keeper
        self._steerer = steerer
        self._certificates = certificates

    def collect(self) -> Iterator[Metric]:
        """All of it, as it is now."""
        yield from self._kept()
        yield from self._canaries()
        yield from self._doors()
        ends = GaugeMetricFamily(
            "jetrelay_certificate_ends_timestamp_seconds",
            "When the certificate of a public door or a nats-server ends, as it was seen last.",
            labels=["name"],
        )
        for name, end_s in list(self._certificates.ends.items()):
            ends.add_metric([name], end_s)
        yield ends

    def _kept(self) -> Iterator[Metric]:
        failing = GaugeMetricFamily(
            "jetrelay_streams_failing",
            "Whether the streams of a region are not as declared, and could not be made so.",
            labels=["region"],
        )
        if self._keeper.rounds:  # before, it is not known
            failing.add_metric([self._streams.region], self._streams.failing)
        changes = CounterMetricFamily(
            "jetrelay_streams_changes",
            "What was created, updated or filled anew.",
            labels=["region", "action"],
        )
        for action, count in list(self._streams.changes.items()):
            changes.add_metric([self._streams.region, action], count)
        rounds = CounterMetricFamily(
            "jetrelay_keeper_rounds", "Looks at the streams that were ended.", labels=["region"]
        )
        rounds.add_metric([self._streams.region], self._keeper.rounds)
        errors = CounterMetricFamily(
            "jetrelay_keeper_errors", "Looks that nobody foresaw the end of.", labels=["region"]
        )
        errors.add_metric([self._streams.region], self._keeper.errors)
        yield from (failing, changes, rounds, errors)

    def _canaries(self) -> Iterator[Metric]:
        took = GaugeMetricFamily(
            "jetrelay_canary_seconds",
            "From a publish through one region's door until it came out of another one's.",
            labels=["from", "to"],
        )
        age = GaugeMetricFamily(
            "jetrelay_canary_age_seconds",
            "Since the newest that came out, or since one is waited for that never did.",
            labels=["from", "to"],
        )
        outlook = self._steerer.outlook
        flights, now_s = NO_FLIGHTS if outlook is None else outlook.flights, time.monotonic()
        for pair, flight in flights.arrived.items():
            took.add_metric([*pair], flight.took_ms / 1000)
        for (one, other), since_s in flights.ages(now_s).items():
            age.add_metric([one, other], since_s)
        yield from (took, age)

    def _doors(self) -> Iterator[Metric]:
        passed = GaugeMetricFamily(
            "jetrelay_door_ok",
            "Whether a try came through an edge's public door, or was asked to come later.",
            labels=["region", "edge"],
        )
        took = GaugeMetricFamily(
            "jetrelay_door_seconds",
            "How long that took: connect, identify, publish, receive.",
            labels=["region", "edge"],
        )
        for key, tried in list(self._steerer.tries.items()):
            passed.add_metric([*key], not tried.failed)
            if tried.passed:
                took.add_metric([*key], tried.took_ms / 1000)
        yield from (passed, took)
