"""A client's connection as operators see it. Nothing is looked up before it is asked for."""

from functools import cached_property
from itertools import islice

import msgspec

from relay.core.client_row import ClientRow
from relay.core.device import plain
from relay.core.inquiry_answers import MOST_ROOMS, ClientFound, Granted, Seat
from relay.core.masking import handle_of
from relay.core.presence import Status
from relay.core.session import Phase
from relay.edge import clock
from relay.edge.connection import ClientConnection
from relay.edge.departures import Departures
from relay.edge.edge import Edge
from relay.edge.geography import network_of
from relay.edge.kernel import TcpInfo
from relay.edge.tap import protocol_of

_PHASES = {Phase.NEW: "new", Phase.LIVE: "live", Phase.ENDED: "closing"}


class ClientView:
    """One connection.

    Args:
        edge: that it is at.
        connection: the client's.
    """

    def __init__(self, edge: Edge, connection: ClientConnection) -> None:
        self.connection = connection
        self._edge = edge
        self._session = connection.session
        self._protocol = protocol_of(connection)

    @property
    def session(self) -> str:
        """Its handle."""
        return handle_of(self._session.session_id)

    @property
    def tenant(self) -> str:
        """Whose."""
        return self._session.grants.tenant if self._session.grants else ""

    @property
    def user(self) -> str:
        """Who it is."""
        return self._session.grants.user if self._session.grants else ""

    @property
    def region(self) -> str:
        """Where it is."""
        return self._edge.config.region

    @property
    def edge(self) -> str:
        """Its edge."""
        return self._edge.config.edge

    @property
    def phase(self) -> str:
        """How far it is."""
        if self._session.phase is Phase.ENTERING:
            return "replaying" if self.resumed else "entering"
        if self._session.phase is Phase.LIVE and self.connection.membership.passages:
            return "replaying"  # a room from a `since` on
        return _PHASES[self._session.phase]

    @property
    def age_ms(self) -> int:
        """Since it opened."""
        opened_s = self._protocol.opened_s if self._protocol else 0.0
        return round((clock.now().mono_s - opened_s) * 1000)

    @property
    def rooms(self) -> int:
        """That it is in."""
        return len(self._session.rooms)

    @property
    def queue_bytes(self) -> int:
        """That wait to be sent."""
        return self.connection.socket.buffered()

    @property
    def resumed(self) -> bool:
        """Whether it came by RESUME."""
        return self.connection.resumed_at > 0

    @property
    def transport(self) -> str:
        """Over what."""
        return self.connection.transport

    @property
    def encoding(self) -> str:
        """Of its payloads."""
        return self.connection.codec.name

    @property
    def country(self) -> str:
        """Of its address."""
        return self.connection.country

    @property
    def device(self) -> str:
        """As it said."""
        who = self._edge.counting.headcount.who_is(self._session.session_id)
        return who.device if who else ""

    @property
    def agent(self) -> str:
        """Its User-Agent, what is plain of it."""
        return plain(self._protocol.agent) if self._protocol else ""

    @property
    def address(self) -> str:
        """Its network."""
        return network_of(self._protocol.address) if self._protocol else ""

    @cached_property
    def _tcp(self) -> TcpInfo | None:
        return self._protocol.tcp() if self._protocol else None

    @property
    def rtt_ms(self) -> float | None:
        """By TCP."""
        return self._tcp.rtt_ms if self._tcp else None

    @property
    def out_bytes(self) -> int | None:
        """By TCP."""
        return self._tcp.out_bytes if self._tcp else None

    @property
    def in_bytes(self) -> int | None:
        """By TCP."""
        return self._tcp.in_bytes if self._tcp else None

    @property
    def resent(self) -> int | None:
        """By TCP."""
        return self._tcp.resent if self._tcp else None

    def _has(self, origin: str, seq: int) -> int:
        """Up to where it has all events of its rooms: while something is replayed, less."""
        passages = self.connection.membership.passages
        return min([seq, *(passage.join.sent.get(origin, 0) for passage in passages)])

    def row(self) -> ClientRow:
        """All of it, as it is now."""
        return msgspec.convert(self, ClientRow, from_attributes=True)

    def found(self, departures: Departures) -> ClientFound:
        """All that is known of the client; never its token."""
        session, hub, now = self._session, self._edge.hub, clock.now()
        grants = session.grants
        ahead = dict(self.connection.ahead.seqs) if self.connection.ahead else {}
        return ClientFound(
            row=self.row(),
            opened_ms=now.wall_ms - self.age_ms,
            resumed_ms=self.connection.resumed_at,
            expires_ms=grants.expires_s * 1000 if grants else 0,
            grants=[
                Granted(each.match, sorted(each.can), each.auto)
                for each in (grants.rooms if grants else ())
            ],
            watch=list(grants.watch) if grants else [],
            watching=len(session.watched),
            shown=str(session.shown.status if session.shown else Status.INVISIBLE),
            rooms=[
                Seat(room, joined, room in session.looking)
                for room, joined in islice(session.rooms.items(), MOST_ROOMS)
            ],
            positions={
                origin: (place.epoch, self._has(origin, max(place.seq, ahead.get(origin, 0))))
                for origin, place in hub.positions.items()
            },
            ahead=ahead,
            allowance=session.allowance(now),
            signals_dropped=self.connection.signals_dropped,
            ends=departures.of(self.tenant, self.user),
        )
