"""What was heard from one edge: its newest frame, the rates between frames, a short history."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from operator import attrgetter

from console.model.series import History
from relay.core.telemetry import EdgeFrame

RATE_SPAN_MS = 500  # the shortest span that a rate is measured over
CLOCK_SLACK_MS = 2_000  # an edge's clock that moved by more than ours was stepped: use ours
SILENT_MS = (
    10_000  # an edge silent for longer may come back with an older epoch (its clock was set)
)

OFFSETS = 5  # frames by which a clock is judged

# What a history is kept of.
NO_HISTORY = History(
    (
        "connections",
        "events_in",
        "events_out",
        "bytes_out",
        "publishes",
        "resumes",
        "replayed",
        "closes",
        "buffer",
        "loop_lag",
        "cpu",
        "rss",
        "lag",
    )
)

SLOW = "4020"  # too slow: its send buffer passed its limit


@dataclass(frozen=True, slots=True)
class Rates:
    """What an edge does in a second."""

    events_in: float = 0.0
    events_out: float = 0.0
    publishes: float = 0.0
    failed: float = 0.0  # publishes
    bytes_out: float = 0.0
    resumes: float = 0.0
    replayed: float = 0.0  # events
    closes: float = 0.0  # connections
    slow: float = 0.0  # connections that were closed because they did not read
    refused: float = 0.0  # handshakes
    cpu: float = 0.0  # of one core, 0 to 1

    @classmethod
    def sum(cls, rates: Iterable["Rates"]) -> "Rates":
        """All of them together; at least one."""
        return cls(*map(sum, zip(*map(_values, rates), strict=True)))


_values = attrgetter(*(each.name for each in fields(Rates)))


@dataclass(frozen=True, slots=True)
class EdgeTrack:
    """One edge as heard so far; `frame` is None while it is only known by name."""

    region: str
    name: str
    frame: EdgeFrame | None = None
    received_ms: int = 0  # when `frame` came, our steady clock
    rates: Rates | None = None  # None until two frames of one epoch were heard
    history: History = NO_HISTORY  # figure -> its last values
    restarts: int = 0  # epochs seen after the first
    anchor: EdgeFrame | None = None  # the rates' starting point …
    anchor_ms: int = 0  # … and when it came
    offsets_ms: tuple[int, ...] = ()  # the last frames' stamps, less when they came


def hear(track: EdgeTrack, frame: EdgeFrame, received_ms: int) -> EdgeTrack | None:
    """The track with `frame` as its newest, or None where `frame` is late or a duplicate.

    A larger epoch replaces the older one at once and starts the rates anew.
    """
    last = track.frame
    if last is None:
        return _begin(track, frame, received_ms)
    if frame.epoch > last.epoch or (
        frame.epoch < last.epoch and received_ms - track.received_ms > SILENT_MS
    ):
        return _begin(replace(track, restarts=track.restarts + 1), frame, received_ms)
    if frame.epoch < last.epoch or frame.frame <= last.frame:
        return None
    anchor = track.anchor or last
    offsets_ms = (*track.offsets_ms, frame.at_ms - received_ms)[-OFFSETS:]
    track = replace(track, frame=frame, received_ms=received_ms, offsets_ms=offsets_ms)
    span_ms = _span_ms(anchor, track.anchor_ms, frame, received_ms)
    if span_ms < RATE_SPAN_MS:
        return track
    rates = _rates(anchor, frame, span_ms)
    return replace(
        track,
        rates=rates,
        history=track.history.add(received_ms // 1000, _figures(frame, rates)),
        anchor=frame,
        anchor_ms=received_ms,
    )


def _begin(track: EdgeTrack, frame: EdgeFrame, received_ms: int) -> EdgeTrack:
    return replace(
        track,
        frame=frame,
        received_ms=received_ms,
        rates=None,
        anchor=frame,
        anchor_ms=received_ms,
        offsets_ms=(frame.at_ms - received_ms,),
    )


def _span_ms(anchor: EdgeFrame, anchor_ms: int, frame: EdgeFrame, received_ms: int) -> int:
    """Time between two frames: the edge's own stamps, free of delivery jitter, unless its clock
    was set meanwhile.
    """
    ours = received_ms - anchor_ms
    theirs = frame.at_ms - anchor.at_ms
    return theirs if theirs > 0 and abs(theirs - ours) <= CLOCK_SLACK_MS else ours


def _rates(anchor: EdgeFrame, frame: EdgeFrame, span_ms: int) -> Rates:
    def per_second(before: float, after: float) -> float:
        return max(0, after - before) * 1000 / span_ms

    def of_all(before: Mapping[str, int], after: Mapping[str, int]) -> float:
        return per_second(sum(before.values()), sum(after.values()))

    return Rates(
        events_in=per_second(anchor.events_in, frame.events_in),
        events_out=per_second(anchor.events_out, frame.events_out),
        publishes=per_second(anchor.publishes, frame.publishes),
        failed=per_second(anchor.publishes_failed, frame.publishes_failed),
        bytes_out=per_second(anchor.bytes_out, frame.bytes_out),
        resumes=per_second(anchor.resumes, frame.resumes),
        replayed=per_second(anchor.replayed, frame.replayed),
        closes=of_all(anchor.closes, frame.closes),
        slow=per_second(anchor.closes.get(SLOW, 0), frame.closes.get(SLOW, 0)),
        refused=of_all(anchor.refused, frame.refused),
        cpu=per_second(anchor.cpu_s, frame.cpu_s),
    )


def _figures(frame: EdgeFrame, rates: Rates) -> dict[str, float]:
    """What the history is told of a frame; its lag only where there is one."""
    others = (lag for origin, lag in frame.lag_ms.items() if origin != frame.region)
    lag = max((each for each in others if each is not None), default=None)
    return {
        "connections": frame.connections,
        "events_in": rates.events_in,
        "events_out": rates.events_out,
        "bytes_out": rates.bytes_out,
        "publishes": rates.publishes,
        "resumes": rates.resumes,
        "replayed": rates.replayed,
        "closes": rates.closes,
        "buffer": frame.send_buffer_bytes,
        "loop_lag": frame.loop_lag_ms,
        "cpu": rates.cpu,
        "rss": frame.rss_bytes,
    } | ({} if lag is None else {"lag": lag})
