"""What this edge knows of its clients and rooms, as answers to who asks."""

from collections.abc import Iterable

from relay.core.client_row import CLIENT_FIELDS, ClientFigures
from relay.core.cursor import Position
from relay.core.event import Event, RoomKey
from relay.core.inquiry import LEAST_HANDLE, Client, Clients, Peek, Room, Rooms
from relay.core.inquiry_answers import (
    MOST_EVENTS,
    MOST_ROWS,
    Absent,
    Answer,
    ClientsFound,
    Peeked,
    PeekedEvent,
    Refused,
    RoomsFound,
)
from relay.core.masking import cut
from relay.core.names import is_room, is_tenant
from relay.core.query import parse_query
from relay.core.ranking import First, read_ranking
from relay.core.room_row import ROOM_FIELDS, RoomFigures
from relay.edge.client_view import ClientView
from relay.edge.connection import ClientConnection
from relay.edge.departures import Departures
from relay.edge.edge import Edge
from relay.edge.looking import look_through
from relay.edge.room_view import RoomView


class Answers:
    """Of one edge.

    Args:
        edge: it.
        departures: who went from it.
    """

    def __init__(self, edge: Edge, departures: Departures) -> None:
        self._edge = edge
        self._departures = departures

    async def clients(self, asked: Clients) -> Answer:
        """Which clients are here.

        Raises:
            QueryError: the query, or the field to sort by, means nothing.
        """
        query = parse_query(asked.query, CLIENT_FIELDS)
        ranking = read_ranking(asked.sort, CLIENT_FIELDS)
        first: First[ClientFigures] = First(ranking, max(min(asked.limit, MOST_ROWS), 0))
        views = (ClientView(self._edge, each) for each in self._connections(asked))
        of = await look_through(views, query, first)
        rows = [view.row() for view in first.take() if isinstance(view, ClientView)]
        return ClientsFound(rows=rows, matched=first.matched, of=of)

    def _connections(self, asked: Clients) -> Iterable[ClientConnection]:
        if not asked.room:
            return list(self._edge.gateway.connections)
        room = self._edge.hub.rooms.get((asked.tenant, asked.room))
        if room is None:
            return ()
        return [seat for seat in room.everybody() if isinstance(seat, ClientConnection)]

    def client(self, asked: Client) -> Answer:
        """All about one."""
        found = self.find(asked.session)
        if isinstance(found, ClientConnection):
            return ClientView(self._edge, found).found(self._departures)
        return found

    def find(self, handle: str) -> ClientConnection | Absent | Refused:
        """The connection of a session, by its id or as much of it as tells it from others."""
        if len(handle) < LEAST_HANDLE:
            return Refused(f"a session is named by {LEAST_HANDLE} characters at least")
        found = [
            each
            for each in self._edge.gateway.connections
            if each.session.grants is not None and each.session.session_id.startswith(handle)
        ]
        if len({each.session.session_id for each in found}) > 1:
            return Refused(f"{len(found)} sessions here begin so")
        if not found:
            return Absent(self._departures.under(handle))
        return max(found, key=lambda each: each.alive)  # one that was taken over may be closing

    async def rooms(self, asked: Rooms) -> Answer:
        """Which rooms have members here.

        Raises:
            QueryError: the query, or the field to sort by, means nothing.
        """
        query = parse_query(asked.query, ROOM_FIELDS)
        ranking = read_ranking(asked.sort, ROOM_FIELDS)
        first: First[RoomFigures] = First(ranking, max(min(asked.limit, MOST_ROWS), 0))
        views = (RoomView(self._edge, *each) for each in list(self._edge.hub.rooms.items()))
        of = await look_through(views, query, first)
        rows = [view.row() for view in first.take() if isinstance(view, RoomView)]
        return RoomsFound(rows=rows, matched=first.matched, of=of)

    def room(self, asked: Room) -> Answer:
        """All about one."""
        key = (asked.tenant, asked.room)
        room = self._edge.hub.rooms.get(key)
        return Absent() if room is None else RoomView(self._edge, key, room).found()

    async def peek(self, asked: Peek, *, payloads: bool) -> Answer:
        """The newest events of a room, whoever has delivered them.

        Raises:
            BusError: they can't be read now.
        """
        if not (is_tenant(asked.tenant) and is_room(asked.room)):
            return Refused(f"no room can be called {asked.room[:64]!r}")
        key: RoomKey = (asked.tenant, asked.room)
        limit = max(min(asked.limit, MOST_EVENTS), 1)
        states = await self._edge.joining.streams.states(self._edge.hub.epochs())
        here = {origin: Position(state.epoch, state.last) for origin, state in states.items()}
        page = await self._edge.history.newest(key, limit, here)
        events = [_peeked(event, payloads=payloads) for event in page.events]
        return Peeked(events=events, more=page.more)


def _peeked(event: Event, *, payloads: bool) -> PeekedEvent:
    return PeekedEvent(
        origin=event.origin,
        epoch=event.epoch,
        seq=event.seq,
        user=event.user,
        id=event.id,
        ts_ms=event.ts_ms,
        stored_ms=event.stored_ms,
        size=len(event.data),
        data=cut(event.data) if payloads else None,
    )
