"""News: what keepers and drills tell those who watch a fleet. Values only.

Published through the NATS of the region that it is about, on `news.<region>.<about>`, carried to
all regions, and kept in each beside the edges' frames for a day. Every message is whole: one that
is lost costs only freshness. Unknown keys are ignored, so newer keepers and older consoles mix.
"""

from typing import Literal

import msgspec

Severity = Literal["page", "ticket"]
AlertState = Literal["pending", "firing", "resolved"]


class Peer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A replica of a stream, besides its leader."""

    name: str
    current: bool
    lag: int = 0  # entries of the group's log that it lacks
    offline: bool = False


class StreamNews(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stream as it stands in one region."""

    name: str
    origin: str = ""  # whose copy it is; empty: it stands at home
    first: int
    last: int
    messages: int
    bytes: int
    max_bytes: int = 0  # 0: no bound of its own
    deleted: int = 0  # sequences between first and last that it does not hold
    last_ms: int = 0  # Unix ms when the newest was stored
    leader: str = ""  # the nats-server that leads it; empty: nobody does, or it stands alone
    peers: list[Peer] = []
    lag: int | None = None  # of a mirror: messages that it knows it lacks
    active_ms: int | None = None  # of a mirror: since it heard of its origin
    consumers: int = 0
    epoch: int | None = None


class StreamsNews(msgspec.Struct, frozen=True, kw_only=True, tag="streams", tag_field="about"):
    """All streams of one region, by its JetStream."""

    at_ms: int
    streams: list[StreamNews]
    stored_bytes: int = 0  # on disk, of all
    store_bytes: int = 0  # that may be; 0: no bound
    by: str = ""  # the region whose keeper says it; empty: it does not say


class RegionNews(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A region as steering sees it."""

    name: str
    state: str  # ok | degraded | dark | down
    reason: str = ""
    admits: bool = True
    lat: float = 0.0
    lon: float = 0.0
    connections: int = 0
    room: int = 0
    weight: int = 100
    cordoned: str = ""  # why; empty: it is not
    ramp: float = 1.0


class EdgeNews(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An edge as steering sees it."""

    region: str
    name: str
    state: str
    reason: str = ""
    admits: bool = True
    door: str | None = None  # why its door was not gone through; empty: it was; None: not tried
    door_ms: float = 0.0  # how long that took


class FlightNews(msgspec.Struct, frozen=True, kw_only=True):
    """What is published through one region's doors, and comes out of another one's."""

    origin: str
    region: str
    took_ms: float | None  # of the newest that came; None: none did
    age_ms: int  # since it came, or since one is waited for


class SteeringNews(msgspec.Struct, frozen=True, kw_only=True, tag="steering", tag_field="about"):
    """How one keeper sees all regions."""

    at_ms: int
    regions: list[RegionNews]
    edges: list[EdgeNews]  # those that are not as they should be
    tried: int = 0  # doors that it goes through again and again
    flights: list[FlightNews] = []
    by: str = ""  # the region that is the keeper's own; it may tell in others as well


class AlertNews(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A condition that somebody has to be told of."""

    name: str
    on: str  # what it is about: `eu-1`, `us>eu`; empty: the fleet
    severity: Severity
    state: AlertState
    since_ms: int  # Unix ms when its condition was met; of a resolved one, when it no more was
    text: str
    runbook: str = ""
    acked_by: str = ""  # who looks after it; empty: nobody said so
    acked_why: str = ""


class AlertsNews(msgspec.Struct, frozen=True, kw_only=True, tag="alerts", tag_field="about"):
    """The alerts that stand, as one keeper sees it."""

    at_ms: int
    alerts: list[AlertNews]
    rules: int  # that are looked at
    by: str = ""  # the region that is the keeper's own; it may tell in others as well
    posts: bool = True  # it tells the outside, which takes it


class AlertChange(msgspec.Struct, frozen=True, kw_only=True, tag="alert", tag_field="about"):
    """An alert began to fire, or is resolved."""

    at_ms: int
    alert: AlertNews


class AckNews(msgspec.Struct, frozen=True, kw_only=True, tag="ack", tag_field="about"):
    """Somebody looks after an alert."""

    at_ms: int
    name: str
    on: str
    by: str
    why: str = ""


class CertificatesNews(
    msgspec.Struct, frozen=True, kw_only=True, tag="certificates", tag_field="about"
):
    """When the certificates of public doors and of nats-servers end."""

    at_ms: int
    ends: dict[str, float]  # name -> Unix s


class BoundNews(msgspec.Struct, frozen=True):
    """An objective that a drill was held against."""

    text: str
    said: str  # what was measured, with its unit
    bound: str  # `at most 5 s`
    met: bool


class FoundNews(msgspec.Struct, frozen=True, kw_only=True):
    """What a drill found, when it was judged. Times in s: of all faults the worst."""

    clients: int
    lost: int  # events that an origin lost, or that a client was owed and did not get
    repeated: int  # events that an application got twice
    detect_s: float | None = None  # until the last client knew that its connection was gone
    decide_s: float | None = None  # until the last one had chosen where to go
    reconnect_p99_s: float | None = None  # until its session went on
    current_s: float | None = None  # from healing, until every client was current
    bounds: list[BoundNews] = []


class DrillNews(msgspec.Struct, frozen=True, kw_only=True, tag="drill", tag_field="about"):
    """A stage of a drill that runs, or how it ended."""

    at_ms: int
    run: str
    drill: str
    by: str
    number: int  # of this message, from 1
    stage: str
    at_s: float  # since the drill's begin
    text: str
    took_s: float | None = None
    why: str = ""  # why it is run
    word: str = ""  # with the last one: pass | missed | failed | …; empty: it goes on
    report: str = ""  # where it is, or will be
    found: FoundNews | None = None  # with the last one, where it was judged


News = (
    StreamsNews | SteeringNews | AlertsNews | AlertChange | AckNews | CertificatesNews | DrillNews
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[News] = msgspec.json.Decoder(News)


def encode_news(news: News) -> bytes:
    """The message as UTF-8 JSON."""
    return _encoder.encode(news)


def decode_news(data: bytes) -> News:
    """The message in `data`.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _decoder.decode(data)
