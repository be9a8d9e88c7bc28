"""What the client's requests are answered with."""

from dataclasses import dataclass

import msgspec

from relay.client.events import Message


class Ack(msgspec.Struct, frozen=True):
    """A publish that is stored: its place in `origin`'s stream; `duplicate`: it was already there.

    An ephemeral publish has no place: `origin`, `epoch` and `seq` may be None.
    """

    id: str = ""
    origin: str | None = None
    epoch: int | None = None
    seq: int | None = None
    duplicate: bool = False


class Page(msgspec.Struct, frozen=True):
    """A page of a room's history, oldest first, and the cursors for the pages around it."""

    events: tuple[Message, ...] = ()
    before: str | None = None
    after: str | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Last:
    """`since`: the newest `count` events of the room."""

    count: int
