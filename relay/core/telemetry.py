"""The 1 Hz telemetry frame that every edge publishes: absolute values, so a lost frame costs only
freshness. Consoles fold these frames; `/metrics` serves the same counters.
"""

import msgspec

ENDED = "ended"  # the state in an edge's last frame, where it ends in order


class Census(msgspec.Struct, frozen=True):
    """Different users over all edges, counted by one edge of each region."""

    users: int  # of all regions
    regions: dict[str, int]  # of each
    exact: bool  # of this second, to the unit
    error: float = 0.0  # standard error where only sketches can be held, as a share of the count


class EdgeFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What one edge says of itself.

    Counters count since the edge's start (`epoch`); a larger epoch restarts them from 0.
    """

    v: int = 1
    region: str
    edge: str
    epoch: int  # Unix ms of the edge's start, and later than any before: one that is heard later
    # replaces the one before at once
    frame: int  # number of this frame, from 1
    at_ms: int  # Unix ms when the frame was made
    url: str  # ws:// address for clients
    version: str
    state: str  # starting | ready | cordoned | draining | drained | cut_off | full | ended
    nats_connected: bool
    connections: int  # open WebSockets
    sessions: int  # identified
    rooms: int  # rooms with local members
    events_in: int = 0  # events received from NATS for local rooms, total
    events_out: int = 0  # frames of events written to clients, total
    bytes_out: int = 0  # total
    publishes: int = 0  # acknowledged to clients, total
    publishes_failed: int = 0  # answered `unavailable`, total
    publishes_waiting: int = 0  # in flight now
    resumes: int = 0  # total
    resumes_refused: int = 0  # INVALID_SESSION, total
    replayed: int = 0  # events sent by replay, total
    holes: int = 0  # found in the live feed and repaired, total
    closes: dict[str, int] = msgspec.field(default_factory=dict)  # close code -> connections, total
    refused: dict[str, int] = msgspec.field(default_factory=dict)  # why -> handshakes, total
    users: int = 0  # different users with a session here, now
    changes: int = 0  # comings and goings of sessions, total
    opened: dict[str, int] = msgspec.field(default_factory=dict)  # how -> sessions, total
    closed: dict[str, int] = msgspec.field(default_factory=dict)  # close code -> sessions, total
    # label -> sessions open now, opened in all, closed in all
    countries: dict[str, tuple[int, int, int]] = msgspec.field(default_factory=dict)
    transports: dict[str, tuple[int, int, int]] = msgspec.field(default_factory=dict)
    visits: int = 0  # of plain pages, now
    visits_opened: int = 0  # total
    visits_ended: dict[str, int] = msgspec.field(default_factory=dict)  # how -> total
    census: Census | None = None  # of the edge that counts for its region
    send_buffer_bytes: int = 0  # over all connections, now
    loop_lag_ms: float = 0.0  # the worst of the last second
    rss_bytes: int = 0
    cpu_s: float = 0.0  # of the process, total
    epochs: dict[str, int] = msgspec.field(default_factory=dict)  # origin -> stream epoch
    positions: dict[str, int] = msgspec.field(default_factory=dict)  # origin -> dispatched sequence
    heads: dict[str, int] = msgspec.field(default_factory=dict)  # origin -> head as the origin says
    # origin -> ms from the stamp of the newest marker to its arrival here; grows while none comes,
    # None until one was ever seen. The lag of the ordered pair (origin, region).
    lag_ms: dict[str, float | None] = msgspec.field(default_factory=dict)
    # origin -> events that its mirror here is behind, and how the mirror stands (MirrorState)
    lag_events: dict[str, int] = msgspec.field(default_factory=dict)
    mirrors: dict[str, str] = msgspec.field(default_factory=dict)
    # scope (region, or region/edge) -> Unix ms of the order that it knows of; of the newest ones
    ordered: dict[str, int] = msgspec.field(default_factory=dict)
    room: int = 0  # connections that it can hold; 0: it does not say
    watching: bool = False  # whether this edge is the region's watcher
    alarms: list[str] = msgspec.field(default_factory=list)  # those that stand, for people


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(EdgeFrame)


def encode_frame(frame: EdgeFrame) -> bytes:
    """The frame as UTF-8 JSON."""
    return _encoder.encode(frame)


def decode_frame(data: bytes) -> EdgeFrame:
    """The frame in `data`; unknown keys are ignored, so newer edges and older consoles mix.

    Raises:
        msgspec.DecodeError: `data` is not a frame.
    """
    return _decoder.decode(data)
