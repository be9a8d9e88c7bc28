"""Streams as their regions tell of them: what stands where, with its age, and its figures."""

from collections.abc import Iterator
from dataclasses import dataclass

from console.model.lag import LagCell, LagLevel
from console.model.view import Aged, FleetView, Freshness
from regions.news import StreamNews, StreamsNews
from relay.core.names import events_stream
from relay.core.query import Field

CUT_MS = 10_000  # a mirror that heard nothing of its origin for longer; 1 s is usual
NEARLY_FULL = 0.95
# Streams whose newest, not whose oldest, is missed where they are full.
REFUSES = ("OPS_", "LOG_", "MIN_")


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream in one region."""

    region: str
    stream: StreamNews
    age_ms: int | None = None  # since it was told
    freshness: Freshness = Freshness.LIVE
    by: str = ""  # the region whose keeper tells it
    pair: LagCell | None = None  # of a mirror of events: as the edges there see it

    @property
    def kind(self) -> str:
        """`home`, or `mirror`."""
        return "mirror" if self.stream.origin else "home"

    @property
    def cut(self) -> bool:
        """Whether a mirror hears nothing of its origin: as edges say, else as NATS does."""
        mirror = None if self.pair is None else self.pair.mirror
        return mirror == "cut" if mirror else (self.stream.active_ms or 0) > CUT_MS

    @property
    def lacks(self) -> int | None:
        """Messages that a mirror lacks, as edges say, else as NATS does; None as well while it is
        cut, and nobody there can know.
        """
        if self.cut:
            return None
        if self.pair is not None and self.pair.lag_events is not None:
            return self.pair.lag_events
        return self.stream.lag

    @property
    def lag_ms(self) -> float | None:
        """How late a mirror of events is."""
        return None if self.pair is None else self.pair.lag_ms

    @property
    def full(self) -> float | None:
        """The share of its own bound that it takes; None: it has none."""
        stream = self.stream
        return stream.bytes / stream.max_bytes if stream.max_bytes else None

    @property
    def offline(self) -> tuple[str, ...]:
        """Replicas that are gone."""
        return tuple(peer.name for peer in self.stream.peers if peer.offline)

    @property
    def behind(self) -> tuple[str, ...]:
        """Replicas that are there, as far as is known, and not current."""
        peers = self.stream.peers
        return tuple(peer.name for peer in peers if not peer.current and not peer.offline)

    @property
    def state(self) -> str:
        """The worst that is known of it, in a word."""
        if self.freshness is Freshness.GONE:
            return "silent"
        if self.stream.peers and not self.stream.leader:
            return "no leader"
        mirror = None if self.pair is None else self.pair.mirror
        if mirror in ("diverged", "wedged"):
            return mirror
        if self.cut:
            return "cut"
        if self.offline:
            return "offline"
        if self.pair is not None and self.pair.level in (LagLevel.WARN, LagLevel.BAD):
            return "late"
        if self.behind:
            return "behind"
        if self.stream.name.startswith(REFUSES) and (self.full or 0.0) > NEARLY_FULL:
            return "full"
        return "ok"


@dataclass(frozen=True, slots=True)
class StoreRow:
    """The disk of one region's NATS, as far as its streams may take it."""

    region: str
    news: StreamsNews
    age_ms: int | None = None  # since it was told
    freshness: Freshness = Freshness.LIVE

    @property
    def full(self) -> float | None:
        """The share of what may be stored; None: there is no bound."""
        return self.news.stored_bytes / self.news.store_bytes if self.news.store_bytes else None


STREAM_FIELDS: tuple[Field[StreamRow], ...] = (
    Field("name", "text", lambda row: row.stream.name, "the stream's name"),
    Field("region", "text", lambda row: row.region, "where it stands"),
    Field("origin", "text", lambda row: row.stream.origin or row.region, "whose it is"),
    Field("kind", "text", lambda row: row.kind, "home or mirror"),
    Field(
        "state", "text", lambda row: row.state,
        "ok, late, behind, full, offline, cut, wedged, diverged, no leader, silent",
    ),
    Field("messages", "number", lambda row: row.stream.messages, "that it holds"),
    Field("bytes", "bytes", lambda row: row.stream.bytes, "that it takes"),
    Field("full", "share", lambda row: row.full, "of its own bound"),
    Field("first", "number", lambda row: row.stream.first, "its oldest sequence"),
    Field("last", "number", lambda row: row.stream.last, "its newest sequence"),
    Field("lag", "number", lambda row: row.lacks, "messages that a mirror lacks"),
    Field("late", "ms", lambda row: row.lag_ms, "how late a mirror of events is read there"),
    Field("active", "ms", lambda row: row.stream.active_ms, "since a mirror heard of its origin"),
    Field("deleted", "number", lambda row: row.stream.deleted, "sequences that it does not hold"),
    Field("consumers", "number", lambda row: row.stream.consumers, "that read it"),
    Field("epoch", "number", lambda row: row.stream.epoch, "of a home stream of events"),
    Field("leader", "text", lambda row: row.stream.leader, "the server that leads it"),
    Field(
        "behind", "number", lambda row: len(row.behind) + len(row.offline),
        "replicas that are not current",
    ),
    Field("offline", "number", lambda row: len(row.offline), "replicas that are gone"),
    Field("age", "ms", lambda row: row.age_ms, "since it was told"),
)  # fmt: skip

STORE_FIELDS: tuple[Field[StoreRow], ...] = (
    Field("name", "text", lambda row: row.region, "the region"),
    Field("bytes", "bytes", lambda row: row.news.stored_bytes, "on disk"),
    Field("full", "share", lambda row: row.full, "of what may be"),
    Field("age", "ms", lambda row: row.age_ms, "since it was told"),
)


def stream_rows(view: FleetView) -> list[StreamRow]:
    """Every stream of every region that was told of, however long ago: by what it holds and whose
    it is, home first.
    """
    places = {region.name: at for at, region in enumerate(view.regions)}
    found = [
        _row(view, region, told, stream)
        for region, told in view.streams.items()
        for stream in told.value.streams
    ]

    def place(row: StreamRow) -> tuple[object, ...]:
        what, _, origin = row.stream.name.partition("_")
        whose = places.get(origin, len(places))
        return what, whose, row.stream.name, row.kind, places.get(row.region, len(places))

    return sorted(found, key=place)


def store_rows(view: FleetView) -> list[StoreRow]:
    """The store of every region that was told of, however long ago."""
    return [
        StoreRow(region.name, told.value, told.age_ms, told.freshness)
        for region in view.regions
        if (told := view.streams.get(region.name)) is not None
    ]


def untold(view: FleetView) -> Iterator[str]:
    """The regions whose streams nobody tells of, or did for too long."""
    for region in view.regions:
        told = view.streams.get(region.name)
        if told is None or told.freshness is Freshness.GONE:
            yield region.name


def _row(view: FleetView, region: str, told: Aged[StreamsNews], stream: StreamNews) -> StreamRow:
    events = bool(stream.origin) and stream.name == events_stream(stream.origin)
    pair = view.lag.get((stream.origin, region)) if events else None
    by = told.value.by or region
    return StreamRow(region, stream, told.age_ms, told.freshness, by, pair)
