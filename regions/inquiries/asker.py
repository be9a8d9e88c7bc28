"""What may be asked of a fleet's edges, and done at them, through the NATS of any one region.

Who is logged in as `console` may ask what there is; as `control` also for payloads, and to close
connections: NATS's permissions say so, on subjects of their own.
"""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing

from regions.errors import InquiryError
from regions.inquiries.fleet import (
    At,
    FleetClient,
    FleetClients,
    FleetPeek,
    FleetRoom,
    FleetRooms,
    FleetSettings,
    client_of,
    clients_of,
    room_of,
    rooms_of,
    settings_of,
)
from regions.inquiries.gathering import SILENT
from regions.inquiries.round import Round
from regions.inquiries.tracing import traced
from regions.steering.health import EdgeKey
from relay.core.client_row import CLIENT_FIELDS
from relay.core.inquiry import (
    KICK_CODES,
    LEAST_HANDLE,
    LONGEST_TRACE_S,
    TEXT,
    Client,
    Clients,
    Kick,
    Peek,
    Room,
    Rooms,
    Settings,
)
from relay.core.inquiry_answers import MOST_EVENTS, MOST_ROWS, Kicked, Peeked, Traced
from relay.core.names import DEFAULT_TENANT, InquiryKind, is_room, is_tenant
from relay.core.query import parse_query
from relay.core.ranking import read_ranking
from relay.core.room_row import ROOM_FIELDS

READ_S = 3.0  # for one that reads a stream


class Asker:
    """Asks a fleet's edges. `open_asker` makes it.

    Args:
        round_: of questions to the edges that it knows.
    """

    def __init__(self, round_: Round) -> None:
        self._round = round_

    @property
    def region(self) -> str:
        """Through which it asks."""
        return self._round.line.region

    @property
    def edges(self) -> tuple[EdgeKey, ...]:
        """Edges that are asked, where nobody names others: those that were heard lately."""
        return self._round.edges

    # --- what there is -------------------------------------------------------------------------

    async def clients(
        self,
        query: str = "",
        sort: str = "age",
        limit: int = 50,
        *,
        room: str = "",
        tenant: str = DEFAULT_TENANT,
        edges: Collection[EdgeKey] | None = None,
    ) -> FleetClients:
        """The first of the clients that a query is true of.

        Args:
            query: see `relay.core.query`, with `CLIENT_FIELDS`; empty: all.
            sort: a field: numbers the largest first, texts from A; with `-` the other way round.
            limit: 1 to 200.
            room: only those in it.
            tenant: of the room.
            edges: that should answer; None: those that were heard lately.

        Raises:
            QueryError: the query, or the field to sort by, means nothing.
            InquiryError: nobody answered.
        """
        parse_query(query, CLIENT_FIELDS)
        read_ranking(sort, CLIENT_FIELDS)
        _check_limit(limit, MOST_ROWS)
        question = Clients(query, sort, limit, room, tenant)
        return clients_of(await self._round.gather(question, edges), sort, limit)

    async def client(
        self, session: str, *, edges: Collection[EdgeKey] | None = None
    ) -> FleetClient:
        """All about a client.

        Args:
            session: its handle, or 8 characters of it at least.
            edges: as for `clients`.

        Raises:
            InquiryError: nobody answered, or the handle is too short.
        """
        if len(session) < LEAST_HANDLE:
            raise InquiryError(f"a session is named by {LEAST_HANDLE} characters at least")
        return client_of(await self._round.gather(Client(session), edges))

    async def rooms(
        self,
        query: str = "",
        sort: str = "members",
        limit: int = 50,
        *,
        edges: Collection[EdgeKey] | None = None,
    ) -> FleetRooms:
        """The first of the rooms that a query is true of at some edge, put together.

        Args:
            query: with `ROOM_FIELDS`; figures are those at one edge.
            sort: as for `clients`.
            limit: 1 to 200.
            edges: as for `clients`.

        Raises:
            QueryError: the query, or the field to sort by, means nothing.
            InquiryError: nobody answered.
        """
        parse_query(query, ROOM_FIELDS)
        read_ranking(sort, ROOM_FIELDS)
        _check_limit(limit, MOST_ROWS)
        return rooms_of(await self._round.gather(Rooms(query, sort, limit), edges), sort, limit)

    async def room(
        self,
        room: str,
        tenant: str = DEFAULT_TENANT,
        *,
        edges: Collection[EdgeKey] | None = None,
    ) -> FleetRoom:
        """All about a room, at each edge where it has members.

        Raises:
            InquiryError: nobody answered, or no room can be called so.
        """
        _check_room(room, tenant)
        return room_of(await self._round.gather(Room(room, tenant), edges))

    async def peek(
        self,
        room: str,
        tenant: str = DEFAULT_TENANT,
        limit: int = 20,
        *,
        payloads: bool = False,
        region: str = "",
    ) -> FleetPeek:
        """The newest events of a room, as the streams of one region hold them.

        Args:
            room: its name.
            tenant: whose.
            limit: 1 to 100.
            payloads: with their data: takes the login `control`.
            region: whose streams are read; empty: those of the region through which it asks, or of
                another where no edge of it answers.

        Raises:
            InquiryError: no edge there answers.
        """
        _check_room(room, tenant)
        _check_limit(limit, MOST_EVENTS)
        kind: InquiryKind = "see" if payloads else "ask"
        asked = [key for key in self.edges if not region or key.region == region]
        why = f"no edge of {region} is heard" if region else "no edge is heard"
        for key in sorted(asked, key=lambda each: each.region != self.region):
            heard = await self._round.ask(kind, Peek(room, tenant, limit), [key], READ_S)
            for _, peeked in heard.of(Peeked):
                return FleetPeek(
                    region=key.region, edge=key.edge, events=peeked.events, more=peeked.more,
                    cut=peeked.cut,
                )  # fmt: skip
            why = "; ".join(f"{each.edge}: {each.why}" for each in heard.missing)
        raise InquiryError(f"the room's events can't be read: {why}")

    async def settings(self, *, edges: Collection[EdgeKey] | None = None) -> FleetSettings:
        """How edges are set up: what should be alike at all of them.

        Args:
            edges: as for `clients`.

        Raises:
            InquiryError: nobody answered.
        """
        return settings_of(await self._round.gather(Settings(), edges))

    # --- what is done --------------------------------------------------------------------------

    async def kick(
        self, session: str, why: str, code: int = KICK_CODES[0]
    ) -> tuple[EdgeKey, Kicked]:
        """Close a client's connection: takes the login `control`.

        Args:
            session: as for `client`.
            why: 1 to 512 characters, for the edge's log.
            code: 4000: the client comes back and resumes; 4021: it does so elsewhere; 4004: it is
                told to stay away.

        Raises:
            InquiryError: it is not found, or its edge did not do it, or did not answer.
        """
        if code not in KICK_CODES:
            raise InquiryError(f"code: one of {', '.join(map(str, KICK_CODES))}")
        if not 1 <= len(why) <= TEXT:
            raise InquiryError(f"say why, in 1 to {TEXT} characters")
        at = await self._where(session)
        key, handle = EdgeKey(at.region, at.edge), at.client.row.session
        heard = await self._round.ask("act", Kick(handle, code, why), [key])
        for edge, kicked in heard.of(Kicked):
            return edge, kicked
        reasons = [each.why for each in heard.missing] or ["it is gone already"]
        if reasons == [SILENT]:
            reasons = ["no answer: it may be closed, or not"]
        raise InquiryError(f"{key.edge}: {reasons[0]}")

    async def trace(
        self, session: str, for_s: float = 30.0, *, payloads: bool = False
    ) -> AsyncGenerator[Traced, None]:
        """The frames of one client, both ways, as they pass. The last one says why it ended.

        Args:
            session: as for `client`.
            for_s: seconds, 60 at most.
            payloads: with them: takes the login `control`.

        Raises:
            InquiryError: it is not found, its edge refuses, or says nothing more.
        """
        if not 0 < for_s <= LONGEST_TRACE_S:
            raise InquiryError(f"a trace takes {LONGEST_TRACE_S:g} s at most")
        at = await self._where(session)
        handle = at.client.row.session
        parts = traced(self._round, EdgeKey(at.region, at.edge), handle, for_s, payloads=payloads)
        async with aclosing(parts):
            async for part in parts:
                yield part

    async def _where(self, session: str) -> At:
        """The one client that a handle names.

        Raises:
            InquiryError: nobody is, or several are.
        """
        seen = await self.client(session)
        if len(seen.found) == 1:
            return seen.found[0]
        if seen.found:
            raise InquiryError(f"{len(seen.found)} sessions begin with {session!r}: say more of it")
        silent = "; ".join(f"{each.edge}: {each.why}" for each in seen.missing)
        raise InquiryError(f"no edge has session {session!r}{f' ({silent})' if silent else ''}")


def _check_limit(limit: int, most: int) -> None:
    if not 1 <= limit <= most:
        raise InquiryError(f"limit: 1 to {most}")


def _check_room(room: str, tenant: str) -> None:
    if not is_room(room):
        raise InquiryError(f"no room can be called {room!r}")
    if not is_tenant(tenant):
        raise InquiryError(f"no tenant can be called {tenant!r}")
