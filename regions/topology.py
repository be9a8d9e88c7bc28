"""The regions of a world and how they are joined: plain values, checked when they are made."""

import re
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Literal

from regions.errors import TopologyError
from regions.issuer import DOOR, LOCAL
from regions.objectives import Objectives
from relay.config import Limits, TokenKey
from relay.core import names
from relay.core.cursor import MAX_CURSOR_BYTES, longest_cursor
from relay.core.tokens import token_rules
from relay.errors import ConfigError

MAX_REGIONS = 16
# How regions of a local world are joined: from port to port, through TCP relays that can be cut,
# or each in a network namespace of its own with an emulated WAN between them.
LinkMode = Literal["direct", "relay", "netns"]
_SYNC = re.compile(r"always\Z|[1-9][0-9]{0,5}(ms|s|m)\Z")
_ADDRESS = re.compile(r"[A-Za-z0-9_.:\[\]-]+:[0-9]{1,5}\Z")
_NETNS = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_LIMITS = Limits()
_OBJECTIVES = Objectives()
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge process; a port of None is chosen once and kept in the state directory."""

    name: str
    port: int | None = None
    admin_port: int | None = None


@dataclass(frozen=True, slots=True)
class NatsServer:
    """A nats-server process of a region."""

    name: str
    port: int | None = None
    monitor_port: int | None = None
    leaf_port: int | None = None
    cluster_port: int | None = None
    host: str | None = None  # where other regions reach it; without: as it is deployed


@dataclass(frozen=True, slots=True)
class Region:
    """A place with NATS servers and edges of its own."""

    name: str
    index: int  # 0 to 15, never changed: it names the region's share of the slots of `s`
    lat: float
    lon: float
    servers: tuple[NatsServer, ...]
    edges: tuple[Edge, ...]
    weight: int = 100  # percent of the clients that would come that are sent to it
    addresses: tuple[str, ...] = ()  # where clients reach it; `bind` without
    port: int = 443  # there
    bind: str = "127.0.0.1"  # where its processes listen
    netns: str | None = None  # network namespace in which they run


@dataclass(frozen=True, slots=True)
class Link:
    """The leaf link of two regions, dialled by `source`, at other addresses than the target's."""

    source: str
    target: str
    via: tuple[str, ...]  # host:port of a tunnel or TCP relay


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What the streams keep, and when it is on disk."""

    max_age_s: int = 86_400
    max_bytes: int = 1024**3  # of one region's events, in each region
    log_max_age_s: int = 30 * 86_400  # of the log of who was here, and of the minutes
    log_max_bytes: int = 2 * 1024**3  # of one region's log, in each region
    minutes_max_bytes: int = 512 * 1024**2  # of how many were in one region, in each region
    book_max_bytes: int = 64 * 1024**2  # of what operators ordered and did through one region
    telemetry_max_bytes: int = 1024**3  # of all edges' frames of a day, in each region
    duplicate_window_s: int = 120
    sync: str = "always"  # or a duration: how long an acknowledged event may be only in memory


@dataclass(frozen=True, slots=True)
class Tokens:
    """How edges check client tokens, besides the local key of the state directory."""

    audience: str | None = None
    tenant: bool = False
    keys: tuple[TokenKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Clients:
    """How edges know where clients are."""

    geoip: str | None = None  # absolute path of a GeoIP2 or GeoLite2 database
    trusted_proxies: tuple[str, ...] = ()  # networks whose X-Forwarded-For is believed


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """The zone that clients ask for."""

    zone: str = "relay.test"
    ttl_s: int = 30
    contact: str = ""  # a mailbox as a name; hostmaster.<zone> without
    nameservers: tuple[tuple[str, tuple[str, ...]], ...] = ()  # host, addresses
    caa: tuple[str, ...] = ()
    answers_per_s: float = 1_000.0  # over UDP, to one network
    port: int = 53  # where a rendered deployment answers


@dataclass(frozen=True, slots=True)
class FaultSettings:
    """What is prepared for faults when the local world starts."""

    links: LinkMode = "direct"
    wan: bool = False  # links as slow as the distances between the regions
    disk_mb: int | None = None  # each nats-server's store on a file system of its own, so small


@dataclass(frozen=True, slots=True)
class Watch:
    """How the supervisor treats processes that run and do not answer."""

    hung_s: float = 6.0  # without an answer for so long, it is reported
    restart_hung_s: float | None = None  # and after so long killed, and started again


@dataclass(frozen=True, slots=True)
class Topology:
    """A whole world. `where` names its file in errors, `text` is the file as it was read."""

    regions: tuple[Region, ...]
    links: tuple[Link, ...] = ()
    streams: StreamSettings = StreamSettings()
    tokens: Tokens = Tokens()
    clients: Clients = Clients()
    limits: Limits = _LIMITS
    dns: DnsSettings = DnsSettings()
    faults: FaultSettings = FaultSettings()
    watch: Watch = Watch()
    objectives: Objectives = _OBJECTIVES
    origins: tuple[str, ...] | None = None
    where: str = "topology"
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        problem = _first_problem(self)
        if problem is not None:
            raise TopologyError(f"{self.where}: {problem}")

    @property
    def names(self) -> tuple[str, ...]:
        """The regions' names, in the order of the file."""
        return tuple(region.name for region in self.regions)

    def region(self, name: str) -> Region:
        """The region called `name`.

        Raises:
            TopologyError: there is none.
        """
        for region in self.regions:
            if region.name == name:
                return region
        raise TopologyError(f"{self.where}: no region {name!r}; it has {', '.join(self.names)}")

    def others(self, name: str) -> tuple[str, ...]:
        """The regions except `name`."""
        return tuple(other for other in self.names if other != name)

    def dials(self, source: str, target: str) -> bool:
        """Whether `source` dials the leaf link of the pair; exactly one side of a pair does."""
        for link in self.links:
            if {link.source, link.target} == {source, target}:
                return link.source == source
        return self.names.index(source) < self.names.index(target)

    def via(self, source: str, target: str) -> tuple[str, ...]:
        """The addresses given for the link, or none: the target's own leaf ports."""
        for link in self.links:
            if (link.source, link.target) == (source, target):
                return link.via
        return ()


def server_name(region: str, number: int) -> str:
    """The name of a region's nats-server; never that of an edge (`us-n1`, `us-1`)."""
    return f"{region}-n{number}"


def _first_problem(topology: Topology) -> str | None:
    regions = topology.regions
    if not 1 <= len(regions) <= MAX_REGIONS:
        return f"regions: {len(regions)} given, 1 to {MAX_REGIONS} can be"
    for label, values in (
        ("regions.name", [region.name for region in regions]),
        ("regions.index", [region.index for region in regions]),
        (
            "name of an edge or nats-server",
            [
                *(edge.name for region in regions for edge in region.edges),
                *(server.name for region in regions for server in region.servers),
            ],
        ),
        ("tokens.keys.kid", [key.kid for key in topology.tokens.keys]),
    ):
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            return f"{label}: {twice[0]!r} is given twice"
    for region in regions:
        problem = _region_problem(region)
        if problem is not None:
            return f"regions.{region.name}.{problem}"
    if (size := longest_cursor(region.name for region in regions)) > MAX_CURSOR_BYTES:
        return (
            f"regions: with these names a cursor gets {size} bytes long, at most "
            f"{MAX_CURSOR_BYTES} can be: give shorter names"
        )
    return (
        _ports_problem(regions)
        or _links_problem(topology)
        or _streams_problem(topology.streams)
        or _tokens_problem(topology.tokens)
        or _limits_problem(topology.limits)
        or _clients_problem(topology.clients)
        or _dns_problem(topology.dns)
        or _faults_problem(topology)
    )


def _clients_problem(clients: Clients) -> str | None:
    for network in clients.trusted_proxies:
        try:
            ip_network(network)
        except ValueError:
            return f"clients.trusted_proxies: {network!r} is no network"
    return None


def is_address(text: str) -> bool:
    """Whether it is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _dns_problem(dns: DnsSettings) -> str | None:
    if not 0 <= dns.ttl_s <= 86_400:
        return f"dns.ttl_s: {dns.ttl_s} is not in 0 to 86400"
    if not 1 <= dns.port <= 65_535:
        return f"dns.port: {dns.port} is not in 1 to 65535"
    if dns.answers_per_s <= 0:
        return f"dns.answers_per_s: {dns.answers_per_s} is not above 0"
    for host, addresses in dns.nameservers:
        for text in addresses:
            if not is_address(text):
                return f"dns.nameservers.{host}: {text!r} is no IP address"
    return None


def _region_problem(region: Region) -> str | None:
    checks: list[tuple[bool, str]] = [
        (
            names.is_region(region.name),
            f"name: {region.name!r} is not 1 to 16 of a-z 0-9 -, starting with a letter",
        ),
        (
            0 <= region.index < MAX_REGIONS,
            f"index: {region.index} is not in 0 to {MAX_REGIONS - 1}",
        ),
        (-90 <= region.lat <= 90, f"lat: {region.lat} is not in -90 to 90"),
        (-180 <= region.lon <= 180, f"lon: {region.lon} is not in -180 to 180"),
        (0 <= region.weight <= 100, f"weight: {region.weight} is not in 0 to 100"),
        (1 <= region.port <= 65_535, f"port: {region.port} is not in 1 to 65535"),
        *((is_address(text), f"addresses: {text!r} is no IP address") for text in region.addresses),
        (_HOST.match(region.bind) is not None, f"bind: {region.bind!r} is not an address"),
        *(
            (
                server.host is None or _HOST.match(server.host) is not None,
                f"nats.hosts: {server.host!r} is not an address",
            )
            for server in region.servers
        ),
        (
            region.netns is None or _NETNS.match(region.netns) is not None,
            f"netns: {region.netns!r} is not a name",
        ),
        (
            len(region.servers) in (1, 3),
            f"nats.servers: {len(region.servers)}, but 1 or 3 can agree",
        ),
    ]
    checks += [
        (
            names.is_edge(edge.name),
            f"edges: {edge.name!r} is not 1 to 32 of a-z 0-9 -, starting with a letter",
        )
        for edge in region.edges
    ]
    return next((text for right, text in checks if not right), None)


def _ports_problem(regions: tuple[Region, ...]) -> str | None:
    seen: dict[tuple[str | None, str, int], str] = {}
    for region in regions:
        for label, port in _given_ports(region):
            if not 1 <= port <= 65_535:
                return f"{label}: port {port} is not in 1 to 65535"
            key = (region.netns, region.bind, port)
            if key in seen:
                return f"{label}: port {port} is also that of {seen[key]}"
            seen[key] = label
    return None


def _given_ports(region: Region) -> list[tuple[str, int]]:
    given: list[tuple[str, int | None]] = []
    for server in region.servers:
        given += [
            (f"{server.name}.{kind}", getattr(server, kind))
            for kind in ("port", "monitor_port", "leaf_port", "cluster_port")
        ]
    for edge in region.edges:
        given += [(f"{edge.name}.port", edge.port), (f"{edge.name}.admin_port", edge.admin_port)]
    return [(label, port) for label, port in given if port is not None]


def _links_problem(topology: Topology) -> str | None:
    seen: set[frozenset[str]] = set()
    for link in topology.links:
        name = f"links ({link.source} to {link.target})"
        for end in (link.source, link.target):
            if end not in topology.names:
                return f"{name}: no region {end!r}; there are {', '.join(topology.names)}"
        pair = frozenset((link.source, link.target))
        if len(pair) == 1:
            return f"{name}: a region has no link to itself"
        if pair in seen:
            return f"{name}: the pair is given twice; a link is dialled from one side only"
        seen.add(pair)
        if not link.via:
            return f"{name}.via: at least one host:port is needed"
        for address in link.via:
            if _ADDRESS.match(address) is None:
                return f"{name}.via: {address!r} is not host:port"
    return None


def _streams_problem(streams: StreamSettings) -> str | None:
    if streams.max_age_s < 1:
        return f"streams.max_age_s: {streams.max_age_s} is not positive"
    if streams.max_bytes < 1024**2:
        return f"streams.max_bytes: {streams.max_bytes} is below one MiB"
    if not 1 <= streams.duplicate_window_s <= streams.max_age_s:
        return (
            f"streams.duplicate_window_s: {streams.duplicate_window_s} is not in 1 to max_age_s "
            f"({streams.max_age_s})"
        )
    if _SYNC.match(streams.sync) is None:
        return f'streams.sync: {streams.sync!r} is neither "always" nor a duration like "500ms"'
    return None


def _limits_problem(limits: Limits) -> str | None:
    for name in (
        "connections_per_s",
        "publishes_per_s",
        "negotiations_per_s",
        "address_negotiations_per_s",
        "visits_per_s",
        "address_visits_per_s",
    ):
        if getattr(limits, name) <= 0:
            return f"limits.{name}: {getattr(limits, name):g} is not positive"
    if not 0 < limits.visit_beat_s < limits.visit_timeout_s:
        return f"limits.visit_beat_s: {limits.visit_beat_s:g} is not in 0 to visit_timeout_s"
    return None


def _tokens_problem(tokens: Tokens) -> str | None:
    for key in tokens.keys:
        if key.alg not in ("HS256", "EdDSA"):
            return f"tokens.keys.{key.kid}.alg: {key.alg!r} is neither HS256 nor EdDSA"
        if key.kid in (LOCAL, DOOR):
            return f"tokens.keys: the kid {key.kid!r} is that of a key of the state directory's own"
        try:
            token_rules([key], None, tenant=False, lifetime_s=1)
        except ConfigError as error:
            return f"tokens.keys.{key.kid}: {error}"
    return None


def _faults_problem(topology: Topology) -> str | None:
    faults, watch = topology.faults, topology.watch
    if faults.wan and faults.links == "direct":
        return 'faults.wan: direct links have no delay: give links = "relay" or "netns" as well'
    if faults.disk_mb is not None and not 16 <= faults.disk_mb <= 65_536:
        return f"faults.disk_mb: {faults.disk_mb} is not in 16 to 65536"
    if watch.hung_s < 1:
        return f"supervisor.hung_s: {watch.hung_s:g} is below 1"
    if watch.restart_hung_s is not None and watch.restart_hung_s < watch.hung_s:
        return f"supervisor.restart_hung_s: {watch.restart_hung_s:g} is below hung_s"
    problem = topology.objectives.problem()
    return None if problem is None else f"objectives.{problem}"
