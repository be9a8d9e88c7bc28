"""Holes: events of an origin that a region's live feed passed over, found later.

Whoever was connected there then, and has resumed elsewhere with a cursor beyond them, gets them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from relay.core.cursor import Cursor
from relay.core.event import Event, RoomKey


class Hole(msgspec.Struct, frozen=True):
    """Sequences `first` to `last` of `origin`, which cursors of `region` may have passed.

    `number` is where it was recorded: cursors that know this number, or a later one, were issued
    after its events had been delivered.
    """

    region: str
    origin: str
    first: int
    last: int
    number: int = 0


class Stretch(msgspec.Struct, frozen=True):
    """Sequences that a region's live feed jumped over, as its watcher tells its edges.

    `number`: of the hole, where it was recorded.
    """

    origin: str
    first: int
    last: int
    number: int = 0


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


def passed(holes: Iterable[Hole], cursor: Cursor) -> list[Passed]:
    """The holes that a cursor has passed."""
    found: list[Passed] = []
    for hole in holes:
        place = cursor.positions.get(hole.origin)
        if hole.region != cursor.region or place is None:
            continue
        if place.seq >= hole.first and cursor.holes < hole.number:
            last = min(hole.last, place.seq)
            found.append(Passed(hole.origin, hole.first, last, place.seq))
    return found


def owed(hole: Passed, events: Iterable[Event], newest: Mapping[RoomKey, int]) -> list[Event]:
    """Which of a hole's events the client has not got.

    A later event of a room shows what is missing before it (it names its predecessor), and the
    edge repairs that before it goes on: so only what is last in its room can have been passed.

    Args:
        hole: what was passed.
        events: the events of the client's rooms in it, in order.
        newest: room -> sequence of its newest event that is not in the hole and that the cursor
            covers; 0 where there is none.
    """
    return [
        event
        for event in events
        if hole.first <= event.seq <= hole.last and event.seq > newest.get(event.key, 0)
    ]
