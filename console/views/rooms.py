"""Rooms, as edges tell of them: a row each, and one of them edge by edge."""

from collections.abc import Mapping, Sequence

from console import figures
from console.look import Look
from console.signs import Tone
from console.views.cell import Cell, cell
from console.views.found import FoundListing
from console.views.table import Column
from regions.inquiries.fleet import FleetRoom, RoomAt
from relay.core.inquiry_answers import OriginOfRoom, PeekedEvent
from relay.core.query import Field
from relay.core.room_row import ROOM_FIELDS, RoomRow

COLUMNS = (
    Column("room", 16, grows=True, field="room"),
    Column("tenant", 8, rank=4, field="tenant"),
    Column("members", 7, right=True, field="members"),
    Column("present", 7, right=True, field="present"),
    Column("edges", 5, right=True),
    Column("events/s", 8, right=True, field="rate"),
    Column("idle", 6, right=True, field="idle"),
    Column("joining", 7, right=True, rank=3, field="joining"),
    Column("in rings", 8, right=True, rank=1, field="events"),
    Column("bytes", 6, right=True, rank=2, field="bytes"),
)
ORIGIN_COLUMNS = (
    Column("edge", 8, field="edge"),
    Column("origin", 7, field="origin"),
    Column("epoch", 5, right=True, rank=2),
    Column("newest", 12, right=True, field="newest"),
    Column("position", 12, right=True, rank=1, field="position"),
    Column("lag ms", 8, right=True, field="lag"),
    Column("holes", 6, right=True, field="holes"),
    Column("ring", 6, right=True, field="ring"),
    Column("bytes", 6, right=True, rank=3, field="bytes"),
    Column("whole after", 12, right=True, rank=5),
    Column("oldest", 9, right=True, rank=4),
)
PEEK_COLUMNS = (
    Column("time", 9, field="time"),
    Column("origin", 7, field="origin"),
    Column("sequence", 12, right=True, field="seq"),
    Column("user", 12, field="user"),
    Column("id", 12, rank=1),
    Column("size", 6, right=True, field="size"),
    Column("payload", 10, grows=True),
)
FIELDS: tuple[Field[RoomRow], ...] = tuple(
    Field(field.name, field.unit, field.get, field.meaning) for field in ROOM_FIELDS
)
EDGE_FIELDS: tuple[Field[RoomAt], ...] = (
    Field("edge", "text", lambda at: at.edge, "its edge"),
    Field("region", "text", lambda at: at.region, "where"),
    Field("members", "number", lambda at: at.room.row.members, "sessions"),
    Field("present", "number", lambda at: at.room.present_here, "users, by this edge"),
    Field("looking", "number", lambda at: at.room.looking, "members who are told who is there"),
)
OriginAt = tuple[RoomAt, OriginOfRoom]
ORIGIN_FIELDS: tuple[Field[OriginAt], ...] = (
    Field("edge", "text", lambda each: each[0].edge, "which has it"),
    Field("origin", "text", lambda each: each[1].origin, "whose events"),
    Field("newest", "number", lambda each: each[1].newest, "sequence of the room"),
    Field("position", "number", lambda each: each[1].position, "sequence of the origin"),
    Field("lag", "ms", lambda each: each[1].lag_ms, "behind the origin"),
    Field("holes", "number", lambda each: each[1].holes, "found and repaired"),
    Field("ring", "number", lambda each: each[1].ring_events, "events in memory"),
    Field("bytes", "bytes", lambda each: each[1].ring_bytes, "in memory"),
)
PEEK_FIELDS: tuple[Field[PeekedEvent], ...] = (
    Field("time", "number", lambda event: event.ts_ms, "Unix ms"),
    Field("origin", "text", lambda event: event.origin, "whose stream"),
    Field("seq", "number", lambda event: event.seq, "in it"),
    Field("user", "text", lambda event: event.user, "who published it"),
    Field("size", "bytes", lambda event: event.size, "of its data"),
)

Newest = Mapping[str, tuple[int, int]]  # origin -> epoch and sequence


class RoomTable(FoundListing[RoomRow]):
    """The rooms that a query is true of."""

    def __init__(self) -> None:
        super().__init__(
            "Rooms",
            COLUMNS,
            FIELDS,
            room_row,
            lambda row: (row.tenant, row.room),
            name="rooms",
            sort="members",
            example="rate>10, room~chat, members>100",
        )


def room_row(row: RoomRow, look: Look) -> Sequence[Cell]:
    """The cells of one room."""
    return (
        cell(look.name(row.room), Tone.STRONG, 128),
        cell(row.tenant, Tone.MUTED),
        cell(figures.count(row.members)),
        cell(figures.count(row.present)),
        cell(figures.count(row.edges), Tone.MUTED),
        cell(figures.rate(row.rate)),
        cell(figures.age(row.idle_ms), Tone.MUTED),
        cell(figures.count(row.joining), Tone.WARN if row.joining else Tone.MUTED),
        cell(figures.count(row.events), Tone.MUTED),
        cell(figures.octets(row.ring_bytes), Tone.MUTED),
    )


# --- one room, edge by edge --------------------------------------------------------------------


def newest_of(room: FleetRoom) -> Newest:
    """How far any edge has the room, per origin: its newest event there, or, of an edge that opened
    the room after it, where that was.
    """
    newest: dict[str, tuple[int, int]] = {}
    for at in room.edges:
        for each in at.room.origins:
            known = newest.get(each.origin, (0, 0))
            newest[each.origin] = max(known, (each.epoch, each.newest))
    return newest


def last_cells(room: FleetRoom) -> list[Cell]:
    """The last sequence of the room per origin, in a line: no edge that has all has a later one."""
    cells: list[Cell] = []
    for origin, (epoch, far) in sorted(newest_of(room).items()):
        every = [each for at in room.edges for each in at.room.origins if each.origin == origin]
        reached = [each.newest for each in every if (each.epoch, each.position) >= (epoch, far)]
        cells.append(cell(f"{'  ' if cells else ''}{origin} ", Tone.MUTED, 20))
        cells.append(cell(f"{epoch}:{min(reached):,}" if reached else "—"))
    return cells


def edge_columns(origins: Sequence[str]) -> tuple[Column, ...]:
    """What an edge says of a room, and a column for each origin."""
    return (
        Column("edge", 8, field="edge"),
        Column("members", 7, right=True, field="members"),
        Column("here", 5, right=True, rank=2, field="present"),
        Column("look", 5, right=True, rank=3, field="looking"),
        Column("own", 4, right=True, rank=5),
        Column("shared", 16, rank=4),
        *(Column(cell(f"last of {origin}", limit=16).text, 16, right=True) for origin in origins),
    )


def edge_row(at: RoomAt, newest: Newest, before: Newest) -> Sequence[Cell]:
    """The cells of one edge.

    Args:
        at: what it says.
        newest: how far any edge has it.
        before: the same, an answer earlier: who has not come so far is behind by more than what
            is on its way.
    """
    room = at.room
    mine = {each.origin: each for each in room.origins}
    shared = " ".join(f"{name}:{number}" for name, number in sorted(room.encodings.items()))
    return (
        cell(at.edge, Tone.STRONG),
        cell(figures.count(room.row.members)),
        cell(figures.count(room.present_here)),
        cell(figures.count(room.looking), Tone.MUTED),
        cell(figures.count(room.private), Tone.MUTED),
        cell(shared or figures.NONE, Tone.MUTED),
        *(
            _last_cell(mine.get(origin), newest[origin], before.get(origin, (0, 0)))
            for origin in sorted(newest)
        ),
    )


def _last_cell(mine: OriginOfRoom | None, newest: tuple[int, int], before: tuple[int, int]) -> Cell:
    if mine is None:
        return cell(figures.NONE, Tone.MUTED)
    if mine.epoch != newest[0]:
        return cell(f"✗ epoch {mine.epoch}", Tone.BAD)
    if mine.position >= newest[1]:
        return cell(f"{mine.newest:,}")
    text = f"{mine.newest:,} -{newest[1] - mine.position:,}"
    late = (mine.epoch, mine.position) < before
    return cell(f"▲ {text}", Tone.WARN) if late else cell(text, Tone.MUTED)


def origin_row(each: OriginAt) -> Sequence[Cell]:
    """The cells of one origin at one edge."""
    at, origin = each
    lag = figures.latency(origin.lag_ms)
    return (
        cell(at.edge, Tone.STRONG),
        cell(origin.origin),
        cell(str(origin.epoch), Tone.MUTED),
        cell(f"{origin.newest:,}"),
        cell(f"{origin.position:,}", Tone.MUTED),
        cell(f"▲ reads {lag}", Tone.WARN) if origin.repairing else cell(lag),
        cell(figures.count(origin.holes), Tone.WARN if origin.holes else Tone.MUTED),
        cell(figures.count(origin.ring_events)),
        cell(figures.octets(origin.ring_bytes), Tone.MUTED),
        cell(f"{origin.ring_base:,}", Tone.MUTED),
        cell(figures.clock(origin.oldest_ms) if origin.oldest_ms else figures.NONE, Tone.MUTED),
    )


def peek_row(event: PeekedEvent, look: Look) -> Sequence[Cell]:
    """The cells of one stored event. While names are hidden, its data is."""
    data = "" if event.data is None else "(hidden)" if look.private else event.data
    return (
        cell(figures.clock(event.ts_ms), Tone.MUTED),
        cell(event.origin),
        cell(f"{event.seq:,}"),
        cell(look.name(event.user or "") or figures.NONE, Tone.STRONG),
        cell(look.name(event.id or "") or figures.NONE, Tone.MUTED),
        cell(figures.octets(event.size)),
        cell(data, limit=500),
    )
