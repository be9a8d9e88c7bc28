"""The fleet as heard: regions, edges and the console's own link, changed only by the folds here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from console.model.books import Books, of_operations
from console.model.bounds import MAX_NAME, is_sound
from console.model.news import Told, tell
from console.model.news import is_sound as is_sound_news
from console.model.series import Series
from console.model.timeline import Timeline, of_edge, with_happenings
from console.model.track import EdgeTrack, hear
from regions.news import News
from relay.core.telemetry import EdgeFrame

MAX_EDGES = 1_000
MAX_REGIONS = 32
FRESH_MS = 3_000  # rates of edges heard that recently make up a region's history

EdgeKey = tuple[str, str]  # (region, edge)


class LinkState(Enum):
    """Whether the console itself is connected."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"


# Why there was no link in the past: who wrote it down did not hear either.
NOT_KEPT = "nothing was kept"


@dataclass(frozen=True, slots=True)
class Link:
    """The console's own connection, apart from what any region does."""

    state: LinkState = LinkState.CONNECTING
    since_ms: int = 0
    via: str = ""  # the region whose NATS it is connected to, or was
    reason: str = ""  # why it was lost

    @property
    def unkept(self) -> bool:
        """Whether this is of a time of which nothing was kept."""
        return self.state is LinkState.LOST and self.reason == NOT_KEPT


@dataclass(frozen=True, slots=True)
class Fleet:
    """Everything heard so far. Regions and edges stand in the order in which they became known."""

    regions: Mapping[str, Series] = field(default_factory=dict)  # -> events out per second
    edges: Mapping[EdgeKey, EdgeTrack] = field(default_factory=dict)
    link: Link = Link()
    told: Told = field(default_factory=Told)  # by keepers and drills
    books: Books = field(default_factory=Books)  # what operators ordered and did
    timeline: Timeline = ()
    late: int = 0  # frames that were out of order or came twice
    refused: int = 0  # frames that can't be read, or hold names or numbers out of bounds
    over_limit: int = 0  # frames of edges or regions beyond MAX_EDGES, MAX_REGIONS


def expect(fleet: Fleet, region: str, edges: Iterable[str] = ()) -> Fleet:
    """The fleet that knows of `region` and its `edges` before any of them was heard."""
    fleet = replace(fleet, regions=_with_regions(fleet.regions, (region,)))
    if region not in fleet.regions:
        return replace(fleet, over_limit=fleet.over_limit + 1)
    tracks = dict(fleet.edges)
    for name in edges:
        if len(tracks) < MAX_EDGES:
            tracks.setdefault((region, name), EdgeTrack(region, name))
    return replace(fleet, edges=tracks)


def fold(fleet: Fleet, frame: EdgeFrame, received_ms: int) -> Fleet:
    """The fleet after `frame` came at `received_ms`.

    A newer (epoch, frame) of an edge replaces the older; others are counted and change nothing. A
    region that a frame names as an origin is known from then on.
    """
    if not is_sound(frame):
        return count_refused(fleet)
    regions = _with_regions(fleet.regions, (frame.region, *frame.lag_ms))
    key = (frame.region, frame.edge)
    known = fleet.edges.get(key)
    if frame.region not in regions or (known is None and len(fleet.edges) >= MAX_EDGES):
        return replace(fleet, over_limit=fleet.over_limit + 1)
    track = hear(known or EdgeTrack(frame.region, frame.edge), frame, received_ms)
    if track is None:
        return replace(fleet, late=fleet.late + 1)
    edges = {**fleet.edges, key: track}
    return replace(
        fleet,
        edges=edges,
        regions=_with_total(regions, edges, track),
        timeline=with_happenings(fleet.timeline, *of_edge(known, track)),
    )


def fold_news(fleet: Fleet, region: str, news: News, received_ms: int) -> Fleet:
    """The fleet after news of a region came at `received_ms`."""
    if not is_sound_news(news) or not 0 < len(region) <= MAX_NAME:
        return count_refused(fleet)
    regions = _with_regions(fleet.regions, (region,))
    if region not in regions:
        return replace(fleet, over_limit=fleet.over_limit + 1)
    told, happened = tell(fleet.told, region, news, received_ms)
    timeline = with_happenings(fleet.timeline, *happened)
    return replace(fleet, told=told, regions=regions, timeline=timeline)


def fold_books(fleet: Fleet, books: Books) -> Fleet:
    """The fleet after the books were read."""
    happened = of_operations(fleet.books, books)
    return replace(fleet, books=books, timeline=with_happenings(fleet.timeline, *happened))


def change_link(fleet: Fleet, link: Link) -> Fleet:
    """The fleet after the console's own connection changed."""
    return replace(fleet, link=link)


def count_refused(fleet: Fleet) -> Fleet:
    """The fleet after a frame that can't be used."""
    return replace(fleet, refused=fleet.refused + 1)


def _with_regions(known: Mapping[str, Series], names: Iterable[str]) -> Mapping[str, Series]:
    new = [name for name in names if name not in known and 0 < len(name) <= MAX_NAME]
    if not new:
        return known
    regions = dict(known)
    for name in new:
        if len(regions) < MAX_REGIONS:
            regions.setdefault(name, Series())
    return regions


def _with_total(
    regions: Mapping[str, Series], edges: Mapping[EdgeKey, EdgeTrack], heard: EdgeTrack
) -> Mapping[str, Series]:
    """`regions` with the sum of the edges' rates, written at the first frame of each second."""
    second = heard.received_ms // 1000
    series = regions[heard.region]
    if heard.rates is None or (series.values and series.end >= second):
        return regions
    total = sum(
        track.rates.events_out
        for track in edges.values()
        if track.region == heard.region
        and track.rates is not None
        and heard.received_ms - track.received_ms <= FRESH_MS
    )
    return {**regions, heard.region: series.add(second, total)}
