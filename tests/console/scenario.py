"""A fleet made up for tests and pictures: each figure follows from the second, none from chance."""

from collections.abc import Iterator
from dataclasses import dataclass

from relay.core.telemetry import EdgeFrame

START_MS = 1_795_000_000_000  # Unix ms of the first frame: 2026-11-18 11:06:40 UTC
REGIONS = ("us", "eu", "ap")
EDGES = {"us": ("us-1", "us-2"), "eu": ("eu-1", "eu-2"), "ap": ("ap-1", "ap-2")}
_BASE_LAG = {
    ("us", "eu"): 46.0,
    ("eu", "us"): 44.0,
    ("us", "ap"): 92.0,
    ("ap", "us"): 95.0,
    ("eu", "ap"): 121.0,
    ("ap", "eu"): 118.0,
}


@dataclass(frozen=True)
class Arrival:
    """A frame and when it came, ms after the start."""

    at_ms: int
    frame: EdgeFrame


def wave(second: int, period: int) -> float:
    """From 0 to 1 and back, in `period` seconds."""
    phase = second % period
    half = period / 2
    return phase / half if phase <= half else 2 - phase / half


def frame(region: str, edge: str, second: int, **changes: object) -> EdgeFrame:
    """The frame of `edge` at `second` of a quiet day."""
    place = REGIONS.index(region) if region in REGIONS else 3
    number = int(edge[-1]) if edge[-1:].isdecimal() else 0
    per_second = [
        int(9_000 / (place + 1) * (0.3 + 0.7 * wave(at + 4 * number, 24 + 7 * place)))
        for at in range(second + 1)
    ]
    out = sum(per_second)
    values: dict[str, object] = {
        "region": region,
        "edge": edge,
        "epoch": START_MS - 3_600_000,
        "frame": second + 1,
        "at_ms": START_MS + second * 1000,
        "url": f"ws://127.0.0.1:{8000 + 10 * place + number}/gateway",
        "version": "0.1.0",
        "state": "ready",
        "nats_connected": True,
        "connections": 17_204 // (place + 1) + 311 * number,
        "room": 18_000,
        "sessions": 17_100 // (place + 1),
        "rooms": 840,
        "events_in": out // 12,
        "events_out": out,
        "publishes": out // 40,
        "loop_lag_ms": 1.4 + place + number,
        "rss_bytes": (180 + 12 * place + 5 * number) * 1024 * 1024,
        "lag_ms": {origin: _BASE_LAG.get((origin, region), 3.0) + second % 7 for origin in REGIONS},
    }
    return EdgeFrame(**(values | changes))  # type: ignore[arg-type]


def quiet(seconds: int, *, start: int = 0) -> Iterator[Arrival]:
    """Every edge's frames, with the jitter of six processes that did not start together."""
    for second in range(start, start + seconds):
        for place, (region, edges) in enumerate(EDGES.items()):
            for number, edge in enumerate(edges):
                yield Arrival(
                    second * 1000 + 90 * (2 * place + number), frame(region, edge, second)
                )


def troubled(seconds: int) -> Iterator[Arrival]:
    """A quiet minute, then: ap is cut off from the others, eu-2 drains, us-1 is silent."""
    calm = seconds - 20
    for arrival in quiet(seconds):
        heard = arrival.frame
        second = arrival.at_ms // 1000
        since = second - calm
        if since <= 0:
            yield arrival
        elif heard.edge == "us-1":
            continue
        elif heard.edge == "eu-2":
            yield Arrival(arrival.at_ms, frame("eu", "eu-2", second, state="draining"))
        elif heard.region == "ap":
            lag = heard.lag_ms | {"us": 950.0 * since, "eu": 940.0 * since}
            yield Arrival(arrival.at_ms, frame("ap", heard.edge, second, lag_ms=lag))
        else:
            lag = heard.lag_ms | {"ap": 130.0 * since}
            yield Arrival(arrival.at_ms, frame(heard.region, heard.edge, second, lag_ms=lag))
