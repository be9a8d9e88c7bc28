"""The other edges: alive while they say so, and where clients are pointed to."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from relay.config import RegionConfig
from relay.core.names import lease_subject
from relay.core.orders import FULL_WEIGHT
from relay.core.steering import ease_of
from relay.edge.returns import Returns

ALIVE_S = 6.0
BEAT_S = 2.0
READY = "ready"
CLOSED = frozenset({"draining", "drained", "cordoned"})  # it lives, and takes nobody
LOTS = 64  # by which clients are spread over regions, and over the edges of each
EASE_STEPS = 16  # in which a region that gets full is named to fewer


class Listed(NamedTuple):
    """A region that clients are pointed to."""

    name: str
    urls: tuple[str, ...]
    share: float = 1.0  # of the clients that are pointed there, 0 to 1
    lives: bool = True  # an edge of it was heard
    home: bool = False  # clients that are told of it are there
    shut: bool = False  # operators let nobody in, or send nobody there


Listing = list[Listed]


class LeaseBeat(msgspec.Struct, frozen=True):
    """What an edge says every 2 s, through the links."""

    region: str
    edge: str
    epoch: int
    url: str
    state: str
    connections: int = 0
    room: int = 0  # connections that it can hold; 0: it does not say


_decoder = msgspec.json.Decoder(LeaseBeat)


def subject_of(beat: LeaseBeat) -> str:
    """Where this beat is published."""
    return lease_subject(beat.region, beat.edge)


class Peers:
    """All edges heard of, and the static list of regions."""

    def __init__(
        self, region: str, edge: str, url: str, regions: Sequence[RegionConfig], now_s: float
    ) -> None:
        self._since_s = now_s
        self._region = region
        self._edge = edge
        self._url = url
        self._heard: dict[tuple[str, str], tuple[LeaseBeat, float]] = {}
        self.cut = False  # this region's NATS is gone: nobody is pointed to it
        self.draining = False  # this edge sends its clients to its neighbours, and ends
        self.drained = False  # it sends them there because an operator wants it
        self.refusing: frozenset[tuple[str, str]] = frozenset()  # edges that operators closed
        # How much of what would come other regions take, 0 to 1: as operators want, and by itself.
        self.shares: Mapping[str, float] = {}
        self._eased: dict[str, float] = {}  # region -> how much it takes, by its room
        self.returns = Returns()
        self._listed: Listing = []
        self._picked: dict[int, list[dict[str, str]]] = {}  # by lot, of those listed last
        self._deaf_s = -math.inf  # when no other region was heard last
        home = next(r for r in regions if r.name == region)
        self._regions = sorted(regions, key=lambda r: (r.name != region, _distance(home, r)))

    def hear(self, subject: str, data: bytes, now_s: float) -> LeaseBeat | None:
        """A beat arrived. One that does not come from its own subject, or is old, is ignored."""
        try:
            beat = _decoder.decode(data)
        except (msgspec.DecodeError, RecursionError):
            return None
        key = (beat.region, beat.edge)
        known = self._heard.get(key)
        if subject != subject_of(beat) or (known and known[0].epoch > beat.epoch):
            return None
        if beat.region not in {region.name for region in self._regions}:
            return None
        self._heard[key] = (beat, now_s)
        return beat

    def weight(self, region: str) -> int:
        """Percent of what would come that a region takes, where operators say nothing."""
        return next((each.weight for each in self._regions if each.name == region), FULL_WEIGHT)

    def is_cut(self, region: str) -> bool:
        """Whether a region is this one, and its NATS is gone."""
        return self.cut and region == self._region

    @property
    def others(self) -> list[str]:
        """The other regions."""
        return [each.name for each in self._regions if each.name != self._region]

    def look(self, now_s: float) -> None:
        """Which regions are heard now: what was silent, and is heard again, has to last.

        Who hears no other region may be cut off itself, and takes none for gone. What operators
        have closed is not gone: it counts again as soon as they open it.
        """
        names = [each.name for each in self._regions]
        lives = {name: bool(self.ready(name, now_s)) for name in names}
        closed = {
            key[0]
            for key, (beat, at) in self._heard.items()
            if (key in self.refusing or beat.state in CLOSED) and now_s - at < ALIVE_S
        }
        lives |= dict.fromkeys(closed, True)
        if not any(lives[name] for name in self.others):
            self._deaf_s = now_s
        elif not self.early(now_s) and now_s - self._deaf_s >= 2 * BEAT_S:
            self.returns.look(lives, now_s)

    def early(self, now_s: float) -> bool:
        """Whether it is too early to have heard everybody: the configuration says who is there."""
        return now_s - self._since_s < 2 * BEAT_S

    def forget_dead(self, now_s: float) -> None:
        """Drop edges not heard of for long: the table stays as large as the fleet."""
        for key in [k for k, (_, at) in self._heard.items() if now_s - at > 10 * ALIVE_S]:
            del self._heard[key]

    @property
    def neighbours(self) -> int:
        """How many other edges of this region are configured or were heard of, alive or not."""
        mine = [beat for (region, _), (beat, _) in self._heard.items() if region == self._region]
        urls = {beat.url for beat in mine}
        urls.update(next(each.urls for each in self._regions if each.name == self._region))
        return len(urls - {self._url})

    def ready(self, region: str, now_s: float) -> list[LeaseBeat]:
        """The newest beats of the edges of a region that take clients, this one among them."""
        return [
            beat
            for key, (beat, at) in sorted(self._heard.items())
            if beat.region == region
            and beat.state == READY
            and now_s - at < ALIVE_S
            and key not in self.refusing
        ]

    def _ready(self, region: str, now_s: float) -> list[str]:
        me = (self._region, self._edge)
        return sorted(
            beat.url for beat in self.ready(region, now_s) if (beat.region, beat.edge) != me
        )

    def regions(self, now_s: float, lot: int = 0) -> list[dict[str, str]]:
        """`[{name, url}]` for HELLO.

        Args:
            now_s: monotonic.
            lot: of the client; clients are spread over the edges of a region by it.
        """
        listing = self.listing(now_s)
        if listing != self._listed:
            self._listed, self._picked = listing, {}
        if lot not in self._picked:
            self._picked[lot] = picked(listing, lot)
        return self._picked[lot]

    def listing(self, now_s: float) -> Listing:
        """The regions and their addresses: this one first, then by distance, who lives first.

        This region is not in the list while its NATS is gone. While this edge drains, a live
        neighbour stands for it; without one, the region is not in the list either. How much the
        others take is as steering has it: by weights, ramps and cordons, and by the room left; one
        that has come back has to last before clients are told of it.
        """
        living: Listing = []
        silent: Listing = []
        for region in self._regions:
            name = region.name
            if name == self._region:
                live = self._own(region, now_s)
                if live:
                    living.append(Listed(name, tuple(live), home=True))
                continue
            live = self._ready(name, now_s)
            urls = tuple(live or region.urls)
            if urls:
                wanted = self._wanted(region)
                lasts = not live or self.returns.verdict(name).admits
                share = wanted * self._ease(name, now_s) if lasts else 0.0
                listed = Listed(name, urls, share, bool(live), shut=wanted <= 0)
                (living if live else silent).append(listed)
        return living + silent

    def _wanted(self, region: RegionConfig) -> float:
        """How much of what would come operators let a region take."""
        return min(self.shares.get(region.name, region.weight / FULL_WEIGHT), 1.0)

    def _ease(self, region: str, now_s: float) -> float:
        """How much of it its room lets it take."""
        beats = self.ready(region, now_s)
        rooms = [beat.room for beat in beats]
        room = sum(rooms) if all(rooms) else 0  # an older edge does not say
        ease = ease_of(sum(beat.connections for beat in beats), room)
        known = self._eased.get(region, 1.0)
        # In steps, so that clients are not told of each one who comes or goes.
        if abs(ease - known) > 1 / EASE_STEPS or ease in (0.0, 1.0):
            known = self._eased[region] = round(ease * EASE_STEPS) / EASE_STEPS
        return known

    def _own(self, region: RegionConfig, now_s: float) -> list[str]:
        if self.cut:
            return []
        leaving = self.draining or self.drained
        return self._others(region, now_s) if leaving else [self._url]

    def _others(self, region: RegionConfig, now_s: float) -> list[str]:
        live = self._ready(region.name, now_s)
        if not live and self.early(now_s):
            return [url for url in region.urls if url != self._url]
        return live

    def resume_url(self, now_s: float, lot: int = 0) -> str:
        """Another live edge: of this region, else of the next one in the client's list, else of one
        that takes nobody; else any other that is known.
        """
        if not self.cut:
            urls = self._others(self._regions[0], now_s)
            if urls:
                return spread(urls, lot)
        others = [each for each in self.listing(now_s) if each.name != self._region]
        if any(each.lives for each in others):
            return picked(others, lot)[0]["url"]
        urls = [url for region in self._regions for url in region.urls if url != self._url]
        return spread(urls, lot) if urls else self._url

    def somebody_takes(self, now_s: float) -> bool:
        """Whether there is an edge besides that clients may be sent to now.

        Regions that operators have shut count only where no other one lives.
        """
        open_ = [each for each in self._regions if each.name == self._region or self._wanted(each)]
        living = [each for each in open_ if self._has_room(each, now_s) is not None]
        found = living or self._regions
        return any(self._has_room(region, now_s) for region in found)

    def _has_room(self, region: RegionConfig, now_s: float) -> bool | None:
        """Whether an edge of a region has room, besides this one; None: no other one is ready."""
        if self.is_cut(region.name):
            return None
        me = (self._region, self._edge)
        beats = [b for b in self.ready(region.name, now_s) if (b.region, b.edge) != me]
        return any(not b.room or b.connections < b.room for b in beats) if beats else None


def picked(listing: Listing, lot: int) -> list[dict[str, str]]:
    """`[{name, url}]` for a client with this lot.

    A region that takes a part of what would come is in the lists of so many, and always of the
    same ones. Where none that lives takes this client, all are named, those first that take most;
    but one that operators have shut only where no other lives.
    """
    takes = [each for each in listing if each.home or each.share > _points(each.name)[lot]]
    if not any(each.lives for each in takes):
        best = sorted(listing, key=lambda each: (not each.lives, -each.share))
        takes = [each for each in best if not each.shut] or best
    return [{"name": each.name, "url": spread(each.urls, lot)} for each in takes]


@lru_cache(maxsize=64)
def _points(region: str) -> tuple[float, ...]:
    """Where the client of each lot stands among those that a region takes, 0 to 1: each lot
    elsewhere, and in another order for each region.
    """
    ranked = sorted(range(LOTS), key=lambda lot: blake2b(f"{region} {lot}".encode()).digest())
    points = [0.0] * LOTS
    for rank, lot in enumerate(ranked):
        points[lot] = (rank + 0.5) / LOTS
    return tuple(points)


def spread(urls: Sequence[str], lot: int | str) -> str:
    """One of some addresses, the same one each time (rendezvous hashing): when one goes, only
    those who had it get another.
    """
    if len(urls) == 1:
        return urls[0]
    return max(urls, key=lambda url: blake2b(f"{lot} {url}".encode(), digest_size=8).digest())


def _distance(a: RegionConfig, b: RegionConfig) -> float:
    lat = math.radians(a.lat), math.radians(b.lat)
    d_lat, d_lon = lat[1] - lat[0], math.radians(b.lon - a.lon)
    h = math.sin(d_lat / 2) ** 2 + math.cos(lat[0]) * math.cos(lat[1]) * math.sin(d_lon / 2) ** 2
    return 2 * math.asin(math.sqrt(min(1.0, h)))
