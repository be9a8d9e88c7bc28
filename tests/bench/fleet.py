"""A fleet that is only told: frames and news as edges and keepers would publish them, every second.

Nothing of it is left to chance: each figure follows from the edge and the second.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

from regions.news import (
    AlertNews,
    AlertsNews,
    EdgeNews,
    FlightNews,
    Peer,
    RegionNews,
    SteeringNews,
    StreamNews,
    StreamsNews,
    encode_news,
)
from relay.bus.connection import Connection
from relay.core.names import news_subject, telemetry_subject
from relay.core.telemetry import EdgeFrame, encode_frame

BEATS = 20  # a second: edges speak one after the other, not all at once
NEWS_S = 2  # between two tellings of a keeper


@dataclass(frozen=True)
class Size:
    """How large it is."""

    regions: int
    edges: int  # of all regions
    clients: int  # of all edges

    @property
    def names(self) -> list[str]:
        """Of the regions."""
        return [f"r{at:02}" for at in range(self.regions)]


def frames(size: Size, second: int, began_ms: int) -> Iterator[EdgeFrame]:
    """What every edge says in that second."""
    names = size.names
    share = size.clients // size.edges
    for at in range(size.edges):
        region = names[at % size.regions]
        out = 30 * share * second + 7 * at * second + 40 * share * (second % (9 + at % 7))
        yield EdgeFrame(
            region=region,
            edge=f"{region}-{at // size.regions + 1}",
            epoch=began_ms - 3_600_000 - at,
            frame=second + 1,
            at_ms=began_ms + 1000 * second,
            url=f"wss://{region}-{at}.relay.example/gateway",
            version="1.0.0",
            state="draining" if at % 97 == 96 else "ready",
            nats_connected=True,
            connections=share + second % 11,
            sessions=share,
            room=2 * share,
            rooms=840 + at % 50,
            events_in=out // 12,
            events_out=out,
            bytes_out=400 * out,
            publishes=out // 40,
            resumes=12 * second,
            replayed=300 * second,
            closes={"1000": 3 * second, "1006": 5 * second, "4009": second},
            refused={"full": second // 30},
            opened={"identify": 40 * second, "resume": 12 * second},
            closed={"1000": 30 * second, "1006": 18 * second},
            countries=dict.fromkeys(COUNTRIES, (share // 8, second, second)),
            transports={"websocket": (share, 9 * second, 8 * second)},
            users=share - 17,
            send_buffer_bytes=1024 * ((second + at) % 700),
            loop_lag_ms=1.0 + (second + at) % 23 / 10,
            rss_bytes=(400 + at % 90) << 20,
            cpu_s=0.4 * second,
            epochs=dict.fromkeys(names, 1),
            positions=dict.fromkeys(names, 2000 * second + at),
            heads=dict.fromkeys(names, 2000 * second + at + 9),
            lag_ms={name: 40.0 + (second + 13 * at) % 90 for name in names if name != region},
            lag_events={name: second % 5 for name in names if name != region},
            mirrors={name: "current" for name in names if name != region},
            watching=at < size.regions,
        )


COUNTRIES = ("US", "DE", "SG", "JP", "BR", "IN", "FR", "AU")


def streams(size: Size, region: str, second: int, began_ms: int) -> StreamsNews:
    """What the keeper of a region says of its streams."""
    now_ms = began_ms + 1000 * second
    peers = [Peer(f"{region}-n{at}", current=True) for at in (2, 3)]
    found = [
        StreamNews(
            name=f"EV_{origin}" if origin == region else f"EV_{origin}_{region}",
            origin="" if origin == region else origin,
            first=1,
            last=2_000 * second,
            messages=2_000 * second,
            bytes=800_000 * second,
            max_bytes=64 << 30,
            last_ms=now_ms,
            leader=f"{region}-n1",
            peers=peers,
            lag=None if origin == region else second % 3,
            active_ms=None if origin == region else 40,
            consumers=2,
            epoch=1,
        )
        for origin in size.names
    ]
    return StreamsNews(
        at_ms=now_ms, streams=found, stored_bytes=9_600_000 * second, store_bytes=1 << 40, by=region
    )


def steering(size: Size, by: str, second: int, began_ms: int) -> SteeringNews:
    """What a keeper says of where clients are sent."""
    share = size.clients // size.regions
    regions = [
        RegionNews(
            name=name, state="ok", lat=60.0 - 9 * at, lon=-150.0 + 26 * at, connections=share,
            room=2 * share,
        )
        for at, name in enumerate(size.names)
    ]  # fmt: skip
    draining = [
        EdgeNews(region=frame.region, name=frame.edge, state=frame.state, reason="drained by order")
        for frame in frames(size, second, began_ms)
        if frame.state != "ready"
    ]
    flights = [
        FlightNews(origin=origin, region=by, took_ms=48.0 + second % 9, age_ms=900)
        for origin in size.names
        if origin != by
    ]
    return SteeringNews(
        at_ms=began_ms + 1000 * second, regions=regions, edges=draining, flights=flights, by=by
    )


def alerts(size: Size, by: str, second: int, began_ms: int) -> AlertsNews:
    """The alerts that a keeper says stand."""
    found = [
        AlertNews(
            name="EdgeAlmostFull", on=f"{name}-1", severity="ticket", state="firing",
            since_ms=began_ms, text="holds 92 % of the connections that it can",
        )
        for name in size.names[:4]
    ]  # fmt: skip
    return AlertsNews(at_ms=began_ms + 1000 * second, alerts=found, rules=40, by=by)


def tell(size: Size, url: str, pipe: Pipe) -> None:
    """Publish all of it until the pipe's other end is closed. The first second is told at once."""
    asyncio.run(_tell(size, url, pipe))


async def _tell(size: Size, url: str, pipe: Pipe) -> None:
    connection = Connection()
    await connection.connect([url], name="bench fleet")
    began_s = time.time()
    began_ms = int(began_s * 1000)
    second = 0
    pipe.send(None)
    while not pipe.poll():
        spoken = list(frames(size, second, began_ms))
        for beat in range(BEATS):
            for frame in spoken[beat::BEATS]:
                subject = telemetry_subject(frame.region, frame.edge)
                await connection.publish(subject, encode_frame(frame))
            if second % NEWS_S == 0:
                for region in size.names[beat::BEATS]:
                    for news, about in (
                        (streams(size, region, second, began_ms), "streams"),
                        (steering(size, region, second, began_ms), "steering"),
                        (alerts(size, region, second, began_ms), "alerts"),
                    ):
                        await connection.publish(news_subject(region, about), encode_news(news))
            due_s = began_s + second + (beat + 1) / BEATS
            await asyncio.sleep(max(0.0, due_s - time.time()))
        second += 1
    await connection.close()
