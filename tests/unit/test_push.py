"""Events go straight to transports, while nothing speaks against it."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from relay.core.codes import CLOSES
from relay.core.event import Event
from relay.core.numbering import Numbering
from relay.core.session import Phase
from relay.core.wire import JSON
from relay.edge.connection import ClientConnection
from relay.edge.counters import Counters
from relay.edge.hub import Hub
from relay.edge.seat import Seat
from relay.edge.tap import Tap
from tests.unit.at_once import at_once
from tests.unit.session_playbook import CURSORS, Playbook

ROOM = ("_", "a")
EVENT = Event("us", 1, 7, "_", "a", "u", "e7", 0, b"1")


class Transport:
    """A socket with a straight way in."""

    def __init__(self) -> None:
        self.straight: list[bytes] = []
        self.looked: list[bytes] = []
        self.waiting = 0
        self.open = True
        self.closed: list[int] = []

    def direct(self) -> Callable[[bytes], None] | None:
        return self.straight.append if self.open else None

    def write(self, data: bytes) -> None:
        self.looked.append(data)

    def close(self, code: int, reason: str) -> None:
        assert reason == CLOSES[code].reason
        self.closed.append(code)

    def buffered(self) -> int:
        return self.waiting

    def pause(self) -> None: ...

    def proceed(self) -> None: ...


@pytest.fixture
def hub() -> Hub:
    return Hub("us", CURSORS, Numbering(0, 0), at_once())


def connected(hub: Hub) -> tuple[ClientConnection, Transport]:
    transport = Transport()
    gateway = SimpleNamespace(
        hub=hub,
        rules=Playbook().session.rules,
        counters=Counters(),
        membership=lambda _: None,
        left=lambda connection, _code: hub.forget(connection),
        gone=lambda _connection, _code: None,
    )
    connection = ClientConnection(cast("Any", gateway), transport, JSON, resuming=False)
    connection.session.phase = Phase.LIVE
    connection.ease()
    hub.take(connection, [ROOM])
    return connection, transport


def test_all_get_the_same_bytes_and_they_are_counted(hub: Hub) -> None:
    transports = [connected(hub)[1] for _ in range(3)]
    hub.dispatch(EVENT, 7)
    [framed] = {data for transport in transports for data in transport.straight}
    assert [len(transport.straight) for transport in transports] == [1, 1, 1]
    assert (hub.events_out, hub.fanout.bytes_out) == (3, 3 * len(framed))
    assert not any(transport.looked for transport in transports)


def test_who_reads_slowly_is_looked_at_until_he_has_read(hub: Hub) -> None:
    connection, transport = connected(hub)
    connection.writable(writable=False)
    hub.dispatch(EVENT, 7)
    assert (len(transport.straight), len(transport.looked)) == (0, 1)
    connection.writable(writable=True)
    hub.dispatch(EVENT, 8)
    assert (len(transport.straight), len(transport.looked)) == (1, 1)
    connection.writable(writable=False)
    transport.waiting = 10**9
    hub.dispatch(EVENT, 9)
    assert transport.closed == [4020]


def test_nothing_goes_straight_to_one_that_ends(hub: Hub) -> None:
    connection, transport = connected(hub)
    connection.close(4000)
    assert connection.push is None
    connection.writable(writable=True)
    assert connection.push is None, "it is closing"
    other, transport = connected(hub)
    transport.open = False  # the close frame is out
    other.ease()
    assert other.push is None
    connected(hub)[0].closed(1006)


def test_where_somebody_listens_in_nothing_passes_him_by(hub: Hub) -> None:
    connection, transport = connected(hub)
    heard: list[tuple[bytes, bool]] = []
    tap = Tap(connection, lambda payload, sent: heard.append((payload, sent)))
    hub.dispatch(EVENT, 7)
    assert (len(heard), len(transport.straight), len(transport.looked)) == (1, 0, 1)
    tap.remove()
    hub.dispatch(EVENT, 8)
    assert (len(heard), len(transport.straight)) == (1, 1)


def test_one_whose_transport_fails_is_ended_and_the_others_get_theirs(hub: Hub) -> None:
    connections = [connected(hub) for _ in range(3)]

    def broken(_data: bytes) -> None:
        raise OSError("gone")

    connections[1][0].push = broken
    hub.dispatch(EVENT, 7)
    assert sorted(len(transport.straight) for _, transport in connections) == [0, 1, 1]
    assert connections[1][1].closed == [4000]
    assert connections[1][0].gateway.counters.errors == 1


def test_a_seat_without_a_straight_way_is_written_to(hub: Hub) -> None:
    got: list[bytes] = []

    class Plain(Seat):
        def put(self, framed: bytes) -> None:
            got.append(framed)

    hub.take(Plain(JSON), [ROOM])
    hub.dispatch(EVENT, 7)
    assert len(got) == 1
    assert hub.fanout.bytes_out == 0, "whoever looks counts, too"


def owes(transport: Transport) -> list[dict[str, int]]:
    """What the cursors say of regions that may owe something, frame by frame."""
    found = []
    for framed in transport.straight:
        payload = msgspec.json.decode(framed[2 if framed[1] < 126 else 4 :])
        found.append(dict(CURSORS.decode(payload["c"]).owes))
    return found


def test_who_came_from_elsewhere_has_frames_of_his_own_that_say_so(hub: Hub) -> None:
    hub.move("us", 1, 6)
    hub.known = {"ap": 7}
    (plain, first), (moved, second), (late, last) = (connected(hub) for _ in range(3))
    hub.owe(moved, frozenset({"ap"}))
    hub.owe(late, frozenset({"ap"}))
    hub.dispatch(EVENT, 7)
    hub.owe(moved, frozenset())
    hub.dispatch(replace(EVENT, seq=8, id="e8"), 8)
    assert owes(first) == [{}, {}]
    assert owes(second) == [{"ap": 7}, {}]
    assert owes(last) == [{"ap": 7}, {"ap": 7}]
    assert CURSORS.decode(hub.cursor_of(late)).owes == {"ap": 7}
    for connection in (plain, moved, late):
        hub.forget(connection)
    assert hub.rooms == {}
