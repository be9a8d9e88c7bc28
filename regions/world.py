"""A world as `world.json` describes it: what runs where; of a local one, under which pid."""

from dataclasses import dataclass, replace

import msgspec

from regions.credentials import SecretsFile, login_of
from regions.doors import Door
from regions.errors import WorldError
from regions.identity import Identity, boot_id, is_alive
from regions.issuer import LOCAL, Issuer
from regions.permissions import User
from regions.topology import Topology
from regions.topology_file import parse_topology
from relay.config import NatsConfig
from relay.core.names import DEFAULT_TENANT

VERSION = 1


class WorldNats(msgspec.Struct, frozen=True):
    """A nats-server; without pid where it is not ours, or is down now."""

    name: str
    url: str  # nats://host:port, or tls://
    monitor_url: str | None = None
    pid: int | None = None
    started: int | None = None


class WorldEdge(msgspec.Struct, frozen=True):
    """An edge; without pid while it is down."""

    name: str
    url: str  # ws://host:port/gateway
    http: str
    admin: str
    pid: int | None = None
    started: int | None = None


class WorldRegion(msgspec.Struct, frozen=True):
    """A region's processes."""

    name: str
    index: int
    lat: float
    lon: float
    nats: list[WorldNats]
    edges: list[WorldEdge]
    logins: dict[str, str] = {}  # to a deployment that is not ours: user -> file, `*` for the rest


class WorldRecord(msgspec.Struct, frozen=True):
    """The content of `world.json`. One without supervisor describes a rendered deployment."""

    version: int
    boot: str
    supervisor: Identity | None
    topology_where: str
    topology_text: str
    regions: list[WorldRegion]
    wan: Identity | None = None  # the process that carries the links, where they are not direct
    geoip: str | None = None  # where the topology's database of places is, if not where it says

    def processes(self) -> list[Identity]:
        """Every child that it names, edges first; none if it is from another boot."""
        if self.boot != boot_id():
            return []
        children: list[WorldNats | WorldEdge] = []
        for region in self.regions:
            children += region.edges
        for region in self.regions:
            children += region.nats
        found = [
            Identity(child.pid, child.started)
            for child in children
            if child.pid is not None and child.started is not None
        ]
        return found if self.wan is None else [*found, self.wan]


@dataclass(frozen=True, slots=True)
class World:
    """A world that other commands talk to."""

    record: WorldRecord
    secrets: SecretsFile

    @property
    def is_alive(self) -> bool:
        """Whether its supervisor runs; a rendered deployment has none, and counts as alive."""
        supervisor = self.record.supervisor
        return supervisor is None or (self.record.boot == boot_id() and is_alive(supervisor))

    @property
    def is_rendered(self) -> bool:
        """Whether `jetrelay compose render` described it: it has no supervisor."""
        return self.record.supervisor is None

    @property
    def is_deployment(self) -> bool:
        """Whether its nats-servers are not ours, and may serve others too."""
        return any(server.monitor_url is None for region in self.regions for server in region.nats)

    @property
    def regions(self) -> list[WorldRegion]:
        """The regions, in the order of the topology."""
        return self.record.regions

    @property
    def edges(self) -> list[WorldEdge]:
        """All edges, region by region."""
        return [edge for region in self.regions for edge in region.edges]

    def region(self, name: str) -> WorldRegion:
        """The region called `name`.

        Raises:
            WorldError: there is none.
        """
        for region in self.regions:
            if region.name == name:
                return region
        known = ", ".join(region.name for region in self.regions)
        raise WorldError(f"no region {name!r}; the world has {known}")

    def edge(self, name: str) -> WorldEdge:
        """The edge called `name`.

        Raises:
            WorldError: there is none.
        """
        for edge in self.edges:
            if edge.name == name:
                return edge
        known = ", ".join(edge.name for edge in self.edges)
        raise WorldError(f"no edge {name!r}; the world has {known}")

    def nats_config(self, region: str, user: User) -> NatsConfig:
        """How `user` reaches the NATS of `region`.

        Raises:
            WorldError: no such region, or its credentials can't be read.
        """
        found = self.region(region)
        servers = [server.url for server in found.nats]
        if self.is_deployment and not self.is_rendered:
            return login_of(user, found.logins, servers)
        password = self.secrets.nats.get(f"{region}/{user}")
        if password is None:
            raise WorldError(f"no login for the NATS user {user!r} of {region} is kept here")
        return NatsConfig(servers, user=user, password=password)

    def doors(self, user: User) -> list[Door]:
        """How `user` reaches the NATS of every region.

        Raises:
            WorldError: credentials can't be read.
        """
        return [Door(each.name, self.nats_config(each.name, user)) for each in self.regions]

    def issuer(self, kid: str = LOCAL, tenant: str = DEFAULT_TENANT) -> Issuer:
        """Who makes tokens for this world.

        Args:
            kid: with which of its own keys; `DOOR` is good for trying doors alone.
            tenant: for whom, where edges ask for one.

        Raises:
            WorldError: the key is not kept here.
        """
        key = self.secrets.own_keys().get(kid)
        if key is None:
            raise WorldError(f"no key {kid!r} that signs tokens is kept here")
        tokens = self.topology().tokens
        return Issuer(key, tokens.audience, tenant if tokens.tenant else None)

    def topology(self) -> Topology:
        """The topology with which the world was started."""
        topology = parse_topology(self.record.topology_text, self.record.topology_where)
        if self.record.geoip is None:
            return topology
        return replace(topology, clients=replace(topology.clients, geoip=self.record.geoip))
