"""What edges answer, made up: clients, rooms, events and frames."""

from collections.abc import Collection

from regions.inquiries.fleet import At, EndAt, FleetClient, FleetRoom, RoomAt
from regions.inquiries.gathering import Missing
from relay.core.client_row import ClientRow
from relay.core.inquiry_answers import (
    ClientFound,
    Ended,
    Granted,
    OriginOfRoom,
    PeekedEvent,
    RoomFound,
    Seat,
)
from relay.core.limits import Allowance
from relay.core.masking import TracedFrame
from relay.core.room_row import RoomRow, merged
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


def traced_frame(number: int, **changes: object) -> TracedFrame:
    """A frame that passed."""
    values: dict[str, object] = {
        "at_ms": START_MS + 250 * number, "sent": number % 2 == 0, "size": 100 + number,
        "op": 0 if number % 2 == 0 else 22, "t": "MESSAGE" if number % 2 == 0 else None,
        "s": number if number % 2 == 0 else None, "room": "chat:lobby",
    }  # fmt: skip
    return TracedFrame(**(values | changes))  # type: ignore[arg-type]
