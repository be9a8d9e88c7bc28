"""The balancer of a region: ends TLS, and hands each client to an edge. Pure."""

from regions.compose.site import BALANCER_METRICS, EDGES, ETC, Site
from regions.topology import Region

CERTIFICATE = ETC / "haproxy" / "public.pem"  # certificate, chain and key
CHECK = "check inter 1s fastinter 500ms fall 2 rise 2"
# Of those who are asked last: one that is slow to answer is better than none, and one that is gone
# is passed over by `redispatch`.
PATIENT = "check inter 1s fall 5 rise 1"
NAMED = " resolvers engine resolve-prefer ipv4 init-addr last,libc,none"
RESOLVERS = (
    "resolvers engine",
    "  parse-resolv-conf",
    "  timeout resolve 1s",
    "  timeout retry 1s",
    "  hold valid 2s",
    "  hold nx 10s",
    # What the engine's name server does not answer is where it was; what it does counts at once.
    *(f"  hold {why} 1d" for why in ("other", "refused", "timeout")),
    "",
)
# As Debian's package starts it, it is root; a container is not.
CONFINED = ("  user haproxy", "  group haproxy", "  chroot /var/lib/haproxy")
QUIET_S = 90  # a client that is there sends a heartbeat every 20 s


def most_connections(site: Site, region: Region) -> int:
    """What a region's balancer holds at once: what its edges do, and those that they refuse."""
    total = site.topology.limits.connections * len(region.edges)
    return total + total // 10 + 100


def balancer_config(site: Site, region: Region) -> str:
    """The configuration of HAProxy 2.6 or later, in one region.

    `/edges/<edge>/…` is that edge, or another one while it takes nobody; every other path is the
    edge with the fewest connections. Edges say on `/readyz` whether they take clients: one that is
    drained gets nobody new, and keeps who is there until they have gone. Where none takes any, the
    edges that live answer for themselves: they say when to come again, where else to go, and let in
    who resumes under a cordon.
    """
    # An edge's container may come later than this one, and come again at another address.
    named = NAMED if site.way == "containers" else ""
    lines = [
        "global",
        "  log stderr format raw local0 notice",
        f"  maxconn {most_connections(site, region)}",
        *(() if site.way == "containers" else CONFINED),
        "  hard-stop-after 1h",  # whom an old process still serves after a reload
        "  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets",
        "  ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20",
        "  tune.ssl.default-dh-param 2048",
        "",
        "defaults",
        "  mode http",
        "  log global",
        "  option dontlognull",
        "  option dontlog-normal",
        "  option redispatch",
        "  retries 2",
        "  timeout connect 2s",
        "  timeout check 2s",
        "  timeout client 30s",
        "  timeout server 30s",
        f"  timeout tunnel {QUIET_S}s",
        "  timeout http-request 10s",
        "  timeout http-keep-alive 15s",
        "  timeout queue 2s",
        "",
        *(RESOLVERS if named else ()),
        "frontend public",
        *(
            f"  bind {at}:{region.port}{only} ssl crt {CERTIFICATE} alpn http/1.1"
            for at, only in _families(site, region)
        ),
        "  http-request set-header X-Forwarded-For %[src]",
        f"  http-request set-var(txn.edge) path,field(3,/) if {{ path_beg {EDGES}/ }}",
        f"  http-request set-path %[path,regsub(^{EDGES}/[^/]+,)] if {{ path_beg {EDGES}/ }}",
        "  http-response set-header Strict-Transport-Security max-age=31536000",
        "  use_backend living if { nbsrv(edges) eq 0 }",
        "  default_backend edges",
        # An edge that is full says so itself, and when to come again.
        *_backend(site, region, "edges", "/readyz", CHECK + named),
        *_backend(site, region, "living", "/healthz", PATIENT + named),
        "",
        "frontend metrics",
        f"  bind {site.inside}:{BALANCER_METRICS}",
        "  http-request use-service prometheus-exporter if { path /metrics }",
        "  http-request return status 200 if { path /healthz }",
        "  http-request deny",
    ]
    return "\n".join(lines) + "\n"


def _families(site: Site, region: Region) -> list[tuple[str, str]]:
    """Addresses to listen at, and what they are besides: a container is reached by its host's."""
    six = any(":" in address for address in region.addresses)
    return [("", ""), *([("::", " v6only")] if six and site.way == "systemd" else [])]


def _backend(site: Site, region: Region, name: str, check: str, how: str) -> list[str]:
    """The edges of a region, as far as they answer this with 200."""
    return [
        "",
        f"backend {name}",
        "  balance leastconn",
        "  option httpchk",
        f"  http-check send meth GET uri {check}",
        "  http-check expect status 200",
        f"  default-server {how}",
        *(
            f"  use-server {edge.name} if {{ var(txn.edge) -m str {edge.name} }}"
            for edge in region.edges
        ),
        *(
            f"  server {edge.name} {site.edge_host(edge)}:{site.edge_place(region, edge).port}"
            for edge in region.edges
        ),
    ]
