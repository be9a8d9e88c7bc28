"""Holes in a mirror: what it skipped, and whether it may be filled anew."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Extent:
    """What a stream holds: an API answer's `state`, and the sequences it lacks in between."""

    state: Mapping[str, Any]
    deleted: Set[int]

    @property
    def first(self) -> int:
        """The first sequence held."""
        return int(self.state["first_seq"])

    @property
    def last(self) -> int:
        """The last sequence."""
        return int(self.state["last_seq"])


def must_rebuild(mirror: Extent, origin: Extent) -> bool:
    """Whether the mirror lacks what the origin holds, and the origin holds all that it has."""
    skipped = any(seq >= origin.first and seq not in origin.deleted for seq in mirror.deleted)
    return skipped and origin.first <= mirror.first and origin.last >= mirror.last
