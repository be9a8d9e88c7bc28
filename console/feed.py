"""Where the console's frames come from: one interface, so that a live fleet, a replay and a file
look the same to the fold.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Protocol

from console.model import (
    Books,
    Fleet,
    Link,
    LinkState,
    change_link,
    count_refused,
    fold,
    fold_books,
    fold_news,
)
from regions.news import News
from regions.operations.entry import Run
from regions.operations.holder import Holder
from relay.core.orders import Order
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


@dataclass(frozen=True, slots=True)
class NewsHeard:
    """A keeper or a drill told something of a region."""

    region: str
    news: News


@dataclass(frozen=True, slots=True)
class BooksRead:
    """What operators ordered and did, as the books say it now."""

    runs: tuple[Run, ...]
    orders: tuple[Order, ...] | None  # None: it is not known which stood
    holders: Mapping[str, Holder]


FeedEvent = FrameHeard | FrameRefused | LinkChanged | NewsHeard | BooksRead


class Feed(Protocol):
    """A source of feed events."""

    def events(self) -> AsyncGenerator[FeedEvent, None]:
        """The events, as they come; the generator's end is the feed's."""
        ...


class Silence:
    """A feed that says nothing: what is drawn was heard already, or is the past."""

    async def events(self) -> AsyncGenerator[FeedEvent, None]:
        """None."""
        nothing: tuple[FeedEvent, ...] = ()
        for event in nothing:
            yield event


def apply(fleet: Fleet, event: FeedEvent, now_ms: int) -> Fleet:
    """The fleet after `event` at `now_ms`, steady clock."""
    match event:
        case FrameHeard(frame):
            return fold(fleet, frame, now_ms)
        case FrameRefused():
            return count_refused(fleet)
        case NewsHeard(region, news):
            return fold_news(fleet, region, news, now_ms)
        case BooksRead(runs, orders, holders):
            return fold_books(fleet, Books(now_ms, runs, orders, holders))
        case LinkChanged(state, via, reason):
            if state is fleet.link.state is LinkState.LOST:
                now_ms = fleet.link.since_ms  # lost since then, however many attempts ago
            return change_link(fleet, Link(state, now_ms, via, reason))
