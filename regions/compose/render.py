"""All files of a deployment, made from its topology and what was made before."""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import yaml

from regions.compose.certificates import Authority, Pair
from regions.compose.grafana import dashboard, provisioning
from regions.compose.haproxy import balancer_config
from regions.compose.prometheus import Job, Target, alert_rules, prometheus_config
from regions.compose.services import USER, compose_document
from regions.compose.site import (
    BALANCER_METRICS,
    DNS_METRICS,
    KEEPER,
    KEEPERS,
    PROMETHEUS,
    TELLERS,
    Site,
    Way,
)
from regions.credentials import SecretsFile
from regions.errors import WorldError
from regions.topology import Edge, NatsServer, Region, Topology

SECRETS, AUTHORITY, AUTHORITY_KEY = "secrets.json", "ca.pem", "ca.key"
HEADER = "# Rendered from {} by `jetrelay compose render`: change that, and render again.\n"
Held = Callable[[str], bytes | None]  # what stands under a path of the output already


@dataclass(frozen=True, slots=True)
class Rendered:
    """A file of a deployment."""

    path: str  # below the output directory
    data: bytes
    private: bool = False  # only its owner may read it
    master: bool = False  # of who renders; no process reads it

    @property
    def mode(self) -> int:
        """Of the file."""
        return 0o600 if self.private else 0o644


def render(
    topology: Topology,
    way: Way,
    held: Held,
    now: datetime,
    owner: tuple[int, int] = (USER, USER),
) -> list[Rendered]:
    """Every file of a deployment. Passwords, keys and certificates that stand, stay.

    Args:
        topology: the deployment.
        way: in containers, or as services of machines.
        held: the content of a file of the output directory; None: there is none.
        now: the time, with its zone.
        owner: user and group that will own the files.

    Raises:
        TopologyError: it can't be deployed so.
        WorldError: a file that stands there is damaged.
    """
    return list(_Rendering(topology, way, held, now, owner).files())


class _Rendering:
    def __init__(
        self, topology: Topology, way: Way, held: Held, now: datetime, owner: tuple[int, int]
    ) -> None:
        self._held = held
        self._now = now
        self._owner = owner
        self._authority = self._read_authority(topology)
        self._site = Site(topology, self._read_secrets(topology), way)

    def files(self) -> Iterator[Rendered]:
        """All of them."""
        site, pair = self._site, self._authority.pair
        yield Rendered(SECRETS, _json(site.secrets), private=True, master=True)
        yield Rendered(AUTHORITY_KEY, pair.key, private=True, master=True)
        yield Rendered(AUTHORITY, pair.certificate)
        digests: dict[str, str] = {}
        for region in site.topology.regions:
            for file in self._region(region):
                digests[file.path] = hashlib.sha256(file.data).hexdigest()
                yield file
        if site.way == "containers":
            for region in site.topology.regions:
                yield self._compose(f"{region.name}/compose.yaml", region.name, digests)
            if not any(
                server.host for region in site.topology.regions for server in region.servers
            ):
                yield self._compose("compose.yaml", None, digests)

    def _region(self, region: Region) -> Iterator[Rendered]:
        for server in region.servers:
            yield from self._server(region, server)
        for edge in region.edges:
            yield from self._edge(region, edge)
        yield from self._balancer(region)
        for role, users in (("dns", TELLERS), ("keeper", KEEPERS), ("console", KEEPERS)):
            base = f"{region.name}/{role}"
            yield Rendered(f"{base}/world.json", _json(self._site.world(region)), private=True)
            logins = self._site.logins(users, signs=role == "console")
            yield Rendered(f"{base}/secrets.json", _json(logins), private=True)
            yield Rendered(f"{base}/{AUTHORITY}", self._authority.pair.certificate)
        if self._site.way == "systemd":  # the name server takes another one without being restarted
            text = self._site.topology.text
            yield Rendered(f"{region.name}/dns/topology.toml", text.encode())
        yield from self._watching(region)

    def _server(self, region: Region, server: NatsServer) -> Iterator[Rendered]:
        base = f"{region.name}/{server.name}"
        text = self._site.server_text(region, server)
        yield Rendered(f"{base}/nats-server.conf", self._said(text), private=True)
        hosts = self._site.hosts(region, server)
        pair = self._pair(f"{base}/server.pem", f"{base}/server.key", hosts)
        yield Rendered(f"{base}/server.pem", pair.certificate)
        yield Rendered(f"{base}/server.key", pair.key, private=True)
        yield Rendered(f"{base}/{AUTHORITY}", self._authority.pair.certificate)

    def _edge(self, region: Region, edge: Edge) -> Iterator[Rendered]:
        base = f"{region.name}/{edge.name}"
        config = self._site.edge_config(region, edge)
        yield Rendered(f"{base}/edge.json", _json(config), private=True)
        yield Rendered(f"{base}/{AUTHORITY}", self._authority.pair.certificate)

    def _balancer(self, region: Region) -> Iterator[Rendered]:
        base = f"{region.name}/haproxy"
        text = balancer_config(self._site, region)
        yield Rendered(f"{base}/haproxy.cfg", self._said(text))
        yield Rendered(f"{base}/public.pem", self._public(region, f"{base}/public.pem"), True)

    def _watching(self, region: Region) -> Iterator[Rendered]:
        prometheus, grafana = f"{region.name}/prometheus", f"{region.name}/grafana"
        config = self._said(prometheus_config(targets(self._site, region)))
        yield Rendered(f"{prometheus}/prometheus.yaml", config)
        yield Rendered(f"{prometheus}/rules.yaml", self._said(alert_rules()))
        host = f"{region.name}-prometheus" if self._site.way == "containers" else "127.0.0.1"
        provided = provisioning(f"http://{host}:{PROMETHEUS}")
        yield Rendered(f"{grafana}/jetrelay.json", dashboard().encode())
        for name, text in provided.items():
            yield Rendered(f"{grafana}/{name}", self._said(text))
        password = self._held(f"{grafana}/password") or secrets.token_urlsafe(24).encode()
        yield Rendered(f"{grafana}/password", password, private=True)

    def _compose(self, path: str, region: str | None, digests: dict[str, str]) -> Rendered:
        document = compose_document(self._site, region, digests, self._owner)
        return Rendered(path, self._said(yaml.safe_dump(document, sort_keys=False, width=120)))

    # --- what is made once and kept ------------------------------------------------------------

    def _read_secrets(self, topology: Topology) -> SecretsFile:
        data = self._held(SECRETS)
        try:
            known = SecretsFile() if data is None else msgspec.json.decode(data, type=SecretsFile)
        except msgspec.DecodeError as error:
            raise WorldError(f"{SECRETS}: {error}") from error
        return known.completed(topology)

    def _read_authority(self, topology: Topology) -> Authority:
        certificate, key = self._held(AUTHORITY), self._held(AUTHORITY_KEY)
        if certificate is None and key is None:
            return Authority.make(f"jetrelay {topology.dns.zone}", self._now)
        if certificate is None or key is None:
            lost = AUTHORITY if certificate is None else AUTHORITY_KEY
            raise WorldError(
                f"{lost} is missing: put it back, or remove both {AUTHORITY} and {AUTHORITY_KEY} "
                "for a new authority, which no running server knows"
            )
        try:
            return Authority(Pair(certificate, key))
        except ValueError as error:
            raise WorldError(f"{AUTHORITY}, {AUTHORITY_KEY}: {error}") from error

    def _pair(self, certificate: str, key: str, hosts: list[str]) -> Pair:
        parts = self._held(certificate), self._held(key)
        if parts[0] is not None and parts[1] is not None:
            known = Pair(parts[0], parts[1])
            if self._authority.stands(known, hosts, self._now):
                return known
        return self._authority.issue(hosts, self._now)

    def _public(self, region: Region, path: str) -> bytes:
        """Certificate and key of a region's door; one that another authority signed is kept."""
        hosts = [self._site.door(region), self._site.domain, *region.addresses]
        known = self._held(path)
        if known is not None:
            try:
                ours = self._authority.names_us(known)
            except ValueError as error:
                raise WorldError(f"{path}: {error}") from error
            if not ours or self._authority.stands(Pair(known, known), hosts, self._now):
                return known
        pair = self._authority.issue(hosts, self._now, dials=False)
        return pair.certificate + pair.key

    def _said(self, text: str) -> bytes:
        return (HEADER.format(self._site.topology.where) + text).encode()


def targets(site: Site, region: Region) -> list[Target]:
    """What a region's Prometheus asks."""
    found: list[Target] = []

    def add(job: Job, instance: str, host: str, port: int) -> None:
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        found.append(Target(job, instance, address, region.name))

    def host_of(name: str) -> str:
        return f"{region.name}-{name}" if site.way == "containers" else "127.0.0.1"

    for edge in region.edges:
        place = site.edge_place(region, edge)
        add("edge", edge.name, site.edge_host(edge), place.admin_port)
    add("dns", f"{region.name}-dns", host_of("dns"), DNS_METRICS)
    add("keeper", f"{region.name}-keeper", host_of("keeper"), KEEPER)
    add("haproxy", f"{region.name}-balancer", host_of("balancer"), BALANCER_METRICS)
    add("prometheus", f"{region.name}-prometheus", "127.0.0.1", PROMETHEUS)
    return found


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
