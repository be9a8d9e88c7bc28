"""Who asks a fleet: some answer, some are busy, some say nothing, and all are accounted for."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from regions.errors import InquiryError
from regions.inquiries.asker import Asker
from regions.inquiries.gathering import Missing
from regions.inquiries.line import Hear
from regions.inquiries.round import Round
from regions.steering.health import EdgeKey
from relay.core.client_row import ClientRow
from relay.core.inquiry import Client, Kick, Question, Trace
from relay.core.inquiry_answers import (
    Absent,
    Answer,
    ClientFound,
    ClientsFound,
    Ended,
    Kicked,
    Refused,
    RoomsFound,
    Told,
    Traced,
)
from relay.core.limits import Allowance
from relay.core.names import EVERY_EDGE, InquiryKind
from relay.core.query import QueryError
from relay.core.room_row import RoomRow

US1, US2, EU1 = EdgeKey("us", "us-1"), EdgeKey("us", "us-2"), EdgeKey("eu", "eu-1")
EDGES = (US1, US2, EU1)
Reply = Callable[[EdgeKey, Question, int], Answer | None]  # the n-th time; None: silence


class FakeLine:
    """The edges behind a line."""

    region = "us"

    def __init__(self, reply: Reply, denied: str = "") -> None:
        self._reply = reply
        self._denied = denied
        self.asked: list[tuple[str, str, str, str]] = []
        self.times: dict[EdgeKey, int] = {}
        self._heard: dict[int, Hear] = {}
        self._last = 0

    def number(self, hear: Hear) -> int:
        self._last += 1
        self._heard[self._last] = hear
        return self._last

    def forget(self, number: int) -> None:
        del self._heard[number]

    def denied(self, _kind: InquiryKind) -> str:
        return self._denied

    async def ask(
        self, kind: InquiryKind, region: str, edge: str, number: int, question: Question
    ) -> None:
        self.asked.append((kind, region, edge, type(question).__name__))
        for key in EDGES:
            if key.region == region and edge in (key.edge, EVERY_EDGE):
                self.times[key] = self.times.get(key, 0) + 1
                answer = self._reply(key, question, self.times[key])
                if answer is not None:
                    self.tell(key, number, answer)

    def tell(self, key: EdgeKey, number: int, answer: Answer) -> None:
        hear = self._heard.get(number)
        if hear is not None:
            hear(Told(key.region, key.edge, 1, answer))


def asker(line: FakeLine, dark: tuple[Missing, ...] = (), answer_s: float = 0.05) -> Asker:
    return Asker(Round(cast("Any", line), EDGES, dark, answer_s))


def row(key: EdgeKey, user: str, rtt_ms: float | None = None, **more: Any) -> ClientRow:
    return ClientRow(
        region=key.region, edge=key.edge, user=user, session=user * 8, phase="live", age_ms=1,
        rtt_ms=rtt_ms, **more,
    )  # fmt: skip


def detail(key: EdgeKey, user: str, phase: str = "live", opened_ms: int = 1) -> ClientFound:
    found = row(key, user)
    return ClientFound(
        row=ClientRow(
            region=key.region, edge=key.edge, session=found.session, phase=phase, age_ms=1
        ),
        opened_ms=opened_ms, resumed_ms=0, expires_ms=0, grants=[], watch=[], watching=0,
        shown="online", rooms=[], positions={}, ahead={}, allowance=Allowance(1, 1, 1, 0, 1),
        signals_dropped=0, ends=[Ended(5, found.session, 4000)],
    )  # fmt: skip


async def test_the_first_of_all_edges_are_the_first_of_each_put_together() -> None:
    rows = {
        US1: [row(US1, "a", 300.0), row(US1, "b", 10.0)],
        US2: [row(US2, "c", None)],
        EU1: [row(EU1, "d", 200.0)],
    }
    line = FakeLine(lambda key, _, __: ClientsFound(rows=rows[key], matched=5, of=10))
    found = await asker(line).clients("rtt>1", "rtt", 3)
    assert [each.user for each in found.rows] == ["a", "d", "b"]
    assert (found.matched, found.of, found.missing) == (15, 30, [])
    assert [(kind, region, edge) for kind, region, edge, _ in line.asked] == [
        ("ask", "us", "-"), ("ask", "eu", "-"),
    ], "a region's edges all at once"  # fmt: skip


async def test_who_does_not_answer_is_named_and_so_is_who_was_silent_before() -> None:
    def reply(key: EdgeKey, _question: Question, _times: int) -> Answer | None:
        return None if key == EU1 else ClientsFound(rows=[row(key, "a")], matched=1, of=1)

    dark = (Missing("ap", "ap-1", "not heard for 42 s"),)
    found = await asker(FakeLine(reply), dark).clients()
    assert len(found.rows) == 2
    assert [(each.edge, each.why) for each in found.missing] == [
        ("ap-1", "not heard for 42 s"), ("eu-1", "no answer"),
    ]  # fmt: skip


async def test_who_is_busy_or_was_not_heard_is_asked_again() -> None:
    def reply(key: EdgeKey, _question: Question, times: int) -> Answer | None:
        if times == 1 and key != US1:
            return Refused("too many", busy=True) if key == US2 else None
        return ClientsFound(rows=[row(key, "a")], matched=1, of=1)

    line = FakeLine(reply)
    found = await asker(line, answer_s=10.0).clients()
    assert (len(found.rows), found.missing) == (3, [])
    assert line.times == {US1: 1, US2: 2, EU1: 2}


async def test_nothing_is_asked_that_makes_no_sense() -> None:
    line = FakeLine(lambda *_: Absent())
    one = asker(line)
    with pytest.raises(QueryError, match="did you mean user"):
        await one.clients("usr=1")
    with pytest.raises(QueryError, match="no field 'rat'"):
        await one.rooms(sort="rat")
    for wrong in (
        one.clients(limit=201), one.client("short"), one.room("a b"), one.room("a", "-"),
        one.peek("a", limit=0), one.kick("s" * 16, ""), one.kick("s" * 16, "why", 1000),
    ):  # fmt: skip
        with pytest.raises(InquiryError):
            await cast("Any", wrong)
    with pytest.raises(InquiryError, match="60 s at most"):
        await anext(one.trace("s" * 16, 61.0))
    assert line.asked == []


async def test_a_login_that_may_not_ask_is_told_so() -> None:
    line = FakeLine(lambda *_: None, "this login may not ask that: …")
    with pytest.raises(InquiryError, match="may not ask that"):
        await asker(line, answer_s=10.0).clients()


async def test_nobody_at_all_is_an_error() -> None:
    with pytest.raises(InquiryError, match="no edge answers: eu-1: no answer; us-1: no answer"):
        await asker(FakeLine(lambda *_: None)).clients()
    with pytest.raises(InquiryError, match="none is heard"):
        await Asker(Round(cast("Any", FakeLine(lambda *_: None)), (), ())).rooms()


async def test_a_session_that_has_moved_is_where_it_lives() -> None:
    found = {US1: detail(US1, "a", "closing", 9), US2: detail(US2, "a", "live", 5)}
    ends = Absent([Ended(7, "a" * 8, 4009)])
    seen = await asker(FakeLine(lambda key, *_: found.get(key, ends))).client("a" * 8)
    assert [at.edge for at in seen.found] == ["us-2"]
    assert [(each.edge, each.end.code) for each in seen.ends] == [
        ("eu-1", 4009), ("us-1", 4000), ("us-2", 4000),
    ], "newest first"  # fmt: skip


async def test_members_of_a_room_add_up() -> None:
    def reply(key: EdgeKey, _question: Question, _times: int) -> Answer:
        rooms = [RoomRow(tenant="_", room="a", region=key.region, edge=key.edge, members=2)]
        if key == EU1:
            rooms.append(RoomRow(tenant="_", room="b", region="eu", edge="eu-1", members=5))
        return RoomsFound(rows=rooms, matched=len(rooms), of=9)

    found = await asker(FakeLine(reply)).rooms()
    assert [(each.room, each.members, each.edges) for each in found.rows] == [
        ("a", 6, 3), ("b", 5, 1),
    ]  # fmt: skip
    assert found.whole


async def test_a_client_is_closed_once_and_where_it_is() -> None:
    def reply(key: EdgeKey, question: Question, _times: int) -> Answer | None:
        if key != EU1:
            return Absent()
        match question:
            case Client():
                return detail(EU1, "a")
            case Kick(session, code):
                return Kicked(session=session, tenant="_", user="a", code=code)
        return None

    line = FakeLine(reply)
    where, kicked = await asker(line).kick("a" * 8, "why")
    assert (where, kicked.code) == (EU1, 4000)
    assert [each for each in line.asked if each[0] == "act"] == [("act", "eu", "eu-1", "Kick")]


async def test_what_is_to_be_done_is_not_repeated_where_nothing_is_said() -> None:
    def reply(key: EdgeKey, question: Question, _times: int) -> Answer | None:
        if key != EU1:
            return Absent()
        return detail(EU1, "a") if isinstance(question, Client) else None

    line = FakeLine(reply)
    with pytest.raises(InquiryError, match="eu-1: no answer: it may be closed, or not"):
        await asker(line, answer_s=0.7).kick("a" * 8, "why")
    assert [each for each in line.asked if each[0] == "act"] == [("act", "eu", "eu-1", "Kick")]


async def test_who_is_not_found_may_be_where_nobody_answers() -> None:
    def reply(key: EdgeKey, _question: Question, _times: int) -> Answer | None:
        return None if key == US1 else Absent()

    with pytest.raises(InquiryError, match=r"no edge has session 'a{8}' \(us-1: no answer\)"):
        await asker(FakeLine(reply)).kick("a" * 8, "why")


async def test_a_trace_that_nobody_follows_any_more_is_stopped() -> None:
    parts = [Traced(session="a"), Traced(session="a", skipped=3)]

    def reply(key: EdgeKey, question: Question, _times: int) -> Answer | None:
        if key != EU1:
            return Absent()
        if isinstance(question, Client):
            return detail(EU1, "a")
        return parts[0] if isinstance(question, Trace) else None

    line = FakeLine(reply)
    trace = asker(line).trace("a" * 8, payloads=True)
    assert await anext(trace) == parts[0]
    number = max(line._heard)
    asyncio.get_running_loop().call_soon(line.tell, EU1, number, parts[1])
    assert await anext(trace) == parts[1]
    await trace.aclose()
    assert line.asked[-2:] == [("see", "eu", "eu-1", "Trace"), ("see", "eu", "eu-1", "Stop")]
    assert line._heard == {}


async def test_a_trace_that_is_refused_or_falls_silent_says_so() -> None:
    def reply(key: EdgeKey, question: Question, _times: int) -> Answer | None:
        if key != EU1:
            return Absent()
        return detail(EU1, "a") if isinstance(question, Client) else Refused("it is traced already")

    with pytest.raises(InquiryError, match="eu-1: it is traced already"):
        await anext(asker(FakeLine(reply)).trace("a" * 8))

    def silent(key: EdgeKey, question: Question, times: int) -> Answer | None:
        return reply(key, question, times) if isinstance(question, Client) else None

    with pytest.raises(InquiryError, match="eu-1 says nothing"):
        await anext(asker(FakeLine(silent)).trace("a" * 8))
