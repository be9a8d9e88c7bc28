"""Where the console's frames come from: one interface, so that a live fleet, a replay and a file
look the same to the fold.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from console.model import Fleet, Link, LinkState, change_link, count_refused, fold
from relay.core.telemetry import EdgeFrame


@dataclass(frozen=True, slots=True)
class FrameHeard:
    """An edge's frame came."""

    frame: EdgeFrame


@dataclass(frozen=True, slots=True)
class FrameRefused:
    """A frame came that can't be read, or that names another edge than its subject does."""


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The feed's own connection came or went."""

    state: LinkState
    via: str  # region
    reason: str = ""


FeedEvent = FrameHeard | FrameRefused | LinkChanged


class Feed(Protocol):
    """A source of feed events."""

    def events(self) -> AsyncGenerator[FeedEvent, None]:
        """The events, as they come; the generator's end is the feed's."""
        ...


def apply(fleet: Fleet, event: FeedEvent, now_ms: int) -> Fleet:
    """The fleet after `event` at `now_ms`, steady clock."""
    match event:
        case FrameHeard(frame):
            return fold(fleet, frame, now_ms)
        case FrameRefused():
            return count_refused(fleet)
        case LinkChanged(state, via, reason):
            if state is fleet.link.state is LinkState.LOST:
                now_ms = fleet.link.since_ms  # lost since then, however many attempts ago
            return change_link(fleet, Link(state, now_ms, via, reason))
