"""Mutants of the fan-out: what becomes of an event on its way to the sockets."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from relay.core.cursor import Position
from relay.core.event import Event, RoomKey
from relay.core.wire import Codec
from relay.edge.hub import NOBODY_OWES, Hub, Room
from relay.edge.members import Members
from relay.edge.seat import Seat
from tests.mutants.mutant import Dice, patch


def _patch_write(mutated: Callable[[Hub, Seat, bytes], None]) -> None:
    """Write to each seat like this: none of them has its events straight any more."""

    def to_all(hub: Hub, seats: Members, framed: bytes) -> None:
        for seat in list(seats):
            mutated(hub, seat, framed)

    patch(Hub, "_write", mutated)
    patch(Hub, "_write_to_all", to_all)


def drop(dice: Dice) -> None:
    """A delivery is left out."""
    write = Hub._write

    def mutated(hub: Hub, seat: Seat, framed: bytes) -> None:
        if not dice.strikes():
            write(hub, seat, framed)

    _patch_write(mutated)


def duplicate(dice: Dice) -> None:
    """A delivery is made twice."""
    write = Hub._write

    def mutated(hub: Hub, seat: Seat, framed: bytes) -> None:
        write(hub, seat, framed)
        if dice.strikes():
            write(hub, seat, framed)

    _patch_write(mutated)


def swap(dice: Dice) -> None:
    """A delivery waits until the next one of its room and origin is made."""
    write, fan_out = Hub._write, Hub._fan_out
    waiting: dict[tuple[Seat, RoomKey, str], bytes] = {}
    place: tuple[RoomKey, str] = (("", ""), "")

    def placed(hub: Hub, room: Room, event: Event) -> None:
        nonlocal place
        place = (room.key, event.origin)
        fan_out(hub, room, event)

    def mutated(hub: Hub, seat: Seat, framed: bytes) -> None:
        held = waiting.pop((seat, *place), None)
        if held is None and dice.strikes():
            waiting[(seat, *place)] = framed
            return
        write(hub, seat, framed)
        if held is not None:
            write(hub, seat, held)

    patch(Hub, "_fan_out", placed)
    _patch_write(mutated)


def other_room(dice: Dice) -> None:
    """An event goes to another room's members, too."""
    fan_out = Hub._fan_out

    def mutated(hub: Hub, room: Room, event: Event) -> None:
        fan_out(hub, room, event)
        others = [one for one in hub.rooms.values() if one is not room]
        if others and dice.strikes():
            fan_out(hub, others[dice.below(len(others))], event)

    patch(Hub, "_fan_out", mutated)


def wrong_data(dice: Dice) -> None:
    """An event goes out with the data of the one before: a buffer that was not renewed."""
    framed = Hub.framed
    before = b"{}"

    def mutated(
        hub: Hub, codec: Codec[Any], event: Event, s: int | None, cursor: str | None
    ) -> bytes:
        nonlocal before
        data, before = before, event.data
        if dice.strikes():
            event = replace(event, data=data)
        return framed(hub, codec, event, s, cursor)

    patch(Hub, "framed", mutated)


def late_gap(dice: Dice) -> None:
    """An event is left out, and the room is told of it after the next one."""
    fan_out = Hub._fan_out
    left_out: dict[tuple[RoomKey, str], Event] = {}

    def mutated(hub: Hub, room: Room, event: Event) -> None:
        place = (room.key, event.origin)
        untold = left_out.pop(place, None)
        if untold is None and not room.joins and dice.strikes():
            left_out[place] = event
            return
        fan_out(hub, room, event)
        if untold is not None:
            hub.missed(untold)

    patch(Hub, "_fan_out", mutated)


def declares(dice: Dice) -> None:
    """An event is not delivered, and the room is told so in time."""
    fan_out = Hub._fan_out

    def mutated(hub: Hub, room: Room, event: Event) -> None:
        if room.joins or not dice.strikes():
            fan_out(hub, room, event)
        else:
            hub.missed(event)

    patch(Hub, "_fan_out", mutated)


def cursor_ahead(dice: Dice) -> None:
    """The shared cursor names one sequence more than was delivered."""
    _shift_cursors(dice, 1)


def cursor_behind(dice: Dice) -> None:
    """The shared cursor names one sequence less than was delivered."""
    _shift_cursors(dice, -1)


def _shift_cursors(dice: Dice, by: int) -> None:
    def mutated(hub: Hub, owing: frozenset[str] = NOBODY_OWES) -> str:
        shift = by if dice.strikes() else 0
        positions = {
            origin: Position(place.epoch, max(place.seq + shift, 0))
            for origin, place in hub.positions.items()
        }
        return hub.cursor_at(positions, hub.owes(owing))

    patch(Hub, "cursor", mutated)
