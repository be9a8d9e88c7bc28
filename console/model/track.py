"""What was heard from one edge: its newest frame, the rates between frames, a short history."""

from dataclasses import dataclass, replace

from console.model.series import EMPTY, Series
from relay.core.telemetry import EdgeFrame

RATE_SPAN_MS = 500  # the shortest span that a rate is measured over
CLOCK_SLACK_MS = 2_000  # an edge's clock that moved by more than ours was stepped: use ours
SILENT_MS = (
    10_000  # an edge silent for longer may come back with an older epoch (its clock was set)
)


@dataclass(frozen=True, slots=True)
class Rates:
    """What an edge does in a second."""

    events_in: float = 0.0
    events_out: float = 0.0
    publishes: float = 0.0

    def __add__(self, other: "Rates") -> "Rates":
        return Rates(
            self.events_in + other.events_in,
            self.events_out + other.events_out,
            self.publishes + other.publishes,
        )


@dataclass(frozen=True, slots=True)
class EdgeTrack:
    """One edge as heard so far; `frame` is None while it is only known by name."""

    region: str
    name: str
    frame: EdgeFrame | None = None
    received_ms: int = 0  # when `frame` came, our steady clock
    rates: Rates | None = None  # None until two frames of one epoch were heard
    history: Series = EMPTY  # events out per second
    restarts: int = 0  # epochs seen after the first
    anchor: EdgeFrame | None = None  # the rates' starting point …
    anchor_ms: int = 0  # … and when it came


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
    track = replace(track, frame=frame, received_ms=received_ms)
    span_ms = _span_ms(anchor, track.anchor_ms, frame, received_ms)
    if span_ms < RATE_SPAN_MS:
        return track
    rates = _rates(anchor, frame, span_ms)
    return replace(
        track,
        rates=rates,
        history=track.history.add(received_ms // 1000, rates.events_out),
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
    )


def _span_ms(anchor: EdgeFrame, anchor_ms: int, frame: EdgeFrame, received_ms: int) -> int:
    """Time between two frames: the edge's own stamps, free of delivery jitter, unless its clock
    was set meanwhile.
    """
    ours = received_ms - anchor_ms
    theirs = frame.at_ms - anchor.at_ms
    return theirs if theirs > 0 and abs(theirs - ours) <= CLOCK_SLACK_MS else ours


def _rates(anchor: EdgeFrame, frame: EdgeFrame, span_ms: int) -> Rates:
    def per_second(before: int, after: int) -> float:
        return max(0, after - before) * 1000 / span_ms

    return Rates(
        events_in=per_second(anchor.events_in, frame.events_in),
        events_out=per_second(anchor.events_out, frame.events_out),
        publishes=per_second(anchor.publishes, frame.publishes),
    )
