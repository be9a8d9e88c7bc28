"""Edges that answer as a test tells them to: it plays `Asker`, and records what it was asked."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from console.backing import Backing
from regions.errors import InquiryError
from regions.inquiries.asker import Asker
from regions.inquiries.fleet import (
    At,
    EndAt,
    FleetClient,
    FleetClients,
    FleetPeek,
    FleetRoom,
    FleetRooms,
    RoomAt,
)
from regions.inquiries.gathering import Missing
from regions.steering.health import EdgeKey
from relay.core.client_row import ClientRow
from relay.core.inquiry_answers import (
    ClientFound,
    Ended,
    Granted,
    Kicked,
    OriginOfRoom,
    PeekedEvent,
    RoomFound,
    Seat,
    Traced,
)
from relay.core.limits import Allowance
from relay.core.masking import TracedFrame
from relay.core.room_row import RoomRow, merged
from tests.console.office import Desk
from tests.console.scenario import EDGES, START_MS

USERS = ("ana", "bo", "cyrille", "dmitri", "eve", "farah", "gus", "hana")
PLACES = [(region, edge) for region, edges in EDGES.items() for edge in edges]


def handle(number: int) -> str:
    """A session's handle, as edges make them."""
    return f"s{number:02}ZCXU8RBFXYHCP"[:16]


def client(number: int, **changes: object) -> ClientRow:
    """A client; the first wait for most."""
    region, edge = PLACES[number % len(PLACES)]
    values: dict[str, object] = {
        "session": handle(number),
        "tenant": "_",
        "user": f"{USERS[number % len(USERS)]}{number or ''}",
        "region": region,
        "edge": edge,
        "phase": "live",
        "age_ms": 61_000 * (number + 1),
        "rooms": number % 4 + 1,
        "queue_bytes": max(0, 90_000 - 30_000 * number),
        "resumed": number % 3 == 1,
        "transport": "websocket",
        "encoding": "json",
        "country": ("US", "DE", "SG")[number % 3],
        "device": "browser" if number % 2 else "",
        "agent": "Mozilla/5.0",
        "address": f"203.0.{number}.0/24",
        "rtt_ms": 4.2 + 190.0 * (number % 7),
        "out_bytes": 1_500 * (number + 1) ** 3,
        "in_bytes": 700 * (number + 1),
        "resent": number,
    }
    return ClientRow(**(values | changes))  # type: ignore[arg-type]


def found(row: ClientRow, **changes: object) -> At:
    """All about a client."""
    values: dict[str, object] = {
        "row": row,
        "opened_ms": START_MS,
        "resumed_ms": START_MS if row.resumed else 0,
        "expires_ms": START_MS + 3_600_000,
        "grants": [Granted("chat:*", ["subscribe", "publish"], auto=True)],
        "watch": ["team-*"],
        "watching": 3,
        "shown": "online",
        "rooms": [Seat("chat:lobby", presence=True), Seat("chat:ops", joined=False)],
        "positions": {"us": (1, 48_113), "eu": (1, 9_204), "ap": (2, 77)},
        "ahead": {"ap": 77},
        "allowance": Allowance(118, 9, 40, 0, 198),
        "signals_dropped": 4,
        "ends": [],
    }
    return At(region=row.region, edge=row.edge, client=ClientFound(**(values | changes)))  # type: ignore[arg-type]


def one(row: ClientRow, **changes: object) -> FleetClient:
    """A client that is found, and how two of its connections ended."""
    ends = [
        EndAt(region="eu", edge="eu-1", end=Ended(START_MS + 70_000, row.session, 1006)),
        EndAt(region="us", edge="us-2", end=Ended(START_MS + 20_000, row.session, 4021)),
    ]
    return FleetClient(found=[found(row, **changes)], ends=ends, missing=[])


def room_row(name: str, number: int, **changes: object) -> RoomRow:
    """A room at some edges."""
    values: dict[str, object] = {
        "tenant": "_",
        "room": name,
        "members": 1_200 // (number + 1),
        "rate": 41.5 / (number + 1),
        "idle_ms": 700 * number,
        "events": 900 // (number + 1),
        "ring_bytes": 210_000 // (number + 1),
        "present": 1_100 // (number + 1) if number % 2 == 0 else None,
        "edges": 6 - number % 4,
    }
    return RoomRow(**(values | changes))  # type: ignore[arg-type]


def room_at(region: str, edge: str, behind: int = 0, **changes: object) -> RoomAt:
    """A room at one edge, which lacks the last events of us."""
    lacks = {"us": behind}
    newest = [48_113 - place * 100 - lacks.get(origin, 0) for place, origin in enumerate(EDGES)]
    origins = [
        OriginOfRoom(
            origin=origin, epoch=1, position=newest[place] if lacks.get(origin) else 50_000 + place,
            newest=newest[place], lag_ms=3.5 + 40 * place, repairing=False,
            holes=0, ring_events=300, ring_bytes=70_000, ring_base=47_800, oldest_ms=START_MS,
        )
        for place, origin in enumerate(EDGES)
    ]  # fmt: skip
    row = room_row("chat:lobby", 0, region=region, edge=edge, members=200, edges=1)
    values: dict[str, object] = {
        "row": row, "encodings": {"json": 150, "msgpack": 49}, "private": 1, "looking": 12,
        "present_here": 180, "origins": origins,
    }  # fmt: skip
    return RoomAt(region=region, edge=edge, room=RoomFound(**(values | changes)))  # type: ignore[arg-type]


def one_room(*edges: RoomAt, missing: Collection[Missing] = ()) -> FleetRoom:
    """A room at some edges."""
    total = next(iter(merged(at.room.row for at in edges)), None)
    return FleetRoom(total=total, edges=list(edges), missing=list(missing))


def event(number: int, **changes: object) -> PeekedEvent:
    """A stored event."""
    values: dict[str, object] = {
        "origin": "us", "epoch": 1, "seq": 48_100 + number, "user": USERS[number % len(USERS)],
        "id": f"m-{number}", "ts_ms": START_MS + 1_000 * number, "stored_ms": START_MS,
        "size": 40 + number,
    }  # fmt: skip
    return PeekedEvent(**(values | changes))  # type: ignore[arg-type]


@dataclass
class Clerk:
    """Plays `Asker`."""

    clients_: FleetClients | None = None
    client_: FleetClient | None = None
    rooms_: FleetRooms | None = None
    room_: FleetRoom | None = None
    events: list[PeekedEvent] = field(default_factory=lambda: [event(n) for n in range(8)])
    data: str = '{"text":"a secret"}'  # of each event, where payloads are seen
    error: str = ""  # why nobody answers
    refusal: str = ""  # why it can't be opened
    unkicked: str = ""  # why a connection is not closed
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    kicked: list[tuple[str, str, int]] = field(default_factory=list)
    traces: list[tuple[str, bool]] = field(default_factory=list)
    stopped: int = 0
    opened: int = 0
    closed: int = 0
    at_once: int = 0  # questions that are waited for
    most_at_once: int = 0
    parts: "asyncio.Queue[Traced]" = field(default_factory=asyncio.Queue)
    gate: asyncio.Event = field(default_factory=asyncio.Event)  # answers wait while it is closed

    def __post_init__(self) -> None:
        self.gate.set()

    async def clients(
        self, query: str = "", sort: str = "age", limit: int = 50, *,
        edges: Collection[EdgeKey] | None = None,
    ) -> FleetClients:  # fmt: skip
        """The clients that were told, as many as are wanted."""
        await self._answer("clients", query, sort, limit, edges)
        every = self.clients_ or FleetClients(
            rows=[client(number) for number in range(60)], matched=60, of=5_402, missing=[],
            cut=False,
        )  # fmt: skip
        return FleetClients(
            rows=every.rows[:limit], matched=every.matched, of=every.of, missing=every.missing,
            cut=every.cut,
        )  # fmt: skip

    async def client(
        self, session: str, *, edges: Collection[EdgeKey] | None = None
    ) -> FleetClient:
        """The client that was told, or one of that session."""
        await self._answer("client", session, edges)
        number = int(session[1:3]) if session[1:3].isdecimal() else 0
        return self.client_ or one(client(number, session=session))

    async def rooms(
        self, query: str = "", sort: str = "members", limit: int = 50, *,
        edges: Collection[EdgeKey] | None = None,
    ) -> FleetRooms:  # fmt: skip
        """The rooms that were told."""
        await self._answer("rooms", query, sort, limit, edges)
        names = ("chat:lobby", "chat:ops", "quakes", "team:red", "team:blue")
        rows = [room_row(name, number) for number, name in enumerate(names)]
        return self.rooms_ or FleetRooms(rows=rows, whole=True, missing=[])

    async def room(
        self, room: str, tenant: str = "_", *, edges: Collection[EdgeKey] | None = None
    ) -> FleetRoom:
        """The room that was told."""
        await self._answer("room", room, tenant, edges)
        told = self.room_ or one_room(*(room_at(*place) for place in PLACES))
        return FleetRoom(total=told.total, edges=told.edges, missing=told.missing)

    async def peek(
        self, room: str, tenant: str = "_", limit: int = 20, *, payloads: bool = False
    ) -> FleetPeek:
        """The events that were told."""
        await self._answer("peek", room, tenant, limit, payloads)
        events = [
            event if not payloads else PeekedEvent(
                origin=event.origin, epoch=event.epoch, seq=event.seq, user=event.user,
                id=event.id, ts_ms=event.ts_ms, stored_ms=event.stored_ms, size=event.size,
                data=self.data,
            )
            for event in self.events
        ]  # fmt: skip
        return FleetPeek(region="us", edge="us-1", events=events, more=True, cut=False)

    async def kick(self, session: str, why: str, code: int = 4000) -> tuple[EdgeKey, Kicked]:
        """It is written down."""
        await self._answer("kick", session)
        if self.unkicked:
            raise InquiryError(self.unkicked)
        self.kicked.append((session, why, code))
        return EdgeKey("us", "us-1"), Kicked(session=session, tenant="_", user="ana", code=code)

    async def trace(
        self, session: str, for_s: float = 30.0, *, payloads: bool = False
    ) -> AsyncGenerator[Traced, None]:
        """The parts that a test puts there."""
        assert for_s == 60
        self.traces.append((session, payloads))
        try:
            yield Traced(session=session)
            while True:
                part = await self.parts.get()
                yield part
                if part.ended:
                    return
        finally:
            self.stopped += 1

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Asker]:
        """As `open_asker`."""
        if self.refusal:
            raise InquiryError(self.refusal)
        self.opened += 1
        try:
            yield cast("Asker", self)
        finally:
            self.closed += 1

    def backing(self, *, control: bool = False, **more: Any) -> Backing:
        """Of a console that may ask; with `control`, see payloads and close connections too."""
        if not control:
            return Backing(asker=self.open, **more)
        return Desk().backing(asker=self.open, control=self.open, **more)

    def told(self, what: str) -> list[tuple[Any, ...]]:
        """What was asked of this kind."""
        return [asked[1:] for asked in self.asked if asked[0] == what]

    async def _answer(self, *what: Any) -> None:
        self.asked.append(what)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if self.error:
            raise InquiryError(self.error)


def traced_frame(number: int, **changes: object) -> TracedFrame:
    """A frame that passed."""
    values: dict[str, object] = {
        "at_ms": START_MS + 250 * number, "sent": number % 2 == 0, "size": 100 + number,
        "op": 0 if number % 2 == 0 else 22, "t": "MESSAGE" if number % 2 == 0 else None,
        "s": number if number % 2 == 0 else None, "room": "chat:lobby",
    }  # fmt: skip
    return TracedFrame(**(values | changes))  # type: ignore[arg-type]
