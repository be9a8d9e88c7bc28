"""Configuration text of the nats-servers: a leaf mesh in which each link has its own account.

Each region is a NATS system of its own (JetStream domain, system account, meta group). A pair of
regions is joined by leaf-node connections, dialled from one side, that are bound to the account
`LINK_<other>`; the application account APP exchanges with it only what replication and telemetry
need. So a region alone can do everything, room interest never crosses a link, and another region
can do here no more than what is listed in `_offers`.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from regions.permissions import USERS, permissions
from regions.topology import NatsServer, Region, Topology
from relay.core import names

APP = "APP"
SYSTEM = "SYS"
STREAM_SLACK_BYTES = 1024**3
_UNLIMITED = "    jetstream: enabled"
_LIMITED = "    jetstream: { max_file: 1KB }"

# The kinds of stream that are mirrored: each is a home stream and a mirror in every other region.
MIRRORED: tuple[Callable[[str], str], ...] = (
    names.events_stream,
    names.records_stream,
    names.log_stream,
    names.minutes_stream,
    names.book_stream,
)


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """Where one nats-server listens, and where other servers reach it."""

    near: str  # host, for the servers of its own region
    far: str  # for those of the others
    watched: str  # address on which it answers about itself
    client: int
    monitor: int
    leaf: int
    cluster: int


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The certificates of one nats-server, in PEM; absolute paths."""

    certificate: str  # for clients, routes and links; as server and as client
    key: str
    authority: str  # that signed those of all servers


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Where one nats-server keeps its things; absolute paths."""

    store: str
    log: str | None  # None: it logs on stderr
    tls: TlsFiles | None = None  # None: everything is said in plain text


@dataclass(frozen=True, slots=True)
class Secrets:
    """The passwords that stand in one region's configurations."""

    users: dict[str, str]  # of this region's own users, `sys` and `cluster` among them
    links_in: dict[str, str]  # region that dials us -> password it shows
    links_out: dict[str, str]  # region that we dial -> password that we show


@dataclass(frozen=True, slots=True)
class _Share:
    """One subject that crosses an account boundary."""

    kind: Literal["service", "stream"]
    subject: str
    many: bool = False  # a service whose answer is more than one message


def server_config(
    topology: Topology,
    region: Region,
    server: NatsServer,
    places: Mapping[str, ServerPlace],
    files: ServerFiles,
    secrets: Secrets,
) -> str:
    """The configuration of `server`; `places` holds those of every server of the world."""
    own = places[server.name]
    others = topology.others(region.name)
    parts = [
        f"server_name: {_quote(server.name)}",
        f"listen: {_quote(_address(region.bind, own.client))}",
        f"http: {_quote(_address(own.watched, own.monitor))}",
        *_log(files.log),
        # A cut is noticed after 6 to 8 s. One that ends before it was keeps the old connection, on
        # which TCP then waits nearly as long again before it repeats what was lost.
        'ping_interval: "2s"',
        "ping_max: 3",
        _jetstream(topology, region, files.store),
    ]
    if files.tls is not None:
        parts.append(_tls(files.tls, mutual=False))  # clients have a password
    if len(region.servers) > 1:
        parts.append(_cluster(region, own, places, files.tls, secrets))
    parts += [
        _leafnodes(topology, region, own, places, files.tls, secrets),
        f"system_account: {SYSTEM}",
        "accounts {",
        f"  {SYSTEM} {{ users: [ {_user('sys', secrets.users['sys'])} ] }}",
        _app_account(region.name, others, secrets),
        *(_link_account(region.name, other, secrets) for other in others),
        "}",
    ]
    return "\n".join(parts) + "\n"


def link_account(other: str) -> str:
    """The account in which the link with `other` ends."""
    return f"LINK_{other}"


def limited_config(text: str) -> str:
    """A configuration under which JetStream refuses to store anything more in APP."""
    return text.replace(_UNLIMITED, _LIMITED)


def unlimited_config(text: str) -> str:
    """The configuration from which `limited_config` made `text`."""
    return text.replace(_LIMITED, _UNLIMITED)


def _log(path: str | None) -> tuple[str, ...]:
    if path is None:
        return ()
    return f"log_file: {_quote(path)}", "logfile_size_limit: 16MB", "logfile_max_num: 2"


def _tls(files: TlsFiles, *, mutual: bool) -> str:
    given = (
        f"cert_file: {_quote(files.certificate)}",
        f"key_file: {_quote(files.key)}",
        f"ca_file: {_quote(files.authority)}",
        *(("verify: true",) if mutual else ()),
    )
    return f"tls {{ {', '.join(given)} }}"


def _jetstream(topology: Topology, region: Region, store: str) -> str:
    settings = topology.streams
    # events and records; log, minutes and book
    counts = settings.log_max_bytes + settings.minutes_max_bytes
    each = 2 * settings.max_bytes + counts + settings.book_max_bytes
    kept = len(topology.regions) * each + settings.telemetry_max_bytes
    return "\n".join(
        (
            "jetstream {",
            f"  domain: {_quote(region.name)}",
            f"  store_dir: {_quote(store)}",
            f"  sync_interval: {_quote(topology.streams.sync)}",
            "  max_mem: 256MB",
            f"  max_file: {kept + STREAM_SLACK_BYTES}",
            "  limits { default_max_consumers: 5000 }",
            "}",
        )
    )


def _cluster(
    region: Region,
    own: ServerPlace,
    places: Mapping[str, ServerPlace],
    tls: TlsFiles | None,
    secrets: Secrets,
) -> str:
    password = secrets.users["cluster"]
    peers = (places[server.name] for server in region.servers)
    routes = ", ".join(
        _quote(f"nats://cluster:{password}@{_address(peer.near, peer.cluster)}") for peer in peers
    )
    return "\n".join(
        (
            "cluster {",
            f"  name: {_quote(region.name)}",
            f"  listen: {_quote(_address(region.bind, own.cluster))}",
            "  no_advertise: true  # clients are told all servers, by the names in certificates",
            # What is gossiped is dialled as well, and its certificate is for this host.
            f"  advertise: {_quote(_address(own.near, own.cluster))}",
            f"  authorization {{ user: cluster, password: {_quote(password)} }}",
            *(() if tls is None else (f"  {_tls(tls, mutual=True)}",)),
            f"  routes: [ {routes} ]",
            "}",
        )
    )


def _leafnodes(
    topology: Topology,
    region: Region,
    own: ServerPlace,
    places: Mapping[str, ServerPlace],
    tls: TlsFiles | None,
    secrets: Secrets,
) -> str:
    lines = [
        "leafnodes {",
        f"  listen: {_quote(_address(region.bind, own.leaf))}",
        *(() if tls is None else (f"  {_tls(tls, mutual=True)}",)),
        '  reconnect: "250ms"  # besides the second that a dial waits for an answer',
        # A server dials again only when its last write to the dead connection has ended.
        '  write_deadline: "4s"',
        "  no_advertise: true  # gossiped addresses would bypass tunnels and relays",
        "  remotes: [",
    ]
    for other in topology.regions:
        if other.name == region.name or not topology.dials(region.name, other.name):
            continue
        addresses = topology.via(region.name, other.name) or tuple(
            _address(places[server.name].far, places[server.name].leaf) for server in other.servers
        )
        shown = "" if tls is None else f"{_tls(tls, mutual=False)}, "
        login = f"link-{region.name}:{secrets.links_out[other.name]}"
        urls = ", ".join(_quote(f"nats-leaf://{login}@{address}") for address in addresses)
        lines.append(
            f"    {{ urls: [ {urls} ], account: {_quote(link_account(other.name))}, {shown}"
            "ignore_discovered_servers: true }"
        )
    return "\n".join((*lines, "  ]", "}"))


def _offers(home: str, other: str) -> list[_Share]:
    """What region `other` may do in `home`: the whole list."""
    shares: list[_Share] = []
    for stream_of in MIRRORED:
        stream = stream_of(home)
        consumer = names.mirror_consumer(stream, other)
        shares += [
            _Share("service", f"$JS.API.CONSUMER.RESET.{stream}.{consumer}"),
            _Share("service", f"$JS.FC.{stream}.{consumer}.*"),
            _Share("stream", names.mirror_delivery(stream, other)),
        ]
    return [
        *shares,
        # A lagging mirror reads here; the gate of `other` reads its own mirror that stands here.
        _Share("service", f"$JS.API.DIRECT.GET.{names.events_stream(home)}", many=True),
        _Share("service", f"$JS.API.DIRECT.GET.{names.events_stream(other)}", many=True),
        # Of three replicas any may answer that; their leader says what there is.
        _Share("service", f"$JS.API.STREAM.MSG.GET.{names.events_stream(home)}"),
        _Share("service", f"$JS.API.STREAM.MSG.GET.{names.events_stream(other)}"),
        # Who audits reads here what his region's mirrors of the log and the minutes have skipped.
        _Share("service", f"$JS.API.DIRECT.GET.{names.log_stream(home)}", many=True),
        _Share("service", f"$JS.API.DIRECT.GET.{names.minutes_stream(home)}", many=True),
        _Share("stream", names.below("tele", home)),
        _Share("stream", names.below("news", home)),
        _Share("stream", names.below("lease", home)),
        _Share("stream", names.below("sig", home)),
        _Share("stream", names.below("pres", home)),
        _Share("stream", names.below("users", home)),
        _Share("stream", names.below("usersask", other)),
        _Share("stream", names.below("visit", other)),
        _Share("stream", names.below("visitans", other)),
        _Share("stream", names.below("presask", other)),
        _Share("stream", names.below("presans", other)),
        # Operators who ask here reach the edges there, and hear their answers.
        *(_Share("stream", names.below(kind, other)) for kind in ("ask", "see", "act")),
        *(_Share("stream", names.below(kind, other)) for kind in ("told", "shown")),
        _Share("stream", names.takeover_subject(home)),
        _Share("stream", names.head_subject(home)),
        _Share("stream", names.alarm_subject(home)),
    ]


def _reached(home: str, other: str) -> list[_Share]:
    """What `other` offers, as `home` reaches it: its JetStream API under its domain.

    On the serving side the prefix is not given: the link maps `$JS.<domain>.API` by itself.
    """
    api, there = "$JS.API.", f"$JS.{other}.API."
    return [
        _Share(
            share.kind,
            there + share.subject.removeprefix(api)
            if share.subject.startswith(api)
            else share.subject,
            share.many,
        )
        for share in _offers(other, home)
    ]


def _export(share: _Share, accounts: Iterable[str]) -> str:
    response = ", response_type: stream" if share.many else ""
    to = ", ".join(_quote(account) for account in accounts)
    return f"{{ {share.kind}: {_quote(share.subject)}{response}, accounts: [ {to} ] }}"


def _import(share: _Share, account: str) -> str:
    return f"{{ {share.kind}: {{ account: {_quote(account)}, subject: {_quote(share.subject)} }} }}"


def _app_account(home: str, others: tuple[str, ...], secrets: Secrets) -> str:
    shared: dict[_Share, list[str]] = {}
    for other in others:
        for share in _offers(home, other):
            shared.setdefault(share, []).append(link_account(other))
    lines = ["    users: ["]
    for user in USERS:
        allowed = permissions(user, home, others)
        denied = f", deny: {_list(allowed.deny)}" if allowed.deny else ""
        lines += [
            f"      {{ user: {user}, password: {_quote(secrets.users[user])}, permissions: {{",
            f"        publish: {{ allow: {_list(allowed.publish)}{denied} }},",
            f"        subscribe: {{ allow: {_list(allowed.subscribe)} }} }} }}",
        ]
    lines += ["    ]", "    exports: ["]
    lines += [f"      {_export(share, accounts)}" for share, accounts in shared.items()]
    lines += ["    ]", "    imports: ["]
    lines += [
        f"      {_import(share, link_account(other))}"
        for other in others
        for share in _reached(home, other)
    ]
    return "\n".join((f"  {APP} {{", _UNLIMITED, *lines, "    ]", "  }"))


def _link_account(home: str, other: str, secrets: Secrets) -> str:
    password = secrets.links_in.get(other)
    # A link user can't log in on the client port. Where we dial, nobody logs in.
    login = (
        ""
        if password is None
        else f"{_user(f'link-{other}', password, 'allowed_connection_types: [ LEAFNODE ]')}"
    )
    return "\n".join(
        (
            f"  {_quote(link_account(other))} {{",
            f"    users: [ {login} ]",
            "    imports: [",
            *(f"      {_import(share, APP)}" for share in _offers(home, other)),
            "    ]",
            "    exports: [",
            *(f"      {_export(share, [APP])}" for share in _reached(home, other)),
            "    ]",
            "  }",
        )
    )


def _user(name: str, password: str, *more: str) -> str:
    return "{ " + ", ".join((f"user: {name}", f"password: {_quote(password)}", *more)) + " }"


def _list(subjects: Iterable[str]) -> str:
    return "[ " + ", ".join(_quote(subject) for subject in subjects) + " ]"


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _quote(text: str) -> str:
    return json.dumps(text)
