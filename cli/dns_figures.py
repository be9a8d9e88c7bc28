"""What a running name server counts, in the exposition format."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from regions.dns.server import DnsServer


class DnsFigures(Collector):
    """What one name server was asked and answered."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """All of it, as it is now."""
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
