"""What `jetrelay ctl` says of what edges answered, for people. All of it is others' text."""

import time
from collections.abc import Iterable, Mapping, Sequence

from cli.text import clean, short
from console.figures import NONE, age, count, latency, octets, rate
from regions.columns import aligned
from regions.inquiries.fleet import At, EndAt, FleetClients, FleetPeek, FleetRoom, FleetRooms
from regions.inquiries.gathering import Missing
from regions.inquiries.unlike import Setting
from relay.core.client_row import ClientRow
from relay.core.codes import Op
from relay.core.inquiry_answers import OriginOfRoom, PeekedEvent
from relay.core.masking import TracedFrame
from relay.core.room_row import RoomRow

CELL = 40
VALUE = 72


def _cell(text: str) -> str:
    return short(text, CELL) or NONE


def clients_lines(found: FleetClients) -> list[str]:
    """Clients, a line each."""
    heads = ("session", "user", "edge", "phase", "age", "rooms", "queue", "rtt ms", "out", "in",
             "from", "network", "what")  # fmt: skip
    return aligned([heads, *(_client_cells(row) for row in found.rows)])


def _client_cells(row: ClientRow) -> tuple[str, ...]:
    return (
        _cell(row.session), _cell(row.user), _cell(row.edge), _cell(row.phase), age(row.age_ms),
        count(row.rooms), octets(row.queue_bytes), latency(row.rtt_ms), octets(row.out_bytes),
        octets(row.in_bytes), _cell(row.country), _cell(row.address),
        _cell(row.device or row.agent),
    )  # fmt: skip


def clients_note(found: FleetClients) -> str:
    """How many there are besides."""
    cut = ", cut: too many bytes" if found.cut else ""
    return f"{len(found.rows):,} of {found.matched:,} that match, of {found.of:,}{cut}"


def client_lines(at: At) -> list[str]:
    """One client."""
    found, row = at.client, at.client.row
    left = found.allowance
    facts = {
        "session": clean(row.session),
        "user": f"{clean(row.user)} (tenant {clean(row.tenant)}), shown as {clean(found.shown)}",
        "at": f"{clean(row.edge)} of {clean(row.region)}, {clean(row.phase)}",
        "opened": f"{_stamp(found.opened_ms)}, {age(row.age_ms)} ago"
        + (f"; resumed here {_stamp(found.resumed_ms)}" if found.resumed_ms else ""),
        "from": f"{clean(row.address) or NONE} in {clean(row.country) or NONE}",
        "over": f"{clean(row.transport)}, {clean(row.encoding)}",
        "device": clean(row.device) or NONE,
        "agent": clean(row.agent) or NONE,
        "tcp": f"rtt {latency(row.rtt_ms)} ms, {octets(row.out_bytes)} out, "
        f"{octets(row.in_bytes)} in, {count(row.resent)} segments sent again",
        "queue": f"{octets(row.queue_bytes)} wait; "
        f"{count(found.signals_dropped)} ephemeral dropped",
        "token": f"until {_stamp(found.expires_ms)}" if found.expires_ms else NONE,
        "left": f"{left.frames} frames and {left.beats} heartbeats this minute, {left.publishes:,} "
        f"publishes at once ({left.publishes_waiting} wait), {left.rooms} rooms",
        "grants": "; ".join(
            f"{clean(each.match)}: {', '.join(map(clean, each.can))}{' (auto)' * each.auto}"
            for each in found.grants
        )
        or NONE,
        "watches": f"{count(found.watching)} users; may: {clean(', '.join(found.watch)) or NONE}",
        "rooms": f"{row.rooms}: {clean(', '.join(_seat_marks(at))) or NONE}",
        "has": ", ".join(
            f"{clean(origin)} {epoch}:{seq}{' (ahead)' * (origin in found.ahead)}"
            for origin, (epoch, seq) in sorted(found.positions.items())
        ),
    }
    return _facts(facts)


def end_lines(ends: Iterable[EndAt]) -> list[str]:
    """How connections ended."""
    rows = [("ended", "edge", "code", "session")]
    rows += [
        (_stamp(at.end.at_ms), _cell(at.edge), str(at.end.code), _cell(at.end.session))
        for at in ends
    ]
    return ["", *aligned(rows)] if len(rows) > 1 else []


def _seat_marks(at: At) -> list[str]:
    shown = [
        seat.room + ("" if seat.joined else " (joining)") + (" (presence)" if seat.presence else "")
        for seat in at.client.rooms
    ]
    left_out = at.client.row.rooms - len(shown)
    return [*shown, f"and {left_out} more"] if left_out > 0 else shown


def rooms_lines(found: FleetRooms) -> list[str]:
    """Rooms, a line each."""
    heads = ("room", "tenant", "members", "present", "edges", "joining", "events/s", "idle",
             "events", "bytes")  # fmt: skip
    return aligned([heads, *(_room_cells(row) for row in found.rows)])


def _room_cells(row: RoomRow) -> tuple[str, ...]:
    return (
        _cell(row.room), _cell(row.tenant), count(row.members), count(row.present),
        count(row.edges), count(row.joining), rate(row.rate), age(row.idle_ms), count(row.events),
        octets(row.ring_bytes),
    )  # fmt: skip


def room_lines(seen: FleetRoom) -> list[str]:
    """One room: all together, and edge by edge."""
    if seen.total is None:
        return []
    lines = rooms_lines(FleetRooms(rows=[seen.total], whole=True, missing=[]))
    heads = ("edge", "members", "shared", "own", "joining", "look", "here", "origin", "epoch",
             "newest", "position", "lag ms", "holes", "ring", "from", "oldest")  # fmt: skip
    rows: list[tuple[str, ...]] = [heads]
    for at in seen.edges:
        room, row = at.room, at.room.row
        cells = (
            _cell(at.edge), count(row.members), _counts(room.encodings), count(room.private),
            count(row.joining), count(room.looking), count(room.present_here),
        )  # fmt: skip
        for number, origin in enumerate(room.origins):
            rows.append((*(cells if number == 0 else ("",) * len(cells)), *_origin_cells(origin)))
    return [*lines, "", *aligned(rows)]


def _counts(counts: Mapping[str, int]) -> str:
    return " ".join(f"{clean(name)}:{number}" for name, number in sorted(counts.items())) or NONE


def _origin_cells(origin: OriginOfRoom) -> tuple[str, ...]:
    return (
        _cell(origin.origin), str(origin.epoch), str(origin.newest), str(origin.position),
        ("reading " if origin.repairing else "") + latency(origin.lag_ms), count(origin.holes),
        f"{origin.ring_events:,}/{octets(origin.ring_bytes)}", str(origin.ring_base),
        _stamp(origin.oldest_ms) if origin.oldest_ms else NONE,
    )  # fmt: skip


def peek_lines(peek: FleetPeek) -> list[str]:
    """Stored events, a line each."""
    where = f"read by {clean(peek.edge)} of {clean(peek.region)}"
    before = "; there are older ones" if peek.more else ""
    cut = "; cut: too many bytes" if peek.cut else ""
    title = f"{len(peek.events)} newest events, {where}{before}{cut}"
    return ["", title, *aligned([_event_cells(event) for event in peek.events] or [("none",)])]


def _event_cells(event: PeekedEvent) -> tuple[str, ...]:
    data = "" if event.data is None else short(event.data)
    return (
        _stamp(event.ts_ms), f"{clean(event.origin)} {event.epoch}:{event.seq}",
        _cell(event.user or ""), _cell(event.id or ""), octets(event.size), data,
    )  # fmt: skip


def settings_lines(settings: Sequence[Setting], edges: int) -> list[str]:
    """Settings, and which of the edges have each value of them."""
    rows = [
        (
            _cell(setting.name) if number == 0 else "",
            short(value, VALUE) or NONE,
            "all" if len(having) == edges > 1 else ", ".join(_cell(key.edge) for key in having),
        )
        for setting in settings
        for number, (value, having) in enumerate(setting.values)
    ]
    return aligned([("setting", "value", "edges"), *rows]) if rows else []


def settings_note(settings: Sequence[Setting], edges: int) -> str:
    """How many are alike."""
    unlike = sum(setting.differs for setting in settings)
    alike = len(settings) - unlike
    if edges == 1:
        return f"{alike} settings of one edge"
    return f"{alike} settings are alike at all {edges} edges, {unlike} are not"


def frame_line(frame: TracedFrame) -> str:
    """A traced frame: `→` from the edge to the client, `←` from the client."""
    op = "not a payload" if frame.op is None else _op(frame.op)
    parts = [
        _clock(frame.at_ms),
        "→ client" if frame.sent else "← client",
        f"{op:<15}",
        f"{_cell(frame.t) if frame.t else '':<14}",
        f"{octets(frame.size):>6}",
        _cell(frame.room) if frame.room else "",
        f"s={frame.s}" if frame.s is not None else "",
        "" if frame.d is None else short(frame.d),
    ]
    return " ".join(part for part in parts if part).rstrip()


def _op(number: int) -> str:
    try:
        return Op(number).name
    except ValueError:
        return f"op {number}"


def skipped_line(skipped: int) -> str:
    """Frames that are not shown."""
    return f"{skipped:,} frames passed too fast to be shown"


def missing_lines(missing: Iterable[Missing]) -> list[str]:
    """Who did not answer."""
    return [f"{clean(each.edge)} of {clean(each.region)}: {clean(each.why)}" for each in missing]


def _facts(facts: Mapping[str, str]) -> list[str]:
    width = max(map(len, facts))
    return [f"{name:<{width}}  {text}" for name, text in facts.items()]


def _stamp(unix_ms: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(unix_ms / 1000))
    except (OverflowError, ValueError, OSError):
        return NONE


def _clock(unix_ms: int) -> str:
    return f"{_stamp(unix_ms)[11:-1]}.{unix_ms % 1000:03}" if _stamp(unix_ms) != NONE else NONE
