"""What an edge is told, wherever it runs."""

from collections.abc import Callable
from dataclasses import dataclass

from regions.credentials import SecretsFile
from regions.topology import Edge, Region, Topology
from relay.config import EdgeConfig, NatsConfig, RegionConfig


@dataclass(frozen=True, slots=True)
class EdgePlace:
    """Where an edge listens."""

    host: str
    port: int
    admin_port: int


def edge_config(
    topology: Topology,
    region: Region,
    edge: Edge,
    place: EdgePlace,
    nats: NatsConfig,
    url_of: Callable[[Region, Edge], str],
    secrets: SecretsFile,
) -> EdgeConfig:
    """The configuration of one edge.

    Args:
        topology: the world.
        region: the edge's.
        edge: which.
        place: where it listens.
        nats: how it reaches its region's NATS.
        url_of: where clients reach an edge.
        secrets: keys, the same for all edges.
    """
    return EdgeConfig(
        region=region.name,
        edge=edge.name,
        host=place.host,
        port=place.port,
        url=url_of(region, edge),
        admin_host=place.host,
        admin_port=place.admin_port,
        nats=nats,
        regions=[
            RegionConfig(
                name=other.name,
                index=other.index,
                lat=other.lat,
                lon=other.lon,
                urls=[url_of(other, one) for one in other.edges],
                nats_servers=len(other.servers),
                weight=other.weight,
            )
            for other in topology.regions
        ],
        session_key=secrets.session_key,
        cursor_key=secrets.cursor_key,
        token_keys=[*secrets.own_keys().values(), *topology.tokens.keys],
        token_audience=topology.tokens.audience,
        token_tenant=topology.tokens.tenant,
        limits=topology.limits,
        origins=None if topology.origins is None else list(topology.origins),
        geoip=topology.clients.geoip,
        trusted_proxies=list(topology.clients.trusted_proxies),
    )
