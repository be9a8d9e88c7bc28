"""What a copy lacks, and when a mirror is filled anew."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from regions.holes import Extent, Limits, must_rebuild
from relay.core.copy import Beginning, Copy, Seen
from relay.core.feed import Dispatch, Missed
from relay.core.runs import Runs, ranges
from tests.unit.streams_model import StreamModel
from tests.unit.test_feed import NOW, A, B, joined, live_feed

HOLED = Copy(first=10, last=100, missing=Runs(((40, 42), (90, 90))), origin_first=10)


@pytest.mark.parametrize(
    ("after", "upto", "lacking"),
    [
        (0, 39, False),
        (42, 89, False),
        (42, 90, True),
        (39, 40, True),
        (41, 42, True),
        (90, 100, False),
        (90, 101, True),
        (3, 20, False),  # the origin does not hold it either
        (5, 5, False),
    ],
)
def test_a_range_is_lacking_where_something_in_it_is_not_here(
    after: int, upto: int, lacking: bool
) -> None:
    assert HOLED.lacks(after, upto) is lacking


def test_sequences_become_runs() -> None:
    assert ranges([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]
    assert ranges([]) == []


def test_a_beginning_that_the_origin_holds_is_lacking() -> None:
    late = Copy(first=10, last=100, origin_first=4)
    assert late.lacks(3, 20)
    assert late.lacks(8, 9)
    assert not late.lacks(9, 20)
    assert late.oldest == 4
    assert Copy(first=10, last=100, origin_first=12).oldest == 10


def test_a_beginning_that_the_origin_may_hold_is_lacking_and_not_promised() -> None:
    unheard = Copy(first=10, last=100)
    assert unheard.lacks(8, 20)
    assert not unheard.lacks(9, 20)
    assert unheard.oldest == 10


def test_a_mirror_that_began_with_its_origin_is_whole_however_much_both_drop() -> None:
    beginning = Beginning()
    beginning.look(Seen("monday", 1, 50))
    for first, last in ((10, 60), (61, 60), (61, 90)):
        beginning.look(Seen("monday", first, last))
        assert (beginning.whole, beginning.origin_first) == (True, first)


@pytest.mark.parametrize(
    "later",
    [
        Seen("tuesday", 5, 60),  # made anew
        Seen("monday", 1, 40),  # shorter than it was
        Seen("monday", 52, 60),  # emptied, and what came first after that was skipped
        Seen("monday", 2, 60),  # has an older event than before
    ],
)
def test_another_mirror_under_the_same_name_is_asked_about_anew(later: Seen) -> None:
    beginning = Beginning()
    was = Seen("monday", 3, 50)
    beginning.look(was)
    assert beginning.origin_first is None
    beginning.heard(3, was)
    assert beginning.whole
    beginning.look(later)
    assert (beginning.whole, beginning.origin_first) == (later.first == 1, later_first(later))
    beginning.heard(2, was)
    assert beginning.origin_first == later_first(later), "that answer was about the other one"


def later_first(later: Seen) -> int | None:
    """A mirror that holds the very first event lacks nothing before it."""
    return 1 if later.first == 1 else None


def test_a_mirror_that_began_later_than_its_origin_says_since_where() -> None:
    beginning = Beginning()
    asked = Seen("monday", 20, 50)
    beginning.look(asked)
    beginning.look(Seen("monday", 25, 60))  # while the answer is under way
    beginning.heard(12, asked)
    assert (beginning.whole, beginning.origin_first) == (False, 12)
    beginning.heard(20, asked)
    assert (beginning.whole, beginning.origin_first) == (True, 25), "both dropped the rest"


NOW_S = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
LIMITS = Limits(age_s=86_400, bytes=1_000_000)


def extent(first: int, last: int, *deleted: int, age_s: float = 600, size: int = 1_000) -> Extent:
    born = datetime.fromtimestamp(NOW_S - age_s, UTC).isoformat()
    messages = last - first + 1 - len(deleted)
    state = {"first_seq": first, "last_seq": last, "messages": messages, "bytes": size}
    return Extent(state | {"first_ts": born}, Runs.of(deleted))


@pytest.mark.parametrize(
    ("mirror", "origin", "rebuild"),
    [
        (extent(1, 100, 50), extent(1, 120), True),
        (extent(1, 100), extent(1, 120), False),
        (extent(1, 100, 50), extent(1, 120, 50), False),  # deleted at the origin as well
        (extent(1, 100, 50), extent(60, 120), False),  # no longer kept by the origin
        (extent(1, 100, 50), extent(1, 90), False),  # the mirror has what the origin lost
        (extent(1, 100, 50), extent(2, 120), False),  # the same, at the other end
        (extent(30, 100, 50), extent(2, 120), True),
        (extent(101, 100), extent(1, 100), True),  # it skipped all there was
        (extent(5, 100), extent(1, 100), True),  # it skipped the beginning
        (extent(1, 0), extent(1, 100), False),  # it has not begun
        (extent(5, 100), extent(1, 100, age_s=86_390), False),  # the origin is about to drop them
        (extent(5, 100), extent(1, 100, size=950_000), False),
        (extent(50, 100), extent(1, 100, age_s=86_390), True),  # far more than that
    ],
)
def test_a_mirror_is_filled_anew_only_where_its_origin_holds_all_that_it_has(
    mirror: Extent, origin: Extent, rebuild: bool
) -> None:
    assert must_rebuild(mirror, origin, LIMITS, NOW_S) is rebuild


def test_a_skipped_event_is_delivered_in_order_or_declared() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    joined(feed, stream, A, B)
    feed.live(stream.store(A), NOW)
    quiet = stream.store(A, republished=False)
    passed = stream.store(B, republished=False)
    feed.live(stream.mark(), NOW)
    after = stream.store(B)
    # What this copy says of the room's event before: it does not know of the one it skipped.
    feed.live(replace(after, previous=0), NOW)
    assert feed.late(quiet) == (Dispatch(quiet, feed.position),)
    assert feed.late(quiet) == (Missed(quiet),), "asked for once only: that is up to the caller"
    assert feed.late(passed) == (Missed(passed),)


def test_what_was_skipped_before_the_room_was_joined_is_nobodys() -> None:
    stream = StreamModel("us")
    feed = live_feed(stream)
    skipped = stream.store(A, republished=False)
    feed.live(stream.mark(), NOW)
    joined(feed, stream, A)
    assert feed.late(skipped) == ()
    feed.leave(A)
    assert feed.late(skipped) == ()
