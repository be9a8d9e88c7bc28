"""Where each process of a deployment is: its host, its ports, its files. Pure.

Two ways to run one: every process in a container of its own, called as the process is, or as a
service of a machine (`compose/systemd`). Files have the same paths in both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Literal

from regions.credentials import SecretsFile
from regions.edge_config import EdgePlace, edge_config
from regions.errors import TopologyError
from regions.nats_config import ServerFiles, ServerPlace, TlsFiles, server_config
from regions.permissions import User
from regions.topology import Edge, NatsServer, Region, Topology, is_address
from regions.world import VERSION, WorldEdge, WorldNats, WorldRecord, WorldRegion
from relay.config import EdgeConfig, NatsConfig

Way = Literal["containers", "systemd"]

ETC = PurePosixPath("/etc/jetrelay")  # <process>/…
VAR = PurePosixPath("/var/lib/jetrelay")
GEOIP = ETC / "geoip"  # a directory, so that a newer database can take the place of one

CLIENT, MONITOR, LEAF, CLUSTER = 4222, 8222, 7422, 6222  # of a region's first nats-server
HTTP, ADMIN = 8080, 9180  # of its first edge
BALANCER_METRICS = 8404
DNS, DNS_METRICS = 5353, 9153
KEEPER = 9154
PROMETHEUS, GRAFANA = 9090, 3000

EVERYWHERE = "0.0.0.0"  # noqa: S104 - in a container, or as an operator wants it
EDGES = "/edges"  # the balancer leads /edges/<edge>/… to that edge

# Whose X-Forwarded-For counts where the topology does not say: nobody else reaches an edge.
NEIGHBOURS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128")
TELLERS: tuple[User, ...] = ("console",)  # as whom the name server listens
KEEPERS: tuple[User, ...] = ("console", "control")  # as whom keeper and operators work


@dataclass(frozen=True, slots=True)
class Site:
    """A deployment with every place known.

    Raises:
        TopologyError: something in it is of a world on one machine, or a region is out of reach.
    """

    topology: Topology
    secrets: SecretsFile
    way: Way = "containers"

    def __post_init__(self) -> None:
        for region in self.topology.regions:
            where = f"{self.topology.where}: regions.{region.name}"
            if region.netns is not None:
                raise TopologyError(f"{where}.netns: that is for a world on one machine")
            if not region.edges:
                raise TopologyError(f"{where}.edges: a deployment needs one at least")
            if not region.addresses:
                raise TopologyError(f"{where}.addresses: where clients reach it is needed")
            several = len(self.topology.regions) > 1
            if self.way == "systemd" and _unreached(region, from_elsewhere=several):
                raise TopologyError(
                    f"{where}.nats.hosts: others can't reach {region.bind}: give a host for each "
                    "server"
                )

    # --- names ---------------------------------------------------------------------------------

    @property
    def domain(self) -> str:
        """What clients ask DNS for."""
        return self.topology.dns.zone.rstrip(".")

    def door(self, region: Region) -> str:
        """The name of a region's public door."""
        return f"{region.name}.{self.domain}"

    def url_of(self, region: Region, edge: Edge) -> str:
        """Where clients reach an edge: through the balancer, by its name in the path."""
        return f"wss://{self.authority_of(region)}{EDGES}/{edge.name}/gateway"

    def authority_of(self, region: Region) -> str:
        """Host and port of a region's public door, as they stand in a URL."""
        return self.door(region) if region.port == 443 else f"{self.door(region)}:{region.port}"

    # --- places --------------------------------------------------------------------------------

    def listens(self, region: Region) -> str:
        """The address on which a region's nats-servers listen."""
        return EVERYWHERE if self.way == "containers" else region.bind

    @property
    def inside(self) -> str:
        """The address on which everything else listens: its neighbours come, and nobody else."""
        return EVERYWHERE if self.way == "containers" else "127.0.0.1"

    def near(self, region: Region, server: NatsServer) -> str:
        """Where a server is reached from its own region."""
        return server.name if self.way == "containers" else server.host or region.bind

    def far(self, region: Region, server: NatsServer) -> str:
        """Where it is reached from others."""
        return server.host or self.near(region, server)

    def hosts(self, region: Region, server: NatsServer) -> list[str]:
        """Every name and address in a server's certificate, the first its own."""
        names = (server.name, self.near(region, server), self.far(region, server))
        known = [name for name in names if not _any(name)]
        return list(dict.fromkeys((*known, "localhost", "127.0.0.1")))

    def places(self) -> dict[str, ServerPlace]:
        """Where each nats-server listens, and where others reach it."""
        return {
            server.name: ServerPlace(
                near=self.near(region, server),
                far=self.far(region, server),
                watched="127.0.0.1",
                client=server.port or CLIENT + at,
                monitor=server.monitor_port or MONITOR + at,
                leaf=server.leaf_port or LEAF + at,
                cluster=server.cluster_port or CLUSTER + at,
            )
            for region in self.topology.regions
            for at, server in enumerate(region.servers)
        }

    def edge_place(self, region: Region, edge: Edge) -> EdgePlace:
        """Where an edge listens."""
        at = region.edges.index(edge)
        return EdgePlace(self.inside, edge.port or HTTP + at, edge.admin_port or ADMIN + at)

    def edge_host(self, edge: Edge) -> str:
        """Where the balancer reaches an edge."""
        return edge.name if self.way == "containers" else self.inside

    def nats_urls(self, region: Region, *, own: bool) -> list[str]:
        """Where a region's NATS takes clients: of its own region, or from elsewhere."""
        places = self.places()
        return [
            f"tls://{_quoted(places[each.name].near if own else places[each.name].far)}"
            f":{places[each.name].client}"
            for each in region.servers
        ]

    # --- contents ------------------------------------------------------------------------------

    def server_text(self, region: Region, server: NatsServer) -> str:
        """The configuration of a nats-server."""
        etc = ETC / server.name
        tls = TlsFiles(*(str(etc / name) for name in ("server.pem", "server.key", "ca.pem")))
        return server_config(
            self.topology,
            replace(region, bind=self.listens(region)),
            server,
            self.places(),
            ServerFiles(str(VAR / server.name), None, tls),
            self.secrets.of_region(region.name, self.topology),
        )

    def edge_config(self, region: Region, edge: Edge) -> EdgeConfig:
        """What an edge is told."""
        password = self.secrets.nats[f"{region.name}/edge"]
        nats = NatsConfig(self.nats_urls(region, own=True), user="edge", password=password)
        clients = replace(
            self.topology.clients,
            geoip=self.geoip,
            trusted_proxies=self.topology.clients.trusted_proxies or NEIGHBOURS,
        )
        return edge_config(
            replace(self.topology, clients=clients),
            region,
            edge,
            self.edge_place(region, edge),
            nats,
            self.url_of,
            self.secrets,
        )

    @property
    def geoip(self) -> str | None:
        """Where the database of places is."""
        given = self.topology.clients.geoip
        return None if given is None else str(GEOIP / PurePosixPath(given).name)

    def world(self, home: Region) -> WorldRecord:
        """The fleet as who stands in `home` finds it."""
        return WorldRecord(
            version=VERSION,
            boot="",
            supervisor=None,
            topology_where=PurePosixPath(self.topology.where).name,
            topology_text=self.topology.text,
            regions=[self._region(region, own=region == home) for region in self.topology.regions],
            geoip=self.geoip,
        )

    def logins(self, users: Sequence[User], *, signs: bool) -> SecretsFile:
        """What somebody needs to log in everywhere as these users, and to try doors.

        Args:
            users: who they are in NATS.
            signs: whether the key is among it that makes tokens for everybody.
        """
        wanted = {f"{region}/{user}" for region in self.topology.names for user in users}
        return SecretsFile(
            nats={name: word for name, word in self.secrets.nats.items() if name in wanted},
            session_key="",
            cursor_key="",
            token_key=self.secrets.token_key if signs else "",
            door_key=self.secrets.door_key,
        )

    def _region(self, region: Region, *, own: bool) -> WorldRegion:
        urls = self.nats_urls(region, own=own)
        return WorldRegion(
            name=region.name,
            index=region.index,
            lat=region.lat,
            lon=region.lon,
            nats=[
                WorldNats(server.name, url)
                for server, url in zip(region.servers, urls, strict=True)
            ],
            edges=[
                WorldEdge(
                    edge.name,
                    self.url_of(region, edge),
                    f"https://{self.authority_of(region)}{EDGES}/{edge.name}",
                    f"http://{_quoted(self.edge_host(edge))}"
                    f":{self.edge_place(region, edge).admin_port}",
                )
                for edge in region.edges
            ],
        )


def _unreached(region: Region, *, from_elsewhere: bool) -> bool:
    """Whether others are told no address of its servers that they could reach."""
    given = [server.host or region.bind for server in region.servers]
    return any(_any(host) or (from_elsewhere and _loopback(host)) for host in given)


def _any(host: str) -> bool:
    return is_address(host) and ip_address(host).is_unspecified


def _loopback(host: str) -> bool:
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)


def _quoted(host: str) -> str:
    return f"[{host}]" if ":" in host else host
