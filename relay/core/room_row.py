"""A room as operators see it in a list, and the figures by which they ask for it."""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from relay.core.query import Field

RATE_S = 10.0  # rates are of the last 10 s


class RoomRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One room with members: at one edge, or at several put together."""

    tenant: str
    room: str
    region: str = ""  # empty: at several
    edge: str = ""
    members: int  # sessions
    joining: int = 0  # joins in progress
    rate: float = 0.0  # events/s
    idle_ms: int | None = None  # since its newest event; None: none is remembered
    events: int = 0  # in its rings
    ring_bytes: int = 0
    present: int | None = None  # users on all edges; None: nobody here looks at them
    edges: int = 1


class RoomFigures(Protocol):
    """What queries look at: a row, or what one is made from."""

    @property
    def tenant(self) -> str: ...
    @property
    def room(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def edge(self) -> str: ...
    @property
    def members(self) -> int: ...
    @property
    def joining(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def idle_ms(self) -> int | None: ...
    @property
    def events(self) -> int: ...
    @property
    def ring_bytes(self) -> int: ...
    @property
    def present(self) -> int | None: ...


ROOM_FIELDS: tuple[Field[RoomFigures], ...] = (
    Field("room", "text", lambda room: room.room, "its name"),
    Field("tenant", "text", lambda room: room.tenant, "whose"),
    Field("region", "text", lambda room: room.region, "where it has members"),
    Field("edge", "text", lambda room: room.edge, "an edge where it has"),
    Field("members", "number", lambda room: room.members, "sessions at one edge"),
    Field("joining", "number", lambda room: room.joining, "joins in progress"),
    Field("rate", "number", lambda room: room.rate, "events a second, of the last 10 s"),
    Field("idle", "ms", lambda room: room.idle_ms, "since its newest event, as far as remembered"),
    Field("events", "number", lambda room: room.events, "in memory"),
    Field("bytes", "bytes", lambda room: room.ring_bytes, "in memory"),
    Field("present", "number", lambda room: room.present, "users, where somebody looks at them"),
)


def merged(rows: Iterable[RoomRow]) -> list[RoomRow]:
    """Rows of several edges, one for each room: members add up, events are the same everywhere."""
    found: dict[tuple[str, str], RoomRow] = {}
    for row in rows:
        known = found.get((row.tenant, row.room))
        found[row.tenant, row.room] = row if known is None else _sum(known, row)
    return list(found.values())


def _sum(one: RoomRow, other: RoomRow) -> RoomRow:
    same = one.region == other.region
    return RoomRow(
        tenant=one.tenant,
        room=one.room,
        region=one.region if same else "",
        members=one.members + other.members,
        joining=one.joining + other.joining,
        rate=max(one.rate, other.rate),
        idle_ms=min((ms for ms in (one.idle_ms, other.idle_ms) if ms is not None), default=None),
        events=max(one.events, other.events),
        ring_bytes=max(one.ring_bytes, other.ring_bytes),
        present=max((n for n in (one.present, other.present) if n is not None), default=None),
        edges=one.edges + other.edges,
    )
