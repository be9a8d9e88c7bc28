"""Clients, as edges tell of them: a row each, and all about one."""

from collections.abc import Sequence

from console import figures
from console.look import Look
from console.signs import Tone, client_sign
from console.views.cell import Cell, cell, sign_cell
from console.views.closes import close_reason
from console.views.facts import Fact
from console.views.found import FoundListing
from console.views.table import Column
from regions.inquiries.fleet import At, EndAt
from relay.core.client_row import CLIENT_FIELDS, ClientRow
from relay.core.inquiry_answers import Seat
from relay.core.query import Field

SLOW_MS = 1_000.0  # a round trip that is longer is pointed at
LONG = 400  # cells of what is cut to its box

COLUMNS = (
    Column("user", 10, grows=True, field="user"),
    Column("session", 9, rank=3, field="session"),
    Column("edge", 8, field="edge"),
    Column("region", 6, rank=6, field="region"),
    Column("phase", 11, rank=5, field="phase"),
    Column("rtt ms", 7, right=True, field="rtt"),
    Column("queue", 6, right=True, field="queue"),
    Column("rooms", 5, right=True, field="rooms"),
    Column("out", 6, right=True, field="out"),
    Column("resumed", 7, rank=2, field="resumed"),
    Column("age", 6, right=True, field="age"),
    Column("device", 16, rank=8, field="device"),
    Column("from", 4, rank=4, field="country"),
    Column("network", 15, rank=9, field="address"),
)
TOP_COLUMNS = tuple(
    column for column in COLUMNS if column.field not in {"edge", "region", "network"}
)
SEAT_COLUMNS = (
    Column("room", 12, grows=True, field="room"),
    Column("", 8, rank=1),
)
POSITION_COLUMNS = (
    Column("origin", 7),
    Column("epoch", 5, right=True, rank=1),
    Column("has all up to", 13, right=True),
    Column("", 5, rank=2),
)
END_COLUMNS = (
    Column("ended", 9),
    Column("edge", 8),
    Column("code", 4),
    Column("what", 8, rank=1, grows=True),
    Column("session", 9, rank=2),
)
FIELDS: tuple[Field[ClientRow], ...] = tuple(
    Field(field.name, field.unit, field.get, field.meaning) for field in CLIENT_FIELDS
)
SEAT_FIELDS: tuple[Field[Seat], ...] = (Field("room", "text", lambda seat: seat.room, "its name"),)


class ClientTable(FoundListing[ClientRow]):
    """The clients that a query is true of.

    Args:
        title: of the table.
        columns: some of `COLUMNS`.
        name: the widget's id.
    """

    def __init__(
        self,
        title: str = "Clients",
        columns: Sequence[Column] = COLUMNS,
        *,
        name: str = "clients",
    ) -> None:
        super().__init__(
            title,
            columns,
            FIELDS,
            lambda row, look: client_row(row, look, columns),
            lambda row: (row.region, row.edge, row.session),
            name=name,
            sort="queue",
            example="region=ap and rtt>200, user~ana, queue>64K",
        )


def client_row(row: ClientRow, look: Look, columns: Sequence[Column] = COLUMNS) -> Sequence[Cell]:
    """The cells of one client."""
    slow = row.rtt_ms is not None and row.rtt_ms > SLOW_MS
    cells = {
        "user": cell(look.name(row.user) or figures.NONE, Tone.STRONG),
        "session": cell(look.name(row.session) or figures.NONE, Tone.MUTED),
        "edge": cell(row.edge),
        "region": cell(row.region, Tone.MUTED),
        "phase": sign_cell(client_sign(row.phase)),
        "rtt": cell(
            f"{'▲ ' if slow else ''}{figures.latency(row.rtt_ms)}",
            Tone.WARN if slow else Tone.PLAIN,
        ),
        "queue": cell(
            figures.octets(row.queue_bytes), Tone.WARN if row.queue_bytes else Tone.MUTED
        ),
        "rooms": cell(figures.count(row.rooms)),
        "out": cell(figures.octets(row.out_bytes)),
        "resumed": cell("resumed" if row.resumed else "", Tone.MUTED),
        "age": cell(figures.age(row.age_ms), Tone.MUTED),
        "device": cell(row.device or row.agent or figures.NONE, Tone.MUTED),
        "country": cell(row.country or figures.NONE, Tone.MUTED),
        "address": cell(look.name(row.address) or figures.NONE, Tone.MUTED),
    }
    return [cells[column.field] for column in columns]


def who_facts(at: At, look: Look) -> list[Fact]:
    """Who it is, and what it may."""
    found, row = at.client, at.client.row
    grants = "; ".join(
        f"{look.name(each.match)}: {', '.join(each.can)}{' (auto)' * each.auto}"
        for each in found.grants
    )
    watch = ", ".join(look.name(pattern) for pattern in found.watch) or "nobody"
    began = f"{figures.age(row.age_ms)} ago, {figures.moment(found.opened_ms)}"
    came = (
        f"by RESUME, {figures.moment(found.resumed_ms)}" if found.resumed_ms else "by IDENTIFY here"
    )
    left_ms = max(0, found.expires_ms - look.wall_ms)
    token = f"ends in {figures.age(left_ms)}, {figures.moment(found.expires_ms)}"
    return [
        _fact("user", f"{look.name(row.user)} of tenant {row.tenant}, seen as {found.shown}"),
        _fact("session", look.name(row.session)),
        _fact("at", f"{row.edge} of {row.region}"),
        _fact("opened", began),
        _fact("came", came),
        _fact("from", f"{look.name(row.address) or figures.NONE} in {row.country or figures.NONE}"),
        _fact("over", f"{row.transport}, {row.encoding}"),
        _fact("device", ", ".join(filter(None, (row.device, row.agent))) or figures.NONE),
        _fact("token", token if found.expires_ms else figures.NONE),
        _fact("may", grants or "nothing"),
        _fact("watches", f"{figures.count(found.watching)} users; may watch {watch}"),
    ]


def now_facts(at: At) -> list[Fact]:
    """How it does."""
    found, row, left = at.client, at.client.row, at.client.allowance
    waits = row.queue_bytes > 0
    queue = cell(
        f"{'▲ ' if waits else ''}{figures.octets(row.queue_bytes)} wait to be sent",
        Tone.WARN if waits else Tone.PLAIN,
    )
    return [
        _fact("rtt", f"{figures.latency(row.rtt_ms)} ms"),
        ("queue", queue),
        _fact("dropped", f"{figures.count(found.signals_dropped)} ephemeral events"),
        _fact("out", f"{figures.octets(row.out_bytes)} acknowledged"),
        _fact("in", figures.octets(row.in_bytes)),
        _fact("sent again", f"{figures.count(row.resent)} TCP segments"),
        _fact("frames left", f"{left.frames:,} this minute"),
        _fact("heartbeats", f"{left.beats:,} left this minute"),
        _fact("publishes", f"{left.publishes:,} at once, {left.publishes_waiting:,} wait"),
        _fact("rooms", f"{figures.count(row.rooms)}, {left.rooms:,} more may be joined"),
    ]


def seat_row(seat: Seat, look: Look) -> Sequence[Cell]:
    """The cells of a room that a client is in."""
    what = "joining" if not seat.joined else "presence" if seat.presence else ""
    return (cell(look.name(seat.room), Tone.STRONG, 128), cell(what, Tone.MUTED))


def position_row(at: At, origin: str) -> Sequence[Cell]:
    """The cells of one origin, as far as a client has it."""
    epoch, seq = at.client.positions[origin]
    ahead = origin in at.client.ahead  # of its edge
    return (
        cell(origin, Tone.STRONG),
        cell(str(epoch)),
        cell(f"{seq:,}"),
        cell("ahead" if ahead else "", Tone.MUTED),
    )


def end_row(at: EndAt, look: Look) -> Sequence[Cell]:
    """The cells of a connection that ended."""
    return (
        cell(figures.clock(at.end.at_ms), Tone.MUTED),
        cell(at.edge),
        cell(str(at.end.code)),
        cell(close_reason(at.end.code), Tone.MUTED),
        cell(look.name(at.end.session), Tone.MUTED),
    )


def _fact(name: str, text: str) -> Fact:
    return name, cell(text, limit=LONG)
