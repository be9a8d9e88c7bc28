"""Each event once: whatever is repeated, in whatever order, nothing new is taken for a repeat."""

from hypothesis import given
from hypothesis import strategies as st

from relay.client.dedup import Dedup
from relay.client.events import Message


def event(seq: int, origin: str = "eu", publish: str | None = None, room: str = "a") -> Message:
    return Message(room, None, "bob", publish or f"{origin}-{seq}", origin, 1, seq, 0)


events = st.builds(
    event,
    st.integers(1, 30),
    st.sampled_from(["eu", "us"]),
    st.sampled_from([None, "x", "y"]),
    st.sampled_from(["a", "b"]),
)


@given(st.lists(events))
def test_each_place_and_each_publish_comes_once_and_nothing_new_is_dropped(
    stream: list[Message],
) -> None:
    dedup = Dedup()
    places: set[tuple[str, int]] = set()
    publishes: set[tuple[str, str | None]] = set()
    for message in stream:
        place, publish = (message.origin, message.seq), (message.room, message.id)
        known = place in places or publish in publishes
        assert dedup.is_repeat(message) == known
        if not known:
            places.add(place)
            publishes.add(publish)


@given(st.integers(1, 60), st.integers(0, 60), st.booleans())
def test_a_replay_that_starts_over_any_number_of_times_gives_each_event_once(
    length: int, cut: int, seen_live: bool
) -> None:
    dedup = Dedup()
    if seen_live:
        dedup.is_repeat(event(length))
    dedup.replaying("a")
    got = [s for s in range(1, min(cut, length) + 1) if not dedup.is_repeat(event(s), replay=True)]
    got += [s for s in range(1, length + 1) if not dedup.is_repeat(event(s), replay=True)]
    assert got == list(range(1, length + 1))
    dedup.replayed("a")
    assert all(dedup.is_repeat(event(s)) for s in got)


def test_an_event_far_below_the_newest_is_not_a_repeat() -> None:
    dedup = Dedup()
    assert not dedup.is_repeat(event(1_000_000))
    assert not dedup.is_repeat(event(3))


def test_a_publish_stored_in_two_regions_comes_once_in_a_replay_too() -> None:
    dedup = Dedup()
    dedup.replaying("a")
    assert not dedup.is_repeat(event(5, "eu", "p"), replay=True)
    assert dedup.is_repeat(event(9, "us", "p"), replay=True)


def test_events_without_an_id_are_told_apart_by_place() -> None:
    dedup = Dedup()
    anonymous = [Message("a", None, None, None, "eu", 1, seq, 0) for seq in (1, 2, 1)]
    assert [dedup.is_repeat(message) for message in anonymous] == [False, False, True]


def test_the_memory_is_bounded_and_keeps_the_newest_half() -> None:
    dedup = Dedup(events=100)
    for seq in range(1000):
        dedup.is_repeat(event(seq))
        assert len(dedup) <= 200
    assert all(dedup.is_repeat(event(seq)) for seq in range(950, 1000))
