"""What viewers of a room are told: one frame a window, everybody at first, nothing to who reads
too slowly until he reads again.
"""

from typing import Any

import msgspec
import pytest

from relay.config import Limits
from relay.core.presence import ONLINE, Scope, Shown, Status
from relay.core.rosters import Rosters, Source
from relay.core.wire import JSON, MSGPACK, Codec
from relay.edge.seat import Seat
from relay.edge.viewers import Viewers

ROOM: Scope = ("_", "a")
ME: Source = ("us", "us-1", 1)
EU: Source = ("eu", "eu-1", 1)
Frame = dict[str, Any]


class _Seat(Seat):
    """A viewer, and the frames that it was written."""

    def __init__(self, codec: Codec[Any] = JSON) -> None:
        super().__init__(codec)
        self.slow = self.broken = self.failed = False
        self.got: list[Frame] = []

    def write_signal(self, framed: bytes) -> bool:
        if self.broken:
            raise OSError("gone")
        if self.slow:
            return False
        while framed:
            size, head = framed[1], 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size, head = int.from_bytes(framed[2 : 2 + width], "big"), 2 + width
            payload, framed = framed[head : head + size], framed[head + size :]
            module = msgspec.msgpack if self.codec.binary else msgspec.json
            self.got.append(module.decode(payload)["d"])
        return True

    def fail(self) -> None:
        self.failed = True

    def take(self) -> list[Frame]:
        got, self.got = self.got, []
        return got


class _Edge:
    """Rosters and viewers, with what other edges say."""

    def __init__(self, **limits: int) -> None:
        self.rosters = Rosters(ME)
        self.viewers = Viewers(self.rosters, lambda _scope: {}, Limits(**limits))
        self.said = 0

    def say(self, **users: Shown | None) -> None:
        self.said += 1
        self.rosters.hear(EU, self.said, {ROOM: users}, self.said)

    def crowd(self, count: int) -> None:
        self.say(**{f"u{number:05}": ONLINE for number in range(count)})

    def look(self, seat: _Seat, *scopes: Scope, now_s: float = 0) -> None:
        self.viewers.look(seat, set(scopes), now_s)


@pytest.fixture
def edge() -> _Edge:
    return _Edge()


async def test_viewers_share_one_frame_a_window_in_each_encoding(edge: _Edge) -> None:
    seats = [_Seat(), _Seat(MSGPACK), _Seat()]
    for seat in seats:
        edge.look(seat, ROOM)
        assert [(f["online"], f["total"], f["first"]) for f in seat.take()] == [({}, 0, True)]
    edge.say(ann=ONLINE, bob=Shown(Status.IDLE, b'{"x":1}', 5))
    edge.say(ann=None, cat=ONLINE)
    await edge.viewers.flush(2)
    for seat in seats:
        (frame,) = seat.take()
        assert (frame["online"], frame["offline"]) == ({"bob": "idle", "cat": "online"}, [])
        assert (frame["custom"], frame["total"]) == ({"bob": {"x": 1}}, 2)
    await edge.viewers.flush(4)
    assert all(seat.take() == [] for seat in seats), "nothing changed"
    edge.look(seats[0])
    edge.say(bob=None)
    await edge.viewers.flush(6)
    assert [len(seat.take()) for seat in seats] == [0, 1, 1]


async def test_the_first_list_waits_for_the_answers_a_second_at_most(edge: _Edge) -> None:
    edge.rosters.hear(EU, 7, {}, 10)
    first, second = _Seat(), _Seat()
    edge.look(first, ROOM, now_s=10)
    assert edge.rosters.asks(10) == {EU: [ROOM]}
    edge.viewers.tell_newcomers(10.5)
    await edge.viewers.flush(10.7)
    assert first.take() == []
    edge.rosters.answer(EU, 7, {ROOM: {"ann": ONLINE}})
    edge.viewers.tell_newcomers(10.8)
    assert [frame["online"] for frame in first.take()] == [{"ann": "online"}]
    edge.rosters.hear(("ap", "ap-1", 1), 3, {}, 11)
    edge.look(second, ROOM, now_s=11)
    edge.viewers.tell_newcomers(11.9)
    assert second.take() == []
    edge.viewers.tell_newcomers(12)  # ap does not answer
    assert [frame["online"] for frame in second.take()] == [{"ann": "online"}]


async def test_the_first_list_of_an_edge_that_has_just_begun_waits_until_all_have_spoken(
    edge: _Edge,
) -> None:
    edge.rosters.whole_s = 12.7
    early, late = _Seat(), _Seat()
    edge.look(early, ROOM, now_s=10)
    edge.viewers.tell_newcomers(12.6)
    assert early.take() == [], "nobody has been heard, and somebody may be there"
    edge.rosters.hear(EU, 7, {}, 12.5)
    edge.rosters.answer(EU, 7, {ROOM: {"ann": ONLINE}})
    edge.look(late, ROOM, now_s=12.6)
    edge.viewers.tell_newcomers(12.7)
    for seat in (early, late):
        assert [frame["online"] for frame in seat.take()] == [{"ann": "online"}]


async def test_a_list_comes_in_pages_and_of_a_large_room_only_the_first() -> None:
    edge = _Edge(presence_page_users=3, presence_list_users=8, presence_counts_users=20)
    edge.rosters.open(ROOM, {})
    edge.crowd(7)
    small = _Seat()
    edge.look(small, ROOM)
    pages = small.take()
    assert [(f["page"], f["pages"], len(f["online"]), f["total"]) for f in pages] == [
        (1, 3, 3, 7), (2, 3, 3, 7), (3, 3, 1, 7),
    ]  # fmt: skip
    assert not any("partial" in frame for frame in pages)
    await edge.viewers.flush(1)
    small.take()
    edge.crowd(12)
    large = _Seat()
    edge.look(large, ROOM)
    (page,) = large.take()
    assert (len(page["online"]), page["total"], page["partial"]) == (3, 12, True)
    await edge.viewers.flush(2)
    assert len(small.take()[0]["online"]) == 5, "changes come as before"
    large.take()
    edge.say(**{f"u{number:05}": None for number in range(5)})
    await edge.viewers.flush(4)
    (whole, *_) = large.take()
    assert (whole["first"], whole["total"]) == (True, 7), "now there is a whole to be told"


async def test_of_a_huge_room_only_the_count_is_told() -> None:
    edge = _Edge(presence_page_users=3, presence_list_users=8, presence_counts_users=20)
    seat, late = _Seat(), _Seat()
    edge.look(seat, ROOM)
    seat.take()
    edge.crowd(30)
    await edge.viewers.flush(2)
    (frame,) = seat.take()
    assert (frame["online"], frame["total"], frame["partial"]) == ({}, 30, True)
    edge.look(late, ROOM)
    (first,) = late.take()
    assert (first["online"], first["total"], first["partial"]) == ({}, 30, True)
    edge.say(u00000=Shown(Status.IDLE))
    await edge.viewers.flush(4)
    assert seat.take() == [], "as many as before"
    edge.say(**{f"u{number:05}": None for number in range(25)})
    await edge.viewers.flush(6)
    for one in (seat, late):
        pages = [(f["first"], len(f["online"]), f["total"]) for f in one.take()]
        assert pages == [(True, 3, 5), (True, 2, 5)], "now they are listed"


async def test_many_changes_are_told_over_several_windows() -> None:
    edge = _Edge(presence_changes=4)
    seat = _Seat()
    edge.look(seat, ROOM)
    seat.take()
    edge.crowd(10)
    told: list[int] = []
    for window in range(4):
        await edge.viewers.flush(2 * window)
        told += [len(frame["online"]) for frame in seat.take()]
    assert told == [4, 4, 2]


async def test_who_reads_too_slowly_is_passed_over_and_told_everything_when_he_reads(
    edge: _Edge,
) -> None:
    slow, quick = _Seat(), _Seat()
    for seat in (slow, quick):
        edge.look(seat, ROOM)
        seat.take()
    slow.slow = True
    edge.say(ann=ONLINE)
    await edge.viewers.flush(2)
    edge.say(bob=ONLINE, ann=None)
    await edge.viewers.flush(4)
    assert (len(quick.take()), slow.take()) == (2, [])
    assert edge.viewers.dropped >= 1
    slow.slow = False
    await edge.viewers.flush(5)
    (frame,) = slow.take()
    assert (frame["first"], frame["online"]) == (True, {"bob": "online"})
    edge.say(cat=ONLINE)
    await edge.viewers.flush(6)
    assert [frame["online"] for frame in slow.take()] == [{"cat": "online"}]


async def test_a_connection_that_breaks_costs_nobody_else_a_frame(edge: _Edge) -> None:
    broken, other = _Seat(), _Seat()
    for seat in (broken, other):
        edge.look(seat, ROOM)
        seat.take()
    broken.broken = True
    edge.say(ann=ONLINE)
    await edge.viewers.flush(2)
    assert broken.failed
    assert len(other.take()) == 1


async def test_a_roster_is_kept_for_a_while_after_the_last_look() -> None:
    edge = _Edge(presence_linger_s=60)
    seat = _Seat()
    edge.look(seat, ROOM)
    edge.look(seat, now_s=100)
    edge.viewers.sweep(159)
    assert edge.viewers.scopes == 1
    edge.look(seat, ROOM, now_s=159)
    edge.viewers.sweep(300)
    assert edge.viewers.scopes == 1
    edge.look(seat, now_s=300)
    edge.viewers.sweep(361)
    assert (edge.viewers.scopes, edge.rosters.rosters) == (0, {})


def test_watchers_of_a_user_are_told_at_once(edge: _Edge) -> None:
    seat = _Seat()
    edge.look(seat, ("_", "~ann"))
    assert seat.take() == [{"user": "ann", "status": "offline"}]
    edge.rosters.hear(EU, 1, {("_", "~"): {"ann": ONLINE, "bob": ONLINE}}, 1)
    edge.viewers.tell_of_users()
    assert seat.take() == [{"user": "ann", "status": "online"}]


async def test_who_comes_between_a_change_and_its_undoing_is_told_how_it_ended(edge: _Edge) -> None:
    first, later = _Seat(), _Seat()
    edge.look(first, ROOM)
    edge.say(ann=ONLINE)
    await edge.viewers.flush(2)
    first.take()
    edge.say(ann=None, bob=ONLINE)
    edge.look(later, ROOM)
    assert [frame["online"] for frame in later.take()] == [{"bob": "online"}]
    edge.say(ann=ONLINE, bob=None)
    await edge.viewers.flush(4)
    (frame,) = later.take()
    assert (frame["online"], frame["offline"], frame["total"]) == ({"ann": "online"}, ["bob"], 1)
    assert len(first.take()) == 1
    edge.say(ann=None)
    edge.say(ann=ONLINE)
    await edge.viewers.flush(6)
    assert later.take() == first.take() == [], "who left and came back within a window is not told"


async def test_a_newcomer_of_a_counted_room_is_told_when_the_number_is_what_it_was() -> None:
    edge = _Edge(presence_list_users=2, presence_counts_users=3)
    first, later = _Seat(), _Seat()
    edge.look(first, ROOM)
    edge.crowd(5)
    await edge.viewers.flush(2)
    edge.say(u00000=None)
    edge.look(later, ROOM)
    assert [frame["total"] for frame in later.take()] == [4]
    edge.say(u00000=ONLINE)
    await edge.viewers.flush(4)
    assert [frame["total"] for frame in later.take()] == [5]


async def test_a_room_that_shrinks_below_the_list_is_told_to_those_only_who_had_a_part() -> None:
    edge = _Edge(presence_list_users=3, presence_page_users=2)
    whole, part = _Seat(), _Seat()
    edge.look(whole, ROOM)
    edge.crowd(4)
    await edge.viewers.flush(2)
    edge.look(part, ROOM)
    whole.take()
    assert part.take()[0]["partial"]
    edge.say(u00000=None)
    await edge.viewers.flush(4)
    assert [frame.get("first") for frame in whole.take()] == [None]
    assert [frame.get("first") for frame in part.take()] == [True, True], "in two pages"


async def test_the_same_state_said_again_is_no_change(edge: _Edge) -> None:
    seat = _Seat()
    edge.look(seat, ROOM)
    edge.say(ann=Shown(Status.ONLINE, b"{}", 1))
    await edge.viewers.flush(2)
    seat.take()
    edge.say(ann=Shown(Status.ONLINE, b"{}", 2))
    await edge.viewers.flush(4)
    assert seat.take() == []


async def test_a_watched_user_who_moves_within_a_window_is_not_told_to_be_gone(edge: _Edge) -> None:
    seat, user = _Seat(), ("_", "~ann")
    edge.rosters.hear(EU, 1, {}, 1)
    edge.look(seat, user)
    edge.rosters.answer(EU, 1, {user: {"ann": ONLINE}})
    edge.viewers.tell_newcomers(2)
    edge.viewers.tell_of_users(window_ended=True)
    seat.take()
    there, ap = ("_", "~"), ("ap", "ap-1", 1)
    edge.rosters.hear(EU, 2, {there: {"ann": None}}, 3)
    edge.viewers.tell_of_users()
    assert seat.take() == []
    edge.rosters.hear(ap, 1, {there: {"ann": ONLINE}}, 3)
    edge.viewers.tell_of_users(window_ended=True)
    assert seat.take() == []
    edge.rosters.hear(ap, 2, {there: {"ann": None}}, 5)
    edge.viewers.tell_of_users()
    assert seat.take() == []
    edge.viewers.tell_of_users(window_ended=True)
    assert [frame["status"] for frame in seat.take()] == ["offline"]


def test_of_a_user_at_whom_nobody_looks_no_more_nothing_is_kept(edge: _Edge) -> None:
    seat = _Seat()
    edge.look(seat, ("_", "~ann"))
    edge.look(seat)
    assert (edge.viewers.scopes, edge.rosters.rosters) == (0, {})


def test_no_more_rooms_are_kept_than_the_limit_says() -> None:
    edge, seat = _Edge(lingering_rooms=2), _Seat()
    for number in range(4):
        edge.look(seat, ("_", f"r{number}"), now_s=number)
    edge.look(seat, now_s=5)
    edge.viewers.sweep(6)
    assert set(edge.rosters.rosters) == {("_", "r2"), ("_", "r3")}


def test_who_breaks_at_the_first_list_looks_at_nobody_any_more() -> None:
    edge = _Edge()

    class Broken(_Seat):
        def write_signal(self, framed: bytes) -> bool:
            edge.look(self)  # as a connection that fails leaves
            return False

    seat = Broken()
    edge.look(seat, *((("_", f"room{n}")) for n in range(3)))
    assert seat.looking == set()
    edge.viewers.sweep(10_000.0)
    assert edge.viewers.scopes == 0, "nobody looks at these rooms"


async def test_a_room_that_hovers_about_the_bound_is_not_listed_again_and_again() -> None:
    edge = _Edge(presence_page_users=3, presence_list_users=8, presence_counts_users=20)
    seat = _Seat()
    edge.look(seat, ROOM)
    edge.crowd(21)
    await edge.viewers.flush(2)
    seat.take()
    for now_s, shown in ((4, None), (6, ONLINE), (8, None)):
        edge.say(u00000=shown, u00001=shown)
        await edge.viewers.flush(now_s)
    assert [(f.get("first"), f["online"], f["total"]) for f in seat.take()] == [
        (None, {}, 19), (None, {}, 21), (None, {}, 19),
    ]  # fmt: skip
    edge.say(u00002=None)
    await edge.viewers.flush(10)
    assert [f.get("first") for f in seat.take()] == [True]


async def test_no_more_scopes_are_looked_at_than_the_limit_says() -> None:
    edge = _Edge(presence_scopes=2)
    seat, other = _Seat(), _Seat()
    rooms = [("_", name) for name in ("a", "b", "c")]
    assert edge.viewers.look(seat, set(rooms), 0) == [("_", "c")]
    assert (seat.looking, edge.viewers.refused) == (set(rooms[:2]), 1)
    assert edge.viewers.has_room(rooms[:2]), "they are looked at already"
    assert not edge.viewers.has_room(rooms)
    assert edge.viewers.look(other, {rooms[0]}, 0) == []
