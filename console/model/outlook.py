"""What steering would do, computed from what a keeper says of the regions: answers by country, and
what if a region died.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.model.view import FleetView, Freshness
from regions.news import RegionNews, SteeringNews
from regions.steering.what_if import RECONNECT_S, WhatIf, if_left
from relay.core.query import Field
from relay.core.steering import Candidate, Place, Share, State, Verdict, Whence, shares
from relay.core.telemetry import ENDED
from relay.geo.countries import COUNTRIES

# Where nobody is, or the edges do not know: the most people of each part of the world.
USUAL = (
    "US", "CA", "MX", "BR", "AR", "GB", "DE", "FR", "ES", "IT", "PL", "TR", "RU", "EG", "NG", "KE",
    "ZA", "SA", "IN", "PK", "BD", "ID", "SG", "VN", "PH", "CN", "KR", "JP", "AU", "NZ",
)  # fmt: skip
MOST = 60  # countries that are answered


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the clients of a country are sent."""

    country: str  # ISO 3166
    clients: int  # of there, with a session now; 0 as well where edges do not know
    shares: tuple[Share, ...]

    @property
    def first(self) -> Share | None:
        """The region that most of them get."""
        return max(self.shares, key=lambda each: each.share, default=None)


ANSWER_FIELDS: tuple[Field[Answer], ...] = (
    Field("country", "text", lambda each: each.country, "ISO 3166"),
    Field("clients", "number", lambda each: each.clients, "of there, with a session now"),
    Field("region", "text", lambda each: each.first.region if each.first else None, "of most"),
    Field("share", "share", lambda each: each.first.share if each.first else None, "that gets it"),
    Field("ms", "ms", lambda each: each.first.distance_ms if each.first else None, "to there"),
)


def candidates(news: SteeringNews) -> list[Candidate]:
    """The regions as they count where a client is to be sent somewhere."""
    return [
        Candidate(
            name=each.name,
            place=Place(each.lat, each.lon),
            verdict=Verdict(_state(each), each.reason, each.admits),
            connections=each.connections,
            room=each.room,
            weight=each.weight,
            cordoned=each.cordoned,
            ramp=each.ramp,
        )
        for each in news.regions
    ]


def clients_by_country(view: FleetView) -> Counter[str]:
    """Sessions that are open, by country, as far as edges know it; `ZZ` where they do not."""
    clients: Counter[str] = Counter()
    for edge in view.edges:
        if edge.frame is not None:
            clients.update({code: now for code, (now, _, _) in edge.frame.countries.items()})
    return clients


def answers(regions: Sequence[Candidate], clients: Mapping[str, int]) -> list[Answer]:
    """Where clients of each country are sent: those with most clients first, then the usual ones.

    Args:
        regions: all of them.
        clients: country -> how many are here now.
    """
    known = [code for code, number in clients.items() if number > 0 and code in COUNTRIES]
    known.sort(key=lambda code: (-clients[code], code))
    codes = list(dict.fromkeys([*known, *USUAL]))[:MOST]
    return [Answer(code, clients.get(code, 0), answer(regions, code)) for code in codes]


def answer(regions: Sequence[Candidate], country: str) -> tuple[Share, ...]:
    """Where clients of one country are sent.

    Raises:
        KeyError: nobody knows where that is.
    """
    return tuple(shares(regions, Whence(Place(*COUNTRIES[country]))))


def unplaced(clients: Mapping[str, int]) -> int:
    """How many of the clients are of no country that is known."""
    return sum(number for code, number in clients.items() if code not in COUNTRIES)


def if_died(view: FleetView, news: SteeringNews, region: str, admitted_per_s: float) -> WhatIf:
    """What would happen if a region died now.

    Args:
        view: the fleet, which says how many connections the region has.
        news: what a keeper says of the regions.
        region: its name, one of these.
        admitted_per_s: connections that one edge lets in a second; 0.0: not known.
    """
    leave = sum(
        edge.connections or 0
        for edge in view.edges
        if edge.region == region and edge.freshness is not Freshness.GONE and edge.state != ENDED
    )
    return if_left(
        candidates(news),
        region,
        leave,
        within_s=RECONNECT_S,
        admitted_per_s=admitted_per_s,
        edges=_admitting(view, news),
    )


def _admitting(view: FleetView, news: SteeringNews) -> dict[str, int]:
    """How many edges of each region a keeper would send clients to: it names those that it would
    not, and those that are not as they should be.
    """
    said = {(each.region, each.name): each.admits for each in news.edges}
    known = {(edge.region, edge.name): True for edge in view.edges} | said
    return dict(Counter(region for (region, _), admits in known.items() if admits))


def _state(region: RegionNews) -> State:
    try:
        return State(region.state)
    except ValueError:  # a word of a newer keeper
        return State.DEGRADED if region.admits else State.DARK
