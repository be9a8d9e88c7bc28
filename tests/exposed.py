"""Every metric that a deployment exposes, with its labels, from the collectors themselves."""

from collections.abc import Iterable
from functools import partial

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from cli.dns_figures import DnsFigures
from cli.keeper_figures import KeeperFigures, StreamCounts
from cli.steering_figures import SteeringFigures
from regions.certificates import CertificateWatch
from regions.dns.answers import Answers
from regions.dns.server import Bounds, DnsServer
from regions.dns.zone import zone_of
from regions.keeper import StreamKeeper
from regions.steering.fleet import Fleet
from regions.steering.steerer import Steerer
from regions.topology_file import builtin_topology
from relay.bus.bus import Bus
from relay.bus.connection import Connection
from relay.bus.leases import Lease, Leases
from relay.config import EdgeConfig, NatsConfig, RegionConfig
from relay.core.numbering import Numbering
from relay.core.orders import Orders
from relay.core.telemetry import Census, EdgeFrame
from relay.edge import metrics
from relay.edge.account import frame_of, levels_of, totals_of
from relay.edge.edge import Edge, rules_of
from relay.geo.atlas import Atlas

Exposed = dict[str, frozenset[str]]  # as Prometheus stores them: metric -> its own labels

TARGET = frozenset({"job", "instance", "region"})  # labels of whatever is scraped
OF_PROMETHEUS: Exposed = {
    "up": frozenset(),
    "ALERTS": frozenset({"alertname", "alertstate", "severity"}),
}


def exposed() -> Exposed:
    """All that expressions may name; needs a running event loop, and opens nothing."""
    return edge() | name_server() | keeper() | steering() | OF_PROMETHEUS


def edge() -> Exposed:
    """What an edge exposes."""
    config = EdgeConfig(
        region="us",
        edge="us-1",
        host="",
        port=0,
        url="ws://us-1/gateway",
        admin_host="",
        admin_port=0,
        nats=NatsConfig([]),
        regions=[RegionConfig("us", 0), RegionConfig("eu", 1)],
        session_key="11" * 32,
        cursor_key="22" * 32,
        token_keys=[],
    )
    bus = Bus(Connection(), Connection(), Connection(), Connection(), reads=1)
    made = Edge(
        config,
        rules_of(config),
        bus,
        epoch=1,
        leases=Leases(bus.inbox, bus.reader, "us", "us-1", 1),
        slot=Lease("slot", 1, 0.0),
        numbering=Numbering(0, 0),
    )
    registry = metrics.registry(
        partial(_counting, made),
        made.gateway.counters,
        partial(totals_of, made),
        partial(levels_of, made),
    )
    return _named(registry.collect())


def _counting(made: Edge) -> EdgeFrame:
    """Its frame of now, as that of the edge that counts for its region: else a metric is absent."""
    census = Census(users=0, regions={"us": 0}, exact=True)
    return msgspec.structs.replace(frame_of(made), census=census)


def name_server() -> Exposed:
    """What a name server exposes besides steering."""
    answers = Answers(zone_of(builtin_topology("three")), lambda _network: (), b"")
    return _named(DnsFigures(DnsServer(answers, Bounds())).collect())


def keeper() -> Exposed:
    """What a keeper exposes besides steering."""
    streams = StreamKeeper(builtin_topology("three"), {}, lambda _report: None)
    streams.rounds = 1
    certificates = CertificateWatch([])
    figures = KeeperFigures(StreamCounts("us"), streams, _steerer(), certificates)
    return _named(figures.collect())


def steering() -> Exposed:
    """What name servers and keepers expose of the fleet."""
    return _named(SteeringFigures(_steerer()).collect())


def _steerer() -> Steerer:
    topology = builtin_topology("three")
    made = Steerer(topology, [], Atlas(), {})
    made.outlook = Fleet(topology).look([], {}, 0.0, Orders(), 0)
    return made


def _named(families: Iterable[Metric]) -> Exposed:
    return {
        each.name + ("_total" if each.type == "counter" else ""): frozenset(_labels_of(each))
        for each in families
    }


def _labels_of(family: Metric) -> tuple[str, ...]:
    """Its labels, which a family without samples keeps to itself."""
    assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)
    return family._labelnames
