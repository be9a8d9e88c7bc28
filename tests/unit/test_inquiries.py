"""An edge that is asked about its clients: what it answers, to whom, how much and how fast."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.bus.connection import Handler
from relay.core.codes import Op
from relay.core.cursor import Position
from relay.core.grants import Grants
from relay.core.headcount import Headcount
from relay.core.inquiry import Client, Clients, Kick, Question, Rooms, Stop, Trace, encode_ask
from relay.core.inquiry_answers import (
    Absent,
    Answer,
    ClientFound,
    ClientsFound,
    Kicked,
    Refused,
    RoomsFound,
    Traced,
    decode_told,
)
from relay.core.masking import handle_of
from relay.core.names import InquiryKind
from relay.core.numbering import Numbering
from relay.core.rings import RingBounds, Rings
from relay.core.session import Phase
from relay.core.wire import JSON, Payload
from relay.edge import looking
from relay.edge.connection import ClientConnection
from relay.edge.counters import Counters
from relay.edge.departures import TOLD, Departures
from relay.edge.hub import Hub
from relay.edge.inquiries import ASKED_BURST, TRACES, Inquiries
from relay.edge.kernel import tcp_info
from tests.unit.session_playbook import CURSORS, EVERYTHING, SESSION_IDS, Playbook


class FakeSocket:
    """A client's socket: what was written, and how it was closed."""

    def __init__(self, waiting: int = 0) -> None:
        self.written: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self._waiting = waiting

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def direct(self) -> None:
        """All of it is to be seen here."""

    def buffered(self) -> int:
        return self._waiting

    def pause(self) -> None: ...

    def proceed(self) -> None: ...


class Desk:
    """An edge, as far as operators see it, and what it tells them."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.told: asyncio.Queue[tuple[str, Answer]] = asyncio.Queue()
        self.fenced = 0
        self.departures = Departures()
        self.hub = Hub("eu", CURSORS, Numbering(0, 0))
        self.hub.positions["eu"] = Position(1, 40)
        self.gateway: SimpleNamespace = SimpleNamespace(
            hub=self.hub,
            connections=set(),
            rules=Playbook().session.rules,
            counters=Counters(),
            membership=lambda _: SimpleNamespace(passages=set()),
            left=lambda connection, code: self.left.append((connection, code)),
            gone=lambda connection, _code: self.gateway.connections.discard(connection),
        )
        self.left: list[tuple[ClientConnection, int]] = []
        edge = SimpleNamespace(
            config=SimpleNamespace(
                region="eu",
                edge="eu-1",
                regions=[SimpleNamespace(name=name) for name in ("us", "eu")],
            ),
            epoch=1,
            bus=SimpleNamespace(work=self, inbox=self),
            gateway=self.gateway,
            hub=self.hub,
            check_fence=self._fence,
            counting=SimpleNamespace(headcount=Headcount()),
            copies=SimpleNamespace(origins=("us", "eu")),
            rings=Rings(RingBounds(10, 1 << 20, 1 << 20, 1_000)),
            feeds=SimpleNamespace(marks={}),
            presence=SimpleNamespace(rosters=SimpleNamespace(rosters={})),
        )
        self.inquiries = Inquiries(cast("Any", edge), self.departures)

    def _fence(self) -> None:
        self.fenced += 1

    async def listen(self, subject: str, handler: Handler) -> int:
        self.handlers[subject] = handler
        return 1

    async def send(self, subject: str, data: bytes, _reply: str) -> None:
        self.told.put_nowait((subject, decode_told(data).answer))

    def client(self, user: str, *rooms: str, waiting: int = 0) -> ClientConnection:
        """One more, who is in these rooms."""
        connection = ClientConnection(
            cast("Any", self.gateway), FakeSocket(waiting), JSON, resuming=False, country="DE"
        )
        session = connection.session
        session.grants = Grants("_", user, 2_000_000_000, EVERYTHING)
        session.session_id = SESSION_IDS.make("_", user, user.encode().ljust(16)[:16])
        session.phase = Phase.LIVE
        session.rooms = dict.fromkeys(rooms, True)
        self.hub.take(connection, [("_", room) for room in rooms])
        self.gateway.connections.add(connection)
        return connection

    def ask(
        self, question: Question, kind: InquiryKind = "ask", number: int = 1, by: str = "ops"
    ) -> None:
        """An operator in us asks."""
        data = encode_ask("us", "a1", number, question, by)
        self.handlers[f"{kind}.eu.eu-1"](f"{kind}.eu.eu-1", "", {}, data)

    async def answer(self) -> tuple[str, Answer]:
        """The next that it tells."""
        async with asyncio.timeout(10):
            return await self.told.get()

    async def said(self, question: Question, kind: InquiryKind = "ask") -> Answer:
        """What it answers to one question."""
        self.ask(question, kind)
        return (await self.answer())[1]


@pytest.fixture
async def desk() -> Desk:
    made = Desk()
    await made.inquiries.start()
    return made


def handle(connection: ClientConnection) -> str:
    return handle_of(connection.session.session_id)


async def test_it_is_asked_alone_or_with_all_of_its_region(desk: Desk) -> None:
    assert set(desk.handlers) == {
        f"{kind}.eu.{edge}" for kind in ("ask", "see", "act") for edge in ("eu-1", "-")
    }
    desk.ask(Clients(), number=7)
    assert (await desk.answer())[0] == "told.us.a1.7", "where he is who asks"
    assert desk.fenced == 1, "who was stopped says nothing stale"


async def test_the_first_of_those_that_match_are_told_and_how_many_do(desk: Desk) -> None:
    for number in range(8):
        desk.client(f"user{number}", *["a", "b", "c"][: number % 4], waiting=number)
    found = await desk.said(Clients("queue>=2 and rooms>0", "queue", 3))
    assert isinstance(found, ClientsFound)
    assert [row.user for row in found.rows] == ["user7", "user6", "user5"]
    assert (found.matched, found.of) == (5, 8)
    assert [row.queue_bytes for row in found.rows] == [7, 6, 5]
    inside = await desk.said(Clients(room="c"))
    assert isinstance(inside, ClientsFound)
    assert ({row.user for row in inside.rows}, inside.of) == ({"user3", "user7"}, 2)
    none = await desk.said(Clients(room="nowhere"))
    assert isinstance(none, ClientsFound)
    assert (none.rows, none.of) == ([], 0)


async def test_a_query_that_means_nothing_is_refused_with_what_is_wrong(desk: Desk) -> None:
    refused = await desk.said(Clients("usre=1"))
    assert refused == Refused("no field 'usre': did you mean user?")
    refused = await desk.said(Rooms(sort="size"))
    assert isinstance(refused, Refused)
    assert "no field 'size'" in refused.why


async def test_no_more_rows_than_may_be_are_told(desk: Desk) -> None:
    for number in range(230):
        desk.client(f"user{number}")
    found = await desk.said(Clients(limit=10_000))
    assert isinstance(found, ClientsFound)
    assert (len(found.rows), found.matched) == (200, 230)


async def test_others_have_their_turn_while_it_looks(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that advances a millisecond at each look."""
    for number in range(640):
        desk.client(f"user{number}")
    turns = Counter[str]()
    ticks = iter(range(1_000_000))
    now = SimpleNamespace(now=lambda: SimpleNamespace(mono_s=next(ticks) / 1000, wall_ms=0))
    monkeypatch.setattr(looking, "clock", now)

    async def others() -> None:
        while True:
            turns["others"] += 1
            await asyncio.sleep(0)

    task = asyncio.get_running_loop().create_task(others())
    found = await desk.said(Clients())
    task.cancel()
    assert isinstance(found, ClientsFound)
    assert found.of == 640
    assert turns["others"] > 100, "a few, where it does not pause"


async def test_all_about_one_client_and_never_its_token(desk: Desk) -> None:
    ana = desk.client("ana", "a")
    ana.session.looking |= {"a"}
    found = await desk.said(Client(handle(ana)[:8]))
    assert isinstance(found, ClientFound)
    assert (found.row.user, found.row.country, found.row.encoding) == ("ana", "DE", "json")
    assert [(seat.room, seat.joined, seat.presence) for seat in found.rooms] == [("a", True, True)]
    assert (found.grants[0].match, found.expires_ms) == ("*", 2_000_000_000_000)
    assert found.positions == {"eu": (1, 40)}
    assert found.allowance.rooms == 127
    assert ana.session.session_id not in str(found)


async def test_a_handle_names_one_session_or_none(desk: Desk) -> None:
    desk.client("ana")
    assert isinstance(await desk.said(Client("short")), Refused)
    assert await desk.said(Client("nobody-is-called-so")) == Absent()
    twins = [desk.client("bo") for _ in range(2)]  # taken over: the older one is closing
    twins[0].session.phase = Phase.ENDED
    found = await desk.said(Client(handle(twins[0])))
    assert isinstance(found, ClientFound)
    assert found.row.phase == "live"
    twins[0].session.session_id = twins[1].session.session_id[:12] + "another"
    assert await desk.said(Client(handle(twins[1])[:10])) == Refused("2 sessions here begin so")


async def test_how_connections_ended_is_remembered_for_a_while(desk: Desk) -> None:
    ana, bo = desk.client("ana"), desk.client("bo")
    for number in range(TOLD + 5):
        desk.departures.note(ana.session, 4000 + number % 2, number)
    desk.departures.note(bo.session, 4567, 99)
    found = await desk.said(Client(handle(ana)))
    assert isinstance(found, ClientFound)
    assert [end.at_ms for end in found.ends] == list(range(TOLD + 4, 4, -1))
    desk.gateway.connections.clear()
    gone = await desk.said(Client(handle(bo)))
    assert isinstance(gone, Absent)
    assert [(end.at_ms, end.code) for end in gone.ends] == [(99, 3000)], "a client's own code"


async def test_rooms_are_told_by_their_members(desk: Desk) -> None:
    for number, rooms in enumerate((["a"], ["a", "b"], ["a"])):
        desk.client(f"user{number}", *rooms)
    found = await desk.said(Rooms("members>0"))
    assert isinstance(found, RoomsFound)
    assert [(row.room, row.members) for row in found.rows] == [("a", 3), ("b", 1)]


async def test_a_client_is_closed_by_who_says_why(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    ana = desk.client("ana")
    refused = [
        (Kick(handle(ana), 1000, "why"), "code: one of 4000"),
        (Kick(handle(ana), 4000, ""), "why: 1 to 512 characters"),
        (Kick(handle(ana), 4000, "x" * 513), "why: 1 to 512 characters"),
    ]
    for question, why in refused:
        answer = await desk.said(question, "act")
        assert isinstance(answer, Refused)
        assert why in answer.why
    assert not isinstance(await desk.said(Kick(handle(ana), 4000, "why"), "ask"), Kicked)
    assert cast("FakeSocket", ana.socket).closed is None
    desk.ask(Kick(handle(ana), 4000, "stuck\x1b[2J"), "act", by="ops\n")
    subject, kicked = await desk.answer()
    assert subject == "told.us.a1.1"
    assert kicked == Kicked(session=handle(ana), tenant="_", user="ana", code=4000)
    assert cast("FakeSocket", ana.socket).closed == (4000, "closed by an operator")
    assert desk.left == [(ana, 4000)]
    assert f"'ops\\n' closes session {handle(ana)} of user ana" in caplog.text
    assert "'stuck\\x1b[2J'" in caplog.text


async def test_too_many_questions_are_refused_and_then_not_even_that(desk: Desk) -> None:
    for number in range(int(ASKED_BURST) + 60):
        desk.ask(Client("nobody-is-called-so"), number=number)
    answers = Counter[str]()
    await asyncio.sleep(0)
    while not desk.told.empty():
        answers[type(desk.told.get_nowait()[1]).__name__] += 1
    assert answers["Absent"] + answers["Refused"] == 16, "so many wait at most"
    for number in range(100, 110):
        desk.ask(Client("nobody-is-called-so"), number=number)
        answer = (await desk.answer())[1]
        answers[type(answer).__name__] += 1
        assert not isinstance(answer, Refused) or answer.busy
    assert 20 <= answers["Absent"] <= 21
    assert answers["Refused"] >= 5


async def test_a_question_that_is_repeated_is_answered_once(desk: Desk) -> None:
    desk.client("ana")
    for _ in range(3):
        desk.ask(Clients(), number=5)
    await desk.answer()
    await asyncio.sleep(0.02)
    assert desk.told.empty()


# --- traces ------------------------------------------------------------------------------------


async def frames(desk: Desk, count: int) -> Traced:
    """The next that a trace tells, put together until there are so many frames."""
    found: Traced | None = None
    while found is None or len(found.frames) < count:
        answer = (await desk.answer())[1]
        assert isinstance(answer, Traced), answer
        told = [] if found is None else found.frames
        found = Traced(
            session=answer.session, frames=[*told, *answer.frames], skipped=answer.skipped,
            ended=answer.ended,
        )  # fmt: skip
    return found


@pytest.mark.parametrize("kind", ["ask", "see"])
async def test_a_trace_shows_payloads_only_where_they_were_asked_for(
    desk: Desk, kind: InquiryKind
) -> None:
    ana = desk.client("ana")
    plain = ana.socket
    desk.ask(Trace(handle(ana), 60.0), kind)
    subject, begun = await desk.answer()
    assert subject == ("told.us.a1.1" if kind == "ask" else "shown.us.a1.1")
    assert isinstance(begun, Traced)
    ana.send(Payload(Op.ACK, {"nonce": 1, "secret": "hush"}))
    ana.send(Payload(Op.HEARTBEAT_ACK))
    seen = await frames(desk, 2)
    assert [(frame.op, frame.sent) for frame in seen.frames] == [(30, True), (11, True)]
    assert ("hush" in str(seen)) == (kind == "see")
    assert len(cast("FakeSocket", plain).written) == 2, "the client got them as well"
    desk.ask(Stop(1), kind)
    ended = await frames(desk, 0)
    assert ended.ended == "stopped"
    assert ana.socket is plain, "nothing is left of it"


async def test_a_trace_ends_with_its_connection_and_says_how(desk: Desk) -> None:
    ana = desk.client("ana")
    desk.ask(Trace(handle(ana), 60.0))
    await desk.answer()
    ana.close(4020)
    desk.departures.note(ana.session, 4020, 1)
    ana.closed(4020)
    ended = await frames(desk, 0)
    assert ended.ended == "the connection was closed with 4020"


async def test_a_flood_of_frames_is_counted_not_told(desk: Desk) -> None:
    ana = desk.client("ana")
    desk.ask(Trace(handle(ana), 60.0))
    await desk.answer()
    for number in range(1_000):
        ana.send(Payload(Op.DISPATCH, {"n": number}, number, "MESSAGE"))
    seen = await frames(desk, 200)
    assert 200 <= len(seen.frames) < 400
    assert seen.skipped == 1_000 - len(seen.frames)
    assert len(cast("FakeSocket", cast("Any", ana.socket).inner).written) == 1_000
    await desk.inquiries.close()


async def test_only_so_many_are_traced_and_each_by_one(desk: Desk) -> None:
    clients = [desk.client(f"user{number}") for number in range(TRACES + 1)]
    for number, client in enumerate(clients[:TRACES]):
        desk.ask(Trace(handle(client), 60.0), number=number)
        assert isinstance((await desk.answer())[1], Traced)
    desk.ask(Trace(handle(clients[-1])), number=49)
    assert (await desk.answer())[1] == Refused(
        f"{TRACES} clients are traced here already", busy=True
    )
    desk.ask(Stop(0))
    assert (await frames(desk, 0)).ended == "stopped"
    desk.ask(Trace(handle(clients[1])), number=50)
    assert (await desk.answer())[1] == Refused("it is traced already", busy=True)
    await desk.inquiries.close()
    assert all(isinstance(client.socket, FakeSocket) for client in clients)


# --- the kernel --------------------------------------------------------------------------------


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        other, _ = server.accept()
        with one, other:
            yield one, other


def test_what_the_kernel_knows_of_a_connection(pair: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = pair
    accepted.sendall(b"x" * 1_000)
    assert len(client.recv(1_000, socket.MSG_WAITALL)) == 1_000
    client.sendall(b"y")  # with the acknowledgement
    assert accepted.recv(1) == b"y"
    info = tcp_info(accepted)
    assert info is not None
    assert (info.out_bytes, info.in_bytes, info.resent) == (1_000, 1, 0)
    assert 0 < info.rtt_ms < 5_000
    accepted.close()
    assert tcp_info(accepted) is None
    assert tcp_info(None) is None
    local, end = socket.socketpair(socket.AF_UNIX)
    with local, end:
        assert tcp_info(local) is None
