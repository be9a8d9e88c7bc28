"""What keepers of a made-up fleet tell: each figure follows from the region, none from chance."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from regions.news import (
    EdgeNews,
    FlightNews,
    Peer,
    RegionNews,
    SteeringNews,
    StreamNews,
    StreamsNews,
)
from relay.core.orders import Order
from tests.console.scenario import REGIONS, START_MS, Arrival

PLACES = {"us": (39.0, -77.5), "eu": (50.1, 8.7), "ap": (1.35, 103.8)}
COUNTRIES = {
    "us": {"US": 9_120, "CA": 1_310, "BR": 2_204, "ZZ": 41},
    "eu": {"DE": 4_020, "GB": 2_911, "NG": 610},
    "ap": {"JP": 3_302, "IN": 2_040, "AU": 388},
}
_LAST = {"us": 1_204_331, "eu": 803_120, "ap": 402_911}


def stream(name: str, region: str, **changes: Any) -> StreamNews:
    """A stream as it stands in a region that has three servers."""
    origin = name.partition("_")[2]
    place = REGIONS.index(region)
    whose = REGIONS.index(origin) if origin in REGIONS else place
    last = _LAST[origin] if name.startswith("EV_") else 4_000 * (whose + 1)
    values: dict[str, Any] = {
        "name": name, "origin": "" if origin in ("", region) else origin, "first": 1_001,
        "last": last, "messages": last - 1_000, "bytes": 300 * (last - 1_000),
        "max_bytes": 1 << 30, "last_ms": START_MS + 79_000, "leader": f"{region}-n1",
        "peers": [Peer(name=f"{region}-n{number}", current=True) for number in (2, 3)],
        "consumers": 0,
    }  # fmt: skip
    if values["origin"]:
        values |= {"lag": 0, "active_ms": 90 + place}
    elif origin:
        values |= {"consumers": 2}
    if name == f"EV_{region}":
        values |= {"epoch": 3}
    return StreamNews(**(values | changes))


def streams(region: str, **changed: dict[str, Any]) -> StreamsNews:
    """All streams of a region; `changed`: of a stream, what is otherwise with it."""
    names = [f"{kind}_{origin}" for kind in ("EV", "LOG", "OPS", "REC") for origin in REGIONS]
    found = [stream(name, region, **changed.get(name, {})) for name in (*names, "LEASE", "TELE")]
    return StreamsNews(
        at_ms=START_MS + 77_000,
        streams=found,
        stored_bytes=sum(each.bytes for each in found),
        store_bytes=8 << 30,
        by=region,
    )


def region_news(name: str, **changes: Any) -> RegionNews:
    """A region as a keeper sees it."""
    place = REGIONS.index(name)
    lat, lon = PLACES[name]
    values: dict[str, Any] = {
        "name": name, "state": "ok", "reason": "all edges are ready", "lat": lat, "lon": lon,
        "connections": 34_000 // (place + 1), "room": 36_000,
    }  # fmt: skip
    return RegionNews(**(values | changes))


def steering(by: str, **changed: dict[str, Any]) -> SteeringNews:
    """How a keeper sees all regions; `changed`: of a region, what is otherwise with it."""
    return SteeringNews(
        at_ms=START_MS + 78_000,
        by=by,
        regions=[region_news(name, **changed.get(name, {})) for name in REGIONS],
        edges=[],
        flights=[
            FlightNews(
                origin=one,
                region=other,
                took_ms=20.0 + 60 * abs(REGIONS.index(one) - REGIONS.index(other)),
                age_ms=1_500,
            )
            for one in REGIONS
            for other in REGIONS
        ],
    )


def troubled_steering(by: str) -> SteeringNews:
    """As `us` and `eu` see it while ap is cut off, eu-2 drains and us-1 is silent."""
    news = steering(
        by,
        us={"state": "ok", "reason": "1 of 2 edges ok; us-1: not heard for 19 s", "room": 18_000,
            "connections": 17_100},
        eu={"weight": 40, "cordoned": "new kernel", "reason": "1 of 2 edges ok"},
        ap={"state": "dark", "admits": False, "reason": "no edge admits; ap-1: not heard for 19 s",
            "connections": 0, "room": 0},
    )  # fmt: skip
    edges = [
        EdgeNews(region="ap", name="ap-1", state="dark", admits=False,
                 reason="not heard for 19 s in us, eu"),
        EdgeNews(region="eu", name="eu-2", state="degraded", admits=False, door="", door_ms=31.0,
                 reason="it is draining"),
        EdgeNews(region="us", name="us-1", state="down", admits=False,
                 door="connect: no answer within 5 s", reason="not heard for 19 s"),
    ]  # fmt: skip
    flights = [
        msgspec.structs.replace(each, took_ms=None if each.origin == "ap" else each.took_ms,
                                age_ms=19_000 if "ap" in (each.origin, each.region) else 1_500)
        for each in news.flights
    ]  # fmt: skip
    return msgspec.structs.replace(news, edges=edges, flights=flights)


ORDERS = (
    Order(region="eu", at_ms=START_MS + 40_000, by="ann@desk", why="new kernel", cordoned=True,
          weight=40),
    Order(region="eu", edge="eu-2", at_ms=START_MS + 60_000, by="ann@desk", why="new kernel",
          drain_s=60.0),
)  # fmt: skip


def heard(arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
    """Frames with what edges say of mirrors, epochs and countries as well."""
    for arrival in arrivals:
        frame = arrival.frame
        others = [name for name in REGIONS if name != frame.region]
        changes: dict[str, Any] = {
            "countries": {
                code: (number // 2, number, 0)
                for code, number in COUNTRIES.get(frame.region, {}).items()
            },
            "epochs": dict.fromkeys(REGIONS, 3),
            "mirrors": dict.fromkeys(others, "current"),
            "lag_events": dict.fromkeys(others, 4),
            "watching": frame.edge.endswith("1"),
        }
        yield Arrival(arrival.at_ms, msgspec.structs.replace(frame, **changes))
