"""Whether the console may act."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Armed:
    """It may, for a reason and for a while."""

    why: str
    until_ms: int  # steady clock


TOO_LATE = "nothing was done: the console is read-only again"
