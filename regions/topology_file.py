"""Topology files: TOML to a `Topology`, with errors that name file, key and nearest known key."""

import re
import tomllib
from dataclasses import replace
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from regions.errors import TopologyError
from regions.objectives import Objectives
from regions.topology import (
    Clients,
    DnsSettings,
    Edge,
    FaultSettings,
    Link,
    LinkMode,
    NatsServer,
    Region,
    StreamSettings,
    Tokens,
    Topology,
    Watch,
    server_name,
)
from relay.config import Limits, TokenKey

T = TypeVar("T")

DEFAULT = "three"
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`(?: - at `\$(?P<at>.*)`)?")
_INDEX = re.compile(r"\[[0-9]+\]")
_WHERE = re.compile(r"(?P<text>.*?) - at `\$(?P<at>.*)`")


class _Nats(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    servers: int = 1
    ports: list[int] | None = None
    monitor_ports: list[int] | None = None
    leaf_ports: list[int] | None = None
    cluster_ports: list[int] | None = None
    hosts: list[str] | None = None


class _Edge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    port: int | None = None
    admin_port: int | None = None


class _Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    lat: float = 0.0
    lon: float = 0.0
    index: int | None = None
    weight: int = 100
    addresses: list[str] = []
    port: int = 443
    bind: str = "127.0.0.1"
    netns: str | None = None
    nats: _Nats = _Nats()
    edges: int | list[str | _Edge] = 0


class _Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"source": "from"}):
    source: str
    to: str
    via: list[str]


class _Streams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_age_s: int = StreamSettings().max_age_s
    max_bytes: int = StreamSettings().max_bytes
    log_max_age_s: int = StreamSettings().log_max_age_s
    log_max_bytes: int = StreamSettings().log_max_bytes
    minutes_max_bytes: int = StreamSettings().minutes_max_bytes
    book_max_bytes: int = StreamSettings().book_max_bytes
    telemetry_max_bytes: int = StreamSettings().telemetry_max_bytes
    duplicate_window_s: int = StreamSettings().duplicate_window_s
    sync: str = StreamSettings().sync


class _Tokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    audience: str | None = None
    tenant: bool = False
    keys: list[TokenKey] = []


class _Clients(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    geoip: str | None = None
    trusted_proxies: list[str] = []


class _Dns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    zone: str = DnsSettings().zone
    ttl_s: int = DnsSettings().ttl_s
    contact: str = ""
    nameservers: dict[str, list[str]] = {}
    caa: list[str] = []
    answers_per_s: float = DnsSettings().answers_per_s
    port: int = DnsSettings().port


class _Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    links: LinkMode = FaultSettings().links
    wan: bool = FaultSettings().wan
    disk_mb: int | None = None


class _Supervisor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hung_s: float = Watch().hung_s
    restart_hung_s: float | None = None


class _Objectives(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    planned_gap_p99_s: float = Objectives().planned_gap_p99_s
    edge_killed_gap_p99_s: float = Objectives().edge_killed_gap_p99_s
    edge_hung_gap_p99_s: float = Objectives().edge_hung_gap_p99_s
    region_lost_gap_p99_s: float = Objectives().region_lost_gap_p99_s
    region_lost_gap_max_s: float = Objectives().region_lost_gap_max_s
    current_s: float = Objectives().current_s
    rewind_found_s: float = Objectives().rewind_found_s
    cut_ack_p99_s: float = Objectives().cut_ack_p99_s
    recovered_s: float = Objectives().recovered_s
    home_s: float = Objectives().home_s
    resume_success_min: float = Objectives().resume_success_min
    sessions_lost_max: int = Objectives().sessions_lost_max
    declared_events_max: int = Objectives().declared_events_max
    lost_by_epoch_max: int = Objectives().lost_by_epoch_max


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    regions: list[dict[str, Any]]
    links: list[dict[str, Any]] = []
    streams: dict[str, Any] = {}
    tokens: dict[str, Any] = {}
    clients: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    dns: dict[str, Any] = {}
    faults: dict[str, Any] = {}
    supervisor: dict[str, Any] = {}
    objectives: dict[str, Any] = {}
    origins: list[str] | None = None


# Tables inside a table that is converted in one step, for the keys that are known there.
_INNER: dict[str, type[msgspec.Struct]] = {
    ".nats": _Nats,
    ".edges[...]": _Edge,
    ".keys[...]": TokenKey,
}


def load_topology(path: Path | None, geoip: str | None = None) -> Topology:
    """The topology in `path`, or the built-in one of three regions.

    Args:
        path: of the file.
        geoip: where the database of places is, instead of where the file says.

    Raises:
        TopologyError: the file can't be read, or something in it is wrong.
    """
    if path is None:
        return builtin_topology(DEFAULT)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TopologyError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TopologyError(f"{path}: not UTF-8 (byte {error.start})") from error
    topology = parse_topology(text, str(path))
    if geoip is not None:
        topology = replace(topology, clients=replace(topology.clients, geoip=geoip))
    database = topology.clients.geoip
    if database is not None and not Path(database).is_file():
        raise TopologyError(f"{path}: clients.geoip: no file {database}")
    return topology


def builtin_topology(name: str) -> Topology:
    """One of the topologies in `regions/maps`: `three`, `three-by-three`."""
    text = (files("regions") / "maps" / f"{name}.toml").read_text(encoding="utf-8")
    return parse_topology(text, f"{name}.toml")


def parse_topology(text: str, where: str) -> Topology:
    """The topology that `text` describes; `where` names it in errors.

    Raises:
        TopologyError: it is not TOML, a key is unknown, or a value is wrong.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TopologyError(f"{where}: not TOML: {error}") from error
    file = _convert(raw, _File, where, "")
    regions = tuple(
        _region(_convert(table, _Region, where, _label(table, number)), number, where)
        for number, table in enumerate(file.regions)
    )
    links = [
        _convert(table, _Link, where, f"links[{number}]") for number, table in enumerate(file.links)
    ]
    streams = _convert(file.streams, _Streams, where, "streams")
    tokens = _convert(file.tokens, _Tokens, where, "tokens")
    clients = _convert(file.clients, _Clients, where, "clients")
    dns = _convert(file.dns, _Dns, where, "dns")
    faults = _convert(file.faults, _Faults, where, "faults")
    supervisor = _convert(file.supervisor, _Supervisor, where, "supervisor")
    objectives = _convert(file.objectives, _Objectives, where, "objectives")
    # What clients are told they may be away for is what the streams keep.
    limits = {"resume_window_s": streams.max_age_s} | file.limits
    return Topology(
        regions=regions,
        links=tuple(Link(link.source, link.to, tuple(link.via)) for link in links),
        streams=StreamSettings(**msgspec.structs.asdict(streams)),
        tokens=Tokens(tokens.audience, tokens.tenant, tuple(tokens.keys)),
        clients=Clients(
            None if clients.geoip is None else str(Path(where).parent.absolute() / clients.geoip),
            tuple(clients.trusted_proxies),
        ),
        limits=_convert(limits, Limits, where, "limits"),
        dns=DnsSettings(
            dns.zone,
            dns.ttl_s,
            dns.contact,
            tuple((host, tuple(addresses)) for host, addresses in dns.nameservers.items()),
            tuple(dns.caa),
            dns.answers_per_s,
            dns.port,
        ),
        faults=FaultSettings(faults.links, faults.wan, faults.disk_mb),
        watch=Watch(supervisor.hung_s, supervisor.restart_hung_s),
        objectives=Objectives(**msgspec.structs.asdict(objectives)),
        origins=None if file.origins is None else tuple(file.origins),
        where=where,
        text=text,
    )


def _label(table: dict[str, Any], number: int) -> str:
    name = table.get("name")
    return f"regions.{name}" if isinstance(name, str) else f"regions[{number}]"


def _region(table: _Region, number: int, where: str) -> Region:
    nats = table.nats
    if not 1 <= nats.servers <= 9:
        raise TopologyError(f"{where}: regions.{table.name}.nats.servers: {nats.servers}, not 1, 3")
    for key in ("hosts", "ports", "monitor_ports", "leaf_ports", "cluster_ports"):
        given = getattr(nats, key)
        if given is not None and len(given) != nats.servers:
            raise TopologyError(
                f"{where}: regions.{table.name}.nats.{key}: {len(given)} given for "
                f"{nats.servers} servers"
            )
    return Region(
        name=table.name,
        index=number if table.index is None else table.index,
        lat=table.lat,
        lon=table.lon,
        weight=table.weight,
        addresses=tuple(table.addresses),
        port=table.port,
        bind=table.bind,
        netns=table.netns,
        servers=tuple(
            NatsServer(
                name=server_name(table.name, at + 1),
                port=_at(nats.ports, at),
                monitor_port=_at(nats.monitor_ports, at),
                leaf_port=_at(nats.leaf_ports, at),
                cluster_port=_at(nats.cluster_ports, at),
                host=_at(nats.hosts, at),
            )
            for at in range(nats.servers)
        ),
        edges=_edges(table, where),
    )


def _at(given: list[T] | None, at: int) -> T | None:
    return None if given is None else given[at]


def _edges(table: _Region, where: str) -> tuple[Edge, ...]:
    if isinstance(table.edges, int):
        if not 0 <= table.edges <= 64:
            raise TopologyError(f"{where}: regions.{table.name}.edges: {table.edges}, not 0 to 64")
        return tuple(Edge(f"{table.name}-{number}") for number in range(1, table.edges + 1))
    return tuple(
        Edge(edge) if isinstance(edge, str) else Edge(edge.name, edge.port, edge.admin_port)
        for edge in table.edges
    )


def _convert(table: dict[str, Any], kind: type[T], where: str, label: str) -> T:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise TopologyError(f"{where}: {_explain(str(error), kind, label)}") from error


def _explain(text: str, kind: type, label: str) -> str:
    """What msgspec says, in the words of the file: the key first, and the nearest known one."""
    unknown = _UNKNOWN.match(text)
    if unknown is not None:
        at = unknown["at"] or ""
        known = _keys(_INNER.get(_INDEX.sub("[...]", at), kind))
        near = get_close_matches(unknown["key"], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        return f"{_join(label + at, unknown['key'])}: unknown key; {hint}"
    found = _WHERE.match(text)
    if found is not None:
        return f"{_join(label, found['at'].lstrip('.'))}: {found['text']}"
    return f"{label}: {text}" if label else text


def _keys(kind: type) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def _join(label: str, key: str) -> str:
    return f"{label}.{key}".strip(".") if key else label
