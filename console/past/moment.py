"""Something that was heard at a time, and where such things are kept."""

from collections.abc import AsyncGenerator, Iterable
from typing import NamedTuple, Protocol

import msgspec

from console.feed import BooksRead
from console.model.news import told_of
from console.model.timeline import TOLD_MS
from regions.news import AlertChange, decode_news

SLACK_MS = 5_000  # by which now may be later than the newest that is kept


class Moment(NamedTuple):
    """A message, and when it was stored."""

    at_ms: int  # Unix ms
    subject: str  # tele.<region>.<edge> | news.<region>.<about>
    data: bytes


class Extent(NamedTuple):
    """How far back something goes, and up to when."""

    first_ms: int
    last_ms: int

    def covers(self, at_ms: int) -> bool:
        """Whether something is kept of that time, or it is now."""
        return self.first_ms <= at_ms <= self.last_ms + SLACK_MS


class Past(Protocol):
    """Where the past is kept: the streams of a region, or a file."""

    async def extent(self) -> Extent:
        """From when until when there is something."""
        ...

    def read(self, since_ms: int, until_ms: int) -> AsyncGenerator[Moment, None]:
        """What was heard from a time on, and before another one, in order."""
        ...

    async def books(self, until_ms: int) -> BooksRead | None:
        """What operators had ordered and done by then; None: that is not kept."""
        ...

    async def drills(self, until_ms: int) -> list[Moment]:
        """All that was told of drills before a time, in order."""
        ...

    async def alerts(self) -> list[int]:
        """When alerts began to fire, or were over (Unix ms), in order."""
        ...


def alert_times(told: Iterable[tuple[int, bytes]]) -> list[int]:
    """When alerts began, or were over (Unix ms), in order; what several keepers told, once.

    Args:
        told: when a change of an alert was stored, and the message.
    """
    newest: dict[str, int] = {}
    found: set[int] = set()
    for at_ms, data in sorted(told):
        try:
            news = decode_news(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if not isinstance(news, AlertChange):
            continue
        name = told_of(news)
        if at_ms - newest.get(name, at_ms - TOLD_MS - 1) > TOLD_MS:
            newest[name] = at_ms
            found.add(at_ms)
    return sorted(found)
