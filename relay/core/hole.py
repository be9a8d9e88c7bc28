"""Holes: events of an origin that a region's live feed passed over, found later.

Whoever was connected there then, and has resumed elsewhere with a cursor beyond them, gets them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import msgspec

from relay.core.cursor import Cursor
from relay.core.event import Event, RoomKey


class Hole(msgspec.Struct, frozen=True):
    """Sequences `first` to `last` of `origin`, which cursors of `region` may have passed.

    `number` is where it was recorded: cursors that know this number, or a later one, were issued
    after its events had been delivered. `skipped`: the region's copy had not stored them, so that
    no later event of their rooms showed what was missing.
    """

    region: str
    origin: str
    first: int
    last: int
    number: int = 0
    skipped: bool = False


class Stretch(msgspec.Struct, frozen=True):
    """Sequences that a region's live feed jumped over, as its watcher tells its edges.

    `number`: of the hole, where it was recorded; `skipped`: as of a `Hole`.
    """

    origin: str
    first: int
    last: int
    number: int = 0
    skipped: bool = False


_Range = TypeVar("_Range", Hole, Stretch)


def widened(one: _Range, other: _Range) -> _Range | None:
    """`one` so wide that it holds `other` as well; None: they are of two origins, or kinds."""
    if (one.origin, one.skipped) != (other.origin, other.skipped):
        return None
    first, last = min(one.first, other.first), max(one.last, other.last)
    return msgspec.structs.replace(one, first=first, last=last)


_stretches = msgspec.json.Decoder(Stretch)


def decode_stretch(data: bytes) -> Stretch | None:
    """The stretch in `data`, or None."""
    try:
        return _stretches.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class Passed:
    """A hole that a cursor has passed: its events after `first - 1` up to `last` are owed."""

    origin: str
    first: int
    last: int
    cursor_seq: int
    skipped: bool = False


def passed(holes: Iterable[Hole], cursor: Cursor) -> list[Passed]:
    """The holes that a cursor has passed."""
    found: list[Passed] = []
    for hole in holes:
        place = cursor.positions.get(hole.origin)
        if hole.region != cursor.region or place is None:
            continue
        if place.seq >= hole.first and cursor.holes < hole.number:
            last = min(hole.last, place.seq)
            found.append(Passed(hole.origin, hole.first, last, place.seq, hole.skipped))
    return found


class Owed(NamedTuple):
    """Events that a client has not got."""

    events: list[Event]  # to be sent
    late: list[Event]  # to be declared: it has later ones of their rooms


def owed(hole: Passed, events: Iterable[Event], newest: Mapping[RoomKey, int]) -> Owed:
    """Which of a hole's events the client has not got.

    A later event of a room shows what is missing before it (it names its predecessor), and the
    edge repairs that before it goes on: so only what is last in its room can have been passed.
    But what the region's copy had skipped, no later event named.

    Args:
        hole: what was passed.
        events: the events of the client's rooms in it, in order.
        newest: room -> sequence of its newest event that is not in the hole and that the cursor
            covers; 0 where there is none.
    """
    found = Owed([], [])
    for event in events:
        if not hole.first <= event.seq <= hole.last:
            continue
        if event.seq > newest.get(event.key, 0):
            found.events.append(event)
        elif hole.skipped:
            found.late.append(event)
    return found
