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
    FleetClient,
    FleetClients,
    FleetPeek,
    FleetRoom,
    FleetRooms,
    FleetSettings,
    SettingsAt,
)
from regions.steering.health import EdgeKey
from relay.core.inquiry_answers import Kicked, PeekedEvent, Traced
from tests.console.answers import PLACES, client, event, one, one_room, room_at, room_row
from tests.console.office import Desk

SETTINGS = {"session key": "0a1b2c3d", "connections": "18000", "linger_s": "60", "geoip": "none"}


@dataclass
class Clerk:
    """Plays `Asker`."""

    clients_: FleetClients | None = None
    client_: FleetClient | None = None
    rooms_: FleetRooms | None = None
    room_: FleetRoom | None = None
    events: list[PeekedEvent] = field(default_factory=lambda: [event(n) for n in range(8)])
    settings_: dict[str, dict[str, str]] = field(default_factory=dict)  # edge -> what is its own
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

    async def settings(self, *, edges: Collection[EdgeKey] | None = None) -> FleetSettings:
        """How those that are asked are set up: as was told, or alike."""
        await self._answer("settings", edges)
        return FleetSettings(
            edges=[
                SettingsAt(
                    region=key.region, edge=key.edge,
                    settings=SETTINGS | self.settings_.get(key.edge, {}),
                )
                for key in edges or ()
            ],
            missing=[],
        )  # fmt: skip

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
