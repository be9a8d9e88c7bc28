"""What `jetrelay ctl clients` and its like print, whatever clients put into it."""

from click.testing import CliRunner

from cli.inquire_text import (
    client_lines,
    clients_lines,
    clients_note,
    end_lines,
    frame_line,
    missing_lines,
    peek_lines,
    room_lines,
    rooms_lines,
    skipped_line,
)
from cli.main import app
from regions.inquiries.fleet import (
    At,
    EndAt,
    FleetClients,
    FleetPeek,
    FleetRoom,
    FleetRooms,
    RoomAt,
)
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
from relay.core.room_row import RoomRow

EVIL = "x\x1b]52;c;aGk=\x07\r\n\u202e[@click=app.quit]y[/]\x9b31m"
ROW = ClientRow(
    session=EVIL, tenant=EVIL, user=EVIL, region=EVIL, edge=EVIL, phase=EVIL, age_ms=5_000,
    rooms=3, queue_bytes=70_000, resumed=True, transport=EVIL, encoding=EVIL, country=EVIL,
    device=EVIL, agent=EVIL, address=EVIL, rtt_ms=4.25, out_bytes=10, in_bytes=2_000_000, resent=1,
)  # fmt: skip
FOUND = ClientFound(
    row=ROW, opened_ms=1_800_000_000_000, resumed_ms=1_800_000_000_000, expires_ms=10**18,
    grants=[Granted(EVIL, [EVIL], auto=True)], watch=[EVIL], watching=2, shown=EVIL,
    rooms=[Seat(EVIL, joined=False, presence=True)], positions={EVIL: (1, 7)}, ahead={EVIL: 7},
    allowance=Allowance(1, 2, 3, 4, 5), signals_dropped=1, ends=[],
)  # fmt: skip
ROOM = RoomRow(tenant=EVIL, room=EVIL, region=EVIL, edge=EVIL, members=2, rate=0.5, idle_ms=10**5)
ORIGIN = OriginOfRoom(
    origin=EVIL, epoch=1, position=9, newest=8, lag_ms=None, repairing=True, holes=1,
    ring_events=2, ring_bytes=600, ring_base=4, oldest_ms=10**18,
)  # fmt: skip
EVENT = PeekedEvent(
    origin=EVIL, epoch=1, seq=2, user=EVIL, id=EVIL, ts_ms=-(10**18), stored_ms=0, size=9,
    data=EVIL,
)  # fmt: skip


def test_nothing_that_clients_say_can_control_a_terminal() -> None:
    detail = RoomFound(
        row=ROOM, encodings={EVIL: 2}, private=0, looking=1, present_here=1, origins=[ORIGIN]
    )
    at = At(region=EVIL, edge=EVIL, client=FOUND)
    clients = FleetClients(rows=[ROW], matched=5, of=9, missing=[], cut=True)
    rooms = FleetRooms(rows=[ROOM], whole=False, missing=[])
    room = FleetRoom(total=ROOM, edges=[RoomAt(region=EVIL, edge=EVIL, room=detail)], missing=[])
    peek = FleetPeek(region=EVIL, edge=EVIL, events=[EVENT], more=True, cut=True)
    end = EndAt(region=EVIL, edge=EVIL, end=Ended(10**18, EVIL, 4000))
    frame = TracedFrame(at_ms=10**18, sent=True, size=5, op=0, t=EVIL, s=1, room=EVIL, d=EVIL)
    lines = [
        *clients_lines(clients), clients_note(clients), *client_lines(at), *end_lines([end]),
        *rooms_lines(rooms), *room_lines(room), *peek_lines(peek), frame_line(frame),
        skipped_line(9), *missing_lines([Missing(EVIL, EVIL, EVIL)]),
    ]  # fmt: skip
    assert [line for line in lines if line and not line.isprintable()] == []


def test_a_client_is_a_line() -> None:
    row = ClientRow(
        session="wWHCZXU8RBFXYHCP", tenant="_", user="ana", region="eu", edge="eu-1", phase="live",
        age_ms=125_000, rooms=2, queue_bytes=488, country="DE", agent="curl",
        address="192.0.2.0/24",
    )  # fmt: skip
    _, line = clients_lines(FleetClients(rows=[row], matched=1, of=1, missing=[], cut=False))
    assert line.split() == [
        "wWHCZXU8RBFXYHCP", "ana", "eu-1", "live", "2m05s", "2", "488B", "—", "—", "—", "DE",
        "192.0.2.0/24", "curl",
    ]  # fmt: skip


def test_a_frame_says_which_way_it_went() -> None:
    sent = TracedFrame(at_ms=1_800_000_000_123, sent=True, size=240, op=0, t="MESSAGE", s=5,
                       room="chat:a")  # fmt: skip
    assert frame_line(sent).split() == [
        "08:00:00.123", "→", "client", "DISPATCH", "MESSAGE", "240B", "chat:a", "s=5",
    ]  # fmt: skip
    odd = frame_line(TracedFrame(at_ms=1, size=3))
    assert "← client" in odd
    assert "not a payload" in odd
    assert "op 99" in frame_line(TracedFrame(at_ms=1, size=3, op=99))


def test_what_is_wrong_is_said_before_anybody_is_asked() -> None:
    run = CliRunner().invoke
    wrong = {
        ("room", "a", "--payload"): "--payload goes with --peek",
        ("kick", "s" * 16): "Missing option '--why'",
        ("kick", "s" * 16, "--why", "x", "--code", "1000"): "is not one of '4000', '4021', '4004'",
        ("trace", "s" * 16, "--for", "61"): "61.0 is not in the range",
        ("clients", "--limit", "201"): "201 is not in the range",
    }
    for arguments, why in wrong.items():
        result = run(app, ["ctl", *arguments])
        assert (result.exit_code, why in result.output) == (2, True), result.output


def test_a_handle_that_begins_with_a_dash_is_no_option() -> None:
    result = CliRunner().invoke(app, ["ctl", "client", "-2x_-zyxw", "--state", "/nowhere"])
    assert "no world in /nowhere" in str(result.exception)
