"""What a region holds of one origin's stream, and whether that is all of it."""

from dataclasses import dataclass
from typing import NamedTuple

from relay.core.runs import NONE, Runs


@dataclass(frozen=True, slots=True)
class Copy:
    """A region's copy of a stream. At home it is the stream itself, and nothing is missing."""

    first: int  # sequence of the oldest event held; last + 1 when there is none
    last: int
    missing: Runs = NONE  # sequences in between that the origin may hold and this does not
    origin_first: int | None = None  # of the oldest event that the origin holds, where known

    @property
    def oldest(self) -> int:
        """Sequence of the oldest event that is known to be had, here or at the origin."""
        return self.first if self.origin_first is None else min(self.first, self.origin_first)

    def lacks(self, after: int, upto: int) -> bool:
        """Whether anything in the sequences (`after`, `upto`] is not here and may be had."""
        if upto <= after:
            return False
        begins_later = self.origin_first is None or self.origin_first < self.first
        if upto > self.last or (after + 1 < self.first and begins_later):
            return True
        return self.missing.touches(after, upto)


class Seen(NamedTuple):
    """A mirror at a look."""

    created: str  # what tells it from one that was made anew
    first: int
    last: int

    def may_become(self, later: "Seen") -> bool:
        """Whether nothing but growing, and dropping the oldest, makes this mirror the later one.

        A mirror that was emptied may begin anywhere; what it skips there shows nowhere else.
        """
        grown = self.created == later.created and self.last <= later.last
        return grown and self.first <= later.first <= self.last + 1


_NEVER = Seen("", 1, 0)


@dataclass(slots=True)
class Beginning:
    """Whether a mirror lacks what came before its first event, or its origin has dropped it too.

    Once a mirror had all from the origin's beginning on, it does for good: both drop the oldest.
    """

    origin_first: int | None = None  # at most the mirror's first; None: not known
    seen: Seen = _NEVER

    @property
    def whole(self) -> bool:
        """Whether the mirror begins where its origin does, or later only for having dropped it."""
        return self.origin_first == self.seen.first

    def look(self, now: Seen) -> None:
        """The mirror stands like this now."""
        was, whole, self.seen = self.seen, self.whole, now
        if not was.may_become(now):
            self.origin_first = None
        elif whole:
            self.origin_first = now.first
        if now.first == 1 <= now.last:
            self.origin_first = 1

    def heard(self, origin_first: int, asked: Seen) -> None:
        """The origin said where it begins; when it was asked, the mirror was seen like this."""
        if asked.may_become(self.seen):
            whole = origin_first >= asked.first
            self.origin_first = self.seen.first if whole else origin_first
