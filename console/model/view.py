"""What the screens draw: the fleet at one time, every value with its age."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from console.model.alerts import GONE_MS, AlertView
from console.model.books import Books
from console.model.canaries import CanaryView
from console.model.fleet import Link
from console.model.lag import LagCell
from console.model.series import EMPTY, Series
from console.model.timeline import Timeline
from console.model.track import Rates
from regions.news import CertificatesNews, DrillNews, SteeringNews, StreamsNews
from relay.core.telemetry import EdgeFrame

T = TypeVar("T")


class Freshness(Enum):
    """What a value's age makes of it."""

    LIVE = "live"
    STALE = "stale"  # shown dimmed
    GONE = "gone"  # no longer shown; the time it was last seen is


@dataclass(frozen=True, slots=True)
class Ages:
    """When values stop being live, in ms."""

    stale_ms: int = 3_000
    gone_ms: int = 10_000


@dataclass(frozen=True)
class Aged(Generic[T]):
    """Something that was told, and how old that is."""

    value: T
    age_ms: int
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class EdgeView:
    """One edge now. Figures are None where nothing young enough is known."""

    region: str
    name: str
    state: str  # an edge's own word, or `dark`, or `unknown`
    freshness: Freshness
    age_ms: int | None  # of the newest frame; None: never heard
    connections: int | None = None
    room: int = 0  # connections that it can hold, while it is ready; 0: it does not say
    rates: Rates | None = None
    lag: LagCell | None = None  # the worst this edge reads
    loop_lag_ms: float | None = None
    rss_bytes: int | None = None
    clock_off_ms: int = 0  # ahead of most others' by more than a little; less than 0: behind
    restarts: int = 0
    url: str = ""
    version: str = ""
    frame: EdgeFrame | None = None  # the newest, unless it is too old
    history: Mapping[str, Series] = field(default_factory=dict)  # figure -> its last values


@dataclass(frozen=True, slots=True)
class RegionView:
    """One region now: sums over the edges that are not gone."""

    name: str
    state: str  # ok | degraded | cut_off | dark | down | unknown
    reason: str  # why it is not ok; "" if it is
    freshness: Freshness  # of its youngest edge
    age_ms: int | None  # of its youngest frame
    edges: tuple[EdgeView, ...]
    ready: int  # edges that say so
    connections: int | None
    rates: Rates | None
    lag: LagCell | None  # the worst that it reads from another region
    room: int | None = None  # connections that its ready edges can hold; None: not all say
    if_lost: float | None = None  # how full the others would be with its clients, 0 to 1 and more
    history: Series = EMPTY  # events out per second


@dataclass(frozen=True, slots=True)
class FleetView:
    """Everything the screens draw."""

    now_ms: int
    link: Link
    regions: tuple[RegionView, ...]
    lag: Mapping[tuple[str, str], LagCell]  # (origin, region) -> cell, for every pair
    connections: int | None
    rates: Rates | None
    worst_lag: LagCell | None
    late: int
    refused: int
    over_limit: int
    alerts: tuple[AlertView, ...] = ()
    alerts_age_ms: Mapping[str, int] = field(default_factory=dict)  # of what each keeper says
    canaries: tuple[CanaryView, ...] = ()  # that fail, as keepers say
    streams: Mapping[str, Aged[StreamsNews]] = field(default_factory=dict)  # by region
    steering: Mapping[str, Aged[SteeringNews]] = field(default_factory=dict)  # by keeper's region
    certificates: Mapping[str, Aged[CertificatesNews]] = field(default_factory=dict)
    drills: Mapping[str, tuple[DrillNews, ...]] = field(default_factory=dict)  # by run
    books: Books = field(default_factory=Books)
    timeline: Timeline = ()

    @property
    def keeper_age_ms(self) -> int | None:
        """Since any keeper said which alerts stand; None: none ever did."""
        return min(self.alerts_age_ms.values(), default=None)

    @property
    def is_kept(self) -> bool:
        """Whether a keeper is heard: else nobody knows which alerts there would be."""
        return self.keeper_age_ms is not None and self.keeper_age_ms <= GONE_MS

    @property
    def edges(self) -> tuple[EdgeView, ...]:
        """All edges, region by region."""
        return tuple(edge for region in self.regions for edge in region.edges)
