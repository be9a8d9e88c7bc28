"""Something that was heard at a time, and where such things are kept."""

from collections.abc import AsyncGenerator
from typing import NamedTuple, Protocol

from console.feed import BooksRead

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
