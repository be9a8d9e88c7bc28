"""Whether a cursor can be resumed here: replay, wait, refuse, or say what is gone."""

from collections.abc import Mapping
from dataclasses import dataclass

from relay.core.codes import Invalid
from relay.core.cursor import Position


@dataclass(frozen=True, slots=True)
class StreamState:
    """One origin's stream as this region holds it."""

    epoch: int
    first: int  # sequence of the oldest event still held; last + 1 when there is none
    last: int
    home: bool = False
    unsure: bool = False  # its origin, silent just now, may hold what came before `first`
    gone: bool = False  # its origin has been silent for long


@dataclass(frozen=True, slots=True)
class Refuse:
    """INVALID_SESSION. `retry`: the same RESUME may succeed later."""

    reason: Invalid
    retry: bool = False
    missing: Mapping[str, tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Events of an origin that this session will not get; `last` None: all from `first` on."""

    origin: str
    epoch: int
    first: int
    last: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Accept:
    """Go on after these sequences; say the gaps first."""

    after: Mapping[str, int]
    gaps: tuple[Gap, ...] = ()


def judge(presented: Mapping[str, Position], streams: Mapping[str, StreamState]) -> Accept | Refuse:
    """Decide on a RESUME.

    Args:
        presented: the cursor's positions.
        streams: every origin of the topology, as this region holds it now.
    """
    if refusal := _refusal(presented, streams):
        return refusal
    after: dict[str, int] = {}
    for origin, stream in streams.items():
        position = presented.get(origin)
        # A region that was added after the cursor was made: from its stream's start.
        after[origin] = position.seq if position is not None else stream.first - 1
    gaps = tuple(
        Gap(origin, position.epoch, position.seq + 1, None, "origin_removed")
        for origin, position in sorted(presented.items())
        if origin not in streams
    )
    return Accept(after, gaps)


def _refusal(
    presented: Mapping[str, Position], streams: Mapping[str, StreamState]
) -> Refuse | None:
    known = [
        (origin, presented[origin], streams[origin]) for origin in streams if origin in presented
    ]
    if any(position.epoch < stream.epoch for _, position, stream in known):
        return Refuse(Invalid.EPOCH)
    if unheard := [stream for _, position, stream in known if position.epoch > stream.epoch]:
        # An epoch that only its own region knows comes with that region, or not at all.
        return Refuse(Invalid.BEHIND, retry=not any(stream.gone for stream in unheard))
    if any(stream.home and position.seq > stream.last for _, position, stream in known):
        return Refuse(Invalid.AHEAD)
    older = [one for one in known if one[1].seq + 1 < one[2].first]
    if any(stream.unsure for _, _, stream in older):
        return Refuse(Invalid.UNAVAILABLE, retry=True)
    missing = {origin: (position.seq + 1, stream.first - 1) for origin, position, stream in older}
    return Refuse(Invalid.EXPIRED, missing=missing) if missing else None
