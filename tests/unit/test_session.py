"""The session of one connection: what each frame leads to."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core import numbering
from relay.core.codes import Invalid
from relay.core.effects import (
    Attend,
    Close,
    Emit,
    Enter,
    Join,
    Leave,
    ReadHistory,
    Refused,
    Send,
    Store,
)
from relay.core.grants import Act, RoomGrant
from relay.core.session import Phase
from relay.core.wire import JSON, MSGPACK
from tests.unit.session_playbook import (
    NOW_MS,
    SESSION_IDS,
    Playbook,
    closed,
    cursor,
    error,
    mine,
    sent,
    token,
)

# --- time ----------------------------------------------------------------------------------------


def test_a_client_that_says_nothing_is_closed_after_ten_seconds() -> None:
    book = Playbook()
    assert book.wait(9.9) == []
    assert closed(book.wait(0.2)) == 4003


def test_a_resuming_client_has_two_seconds() -> None:
    assert closed(Playbook(resuming=True).wait(2)) == 4003


def test_two_missed_heartbeats_end_the_session() -> None:
    book = Playbook()
    book.live()
    assert book.wait(39.9) == []
    assert sent(book.send(1, None)) == [(11, None)]
    assert book.wait(39.9) == []
    assert closed(book.wait(0.2)) == 4009


def test_the_heartbeat_ack_carries_the_cursor_once_the_session_is_live() -> None:
    book = Playbook()
    (before,) = book.send(1, 5)
    assert isinstance(before, Send)
    assert not before.with_cursor
    book.live()
    (after,) = book.send(1, 5)
    assert isinstance(after, Send)
    assert after.with_cursor


def test_an_expiring_token_is_announced_once_and_then_ends_the_session() -> None:
    book = Playbook(heartbeat_interval_ms=10_000_000)
    book.live()
    book.send(28, {"token": token(ttl_s=100), "nonce": 1})
    assert book.wait(39) == []
    assert error(book.wait(2)) == "token_expiring"
    assert book.wait(10) == []
    assert closed(book.wait(50)) == 4004


def test_nothing_is_said_of_an_expiring_token_before_ready() -> None:
    book = Playbook()
    book.send(2, {"token": token(ttl_s=20)})
    assert book.wait(1) == []
    list(book.session.entered({}, 1, book.now))
    assert error(book.wait(0)) == "token_expiring"
    book = Playbook()
    book.send(2, {"token": token(ttl_s=20)})
    assert closed(book.wait(21)) == 4004


def test_the_deadline_is_when_something_is_due() -> None:
    book = Playbook()
    assert book.session.deadline_s(book.now) == book.at_s + 10
    book.live()
    assert book.session.deadline_s(book.now) == book.at_s + 40


# --- IDENTIFY ------------------------------------------------------------------------------------


def test_identify_joins_the_rooms_asked_for_and_the_automatic_ones() -> None:
    grants = (
        RoomGrant("a:*", frozenset({Act.SUBSCRIBE})),
        RoomGrant("auto", frozenset({Act.SUBSCRIBE}), auto=True),
        RoomGrant("b:*", frozenset({Act.SUBSCRIBE}), auto=True),
    )
    book = Playbook()
    (effect,) = book.send(2, {"token": token(grants=grants), "rooms": ["a:1", "x", "a b"]})
    assert isinstance(effect, Enter)
    assert [wish.room for wish in effect.rooms] == ["a:1", "auto"]
    assert effect.refused == (Refused("x", "not_permitted"), Refused("a b", "invalid_room"))
    assert SESSION_IDS.belongs(effect.session_id, "_", "ann")


def test_ready_is_said_when_the_rooms_are_joined() -> None:
    book = Playbook()
    book.identify("a")
    ready, attend = book.session.entered({"v": 10}, 7, book.now)
    assert attend == Attend()
    assert isinstance(ready, Send)
    assert (ready.payload.t, ready.payload.s, ready.payload.d) == ("READY", 7, {"v": 10})


def test_frames_sent_before_ready_wait_for_it() -> None:
    book = Playbook()
    book.identify()
    assert book.send(22, {"room": "a", "data": 1, "nonce": 1}) == []
    effects = list(book.session.entered({}, 1, book.now))
    assert [type(effect) for effect in effects] == [Send, Attend, Store]


def test_too_many_frames_before_ready_are_a_flood() -> None:
    book = Playbook(frames_per_minute=10_000)
    book.identify()
    effects = [book.send(22, {"room": "a", "data": 1}) for _ in range(300)]
    assert [e for e in effects if e] == [[Close(4008)]]


@pytest.mark.parametrize("op", [2, 6])
def test_a_second_identify_is_refused_while_joining_and_when_live(op: int) -> None:
    d = {"token": token(), "session_id": mine(), "cursor": cursor(us=1)}
    book = Playbook()
    book.identify()
    assert closed(book.send(op, d)) == 4005
    book = Playbook()
    book.live()
    assert closed(book.send(op, d)) == 4005


def test_a_token_that_grants_nothing_is_told_so() -> None:
    assert closed(Playbook().send(2, {"token": token(grants=())})) == 4014


def test_a_bad_token_ends_the_connection() -> None:
    assert closed(Playbook().send(2, {"token": "x.y.z"})) == 4004


@pytest.mark.parametrize("op", [20, 21, 22, 26, 28, 3, 23, 24, 25])
def test_everything_else_needs_identify_first(op: int) -> None:
    assert closed(Playbook().send(op, {})) == 4003


# --- RESUME --------------------------------------------------------------------------------------


def test_resume_by_cursor_names_its_rooms() -> None:
    effect = Playbook().resume(mine(), cursor=cursor(us=5), rooms=["a", "*"])
    assert effect.cursor is not None
    assert effect.cursor.positions["us"].seq == 5
    assert [wish.room for wish in effect.rooms] == ["a"]
    assert effect.refused == (Refused("*", "invalid_room"),)


def test_resume_by_seq_takes_the_automatic_rooms() -> None:
    grants = (RoomGrant("auto", frozenset({Act.SUBSCRIBE}), auto=True),)
    s = numbering.s_at(NOW_MS, 3)
    book = Playbook()
    (effect,) = book.send(6, {"token": token(grants=grants), "session_id": mine(), "seq": s})
    assert not isinstance(effect, Close | Send)
    assert [wish.room for wish in effect.rooms] == ["auto"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "d",
    [
        {"cursor": "garbage"},
        {"cursor": cursor(us=1)[:-2]},
        {"cursor": "x" * 600},
        {"seq": -1},
        {"seq": numbering.s_at(NOW_MS + 61_000, 0)},
        {},
    ],
)
def test_what_cannot_be_a_position_is_4007(d: dict[str, object]) -> None:
    assert closed(Playbook().send(6, {"token": token(), "session_id": mine(), **d})) == 4007


def test_a_session_of_somebody_else_is_invalid_and_the_client_may_identify() -> None:
    book = Playbook()
    effects = book.send(6, {"token": token(), "session_id": mine("bob"), "cursor": cursor(us=1)})
    (invalid,) = effects
    assert isinstance(invalid, Send)
    assert (invalid.payload.op, invalid.payload.d) == (9, False)
    assert invalid.payload.e == {"reason": "session"}
    assert book.wait(9.9) == []
    book.identify()


def test_admitted_for_a_resume_it_must_be_one() -> None:
    assert closed(Playbook(resuming=True).send(2, {"token": token()})) == 4003
    d = {"token": token(), "session_id": mine("bob"), "cursor": cursor(us=1)}
    assert closed(Playbook(resuming=True).send(6, d)) == 4003


def test_a_refused_resume_may_be_retried_three_times_after_a_pause() -> None:
    book = Playbook(heartbeat_interval_ms=10_000_000)
    for _ in range(3):
        book.resume(mine(), cursor=cursor(us=1), rooms=[])
        assert book.session.refuse(Invalid.BEHIND, book.now, retry=True) == []
        assert book.wait(0.9) == []
        ((op, d),) = sent(book.wait(4.2))
        assert (op, d) == (9, True)
    book.resume(mine(), cursor=cursor(us=1), rooms=[])
    assert closed(book.session.refuse(Invalid.BEHIND, book.now, retry=True)) == 4000


def test_after_a_refusal_the_connection_stays_open_for_an_identify() -> None:
    book = Playbook()
    book.resume(mine(), cursor=cursor(us=1), rooms=["a"])
    missing = {"us": (2, 9)}
    ((op, d),) = sent(book.session.refuse(Invalid.EXPIRED, book.now, missing=missing))
    assert (op, d) == (9, False)
    assert book.session.rooms == {}
    assert book.identify("a").rooms[0].room == "a"


# --- rooms ---------------------------------------------------------------------------------------


def test_subscribe_joins_and_acknowledges_with_the_cursor() -> None:
    book = Playbook()
    session = book.live()
    (join,) = book.send(20, {"rooms": [{"room": "a"}, "b", "c d"], "nonce": "n"})
    assert isinstance(join, Join)
    ack, _ = session.joined([w.room for w in join.rooms], join.refused, join.nonce)
    assert isinstance(ack, Send)
    assert ack.with_cursor
    assert ack.payload.d == {
        "nonce": "n",
        "rooms": ["a", "b"],
        "refused": [{"room": "c d", "code": "invalid_room"}],
    }


def test_a_room_that_is_in_already_is_acknowledged_at_once() -> None:
    book = Playbook()
    book.live("a")
    ack, _ = book.send(20, {"rooms": ["a"], "nonce": 1})
    assert isinstance(ack, Send)
    assert ack.payload.d["rooms"] == ["a"]
    (join,) = book.send(20, {"rooms": ["a", "b"], "nonce": 2})
    assert isinstance(join, Join)
    assert ([wish.room for wish in join.rooms], join.settled) == (["b"], ("a",))


def test_a_room_left_while_it_was_joining_is_not_acknowledged() -> None:
    book = Playbook()
    session = book.live()
    book.send(20, {"rooms": ["a"], "nonce": 1})
    book.send(21, {"rooms": ["a"], "nonce": 2})
    ack, _ = session.joined(["a"], (), 1)
    assert isinstance(ack, Send)
    assert ack.payload.d["rooms"] == []


def test_a_join_that_failed_leaves_its_room_to_the_one_that_waits() -> None:
    book = Playbook()
    session = book.live()
    (first,) = book.send(20, {"rooms": ["a", "b"], "nonce": 1})
    (second,) = book.send(20, {"rooms": ["a"], "nonce": 2})
    assert isinstance(first, Join)
    assert isinstance(second, Join)
    session.not_joined(first, ["a", "b"], "no answer")
    assert session.rooms == {"a": False}
    ack, _ = session.joined(["a"], (), 2)
    assert isinstance(ack, Send)
    assert ack.payload.d["rooms"] == ["a"]


def test_a_join_that_failed_and_was_the_last_to_want_a_room_forgets_it() -> None:
    book = Playbook()
    session = book.live()
    (first,) = book.send(20, {"rooms": ["a"], "nonce": 1})
    book.send(21, {"rooms": ["a"], "nonce": 2})
    (second,) = book.send(20, {"rooms": ["a"], "nonce": 3})
    assert isinstance(first, Join)
    assert isinstance(second, Join)
    session.not_joined(first, ["a"], "no answer")
    assert session.rooms == {"a": False}, "it was left since, and is to be joined again"
    session.not_joined(second, ["a"], "no answer")
    assert session.rooms == {}


def test_the_limit_of_rooms_refuses_the_rest() -> None:
    book = Playbook(rooms_per_session=2)
    book.live("a")
    (join,) = book.send(20, {"rooms": ["b", "c"], "nonce": 1})
    assert isinstance(join, Join)
    assert [wish.room for wish in join.rooms] == ["b"]
    assert join.refused == (Refused("c", "too_many_rooms"),)


def test_of_a_flood_of_rooms_only_some_are_looked_at() -> None:
    book = Playbook(rooms_per_session=2)
    book.live()
    (join,) = book.send(20, {"rooms": [f"r{n}" for n in range(5_000)], "nonce": 1})
    assert isinstance(join, Join)
    assert [wish.room for wish in join.rooms] == ["r0", "r1"]
    assert len(join.refused) == 4_998
    assert {refusal.code for refusal in join.refused} == {"too_many_rooms"}


def test_a_past_needs_the_grant_of_history_and_a_cursor_of_ours() -> None:
    grants = (
        RoomGrant("a", frozenset({Act.SUBSCRIBE})),
        RoomGrant("b", frozenset({Act.SUBSCRIBE, Act.HISTORY})),
    )
    book = Playbook()
    rooms = [
        {"room": "a", "since": {"last": 3}},
        {"room": "b", "since": "garbage"},
        {"room": "b", "since": {"last": 3}},
    ]
    (effect,) = book.send(2, {"token": token(grants=grants), "rooms": rooms})
    assert isinstance(effect, Enter)
    assert [(wish.room, wish.last) for wish in effect.rooms] == [("b", 3)]
    assert effect.refused == (Refused("a", "not_permitted"), Refused("b", "invalid_data"))


def test_unsubscribe_leaves_what_was_joined() -> None:
    book = Playbook()
    book.live("a", "b")
    leave, ack, _ = book.send(21, {"rooms": ["a", "x"], "nonce": 1})
    assert leave == Leave(("a",))
    assert sent([ack]) == [(30, {"nonce": 1})]


def test_a_fresh_token_that_grants_less_takes_rooms_away() -> None:
    book = Playbook()
    book.live("a", "b")
    fewer = token(grants=(RoomGrant("a", frozenset(Act)),))
    effects = book.send(28, {"token": fewer, "nonce": 1})
    assert effects[0] == Leave(("b",))
    assert sent(effects)[0][1]["room"] == "b"
    assert sent(effects)[1] == (30, {"nonce": 1})


def test_a_token_of_somebody_else_does_not_refresh() -> None:
    book = Playbook()
    book.live()
    assert closed(book.send(28, {"token": token("bob"), "nonce": 1})) == 4004


# --- publishing ----------------------------------------------------------------------------------


def publish(book: Playbook, room: str = "a", **d: object) -> list[object]:
    return list(book.send(22, {"room": room, "data": {"n": 1}, "nonce": 1, **d}))


def test_one_publish_is_in_flight_per_room_and_the_next_follows_it() -> None:
    book = Playbook()
    session = book.live()
    (first,) = publish(book, nonce=1)
    assert isinstance(first, Store)
    assert publish(book, nonce=2) == []
    (other,) = publish(book, room="b", nonce=3)
    assert isinstance(other, Store)
    ack, second = session.stored(first, "us", 1, 9, duplicate=False)
    expected = {"nonce": 1, "origin": "us", "epoch": 1, "seq": 9, "id": first.id}
    assert sent([ack]) == [(30, expected)]
    assert isinstance(second, Store)
    assert second.nonce == 2


def test_a_publish_that_waited_for_another_says_when_it_came() -> None:
    book = Playbook()
    session = book.live()
    (first,) = publish(book, nonce=1)
    book.wait(0.5)
    assert publish(book, nonce=2) == []
    book.wait(1.2)
    assert isinstance(first, Store)
    _, second = session.stored(first, "us", 1, 9, duplicate=False)
    assert isinstance(second, Store)
    assert (first.received_s, second.received_s) == (100.0, 100.5)


def test_a_publish_that_may_have_waited_unread_says_since_when() -> None:
    book = Playbook()
    session = book.live()
    frame = b'{"op": 22, "d": {"room": "a", "data": 1, "nonce": 1}}'
    (store,) = session.receive(frame, book.now, since_s=94.1)
    assert isinstance(store, Store)
    assert store.received_s == 94.1


def test_a_failed_publish_takes_those_behind_it() -> None:
    book = Playbook()
    session = book.live()
    (first,) = publish(book, nonce=1)
    publish(book, nonce=2)
    assert isinstance(first, Store)
    failures = sent(session.failed(first, "why"))
    assert [(d["nonce"], d["code"]) for _, d in failures] == [
        (1, "unavailable"),
        (2, "unavailable"),
    ]
    (again,) = publish(book, nonce=4)
    assert isinstance(again, Store)


def test_a_duplicate_is_said() -> None:
    book = Playbook()
    session = book.live()
    (store,) = publish(book, id="x")
    assert isinstance(store, Store)
    ((_, d),) = sent(session.stored(store, "us", 1, 9, duplicate=True))
    assert d["duplicate"] is True


def test_an_ephemeral_publish_is_emitted_and_acknowledged_without_a_sequence() -> None:
    book = Playbook()
    book.live()
    emit, ack = publish(book, ephemeral=True, id="x")
    assert emit == Emit("a", "x", b'{"n":1}')
    assert sent([ack]) == [(30, {"nonce": 1, "id": "x"})]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("d", "code"),
    [
        ({"room": "a.b"}, "invalid_room"),
        ({"room": "*"}, "invalid_room"),
        ({"room": "a\r\nPUB x 1"}, "invalid_room"),
        ({"room": "a\x00"}, "invalid_room"),
        ({"room": "a\n"}, "invalid_room"),
        ({"room": "x" * 129}, "invalid_room"),
        ({"room": "b"}, "not_permitted"),
        ({"id": "a b"}, "invalid_id"),
        ({"id": ""}, "invalid_id"),
        ({"id": 5}, "invalid_id"),
        ({"id": "x" * 65}, "invalid_id"),
        ({"data": 2**64}, "invalid_data"),
        ({"data": "x" * 60_001}, "too_large"),
    ],
)
def test_a_publish_that_cannot_be_stored_says_why(d: dict[str, object], code: str) -> None:
    book = Playbook()
    book.send(2, {"token": token(grants=(RoomGrant("a", frozenset(Act)),))})
    list(book.session.entered({}, 1, book.now))
    assert error(book.send(22, {"room": "a", "data": 1, "nonce": 1, **d})) == code


def test_data_nested_too_deep_is_refused() -> None:
    book = Playbook()
    book.live()
    deep = b"[" * 65 + b"]" * 65
    assert error(book.raw(b'{"op":22,"d":{"room":"a","nonce":1,"data":' + deep + b"}}")) == (
        "invalid_data"
    )


def test_publishing_too_fast_is_told_when_to_come_back() -> None:
    book = Playbook(publishes_per_s=10, publish_burst=2)
    book.live()
    publish(book)
    publish(book, room="b")
    ((_, d),) = sent(book.send(22, {"room": "c", "data": 1, "nonce": 9}))
    assert (d["nonce"], d["code"], d["retry_after"]) == (9, "rate_limited", 0.1)


def test_a_session_with_many_publishes_waiting_is_not_read_further() -> None:
    book = Playbook(publish_queue=2)
    session = book.live()
    (first,) = publish(book)
    seen = [session.saturated]
    publish(book)
    seen.append(session.saturated)
    assert isinstance(first, Store)
    session.stored(first, "us", 1, 1, duplicate=False)
    assert [*seen, session.saturated] == [False, True, False]


# --- the rest ------------------------------------------------------------------------------------


def test_history_is_checked_and_read() -> None:
    book = Playbook()
    book.live()
    (read,) = book.send(26, {"room": "a", "limit": 10, "before": cursor(us=5), "nonce": 1})
    assert isinstance(read, ReadHistory)
    assert (read.room, read.limit, read.after) == ("a", 10, None)
    assert error(book.send(26, {"room": "a", "limit": 0, "nonce": 1})) == "invalid_data"
    assert error(book.send(26, {"room": "a", "limit": 1001, "nonce": 1})) == "invalid_data"
    assert error(book.send(26, {"room": "a", "limit": 1, "after": "x", "nonce": 1})) == (
        "invalid_data"
    )


def test_an_unknown_op_ends_the_connection() -> None:
    assert closed(Playbook().send(99)) == 4001


def test_too_many_frames_in_a_minute_end_the_connection() -> None:
    book = Playbook()
    book.live()
    effects = [book.send(20, {"rooms": [], "nonce": None}) for _ in range(119)]
    assert Close(4008) not in [e for one in effects for e in one]
    assert closed(book.send(20, {"rooms": []})) == 4008


def test_heartbeats_and_publishes_do_not_count_as_frames() -> None:
    book = Playbook(publish_queue=10_000)
    book.live()
    for number in range(200):
        book.send(1, None)
        book.send(22, {"room": "a", "data": number})
    assert book.session.phase is Phase.LIVE


def test_a_flood_of_heartbeats_or_pings_ends_the_connection() -> None:
    book = Playbook(beats_per_minute=3)
    assert [book.send(1, None)[0] for _ in range(3)] != [Close(4008)]
    assert closed(book.send(1, None)) == 4008
    book = Playbook(beats_per_minute=3)
    assert [book.session.controlled(book.now) for _ in range(3)] == [[]] * 3
    assert closed(book.session.controlled(book.now)) == 4008


def test_a_payload_without_d_is_one_with_null() -> None:
    bare = {"json": b'{"op":1}', "msgpack": msgspec.msgpack.encode({"op": 1})}
    for codec in (JSON, MSGPACK):
        book = Playbook(codec)
        assert sent(book.raw(bare[codec.name])) == [(11, None)]


def test_a_long_nonce_is_refused_and_not_echoed() -> None:
    book = Playbook()
    book.live()
    ((_, d),) = sent(book.send(21, {"rooms": [], "nonce": "n" * 65}))
    assert d["code"] == "invalid_data"
    assert "nonce" not in d


@given(frame=st.binary(max_size=200))
def test_no_bytes_break_a_session(frame: bytes) -> None:
    """Whatever arrives leads to effects, never to an exception."""
    for book in (Playbook(), Playbook()):
        assert isinstance(book.raw(frame), list)
    live = Playbook()
    live.live("a")
    assert isinstance(live.raw(frame), list)


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["token", "rooms", "room", "nonce", "data", "id", "since", "limit", "seq"])


@given(op=st.integers(0, 31), d=st.dictionaries(KEYS, JSONISH) | JSONISH)
def test_no_payload_breaks_a_live_session(op: int, d: object) -> None:
    book = Playbook()
    book.live("a")
    try:
        frame = msgspec.json.encode({"op": op, "d": d})
    except (TypeError, ValueError):
        return
    for effect in book.raw(frame):
        assert effect is not None


def test_what_came_while_a_resume_was_done_counts_from_when_it_came() -> None:
    book = Playbook()
    book.resume(mine(), cursor=cursor(us=1), rooms=["a"])
    book.send(22, {"room": "a", "data": 1, "nonce": 1})
    came_s = book.at_s
    book.at_s += 15
    _, _, store = book.session.resumed({}, 1, book.now)
    assert isinstance(store, Store)
    assert store.received_s == came_s


@pytest.mark.parametrize("retry", [False, True])
def test_what_was_sent_along_with_a_resume_that_is_refused_is_refused_too(retry: bool) -> None:
    book = Playbook()
    book.resume(mine(), cursor=cursor(us=1), rooms=["a"])
    for number in range(8):
        book.send(22, {"room": "a", "data": "x" * 30_000, "nonce": number})
    effects = book.session.refuse(Invalid.UNAVAILABLE, book.now, retry=retry)
    codes = [(d["nonce"], d["code"]) for op, d in sent(effects) if op == 31]
    assert codes == [(number, "unavailable") for number in range(8)]
    book.wait(5)
    book.identify()
    for number in range(8):  # there is room for as much again
        assert book.send(22, {"room": "a", "data": "x" * 30_000, "nonce": number}) == []


def test_a_resume_with_a_token_that_grants_nothing_is_closed_as_an_identify_is() -> None:
    book = Playbook()
    d = {"token": token(grants=()), "session_id": mine(), "cursor": cursor(us=1)}
    assert closed(book.send(6, d)) == 4014
