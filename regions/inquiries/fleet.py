"""What edges answered, put together: values for the console and for `jetrelay ctl`."""

from collections.abc import Iterable

import msgspec

from regions.inquiries.gathering import Gathering, Missing
from relay.core.client_row import CLIENT_FIELDS, ClientRow
from relay.core.inquiry_answers import (
    Absent,
    ClientFound,
    ClientsFound,
    Ended,
    PeekedEvent,
    RoomFound,
    RoomsFound,
    SettingsTold,
)
from relay.core.ranking import read_ranking
from relay.core.room_row import ROOM_FIELDS, RoomRow, merged


class FleetClients(msgspec.Struct, frozen=True, kw_only=True):
    """The first of the clients that a query is true of."""

    rows: list[ClientRow]
    matched: int
    of: int  # connections of the edges that answered
    missing: list[Missing]
    cut: bool  # an edge gave fewer than were asked for: they would be too many bytes


class At(msgspec.Struct, frozen=True, kw_only=True):
    """A client, and where it was found."""

    region: str
    edge: str
    client: ClientFound


class EndAt(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that ended, and where."""

    region: str
    edge: str
    end: Ended


class FleetClient(msgspec.Struct, frozen=True, kw_only=True):
    """Who was found under a session's handle: one, where it is the whole of it."""

    found: list[At]
    ends: list[EndAt]  # of its connections, and of others of its user where it is, newest first
    missing: list[Missing]


class FleetRooms(msgspec.Struct, frozen=True, kw_only=True):
    """The first of the rooms that a query is true of at some edge."""

    rows: list[RoomRow]
    whole: bool  # each edge named all that match there: else members may be more
    missing: list[Missing]


class RoomAt(msgspec.Struct, frozen=True, kw_only=True):
    """A room at one edge."""

    region: str
    edge: str
    room: RoomFound


class FleetRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A room at each edge where it has members, and all together."""

    total: RoomRow | None  # None: it has members nowhere
    edges: list[RoomAt]
    missing: list[Missing]


class FleetPeek(msgspec.Struct, frozen=True, kw_only=True):
    """The newest events of a room, oldest first, as one region's streams hold them."""

    region: str
    edge: str  # that read them
    events: list[PeekedEvent]
    more: bool
    cut: bool


class SettingsAt(msgspec.Struct, frozen=True, kw_only=True):
    """How an edge is set up."""

    region: str
    edge: str
    settings: dict[str, str]  # name -> value


class FleetSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How edges are set up."""

    edges: list[SettingsAt]
    missing: list[Missing]


def clients_of(gathering: Gathering, sort: str, limit: int) -> FleetClients:
    """The first of all edges' clients."""
    answers = [answer for _, answer in gathering.of(ClientsFound)]
    rows = read_ranking(sort, CLIENT_FIELDS).ranked(row for each in answers for row in each.rows)
    return FleetClients(
        rows=[row for row in rows if isinstance(row, ClientRow)][:limit],
        matched=sum(each.matched for each in answers),
        of=sum(each.of for each in answers),
        missing=gathering.missing,
        cut=any(each.cut for each in answers),
    )


def rooms_of(gathering: Gathering, sort: str, limit: int) -> FleetRooms:
    """The first of all edges' rooms, each once."""
    answers = [answer for _, answer in gathering.of(RoomsFound)]
    rows = merged(row for each in answers for row in each.rows)
    ranked = read_ranking(sort, ROOM_FIELDS).ranked(rows)
    return FleetRooms(
        rows=[row for row in ranked if isinstance(row, RoomRow)][:limit],
        whole=all(len(each.rows) == each.matched for each in answers),
        missing=gathering.missing,
    )


def client_of(gathering: Gathering) -> FleetClient:
    """Who was found."""
    found = [
        At(region=key.region, edge=key.edge, client=answer)
        for key, answer in gathering.of(ClientFound)
    ]
    ended = [(key, answer.ends) for key, answer in gathering.of(ClientFound)]
    ended += [(key, answer.ends) for key, answer in gathering.of(Absent)]
    ends = [EndAt(region=key.region, edge=key.edge, end=end) for key, some in ended for end in some]
    ends.sort(key=lambda each: each.end.at_ms, reverse=True)
    return FleetClient(found=_without_left(found), ends=ends, missing=gathering.missing)


def _without_left(found: Iterable[At]) -> list[At]:
    """Without connections that close because their session goes on elsewhere."""
    sessions: dict[str, list[At]] = {}
    for at in found:
        sessions.setdefault(at.client.row.session, []).append(at)
    newest = [max(each, key=_how_new) for each in sessions.values()]
    return sorted(newest, key=lambda at: at.client.row.session)


def _how_new(at: At) -> tuple[bool, int]:
    return at.client.row.phase != "closing", at.client.opened_ms


def room_of(gathering: Gathering) -> FleetRoom:
    """The room everywhere."""
    edges = [
        RoomAt(region=key.region, edge=key.edge, room=answer)
        for key, answer in gathering.of(RoomFound)
    ]
    total = next(iter(merged(each.room.row for each in edges)), None)
    return FleetRoom(total=total, edges=edges, missing=gathering.missing)


def settings_of(gathering: Gathering) -> FleetSettings:
    """How each is set up that answered."""
    edges = [
        SettingsAt(region=key.region, edge=key.edge, settings=answer.settings)
        for key, answer in gathering.of(SettingsTold)
    ]
    return FleetSettings(edges=edges, missing=gathering.missing)
