"""Holes in a mirror: what it skipped, and whether it is to be filled anew."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from relay.core.runs import Runs

MARGIN_S = 60.0  # before a limit: within it, a copy may drop a message a little before another
SHARE = 0.1  # of what the origin holds: where limits are at work, two starts differ by less


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stream keeps at most."""

    age_s: float
    bytes: float


def limits_of(config: Mapping[str, Any]) -> Limits:
    """The limits in an API answer's `config`; durations there are ns, and 0 or -1 is none."""
    age_ns, size = config.get("max_age") or 0, config.get("max_bytes") or 0
    return Limits(age_ns / 1e9 if age_ns > 0 else math.inf, size if size > 0 else math.inf)


@dataclass(frozen=True, slots=True)
class Extent:
    """What a stream holds: an API answer's `state`, and the sequences it lacks in between."""

    state: Mapping[str, Any]
    deleted: Runs

    @property
    def first(self) -> int:
        """The first sequence held; last + 1 when there is none."""
        return int(self.state["first_seq"]) if self.messages else self.last + 1

    @property
    def last(self) -> int:
        """The last sequence."""
        return int(self.state["last_seq"])

    @property
    def messages(self) -> int:
        """How many messages it holds."""
        return int(self.state["messages"])

    def limited(self, limits: Limits, now_s: float) -> bool:
        """Whether limits are dropping its first messages, or soon will."""
        born_s = datetime.fromisoformat(self.state["first_ts"]).timestamp()
        old = now_s - born_s > limits.age_s - MARGIN_S
        return old or int(self.state["bytes"]) > (1 - SHARE) * limits.bytes


def must_rebuild(mirror: Extent, origin: Extent, limits: Limits, now_s: float) -> bool:
    """Whether the mirror lacks what the origin holds, and the origin holds all that it has."""
    if origin.first > mirror.first or origin.last < mirror.last or not origin.messages:
        return False
    skipped = mirror.deleted.within(origin.first, mirror.last) - origin.deleted
    return bool(skipped) or _start_lost(mirror, origin, limits, now_s)


def _start_lost(mirror: Extent, origin: Extent, limits: Limits, now_s: float) -> bool:
    """Whether the mirror began after its origin, and not because of its limits."""
    lost = mirror.first - origin.first
    if mirror.last == 0 or lost <= 0:
        return False  # it has not begun at all
    return lost > SHARE * origin.messages or not origin.limited(limits, now_s)
