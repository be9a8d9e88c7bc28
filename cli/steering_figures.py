"""What steering sees, in the exposition format."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from regions.steering.fleet import Outlook
from regions.steering.steerer import Steerer


class SteeringFigures(Collector):
    """All figures of one who steers."""

    def __init__(self, steerer: Steerer) -> None:
        self._steerer = steerer

    def collect(self) -> Iterator[Metric]:
        """All of it, as it is now."""
        yield from self._sight()
        outlook = self._steerer.outlook
        if outlook is not None:
            yield from _regions(outlook)
            yield from _what_if(outlook)

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
