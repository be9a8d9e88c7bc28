"""What one edge process is told: a JSON file, written by the local world or by a deployment."""

from pathlib import Path
from typing import Annotated

import msgspec

from relay.errors import ConfigError


class TokenKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key that signs client tokens, found by `kid` and bound to one algorithm.

    A pattern is a name, or the beginning of one and `*`.
    """

    kid: str
    alg: str  # HS256 | EdDSA
    key: str  # HS256: the secret in hex, ≥ 32 bytes; EdDSA: the public key in PEM
    users: list[str] | None = None  # patterns: whom its tokens may be for and let watch; None: all
    rooms: list[str] | None = None  # patterns: what its tokens may grant; None: all


class NatsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach the region's own NATS: user and password, or a creds file."""

    servers: list[str]  # nats://host:port, no user information
    user: str | None = None
    password: str | None = None
    creds: str | None = None  # path


class RegionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A region as every edge knows it; the list is in the same order everywhere."""

    name: str
    index: int  # 0 to 15, never changed: it names the region's share of the slots of `s`
    lat: float = 0.0
    lon: float = 0.0
    urls: list[str] = msgspec.field(default_factory=list)  # ws:// address of each edge
    nats_servers: int = 1
    weight: int = 100  # percent of what would come that is let come


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every bound of an edge. Each has a metric, and says clearly when it is hit."""

    frame_bytes: int = 32 * 1024  # a client frame
    fragments: int = 64  # of one client message
    rooms_per_session: int = 128
    connections: int = 18_000
    connections_per_s: float = 500.0
    identify_timeout_s: float = 10.0
    resume_timeout_s: float = 2.0  # for connections admitted by ?resume=1
    heartbeat_interval_ms: int = 20_000
    frames_per_minute: int = 120  # besides PUBLISH and HEARTBEAT
    beats_per_minute: int = 600  # HEARTBEATs, pings and pongs
    publishes_per_s: float = 1_000.0
    publish_burst: int = 2_000
    publish_window: int = 512  # publishes in flight to JetStream, per edge
    publish_queue: int = 64  # publishes waiting behind one session before it is not read further
    publish_deadline_s: float = 1.8  # since its frame came; then `unavailable`: 2 s at the client
    nats_patience_s: float = 10.0  # an edge without its NATS keeps its clients so long
    # In which events gather for one write to each member; 0: those of one turn of the loop.
    fanout_window_ms: Annotated[float, msgspec.Meta(ge=0, le=50)] = 0.0
    send_buffer_bytes: int = 1024 * 1024  # per connection, then 4020
    signal_buffer_bytes: int = 256 * 1024  # per connection: above it ephemeral events are dropped
    join_buffer_events: int = 2_048  # live events held for one session while it replays
    feed_buffer_events: int = 50_000  # live events held per origin while a hole is read
    feed_buffer_bytes: int = 64 * 1024 * 1024  # and of them
    replay_page_events: int = 256
    replay_page_bytes: int = 256 * 1024
    replay_reads: int = 32  # at once for sessions, per edge
    replay_streams: int = 128  # sessions that read past the rings at once; each holds a page
    replay_stall_s: float = 20.0  # for a client to take 32 KiB of its replay, then 4020
    replay_stall_crowded_s: float = 2.0  # the same while others wait for a place to read
    replay_turn_s: float = 5.0  # after which a place to read is given to who waits for one
    replay_events: int = 100_000  # of one request: past it a GAP says what is not sent
    replay_bytes: int = 64 * 1024 * 1024  # of one request, likewise
    ring_events: int = 16_384  # newest events held in memory, of one room and origin
    ring_bytes: int = 16 * 1024 * 1024  # of one room and origin
    rings_bytes: int = 128 * 1024 * 1024  # of all rooms
    ring_age_s: float = 300.0  # since an event came, or was read
    ring_block: int = 1_024  # sequences: reads into a ring begin at a multiple of it
    linger_s: float = 60.0  # a room stays open that long after its last member
    lingering_rooms: int = 10_000  # at once
    history_events: int = 1_000
    history_bytes: int = 256 * 1024
    grace_s: float = 10.0  # an abnormal end keeps the user online that long
    watched_users: int = 1_000  # per session
    status_updates: int = 5  # of one user, in
    status_updates_s: float = 20.0
    presence_page_users: int = 250  # of the first list of who is in a room
    presence_list_users: int = 1_000  # in a larger room the first page is all that is listed
    presence_changes: int = 1_000  # in one PRESENCE_BATCH; more come with the next
    presence_counts_users: int = 10_000  # of a larger room only the count is told
    presence_scopes: int = 200_000  # rooms and users of which an edge keeps a roster, 2 kB each
    presence_linger_s: float = 60.0  # a room's roster is kept that long after the last look
    negotiations_per_s: float = 200.0  # answered
    address_negotiations_per_s: float = 10.0  # to one address, or one /64 of IPv6
    visits: int = 100_000  # open at once, of plain pages
    visits_per_s: float = 500.0  # opened
    address_visits_per_s: float = 50.0  # opened from one address, or one /64 of IPv6
    visit_beat_s: float = 30.0  # in which a page says that it is still open
    visit_timeout_s: float = 90.0  # without a word, a visit is over
    resume_window_s: int = 86_400  # what the streams keep
    drain_s: float = 30.0
    takeovers_per_minute: int = 3
    token_lifetime_s: int = 86_400


class EdgeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an edge needs to serve."""

    region: str
    edge: str
    host: str
    port: int
    url: str  # ws://…/gateway, as clients reach it
    admin_host: str
    admin_port: int
    nats: NatsConfig
    regions: list[RegionConfig]
    session_key: str  # hex, ≥ 32 bytes; the same on all edges
    cursor_key: str  # hex, ≥ 32 bytes; the same on all edges
    token_keys: list[TokenKey]
    token_audience: str | None = None
    token_tenant: bool = False  # whether tokens must carry `tenant`; else all are the tenant `_`
    limits: Limits = Limits()
    origins: list[str] | None = None  # allowed Origin headers; None: any
    geoip: str | None = None  # path of a GeoIP2 or GeoLite2 database; None: countries are unknown
    trusted_proxies: list[str] = []  # networks whose X-Forwarded-For is believed


def load_config(path: Path) -> EdgeConfig:
    """Read an edge's configuration.

    Raises:
        ConfigError: the file can't be read, or a key in it is unknown, missing or of a wrong type.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    try:
        config = msgspec.json.decode(data, type=EdgeConfig)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    if config.region not in {region.name for region in config.regions}:
        raise ConfigError(f"{path}: region {config.region!r} is not in `regions`")
    return config


def save_config(config: EdgeConfig, path: Path) -> None:
    """Write `config` to `path`, readable by its owner alone."""
    path.touch(mode=0o600, exist_ok=True)
    path.chmod(0o600)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=1) + b"\n")
