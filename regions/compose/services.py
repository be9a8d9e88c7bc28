"""A deployment as the Compose specification describes one: services, secrets, networks. Pure.

Source: https://github.com/compose-spec/compose-spec
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from regions.compose.haproxy import most_connections
from regions.compose.site import (
    BALANCER_METRICS,
    DNS,
    DNS_METRICS,
    ETC,
    GEOIP,
    GRAFANA,
    KEEPER,
    PROMETHEUS,
    VAR,
    Site,
)
from regions.errors import TopologyError
from regions.topology import Edge, NatsServer, Region, Topology, is_address

USER = 10001  # as whom processes run where the files were rendered by root
NOBODY = 65534  # as whom the image of Prometheus runs
IMAGES = {
    "JETRELAY_IMAGE": "jetrelay:0.1.0",  # of `compose/Containerfile`
    "JETRELAY_NATS_IMAGE": "jetrelay-nats:2.15.1",  # likewise
    "HAPROXY_IMAGE": "haproxy:3.0-alpine",
    "PROMETHEUS_IMAGE": "prom/prometheus:v3.0.1",
    "GRAFANA_IMAGE": "grafana/grafana:11.4.0",
}
OPERATOR = {"JETRELAY_BY": "${JETRELAY_BY:-}", "TERM": "xterm-256color"}
CPUS = "${JETRELAY_CPUS:-2.0}"  # of what has threads; an engine refuses more than there are
LINKS = "links"  # the network over which regions reach each other
Service = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mount:
    """A rendered file in a container."""

    source: str  # relative to the region's directory
    target: PurePosixPath
    secret: bool


@dataclass(slots=True)
class Project:
    """A compose file in the making."""

    name: str
    digests: Mapping[str, str]  # path of a rendered file -> what changes with its content
    user: int  # who may read the secrets
    group: int
    region: str = ""  # whose services are added
    services: dict[str, Service] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    configs: dict[str, Any] = field(default_factory=dict)
    volumes: dict[str, Any] = field(default_factory=dict)
    networks: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, service: Service, mounts: Iterable[Mount] = ()) -> None:
        """Add a service, and the files that it reads.

        Raises:
            TopologyError: an edge is called as one of the others.
        """
        if name in self.services:
            raise TopologyError(f"{name}: an edge can't be called so: it is another service")
        seen = hashlib.sha256()
        for mount in mounts:
            seen.update(self.digests[f"{self.region}/{mount.source}"].encode())
            table, key = (self.secrets, "secrets") if mount.secret else (self.configs, "configs")
            entry = f"{name}.{mount.target.name}"
            table[entry] = {"file": f"{self.base}/{mount.source}"}
            service.setdefault(key, []).append({"source": entry, "target": str(mount.target)})
        # An engine makes a container anew when this changes, not when a mounted file does.
        labels = {"jetrelay.files": seen.hexdigest()[:16]}
        self.services[name] = {"user": f"{self.user}:{self.group}", "labels": labels, **service}

    @property
    def base(self) -> str:
        """The directory of the region, seen from the compose file."""
        return f"./{self.region}" if self.name == "jetrelay" else "."

    def volume(self, name: str) -> str:
        """A named volume, and that it is wanted."""
        self.volumes[name] = {"name": f"jetrelay-{name}"}
        return name

    def document(self) -> dict[str, Any]:
        """The whole file."""
        parts = {
            "services": self.services,
            "networks": self.networks,
            "volumes": self.volumes,
            "secrets": self.secrets,
            "configs": self.configs,
        }
        return {"name": self.name, **{name: part for name, part in parts.items() if part}}


def compose_document(
    site: Site,
    name: str | None,
    digests: Mapping[str, str],
    owner: tuple[int, int] = (USER, USER),
) -> dict[str, Any]:
    """The compose file for one region's machine, or for all regions on one.

    Args:
        site: the whole deployment.
        name: of the region; None: all of them.
        digests: of each rendered file, by its path below the output directory.
        owner: user and group that own the rendered files; processes run as they.

    Raises:
        TopologyError: names of services clash.
    """
    project = Project("jetrelay" if name is None else f"jetrelay-{name}", digests, *owner)
    project.networks[LINKS] = {"name": "jetrelay-links"}
    for region in site.topology.regions if name is None else [site.topology.region(name)]:
        project.region = region.name
        project.networks[region.name] = {"name": f"jetrelay-{region.name}"}
        for server in region.servers:
            _nats(project, site, region, server)
        for edge in region.edges:
            _edge(project, site, region, edge)
        _balancer(project, site, region)
        _name_server(project, site, region)
        _keeper(project, site, region)
        _console(project, site, region)
        _prometheus(project, region)
        _grafana(project, region)
    return project.document()


# --- the services --------------------------------------------------------------------------------


def _nats(project: Project, site: Site, region: Region, server: NatsServer) -> None:
    place = site.places()[server.name]
    health = f"http://127.0.0.1:{place.monitor}/healthz?js-enabled-only=true"
    etc = ETC / server.name
    service = {
        **_hardened("JETRELAY_NATS_IMAGE", memory="2G", cpus=CPUS, files=65_536),
        "entrypoint": ["nats-server"],
        "command": ["-c", str(etc / "nats-server.conf")],
        "volumes": [f"{project.volume(server.name)}:{VAR}"],
        "networks": [region.name, LINKS],
        "healthcheck": _health(["wget", "-q", "-O", "/dev/null", health]),
        "stop_grace_period": "30s",
    }
    if server.host is not None:  # other machines reach it there
        service["ports"] = [f"{port}:{port}" for port in (place.client, place.leaf)]
    project.add(server.name, service, [
        Mount(f"{server.name}/nats-server.conf", etc / "nats-server.conf", secret=True),
        Mount(f"{server.name}/server.key", etc / "server.key", secret=True),
        Mount(f"{server.name}/server.pem", etc / "server.pem", secret=False),
        Mount(f"{server.name}/ca.pem", etc / "ca.pem", secret=False),
    ])  # fmt: skip


def _edge(project: Project, site: Site, region: Region, edge: Edge) -> None:
    limits, place = site.topology.limits, site.edge_place(region, edge)
    etc = ETC / edge.name
    service = {
        **_hardened("JETRELAY_IMAGE", memory="1G", cpus=1.0, files=limits.connections + 1_000),
        "entrypoint": ["jetrelay"],
        "command": ["edge", "--config", str(etc / "edge.json")],
        "environment": _trusting(etc),
        "networks": [region.name],
        "healthcheck": _health(_python_get(f"http://127.0.0.1:{place.admin_port}/healthz")),
        "stop_grace_period": f"{limits.drain_s + 5:.0f}s",
        **_database(site.topology),
    }
    project.add(edge.name, service, [
        Mount(f"{edge.name}/edge.json", etc / "edge.json", secret=True),
        Mount(f"{edge.name}/ca.pem", etc / "ca.pem", secret=False),
    ])  # fmt: skip


def _balancer(project: Project, site: Site, region: Region) -> None:
    etc = ETC / "haproxy"
    files = 2 * most_connections(site, region) + 1_000  # one to the client, one to the edge
    names = {"aliases": [site.door(region)]}
    service = {
        **_hardened("HAPROXY_IMAGE", memory="1G", cpus=CPUS, files=files),
        "entrypoint": ["haproxy"],
        "command": ["-W", "-db", "-f", str(etc / "haproxy.cfg")],
        "sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
        "ports": [_published(text, region.port, region.port) for text in region.addresses],
        "networks": {region.name: names, LINKS: names},
        "healthcheck": _health(
            ["wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{BALANCER_METRICS}/healthz"]
        ),
        "stop_signal": "SIGTERM",  # whose connection ends with it resumes through another door
        "stop_grace_period": "10s",
    }
    project.add(f"{region.name}-balancer", service, [
        Mount("haproxy/haproxy.cfg", etc / "haproxy.cfg", secret=False),
        Mount("haproxy/public.pem", etc / "public.pem", secret=True),
    ])  # fmt: skip


def _name_server(project: Project, site: Site, region: Region) -> None:
    etc, settings = ETC / "dns", site.topology.dns
    ask = (
        "import dns.message as m, dns.query as q; "
        f"assert q.udp(m.make_query('{site.domain}', 'SOA'), '127.0.0.1', 3, {DNS}).answer"
    )
    here = {text for _, addresses in settings.nameservers for text in addresses}
    published = [text for text in region.addresses if text in here] or list(region.addresses)
    service = {
        **_hardened("JETRELAY_IMAGE", memory="512M", cpus=1.0),
        "entrypoint": ["jetrelay"],
        "command": [
            "dns", "--listen", f"0.0.0.0:{DNS}", "--state", str(etc),
            "--metrics", f"0.0.0.0:{DNS_METRICS}",
        ],
        "environment": _trusting(etc),
        "ports": [
            _published(text, settings.port, DNS, kind)
            for text in published
            for kind in ("udp", "tcp")
        ],
        "networks": [region.name, LINKS],
        "healthcheck": _health(["python", "-c", ask]),
        "stop_grace_period": "10s",
        **_database(site.topology),
    }  # fmt: skip
    project.add(f"{region.name}-dns", service, _fleet("dns", etc))


def _keeper(project: Project, site: Site, region: Region) -> None:
    etc, name = ETC / "keeper", f"{region.name}-keeper"
    service = {
        **_hardened("JETRELAY_IMAGE", memory="512M", cpus=1.0),
        "entrypoint": ["jetrelay"],
        "command": [
            "keeper", "--region", region.name, "--state", str(etc), "--salvage", str(VAR),
            "--listen", f"0.0.0.0:{KEEPER}",
        ],
        "environment": {**_trusting(etc), "JETRELAY_HOOK": "${JETRELAY_HOOK:-}"},
        "volumes": [f"{project.volume(name)}:{VAR}"],
        "networks": [region.name, LINKS],
        "healthcheck": _health(_python_get(f"http://127.0.0.1:{KEEPER}/healthz")),
        "stop_grace_period": "10s",
    }  # fmt: skip
    database = _database(site.topology)
    service["volumes"] += database.get("volumes", [])
    project.add(name, service, _fleet("keeper", etc))


def _console(project: Project, site: Site, region: Region) -> None:
    """Not started with the others: `docker compose run --rm us-console`, or with a command."""
    etc = ETC / "console"
    service = {
        **_hardened("JETRELAY_IMAGE", memory="512M", cpus=1.0),
        "entrypoint": ["jetrelay"],
        "command": ["console", "--state", str(etc), "--region", region.name],
        "environment": {**_trusting(etc), **OPERATOR, "JETRELAY_STATE": str(etc)},
        "networks": [region.name, LINKS],
        "profiles": ["console"],
        "stdin_open": True,
        "tty": True,
        **_database(site.topology),
    }
    service.pop("restart")
    project.add(f"{region.name}-console", service, _fleet("console", etc))


def _prometheus(project: Project, region: Region) -> None:
    etc, name = ETC / "prometheus", f"{region.name}-prometheus"
    service = {
        **_hardened("PROMETHEUS_IMAGE", memory="1G", cpus=1.0),
        "user": f"{NOBODY}:{NOBODY}",  # owns its volume; nothing that it reads is secret
        "entrypoint": ["prometheus"],
        "command": [
            f"--config.file={etc / 'prometheus.yaml'}",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.time=15d",
            f"--web.listen-address=0.0.0.0:{PROMETHEUS}",
        ],
        "volumes": [f"{project.volume(name)}:/prometheus"],
        "networks": [region.name],
        "healthcheck": _health(
            ["wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{PROMETHEUS}/-/healthy"]
        ),
        "stop_grace_period": "30s",
    }
    project.add(name, service, [
        Mount("prometheus/prometheus.yaml", etc / "prometheus.yaml", secret=False),
        Mount("prometheus/rules.yaml", etc / "rules.yaml", secret=False),
    ])  # fmt: skip


def _grafana(project: Project, region: Region) -> None:
    etc, name = ETC / "grafana", f"{region.name}-grafana"
    service = {
        **_hardened("GRAFANA_IMAGE", memory="512M", cpus=1.0),
        "user": f"{project.user}:0",  # its volume is open to the group 0
        "environment": {
            "GF_PATHS_PROVISIONING": str(etc / "provisioning"),
            "GF_SECURITY_ADMIN_PASSWORD__FILE": str(etc / "password"),
            "GF_LOG_MODE": "console",  # its file would be on the read-only root
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_USERS_ALLOW_SIGN_UP": "false",
        },
        "ports": [f"127.0.0.1:{GRAFANA + region.index}:{GRAFANA}"],
        "volumes": [f"{project.volume(name)}:/var/lib/grafana"],
        "networks": [region.name],
        "healthcheck": _health(
            ["wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{GRAFANA}/api/health"]
        ),
        "stop_grace_period": "30s",
    }
    sources, boards = (etc / "provisioning" / kind for kind in ("datasources", "dashboards"))
    project.add(name, service, [
        Mount("grafana/password", etc / "password", secret=True),
        Mount("grafana/datasources/prometheus.yaml", sources / "prometheus.yaml", secret=False),
        Mount("grafana/dashboards/jetrelay.yaml", boards / "jetrelay.yaml", secret=False),
        Mount("grafana/jetrelay.json", etc / "dashboards" / "jetrelay.json", secret=False),
    ])  # fmt: skip


# --- what they have in common --------------------------------------------------------------------


def _hardened(
    image: str,
    *,
    memory: str,
    cpus: float | str,
    files: int = 4_096,
) -> Service:
    """A service that may do no more than it needs; `image`: the variable that names another one."""
    return {
        "image": f"${{{image}:-{IMAGES[image]}}}",
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108 - in the container
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "ulimits": {"nofile": {"soft": files, "hard": files}},
        "deploy": {"resources": {"limits": {"cpus": str(cpus), "memory": memory, "pids": 256}}},
        "logging": {"driver": "json-file", "options": {"max-size": "16m", "max-file": "3"}},
    }


def _health(command: Sequence[str]) -> Service:
    return {
        "test": ["CMD", *command],
        "interval": "10s",
        "timeout": "5s",
        "retries": 3,
        "start_period": "30s",
    }


def _python_get(url: str) -> list[str]:
    return ["python", "-c", f"import urllib.request as u; u.urlopen('{url}', timeout=3)"]


def _trusting(etc: PurePosixPath) -> Mapping[str, str]:
    """Believe the deployment's own authority, besides those that the image knows."""
    return {"SSL_CERT_FILE": str(etc / "ca.pem")}


def _fleet(directory: str, etc: PurePosixPath) -> list[Mount]:
    """How a command finds the fleet: the state directory that it is given."""
    return [
        Mount(f"{directory}/world.json", etc / "world.json", secret=True),
        Mount(f"{directory}/secrets.json", etc / "secrets.json", secret=True),
        Mount(f"{directory}/ca.pem", etc / "ca.pem", secret=False),
    ]


def _database(topology: Topology) -> Service:
    """The directory with the database of places, which the operator keeps new."""
    return {} if topology.clients.geoip is None else {"volumes": [f"./geoip:{GEOIP}:ro"]}


def _published(address: str, outside: int, inside: int, kind: str = "tcp") -> str:
    host = f"[{address}]" if is_address(address) and ":" in address else address
    return f"{host}:{outside}:{inside}" + ("" if kind == "tcp" else f"/{kind}")
