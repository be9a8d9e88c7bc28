"""Small values: names, numbers, rates, ids, markers, the order of publishes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core import names, numbering
from relay.core.limits import MinuteWindow, TokenBucket
from relay.core.marker import Marker, Segment, decode_head, decode_marker
from relay.core.numbering import Numbering
from relay.core.publishing import PublishQueue
from relay.core.session_id import SessionIds

NOW_MS = 1_800_000_000_000


# --- names ---------------------------------------------------------------------------------------


@given(text=st.text(max_size=130))
def test_no_room_name_can_change_a_subject(text: str) -> None:
    """What passes has no token separator, wildcard, space or control character."""
    if names.is_room(text):
        subject = names.event_subject("us", "_", "0", text)
        assert len(subject.split(".")) == 5
        assert not set(text) & set(". *>\r\n\t\x00")
        assert names.room_of(subject) == ("us", "_", text)


@pytest.mark.parametrize(
    "name", ["", "a.b", "*", ">", "a b", "a\n", "a\r\nPUB x 1", "ä", "x" * 129]
)
def test_names_that_are_no_rooms(name: str) -> None:
    assert not names.is_room(name)


def test_one_id_in_two_rooms_or_of_two_users_is_two_publishes() -> None:
    ids = {
        names.msg_id(*scope)
        for scope in [("_", "u", "r", "1"), ("_", "u", "s", "1"), ("_", "v", "r", "1")]
    }
    assert len(ids) == 3
    assert names.msg_id("_", "u", "r", "1") in ids


def test_a_subject_of_another_form_has_no_room() -> None:
    for subject in ("ev.us._.0", "x.us._.0.r", "live.eu.us._.0", "ev.us._.0.a.b"):
        with pytest.raises(ValueError, match="subject"):
            names.room_of(subject)
    assert names.room_of("live.eu.us._.0.r") == ("us", "_", "r")


# --- s -------------------------------------------------------------------------------------------


@given(clock=st.lists(st.integers(NOW_MS - 10_000, NOW_MS + 10_000), min_size=1, max_size=50))
def test_s_never_falls_whatever_the_clock_does(clock: list[int]) -> None:
    numbers = Numbering(slot=77)
    seen = [numbers.at(ms) for ms in clock]
    assert seen == sorted(seen)
    assert all(numbering.slot_of(s) == 77 for s in seen)
    assert max(seen) < 2**53


def test_after_a_seal_no_event_shares_its_s() -> None:
    numbers = Numbering(slot=1)
    sealed = numbers.seal(NOW_MS)
    assert numbers.at(NOW_MS) > sealed


def test_s_can_be_made_larger_than_one_from_another_edge() -> None:
    numbers = Numbering(slot=1)
    other = numbering.s_at(NOW_MS + 11_000, 4000)
    assert numbers.above(other, NOW_MS) > other


def test_one_that_no_edge_gives_does_not_move_the_numbers_of_all_sessions() -> None:
    numbers = Numbering(slot=1)
    made_up = numbering.s_at(NOW_MS + 59_000, 4000)
    assert numbers.above(made_up, NOW_MS) == numbering.s_at(NOW_MS + numbering.AHEAD_MS, 1)
    assert numbers.above(made_up, NOW_MS) == numbering.s_at(NOW_MS + numbering.AHEAD_MS, 1)


def test_a_slot_names_its_region() -> None:
    assert numbering.region_index_of(numbering.s_at(NOW_MS, 256 * 2 + 5)) == 2
    assert list(numbering.slots_of_region(15))[-1] == numbering.SLOTS - 1


# --- rates ---------------------------------------------------------------------------------------


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket.full(10, 3, 0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [0.0] * 3
    assert bucket.take(0.0) == pytest.approx(0.1)
    assert bucket.take(0.1) == 0.0


def test_a_minute_has_its_limit() -> None:
    window = MinuteWindow(2, 0.0)
    assert [window.take(t) for t in (1.0, 2.0, 3.0, 60.0)] == [True, True, False, True]


# --- session ids ---------------------------------------------------------------------------------


@given(other=st.text(max_size=60))
def test_a_session_id_belongs_to_one_user_of_one_tenant(other: str) -> None:
    ids = SessionIds(b"s" * 32)
    session = ids.make("_", "ann", b"r" * 16)
    assert ids.belongs(session, "_", "ann")
    assert not ids.belongs(session, "_", "bob")
    assert not ids.belongs(session, "acme", "ann")
    assert not SessionIds(b"t" * 32).belongs(session, "_", "ann")
    assert other == session or not ids.belongs(other, "_", "ann")


# --- markers -------------------------------------------------------------------------------------


def test_a_segment_hash_tells_any_change() -> None:
    def digest(*messages: tuple[int, str, bytes]) -> str:
        segment = Segment(first=1)
        for message in messages:
            segment.add(*message)
        return segment.hexdigest()

    base = digest((1, "ev.us._.0.a", b"x"), (2, "ev.us._.0.b", b"y"))
    assert base == digest((1, "ev.us._.0.a", b"x"), (2, "ev.us._.0.b", b"y"))
    assert base != digest((1, "ev.us._.0.a", b"x"), (3, "ev.us._.0.b", b"y"))
    assert base != digest((1, "ev.us._.0.a", b"x"), (2, "ev.us._.0.b", b"z"))
    assert base != digest((1, "ev.us._.0.ax", b""), (2, "ev.us._.0.b", b"y"))


def test_an_empty_segment_ends_before_it_starts() -> None:
    segment = Segment(first=8)
    assert (segment.last, segment.count) == (7, 0)


def test_what_is_no_marker_is_none() -> None:
    assert decode_marker(b"{}") is None
    assert decode_marker(b"[" * 50_000) is None
    assert decode_head(b'"x"') is None
    assert Marker(1, 2, 1, 1, 0, 0, "", "us-1").epoch == 1


# --- publishing ----------------------------------------------------------------------------------


@given(steps=st.lists(st.sampled_from(["a", "b", "store a", "store b", "fail a"]), max_size=40))
def test_each_room_has_one_in_flight_and_nothing_is_forgotten(steps: list[str]) -> None:
    queue: PublishQueue[int] = PublishQueue()
    flying: dict[str, int] = {}
    done: list[int] = []
    given_out = 0
    for step in steps:
        act, _, room = step.rpartition(" ")
        if not act:
            given_out += 1
            started = queue.submit(room, given_out)
            assert (started is None) == (room in flying)
            if started is not None:
                flying[room] = started
        elif room in flying:
            done.append(flying.pop(room))
            if act == "store":
                following = queue.stored(room)
                if following is not None:
                    flying[room] = following
            else:
                done += queue.failed(room)
    assert queue.waiting == given_out - len(done)
    while flying:
        room, item = flying.popitem()
        done.append(item)
        following = queue.stored(room)
        if following is not None:
            flying[room] = following
    assert sorted(done) == list(range(1, given_out + 1))
    assert queue.waiting == 0
