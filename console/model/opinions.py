"""How each keeper sees the regions: who says what, and where keepers disagree."""

from collections.abc import Iterable
from dataclasses import dataclass

from console.model.view import Aged, FleetView, Freshness
from regions.news import EdgeNews, RegionNews, SteeringNews
from relay.core.query import Field

_RANKS = {Freshness.LIVE: 0, Freshness.STALE: 1, Freshness.GONE: 2}


@dataclass(frozen=True, slots=True)
class Keeper:
    """What one keeper said last."""

    name: str  # its region
    news: SteeringNews
    age_ms: int
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class Opinion:
    """How one keeper or several see a region."""

    region: RegionNews
    by: tuple[str, ...]
    agreed: bool  # whether all keepers that are heard see it so
    age_ms: int  # of the youngest of them
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class EdgeOpinion:
    """How one keeper or several see an edge that is not as it should be."""

    edge: EdgeNews
    by: tuple[str, ...]
    agreed: bool
    age_ms: int
    freshness: Freshness


OPINION_FIELDS: tuple[Field[Opinion], ...] = (
    Field("region", "text", lambda each: each.region.name, "the region"),
    Field("state", "text", lambda each: each.region.state, "ok, degraded, dark, down"),
    Field("reason", "text", lambda each: each.region.reason, "why"),
    Field("connections", "number", lambda each: each.region.connections, "of edges that admit"),
    Field("room", "number", lambda each: each.region.room, "connections that these can hold"),
    Field(
        "taken", "share",
        lambda each: each.region.connections / each.region.room if each.region.room else None,
        "of that room",
    ),
    Field("weight", "number", lambda each: each.region.weight, "percent of who would come"),
    Field("ramp", "share", lambda each: each.region.ramp, "what it takes, since it is back"),
    Field("cordoned", "text", lambda each: each.region.cordoned, "why nobody is let in"),
    Field("by", "text", lambda each: ",".join(each.by), "whose keepers see it so"),
    Field("age", "ms", lambda each: each.age_ms, "since one of them said so"),
)  # fmt: skip
EDGE_OPINION_FIELDS: tuple[Field[EdgeOpinion], ...] = (
    Field("name", "text", lambda each: each.edge.name, "the edge"),
    Field("region", "text", lambda each: each.edge.region, "its region"),
    Field("state", "text", lambda each: each.edge.state, "ok, degraded, dark, down"),
    Field("reason", "text", lambda each: each.edge.reason, "why"),
    Field("door", "text", lambda each: each.edge.door, "why it could not be gone through"),
    Field("by", "text", lambda each: ",".join(each.by), "whose keepers see it so"),
)


def keepers(view: FleetView) -> list[Keeper]:
    """The newest of each keeper, those that are heard first, then in the order of the regions.

    One that tells in several regions counts once.
    """
    newest: dict[str, Aged[SteeringNews]] = {}
    for told_in, told in view.steering.items():
        by = told.value.by or told_in
        if by not in newest or told.age_ms < newest[by].age_ms:
            newest[by] = told
    places = {region.name: at for at, region in enumerate(view.regions)}
    found = [Keeper(by, told.value, told.age_ms, told.freshness) for by, told in newest.items()]
    return sorted(
        found,
        key=lambda each: (
            _RANKS[each.freshness], places.get(each.name, len(places)), each.name,
        ),
    )  # fmt: skip


def nearest(view: FleetView) -> Keeper | None:
    """The keeper that counts where one has to: that of the region which the console listens in,
    if it is heard; else the first. None: no keeper ever was.
    """
    found = keepers(view)
    live = [each for each in found if each.freshness is Freshness.LIVE]
    here = (each for each in live if each.name == view.link.via)
    return next(here, found[0] if found else None)


def opinions(view: FleetView) -> list[Opinion]:
    """Every region as the keepers see it: one row where they agree, else one for each view of it,
    that of most first.
    """
    said = _speaking(keepers(view))
    names = [region.name for region in view.regions]
    names += [each.name for one in said for each in one.news.regions if each.name not in names]
    found: list[Opinion] = []
    for name in dict.fromkeys(names):
        groups: dict[object, list[tuple[Keeper, RegionNews]]] = {}
        for one in said:
            for region in one.news.regions:
                if region.name == name:
                    groups.setdefault(_alike(region), []).append((one, region))
        ordered = sorted(groups.values(), key=len, reverse=True)
        for group in ordered:
            youngest, region = min(group, key=lambda each: each[0].age_ms)
            by = tuple(one.name for one, _ in group)
            agreed = len(ordered) == 1
            found.append(Opinion(region, by, agreed, youngest.age_ms, youngest.freshness))
    return found


def edge_opinions(view: FleetView) -> list[EdgeOpinion]:
    """The edges that are not as they should be, as the keepers see them."""
    said = _speaking(keepers(view))
    groups: dict[tuple[str, str], dict[object, list[tuple[Keeper, EdgeNews]]]] = {}
    for one in said:
        for edge in one.news.edges:
            ways = groups.setdefault((edge.region, edge.name), {})
            ways.setdefault((edge.state, edge.admits, bool(edge.door)), []).append((one, edge))
    found: list[EdgeOpinion] = []
    for _, ways in sorted(groups.items()):
        silent = len(said) - sum(len(group) for group in ways.values())  # to them it is all right
        for group in sorted(ways.values(), key=len, reverse=True):
            youngest, edge = min(group, key=lambda each: each[0].age_ms)
            by = tuple(one.name for one, _ in group)
            agreed = len(ways) == 1 and not silent
            found.append(EdgeOpinion(edge, by, agreed, youngest.age_ms, youngest.freshness))
    return found


def _speaking(said: Iterable[Keeper]) -> list[Keeper]:
    """Those that are heard; where none is, what they said last."""
    known = list(said)
    return [each for each in known if each.freshness is not Freshness.GONE] or known


def _alike(region: RegionNews) -> object:
    """What two keepers have to say alike to agree; loads and reasons differ by the second."""
    return region.state, region.admits, region.weight, region.cordoned, round(region.ramp, 1)
