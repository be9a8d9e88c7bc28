"""Questions and answers as they are sent: what may be asked where, and how large an answer is."""

import msgspec
import pytest

from relay.core.client_row import ClientRow
from relay.core.inquiry import (
    Client,
    Clients,
    Kick,
    Peek,
    Question,
    Room,
    Rooms,
    Stop,
    Trace,
    decode_ask,
    decode_question,
    encode_ask,
)
from relay.core.inquiry_answers import (
    MOST_BYTES,
    Answer,
    ClientsFound,
    Peeked,
    PeekedEvent,
    Refused,
    Traced,
    bounded,
    decode_told,
)
from relay.core.masking import TracedFrame
from relay.core.names import InquiryKind
from relay.core.room_row import RoomRow, merged

QUESTIONS: tuple[Question, ...] = (
    Clients("user=ana"), Client("s" * 16), Rooms(), Room("a"), Peek("a"), Trace("s" * 16), Stop(1),
    Kick("s" * 16, 4000, "why"),
)  # fmt: skip


def asked(kind: InquiryKind, question: Question) -> Question | Refused:
    """What an edge makes of a question."""
    ask = decode_ask(encode_ask("us", "a1", 3, question, "ops"))
    assert (ask.region, ask.asker, ask.number, ask.by) == ("us", "a1", 3, "ops")
    return decode_question(kind, ask.question)


def test_what_may_be_asked_is_a_matter_of_the_subject() -> None:
    allowed: dict[InquiryKind, set[str]] = {
        "ask": {"Clients", "Client", "Rooms", "Room", "Peek", "Trace", "Stop"},
        "see": {"Peek", "Trace", "Stop"},
        "act": {"Kick"},
    }
    for kind, names in allowed.items():
        for question in QUESTIONS:
            answer = asked(kind, question)
            if type(question).__name__ in names:
                assert answer == question
            else:
                assert isinstance(answer, Refused), (kind, question)


def test_who_asks_what_an_edge_does_not_know_is_told_so() -> None:
    ask = decode_ask(b'{"region":"us","asker":"a1","number":1,"question":{"what":"weather"}}')
    refused = decode_question("ask", ask.question)
    assert isinstance(refused, Refused)
    assert "does not know such a question" in refused.why


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b'{"region":"us"}',
        b'{"region":"us.>","asker":"a1","number":1,"question":{}}',
        b'{"region":"us","asker":"a.*","number":1,"question":{}}',
        b'{"region":"us","asker":"a1","number":-1,"question":{}}',
    ],
)  # fmt: skip
def test_nobody_is_answered_on_a_subject_of_his_own_making(data: bytes) -> None:
    with pytest.raises(ValueError, match="could be answered"):
        decode_ask(data)


def client_rows(count: int) -> list[ClientRow]:
    """Rows with the longest names."""
    return [
        ClientRow(
            session="s" * 16, tenant="t" * 32, user="u" * 128, region="r" * 16, edge="e" * 32,
            phase="live", age_ms=10**9, device="d" * 64, agent="\\" * 64, address="a" * 43,
            rtt_ms=1.0, out_bytes=2**60, in_bytes=2**60, resent=2**31,
        )
        for _ in range(count)
    ]  # fmt: skip


def test_two_hundred_rows_with_the_longest_names_are_one_answer() -> None:
    data = bounded("us", "us-1", 1, ClientsFound(rows=client_rows(200), matched=200, of=200))
    answer = decode_told(data).answer
    assert isinstance(answer, ClientsFound)
    assert (len(answer.rows), answer.cut) == (200, False)


def test_an_answer_that_is_too_large_is_cut_and_says_so() -> None:
    event = PeekedEvent(
        origin="us", epoch=1, seq=1, user="ana", id="i", ts_ms=1, stored_ms=1, size=9,
        data="\x01" * 4_000,
    )  # fmt: skip
    events = [msgspec.structs.replace(event, seq=number) for number in range(100)]
    found: tuple[Answer, ...] = (
        ClientsFound(rows=client_rows(3_000), matched=5_000, of=9_000),
        Peeked(events=events, more=False),
    )
    for answer in found:
        data = bounded("us", "us-1", 1, answer)
        assert MOST_BYTES / 2 < len(data) <= MOST_BYTES
        told = decode_told(data).answer
        assert isinstance(told, ClientsFound | Peeked)
        assert told.cut
        if isinstance(told, Peeked):
            assert told.events[-1].seq == 99, "the newest are kept"
            assert told.more
        else:
            assert told.matched == 5_000


def test_what_can_not_be_cut_is_refused() -> None:
    huge = TracedFrame(at_ms=1, size=1, op=1, d="x" * MOST_BYTES)
    answer = decode_told(bounded("us", "us-1", 1, Traced(session="s", frames=[huge]))).answer
    assert answer == Refused("the answer is too large")


def test_an_answer_of_another_version_is_not_silence() -> None:
    told = decode_told(b'{"region":"us","edge":"us-1","epoch":1,"answer":{"what":"weather"}}')
    assert (told.edge, told.answer) == ("us-1", Refused("its answer is of another version"))
    with pytest.raises(ValueError, match="no answer"):
        decode_told(b'{"answer":{}}')


def test_rooms_of_several_edges_become_one() -> None:
    rows = [
        RoomRow(tenant="_", room="a", region="us", edge="us-1", members=2, rate=3.0, idle_ms=50),
        RoomRow(tenant="_", room="a", region="us", edge="us-2", members=3, rate=2.5, present=9),
        RoomRow(tenant="t", room="a", region="eu", edge="eu-1", members=7),
    ]
    first, second = merged(rows)
    assert (first.members, first.edges, first.region, first.edge) == (5, 2, "us", "")
    assert (first.rate, first.idle_ms, first.present) == (3.0, 50, 9)
    assert second == rows[2]
