"""How the fleet looks at one time: what is live, stale or gone, and why a region is not ok.

Kinds of silence differ: `unknown`, the console can't tell (its own link is down, or it has not
listened for long enough); `dark`, it listened and nothing came; `down`, and keepers of other
regions went to its doors in vain; and an edge's own words.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter
from typing import TypeVar

from console.model.alerts import standing
from console.model.canaries import failing
from console.model.clocks import EdgeKey, clocks_off
from console.model.fleet import MAX_EDGES, NOT_KEPT, Fleet, Link, LinkState
from console.model.lag import LagCell, best, stand, worst
from console.model.lost import if_lost
from console.model.reasons import READY, judge_region
from console.model.track import EdgeTrack, Rates
from console.model.view import Aged, Ages, EdgeView, FleetView, Freshness, RegionView
from regions.news import SteeringNews
from relay.core.telemetry import ENDED, EdgeFrame

UNKNOWN = "unknown"
DARK = "dark"
DOWN = "down"
STARTING = "starting"

DEFAULT_AGES = Ages()
NEWS_AGES = Ages(stale_ms=8_000, gone_ms=20_000)  # keepers tell every 2 to 5 s

N = TypeVar("N")


def observe(fleet: Fleet, now_ms: int, ages: Ages = DEFAULT_AGES) -> FleetView:
    """How `fleet` looks at `now_ms` (the clock that `received_ms` was read from)."""
    clocks = clocks_off(fleet.edges.values(), now_ms, ages.gone_ms)
    heard: dict[str, list[EdgeTrack]] = {name: [] for name in fleet.regions}
    for track in fleet.edges.values():
        heard[track.region].append(track)
    lag: dict[tuple[str, str], LagCell] = {}
    for region, tracks in heard.items():
        young = _young(tracks, now_ms, ages)
        clocked = [(age_ms, frame) for age_ms, key, frame in young if key not in clocks]
        serving = [(age_ms, frame) for age_ms, _, frame in young if frame.state != STARTING]
        for origin in fleet.regions:
            cell = best(origin, region, _readings(clocked, origin), ages.stale_ms)
            lag[origin, region] = stand(cell, _mirrors(serving, origin))
    edges = {
        region: tuple(
            _observe_edge(track, fleet.link, now_ms, ages, clocks.get((region, track.name), 0))
            for track in sorted(tracks, key=lambda track: _natural(track.name))
        )
        for region, tracks in heard.items()
    }
    gone = {
        name for name, views in edges.items() if all(e.freshness is Freshness.GONE for e in views)
    }
    regions = tuple(
        _observe_region(
            name,
            edges[name],
            [cell for (_, region), cell in lag.items() if region == name],
            gone,
            fleet,
            now_ms,
            ages,
        )
        for name in fleet.regions
    )
    steering = _aged(fleet.told.steering, now_ms, NEWS_AGES)
    regions = tuple(_confirmed(region, steering) for region in regions)
    alerts, alerts_age_ms = standing(fleet.told.alerts, now_ms)
    return FleetView(
        now_ms=now_ms,
        link=fleet.link,
        regions=tuple(replace(each, if_lost=if_lost(each, regions)) for each in regions),
        lag=lag,
        connections=_sum([region.connections for region in regions]),
        rates=_sum_rates([region.rates for region in regions]),
        worst_lag=worst(cell for (origin, region), cell in lag.items() if origin != region),
        late=fleet.late,
        refused=fleet.refused,
        over_limit=fleet.over_limit,
        alerts=alerts,
        alerts_age_ms=alerts_age_ms,
        canaries=failing(fleet.told.steering, now_ms),
        streams=_aged(fleet.told.streams, now_ms, NEWS_AGES),
        steering=steering,
        certificates=_aged(fleet.told.certificates, now_ms, NEWS_AGES),
        drills=fleet.told.drills,
        books=fleet.books,
        timeline=fleet.timeline,
    )


def knows_silence(view: FleetView, ages: Ages = DEFAULT_AGES) -> bool:
    """Whether who looks has listened for long enough to tell who is silent."""
    listened_ms = view.now_ms - view.link.since_ms
    return view.link.state is LinkState.CONNECTED and listened_ms > ages.gone_ms


def _confirmed(region: RegionView, steering: Mapping[str, Aged[SteeringNews]]) -> RegionView:
    """A region that is dark is down where keepers of other regions confirm it."""
    if region.state != DARK:
        return region
    by = sorted(
        {
            news.value.by or heard_in
            for heard_in, news in steering.items()
            if news.freshness is not Freshness.GONE
            and any((each.name, each.state) == (region.name, DOWN) for each in news.value.regions)
        }
        - {region.name}
    )
    if not by:
        return region
    return replace(region, state=DOWN, reason=f"nothing heard; confirmed by {', '.join(by)}")


def _aged(told: Mapping[str, tuple[int, N]], now_ms: int, ages: Ages) -> Mapping[str, Aged[N]]:
    found = {}
    for region, (at_ms, news) in told.items():
        age_ms = max(0, now_ms - at_ms)
        found[region] = Aged(news, age_ms, _freshness(age_ms, ages))
    return found


def _observe_edge(
    track: EdgeTrack, link: Link, now_ms: int, ages: Ages, clock_off_ms: int
) -> EdgeView:
    frame = track.frame
    if frame is None:
        state = _silence(None, link, now_ms, ages)
        return EdgeView(track.region, track.name, state, Freshness.GONE, None)
    age_ms = max(0, now_ms - track.received_ms)
    freshness = _freshness(age_ms, ages)
    ended = frame.state == ENDED
    if ended or freshness is Freshness.GONE:
        return EdgeView(
            region=track.region,
            name=track.name,
            state=ENDED if ended else _silence(age_ms, link, now_ms, ages),
            freshness=Freshness.GONE,
            age_ms=age_ms,
            restarts=track.restarts,
            url=frame.url,
            version=frame.version,
            history=track.history,
        )
    return EdgeView(
        region=track.region,
        name=track.name,
        state=frame.state,
        freshness=freshness,
        age_ms=age_ms,
        connections=frame.connections,
        room=frame.room if frame.state == READY else 0,
        rates=track.rates,
        lag=None if clock_off_ms else _worst_of(frame, age_ms),
        loop_lag_ms=frame.loop_lag_ms,
        rss_bytes=frame.rss_bytes,
        clock_off_ms=clock_off_ms,
        restarts=track.restarts,
        url=frame.url,
        version=frame.version,
        frame=frame,
        history=track.history,
    )


def _worst_of(frame: EdgeFrame, age_ms: int) -> LagCell | None:
    """The largest lag that an edge reads of another region."""
    read = [
        (lag_ms, origin)
        for origin, lag_ms in frame.lag_ms.items()
        if lag_ms is not None and origin != frame.region
    ]
    if not read:
        return None
    lag_ms, origin = max(read, key=itemgetter(0))
    return LagCell(origin, frame.region, lag_ms, age_ms)


def _observe_region(
    name: str,
    edges: tuple[EdgeView, ...],
    cells: list[LagCell],
    gone: set[str],
    fleet: Fleet,
    now_ms: int,
    ages: Ages,
) -> RegionView:
    heard = [edge for edge in edges if edge.freshness is not Freshness.GONE]
    age_ms = min((edge.age_ms for edge in edges if edge.age_ms is not None), default=None)
    if heard:
        connected = fleet.link.state is LinkState.CONNECTED
        state, reason = judge_region(name, edges, heard, cells, gone, tells=connected)
    else:
        state = _silence(age_ms, fleet.link, now_ms, ages)
        reason = "nothing heard" if state == DARK else _ignorance(fleet.link)
    return RegionView(
        name=name,
        state=state,
        reason=reason,
        freshness=_freshness(age_ms, ages),
        age_ms=age_ms,
        edges=edges,
        ready=sum(edge.state == READY for edge in heard),
        connections=_sum([edge.connections for edge in heard]),
        rates=_sum_rates([edge.rates for edge in heard]),
        lag=worst(cell for cell in cells if cell.origin != name),
        room=_room([edge for edge in heard if edge.state == READY]),
        history=fleet.regions[name],
    )


def _young(
    tracks: list[EdgeTrack], now_ms: int, ages: Ages
) -> list[tuple[int, EdgeKey, EdgeFrame]]:
    """The frames that are not gone, with their ages in ms and whose they are."""
    return [
        (age_ms, (track.region, track.name), track.frame)
        for track in tracks
        if track.frame is not None
        and (age_ms := max(0, now_ms - track.received_ms)) <= ages.gone_ms
    ]


def _readings(clocked: list[tuple[int, EdgeFrame]], origin: str) -> list[tuple[int, float | None]]:
    """What edges read of an origin; one whose clock is off can't compare it with a stamp."""
    return [(age_ms, frame.lag_ms.get(origin)) for age_ms, frame in clocked]


def _mirrors(
    serving: list[tuple[int, EdgeFrame]], origin: str
) -> list[tuple[int, str | None, int | None]]:
    """What edges say of the mirror of an origin; one that starts has not heard of it yet."""
    return [
        (age_ms, frame.mirrors.get(origin), frame.lag_events.get(origin))
        for age_ms, frame in serving
    ]


def _silence(age_ms: int | None, link: Link, now_ms: int, ages: Ages) -> str:
    """`dark` where the console has listened for long enough to say so, else `unknown`."""
    listened_ms = now_ms - link.since_ms if link.state is LinkState.CONNECTED else 0
    silent_ms = listened_ms if age_ms is None else min(age_ms, listened_ms)
    return DARK if silent_ms > ages.gone_ms else UNKNOWN


def _ignorance(link: Link) -> str:
    if link.unkept:
        return NOT_KEPT
    return "nothing heard yet" if link.state is LinkState.CONNECTED else "no link"


def _freshness(age_ms: int | None, ages: Ages) -> Freshness:
    if age_ms is None or age_ms > ages.gone_ms:
        return Freshness.GONE
    return Freshness.STALE if age_ms > ages.stale_ms else Freshness.LIVE


def _room(ready: list[EdgeView]) -> int | None:
    rooms = [edge.room for edge in ready]
    return sum(rooms) if all(rooms) else None


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _sum_rates(values: list[Rates | None]) -> Rates | None:
    known = [value for value in values if value is not None]
    return Rates.sum(known) if known else None


@lru_cache(MAX_EDGES)
def _natural(name: str) -> tuple[str, int, str]:
    """`us-2` before `us-10`."""
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    return stem, int(digits[:18] or 0), name
