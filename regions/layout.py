"""Where everything of a local world listens, and the configurations that follow from it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from regions.credentials import SecretsFile
from regions.deployment import Deployment
from regions.edge_config import EdgePlace, edge_config
from regions.errors import WorldError
from regions.faults.route import HERE, LINKS, address_behind, base_flows, hops, through_relays
from regions.faults.wan import Directed, RelayPlace, Space, WanConfig
from regions.identity import Identity
from regions.nats_config import ServerFiles, ServerPlace, server_config
from regions.permissions import User
from regions.ports import Claims
from regions.state import StateDir
from regions.topology import Edge, NatsServer, Region, Topology
from regions.world import WorldEdge, WorldNats, WorldRegion
from relay.config import EdgeConfig, NatsConfig

Child = TypeVar("Child", WorldNats, WorldEdge)


@dataclass(frozen=True, slots=True)
class Listener:
    """A port that a process needs."""

    process: str
    kind: str
    host: str
    given: int | None
    local: bool  # whether the supervisor sees the address; not so in another network namespace

    @property
    def key(self) -> str:
        """Its name in `ports.json`."""
        return f"{self.process}/{self.kind}"


def listeners(topology: Topology, *, with_nats: bool, with_edges: bool) -> Iterator[Listener]:
    """Every port that the world needs."""
    for region in topology.regions:
        local = region.netns is None
        for server in region.servers if with_nats else ():
            for kind, given in (
                ("client", server.port),
                ("monitor", server.monitor_port),
                ("leaf", server.leaf_port),
                ("cluster", server.cluster_port),
            ):
                yield Listener(server.name, kind, region.bind, given, local)
        for edge in region.edges if with_edges else ():
            yield Listener(edge.name, "http", region.bind, edge.port, local)
            yield Listener(edge.name, "admin", region.bind, edge.admin_port, local)
    if with_nats and topology.faults.links == "relay":
        for hop in hops(topology):
            yield Listener(LINKS, hop.listener, HERE, None, local=True)


def assign(
    wanted: list[Listener],
    stored: dict[str, int],
    claims: Claims,
    narrate: Callable[[str], None],
) -> dict[str, int]:
    """A port for each listener: the given one, else the stored one if it is free, else a new one.

    Raises:
        WorldError: a given port is taken.
    """
    chosen: dict[str, int] = {}
    for listener in wanted:
        if listener.given is not None:
            if not claims.claim(listener.host, listener.given, local=listener.local):
                raise WorldError(
                    f"{listener.process}: port {listener.given} on {listener.host} is taken"
                )
            chosen[listener.key] = listener.given
    for listener in wanted:
        if listener.key in chosen:
            continue
        port = stored.get(listener.key)
        if port is None or not claims.claim(listener.host, port, local=listener.local):
            fresh = claims.pick(listener.host, local=listener.local)
            if port is not None:
                narrate(f"{listener.process}: port {port} is taken, {fresh} is used from now on")
            port = fresh
        chosen[listener.key] = port
    return chosen


@dataclass(frozen=True, slots=True)
class Layout:
    """A world with every port known."""

    topology: Topology
    state: StateDir
    secrets: SecretsFile
    ports: dict[str, int]
    deployment: Deployment | None = None  # NATS that is not ours
    with_edges: bool = True

    def nats_config(self, region: str, user: User) -> NatsConfig:
        """How `user` reaches the NATS of `region`."""
        if self.deployment is not None:
            return self.deployment.nats_config(region, user)
        servers = [server.url for server in self._nats(self.topology.region(region))]
        password = self.secrets.nats[f"{region}/{user}"]
        return NatsConfig(servers, user=user, password=password)

    def server_text(self, region: Region, server: NatsServer) -> str:
        """The configuration of a nats-server."""
        directory = self.state.server_dir(server.name)
        topology = self.topology
        if topology.faults.links == "relay":
            topology = through_relays(topology, self.ports)
        return server_config(
            topology,
            region,
            server,
            self._places(),
            ServerFiles(str(self.state.server_store(server.name)), str(directory / "server.log")),
            self.secrets.of_region(region.name, self.topology),
        )

    def wan_config(self, device: str) -> WanConfig:
        """What the process that carries the links is told; `device`: that of the namespaces."""
        topology = self.topology
        base = [Directed(*pair, flow) for pair, flow in base_flows(topology).items()]
        socket = str(self.state.wan_socket)
        if topology.faults.links == "netns":
            addresses = {region.name: region.bind for region in topology.regions}
            return WanConfig(socket, base, space=Space(device, addresses))
        relays = [
            RelayPlace(
                hop.source,
                hop.target,
                self.ports[f"{LINKS}/{hop.listener}"],
                *address_behind(topology, hop, self.ports),
            )
            for hop in hops(topology)
        ]
        return WanConfig(socket, base, relays=relays)

    def edge_config(self, region: Region, edge: Edge) -> EdgeConfig:
        """What an edge is told."""
        place = EdgePlace(
            region.bind, self.ports[f"{edge.name}/http"], self.ports[f"{edge.name}/admin"]
        )
        nats = self.nats_config(region.name, "edge")
        return edge_config(self.topology, region, edge, place, nats, self._edge_url, self.secrets)

    def regions(self, running: Mapping[str, Identity]) -> list[WorldRegion]:
        """The regions as `world.json` names them; `running` is process name -> who it is."""
        return [self._region(region, running) for region in self.topology.regions]

    def monitors(self) -> dict[str, str]:
        """Where each of our nats-servers tells about itself, over HTTP."""
        return {
            server.name: server.monitor_url
            for region in self.regions({})
            for server in region.nats
            if server.monitor_url is not None
        }

    def _region(self, region: Region, running: Mapping[str, Identity]) -> WorldRegion:
        logins = {} if self.deployment is None else self.deployment.logins.get(region.name, {})
        nats = (
            self._nats(region)
            if self.deployment is None
            else [WorldNats(url, url) for url in self.deployment.urls[region.name]]
        )
        edges = [self._edge(region, edge) for edge in region.edges if self.with_edges]
        return WorldRegion(
            name=region.name,
            index=region.index,
            lat=region.lat,
            lon=region.lon,
            nats=[_with_pid(server, running) for server in nats],
            edges=[_with_pid(edge, running) for edge in edges],
            logins=logins,
        )

    def _places(self) -> dict[str, ServerPlace]:
        return {
            server.name: ServerPlace(
                near=region.bind,
                far=region.bind,
                watched=region.bind,
                client=self.ports[f"{server.name}/client"],
                monitor=self.ports[f"{server.name}/monitor"],
                leaf=self.ports[f"{server.name}/leaf"],
                cluster=self.ports[f"{server.name}/cluster"],
            )
            for region in self.topology.regions
            for server in region.servers
        }

    def _nats(self, region: Region) -> list[WorldNats]:
        places = self._places()
        return [
            WorldNats(
                name=server.name,
                url=f"nats://{_host(region)}:{places[server.name].client}",
                monitor_url=f"http://{_host(region)}:{places[server.name].monitor}",
            )
            for server in region.servers
        ]

    def _edge(self, region: Region, edge: Edge) -> WorldEdge:
        return WorldEdge(
            name=edge.name,
            url=self._edge_url(region, edge),
            http=f"http://{_host(region)}:{self.ports[f'{edge.name}/http']}",
            admin=f"http://{_host(region)}:{self.ports[f'{edge.name}/admin']}",
        )

    def _edge_url(self, region: Region, edge: Edge) -> str:
        return f"ws://{_host(region)}:{self.ports[f'{edge.name}/http']}/gateway"


def _with_pid(one: Child, running: Mapping[str, Identity]) -> Child:
    found = running.get(one.name)
    if found is None:
        return one
    return msgspec.structs.replace(one, pid=found.pid, started=found.started)


def _host(region: Region) -> str:
    return f"[{region.bind}]" if ":" in region.bind else region.bind
