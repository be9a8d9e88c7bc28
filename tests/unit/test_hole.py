"""Holes that a cursor has passed, and what its session is owed."""

from relay.core.cursor import Cursor, Position
from relay.core.event import Event
from relay.core.hole import Hole, Passed, owed, passed

HOLE = Hole("us", "us", 10, 14, number=7)


def cursor(seq: int, region: str = "us", holes: int = 0) -> Cursor:
    return Cursor(region, {"us": Position(1, seq), "eu": Position(1, 500)}, holes)


def event(seq: int, room: str) -> Event:
    return Event("us", 1, seq, "_", room, "u", f"e{seq}", 0, b"1", 0, 0)


def test_a_cursor_of_the_region_that_stands_in_or_beyond_the_hole_has_passed_it() -> None:
    assert passed([HOLE], cursor(9)) == []
    assert passed([HOLE], cursor(12)) == [Passed("us", 10, 12, 12)], "the rest is replayed anyway"
    assert passed([HOLE], cursor(90)) == [Passed("us", 10, 14, 90)]


def test_cursors_of_other_regions_and_those_that_know_it_have_not() -> None:
    assert passed([HOLE], cursor(90, "eu")) == []
    assert passed([HOLE], cursor(90, holes=6))
    assert passed([HOLE], cursor(90, holes=7)) == [], "by then its edge had delivered it"
    assert passed([HOLE], Cursor("us", {"eu": Position(1, 90)})) == []


def test_a_room_where_somebody_spoke_again_had_its_hole_repaired() -> None:
    events = [event(9, "a"), event(10, "a"), event(11, "b"), event(13, "b"), event(15, "b")]
    newest = {("_", "a"): 40}
    hole = passed([HOLE], cursor(90))[0]
    due = owed(hole, events, newest)
    assert ([one.seq for one in due.events], due.late) == ([11, 13], [])


def test_what_the_copy_had_skipped_was_shown_by_nothing_and_is_declared() -> None:
    events = [event(10, "a"), event(11, "b")]
    hole = passed([Hole("us", "us", 10, 14, number=7, skipped=True)], cursor(90))[0]
    due = owed(hole, events, {("_", "a"): 40})
    assert [one.seq for one in due.events] == [11]
    assert [one.seq for one in due.late] == [10]
