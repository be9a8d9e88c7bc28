"""What a running name server counts and sees, in the exposition format."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from regions.dns.server import DnsServer
from regions.steering.fleet import Outlook
from regions.steering.steerer import Steerer


class Figures(Collector):
    """All figures of one name server, and of the steering that it follows."""

    def __init__(self, server: DnsServer, steerer: Steerer) -> None:
        self._server = server
        self._steerer = steerer

    def collect(self) -> Iterator[Metric]:
        """All of it, as it is now."""
        yield from self._answers()
        yield from self._sight()
        outlook = self._steerer.outlook
        if outlook is not None:
            yield from _regions(outlook)
            yield from _what_if(outlook)

    def _answers(self) -> Iterator[Metric]:
        queries = CounterMetricFamily(
            "jetrelay_dns_queries", "Queries that were read.", labels=["transport", "type"]
        )
        for (transport, qtype), count in list(self._server.queries.items()):
            queries.add_metric([transport, str(qtype)], count)
        answered = CounterMetricFamily("jetrelay_dns_answers", "Answers.", labels=["code"])
        for code, count in list(self._server.answered.items()):
            answered.add_metric([code], count)
        dropped = CounterMetricFamily(
            "jetrelay_dns_dropped", "What was not answered, or cut short.", labels=["why"]
        )
        for why, count in list(self._server.dropped.items()):
            dropped.add_metric([why], count)
        yield from (queries, answered, dropped)

    def _sight(self) -> Iterator[Metric]:
        hearing = GaugeMetricFamily(
            "jetrelay_steering_hears", "Whether a region's NATS is listened to.", labels=["region"]
        )
        for region, hears in self._steerer.hearing.items():
            hearing.add_metric([region], hears)
        yield hearing
        yield GaugeMetricFamily(
            "jetrelay_steering_age_seconds",
            "Since the fleet was last looked at: it grows while nothing is heard anywhere.",
            value=self._steerer.age_s,
        )
        yield CounterMetricFamily(
            "jetrelay_steering_changes",
            "Times that what is answered has changed.",
            value=self._steerer.changes,
        )


def _regions(outlook: Outlook) -> Iterator[Metric]:
    admits = GaugeMetricFamily(
        "jetrelay_steering_admits",
        "Whether clients are sent there.",
        labels=["region", "state"],
    )
    taken = GaugeMetricFamily(
        "jetrelay_steering_taken_ratio",
        "How much of its room is taken.",
        labels=["region"],
    )
    for region in outlook.regions:
        admits.add_metric([region.name, region.verdict.state], region.verdict.admits)
        taken.add_metric([region.name], region.taken)
    yield from (admits, taken)


def _what_if(outlook: Outlook) -> Iterator[Metric]:
    fits = GaugeMetricFamily(
        "jetrelay_what_if_fits",
        "Whether the others could hold the clients of a region if it died now.",
        labels=["region"],
    )
    moving = GaugeMetricFamily(
        "jetrelay_what_if_connections",
        "Connections that would come to another region if one died now.",
        labels=["region", "to"],
    )
    rate = GaugeMetricFamily(
        "jetrelay_what_if_connections_per_second",
        "How many of them would come in a second.",
        labels=["region", "to"],
    )
    for region in outlook.regions:
        found = outlook.if_died(region.name)
        fits.add_metric([region.name], found.fits)
        for each in found.arrivals:
            moving.add_metric([region.name, each.region], each.connections)
            rate.add_metric([region.name, each.region], each.per_s)
    yield from (fits, moving, rate)
