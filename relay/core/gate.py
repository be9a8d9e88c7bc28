"""The gate: when an edge may let publishes into its home stream after (re)connecting to it.

An origin that lost its tail would give out sequences a second time, and its mirrors would ignore
the new events without an error. So after every connection writes stay shut until the stream is
shown to hold all that anybody saw in it; a lost tail is written back from a mirror; where that
can't be done, a new epoch starts above all known sequences.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Home:
    """The home stream, as it stands now."""

    epoch: int
    last: int
    created: str
    above: int = 0  # the epoch starts after this sequence


@dataclass(frozen=True, slots=True)
class Witness:
    """What somebody saw of the home stream: an edge of the region, or this one before."""

    last: int
    created: str


@dataclass(frozen=True, slots=True)
class Open:
    """Writes may go."""


@dataclass(frozen=True, slots=True)
class AskMirrors:
    """Nobody here can vouch for the stream, or it is shorter than was seen: ask the mirrors."""


@dataclass(frozen=True, slots=True)
class Repair:
    """Write the events after `after` up to `upto` back from the mirror in `region`."""

    region: str
    after: int
    upto: int


@dataclass(frozen=True, slots=True)
class StartEpoch:
    """Start `epoch`: events may be gone, and are declared so. Its first sequence is > `above`."""

    epoch: int
    above: int


Decision = Open | AskMirrors | Repair | StartEpoch


def first_look(home: Home, witnesses: Iterable[Witness]) -> Open | AskMirrors | StartEpoch:
    """Decide from what is known in the region itself."""
    if home.last < home.above:
        return StartEpoch(home.epoch, home.above)  # was begun and not finished
    seen = list(witnesses)
    if seen and all(w.created == home.created and w.last <= home.last for w in seen):
        return Open()
    return AskMirrors()


def second_look(
    home: Home, witnesses: Iterable[Witness], mirrors: Mapping[str, int], *, asked: int
) -> Open | Repair | StartEpoch:
    """Decide when the mirrors were asked.

    Args:
        home: the home stream now.
        witnesses: what was seen of it in this region.
        mirrors: region -> last sequence of its mirror, of those that answered.
        asked: how many were asked.
    """
    known = list(witnesses)
    seen = max((w.last for w in known), default=0)
    best = max(mirrors, key=lambda region: mirrors[region], default=None)
    held = mirrors[best] if best is not None else 0
    if home.last and any(w.created != home.created for w in known):
        # Made anew, and written to: its sequences are not those that were seen.
        return StartEpoch(home.epoch + 1, max(seen, held, home.last))
    if best is not None and held > home.last and held >= seen:
        return Repair(best, home.last, held)
    if max(seen, held) > home.last:
        return StartEpoch(home.epoch + 1, max(seen, held))
    if mirrors or asked == 0:
        return Open()
    # Nobody saw the stream before and no mirror answers: what it may have lost is unknown.
    return StartEpoch(home.epoch + 1, home.last)
