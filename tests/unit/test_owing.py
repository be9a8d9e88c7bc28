"""What sessions are owed: sent once, or declared, whenever it becomes known."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from relay.core.cursor import Cursor, Position
from relay.core.event import Event, RoomKey
from relay.core.hole import Hole, Passed, passed
from relay.edge import owing
from relay.edge.jumps import Dealt, News
from relay.edge.owing import Owing
from relay.errors import UnavailableError

ROOM: RoomKey = ("_", "a")
OTHER: RoomKey = ("_", "b")
HOLE = Hole("us", "us", 10, 12, number=5)
CURSOR = Cursor("us", {"us": Position(1, 20)}, 0)


class _Log:
    """`Holes` known so far."""

    def __init__(self) -> None:
        self.known: list[Hole] = []
        self.reached = 0
        self.told: dict[str, int] = {}  # region -> which of its holes cursors name

    def paid(self, region: str, number: int) -> None:
        if number:
            self.told[region] = number

    def newest(self, region: str) -> int:
        return max((hole.number for hole in self.known if hole.region == region), default=0)

    def passed(self, cursor: Cursor) -> list[Passed]:
        return passed(self.known, cursor)


class _Jumps:
    def __init__(self) -> None:
        self.stamp = 0
        self.news: list[News] = []
        self.dealt: list[Dealt] = []

    def given(self, _origin: str, first: int, last: int) -> tuple[Dealt, ...]:
        return tuple(
            dealt for dealt in self.dealt if any(first <= seq <= last for seq in dealt.events)
        )

    async def turn(self) -> list[News]:
        news, self.news = self.news, []
        return news


class _Client:
    """A session's connection: what it was sent: events and their sequences, gaps and their ends."""

    def __init__(self) -> None:
        self.alive = True
        self.ahead: object | None = None
        self.codec = None
        self.seated: set[RoomKey] = set()
        self.membership = SimpleNamespace(passages=[])
        self.owing: frozenset[str] = frozenset()
        self.debts: dict[str, int] | None = None
        self.got: list[tuple[object, ...]] = []
        self.closed = 0

    def dispatch(self, _name: str, d: dict[str, Any]) -> None:
        self.got.append(("gap", d["first"], d["last"]))

    def close(self, code: int) -> None:
        self.alive, self.closed = False, code

    def write(self, framed: tuple[str, int]) -> None:
        self.got.append(framed)


class _World:
    """One edge, with what its parts would say."""

    def __init__(self) -> None:
        self.log, self.jumps = _Log(), _Jumps()
        self.events = [
            Event("us", 1, seq, "_", room, "u", f"e{seq}", 0, b"1")
            for seq, room in ((10, "a"), (11, "b"), (12, "a"))
        ]
        self.followed: dict[RoomKey, tuple[int, ...]] = {}  # what comes in them behind the hole
        self.newest = 0  # of every room here
        self.oldest = 1  # sequence that limits have left
        self.failing = 0  # reads that fail before one works
        hub = SimpleNamespace(
            epochs=lambda: {"us": 1},
            cursor_of=lambda _seat: "c",
            framed=lambda _codec, event, _s, _c: ("event", event.seq),
            region="eu",
            owe=lambda seat, regions: setattr(seat, "owing", regions),
        )
        feeds = {"us": SimpleNamespace(newest=lambda _room: self.newest)}
        replays = SimpleNamespace(
            events=lambda _o, rooms, _after, _upto: self.read(rooms), oldest=lambda _o: self.oldest
        )
        self.late: set[str] = set()  # regions
        parts = (self.log, self.jumps, replays, self, hub, feeds, self.late.__contains__)
        self.owing = Owing(*(cast("Any", part) for part in parts))

    async def read(self, rooms: Collection[RoomKey]) -> AsyncIterator[list[Event]]:
        if self.failing:
            self.failing -= 1
            raise UnavailableError("no answer")
        yield [event for event in self.events if event.key in rooms]

    async def within(self, event: Event, after: int, upto: int) -> int:
        assert upto == 20
        return next((seq for seq in self.followed.get(event.key, ()) if after < seq <= upto), 0)

    async def come(self, client: _Client, *, join: bool = True) -> Any:
        came = await self.owing.came(cast("Any", client), frozenset({ROOM, OTHER}), CURSOR)
        client.got += [("event", event.seq) for event in came.events]
        if join:
            self.sit(client, came)
        return came

    def sit(self, client: _Client, came: Any) -> None:
        client.seated |= {ROOM, OTHER}
        self.owing.seat(came.each)

    async def learn(self, hole: Hole, *dealt: Dealt) -> None:
        self.log.known.append(hole)
        self.jumps.dealt += dealt
        self.jumps.news.append(News(hole, dealt))
        await self.owing.turn()


@pytest.fixture
async def world() -> AsyncIterator[_World]:
    one = _World()
    yield one
    await one.owing.close()


async def test_who_comes_after_it_is_known_is_sent_it_first(world: _World) -> None:
    world.log.known = [HOLE]
    client = _Client()
    await world.come(client)
    assert client.got == [("event", 10), ("event", 11), ("event", 12)]
    world.jumps.news = [News(HOLE)]
    await world.owing.turn()
    assert len(client.got) == 3, "and not again when the turn comes to it"


async def test_who_came_before_is_sent_it_when_it_becomes_known(world: _World) -> None:
    client = _Client()
    await world.come(client)
    await world.learn(HOLE)
    assert client.got == [("event", 10), ("event", 11), ("event", 12)]


async def test_who_is_still_joining_is_sent_it_once_it_has_joined(world: _World) -> None:
    client = _Client()
    came = await world.come(client, join=False)
    await world.learn(HOLE, Dealt(1, "us", frozenset({10, 11, 12})))
    world.jumps.stamp = 1
    assert client.got == [], "its rooms are not open to it yet"
    world.sit(client, came)
    await asyncio.sleep(0.01)
    assert client.got == [("event", 10), ("event", 11), ("event", 12)]


async def test_what_this_edge_dispatched_to_it_is_not_sent_again(world: _World) -> None:
    client, late = _Client(), _Client()
    await world.come(client)
    world.jumps.stamp = 1
    await world.come(late)
    await world.learn(HOLE, Dealt(1, "us", frozenset({10, 12})))
    assert client.got == [("event", 11)]
    assert late.got == [("event", 10), ("event", 11), ("event", 12)]


async def test_what_two_edges_recorded_is_sent_once(world: _World) -> None:
    client = _Client()
    await world.come(client)
    await world.learn(HOLE)
    await world.learn(msgspec.structs.replace(HOLE, number=6))
    assert client.got == [("event", 10), ("event", 11), ("event", 12)]
    newcomer = _Client()
    await world.come(newcomer)
    assert newcomer.got == [("event", 10), ("event", 11), ("event", 12)]


async def test_what_can_no_longer_be_in_order_is_declared(world: _World) -> None:
    world.followed = {ROOM: (15,)}
    plain, skipped = _Client(), _Client()
    await world.come(plain)
    await world.learn(HOLE)
    assert plain.got == [("event", 11)], "a later event of the room showed the hole: it has them"
    await world.come(skipped)
    hole = Hole("us", "us", 10, 12, number=6, skipped=True)
    await world.learn(hole)
    assert skipped.got == [("event", 11), ("gap", 10, 12)], "nothing twice"


async def test_what_limits_have_dropped_of_it_is_declared(world: _World) -> None:
    await world.learn(HOLE)
    world.oldest, client = 11, _Client()
    await world.come(client)
    assert client.got == [("gap", 10, 10), ("event", 11), ("event", 12)]
    world.oldest, later = 13, _Client()
    await world.come(later)
    assert later.got == [("gap", 10, 12)]


async def test_what_came_live_meanwhile_makes_it_late(world: _World) -> None:
    client = _Client()
    await world.come(client)
    world.newest = 21
    await world.learn(HOLE)
    assert client.got == [("gap", 10, 12), ("gap", 11, 11)], "one for what follows in a room"


async def test_a_read_that_fails_is_said_to_its_session_and_to_no_other(world: _World) -> None:
    clients = [_Client() for _ in range(3)]
    for client in clients:
        await world.come(client)
    world.failing = 1
    await world.learn(HOLE)
    assert clients[0].got == [("gap", 10, 12)], "one for the whole hole"
    for client in clients[1:]:
        assert client.got == [("event", 10), ("event", 11), ("event", 12)]


async def test_a_cursor_that_knows_the_hole_and_one_of_another_region_are_owed_nothing(
    world: _World,
) -> None:
    world.log.known = [HOLE]
    for cursor in (replace(CURSOR, holes=5), replace(CURSOR, region="eu")):
        client = _Client()
        came = await world.owing.came(cast("Any", client), frozenset({ROOM}), cursor)
        assert came.events == []


# --- more than one hole --------------------------------------------------------------------------


EARLIER = Hole("us", "us", 10, 10, number=5)
LATER = Hole("us", "us", 12, 12, number=6)


async def test_an_event_in_another_hole_does_not_show_that_one_before_it_came(
    world: _World,
) -> None:
    """Both are of one room: the later one names the earlier, and nobody heard it either."""
    world.log.known, world.followed = [LATER, EARLIER], {ROOM: (12,)}
    client = _Client()
    await world.come(client)
    assert client.got == [("event", 10), ("event", 12)]
    world.followed = {ROOM: (12, 15)}
    knowing = _Client()
    await world.come(knowing)
    assert knowing.got == [], "15 came live: what is before it was delivered"


async def test_a_hole_that_becomes_known_later_puts_one_before_it_in_another_light(
    world: _World,
) -> None:
    world.followed = {ROOM: (12,)}
    client = _Client()
    await world.come(client)
    await world.learn(EARLIER)
    assert client.got == [], "12 seems to have come"
    await world.learn(LATER)
    assert client.got == [("event", 10), ("event", 12)]


async def test_what_was_sent_of_an_earlier_hole_is_not_sent_again_with_a_later_one(
    world: _World,
) -> None:
    client = _Client()
    await world.come(client)
    world.jumps.stamp = 1
    await world.learn(EARLIER, Dealt(1, "us", frozenset({10})))
    assert client.got == [], "this edge dispatched it"
    await world.learn(LATER)
    assert client.got == [("event", 12)]


# --- bounds --------------------------------------------------------------------------------------


async def test_too_much_of_a_hole_is_declared_in_one_piece(
    world: _World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owing, "MOST", 2)
    world.log.known = [HOLE]
    early, client = _Client(), _Client()
    await world.come(client)
    assert client.got == [("gap", 10, 12)]
    world.log.known = []
    await world.come(early)
    await world.learn(HOLE)
    assert early.got == [("gap", 10, 12)]


async def test_what_it_has_in_between_is_not_declared(world: _World) -> None:
    world.newest, client = 21, _Client()
    world.events += [Event("us", 1, 14, "_", "a", "u", "e14", 0, b"1")]
    await world.come(client)
    world.jumps.stamp = 1
    await world.learn(replace_hole(last=14), Dealt(1, "us", frozenset({12})))
    assert client.got == [("gap", 10, 10), ("gap", 11, 11), ("gap", 14, 14)]


def replace_hole(last: int) -> Hole:
    return msgspec.structs.replace(HOLE, last=last)


async def test_rooms_that_come_with_the_same_cursor_are_remembered_as_one(world: _World) -> None:
    client = _Client()
    known: list[Any] = []
    for room in (ROOM, OTHER):
        came = await world.owing.came(cast("Any", client), frozenset({room}), CURSOR, known)
        known += came.each
    assert known[0] is known[1]
    world.sit(client, came)
    await world.learn(HOLE)
    assert client.got == [("event", 10), ("event", 11), ("event", 12)]


async def test_who_is_not_remembered_comes_again_where_a_hole_becomes_known(
    world: _World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owing, "REMEMBERED", 2)
    clients = [_Client() for _ in range(3)]
    for client in clients:
        await world.come(client)
    await world.owing.turn()
    assert [client.closed for client in clients] == [0, 0, 0], "nobody is owed anything"
    await world.learn(HOLE)
    assert [client.closed for client in clients] == [4000, 0, 0]
    assert clients[2].got == [("event", 10), ("event", 11), ("event", 12)]


async def test_while_its_region_is_not_heard_nobody_is_forgotten(
    world: _World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link may be cut for longer than a minute, and the record comes when it is back."""
    passed_s = 0.0
    monkeypatch.setattr("relay.edge.clock.now", lambda: SimpleNamespace(mono_s=passed_s))
    client, region = _Client(), HOLE.region
    await world.come(client)
    world.late.add(region)
    for passed_s in (30.0, 90.0, 150.0):  # noqa: B007 (the clock reads it)
        await world.owing.turn()
    world.late.clear()
    passed_s = 200.0
    gone = _Client()
    await world.come(gone)
    gone.alive = False
    await world.learn(HOLE)
    assert client.got == [("event", 10), ("event", 11), ("event", 12)]
    (kept,) = world.owing._came
    assert kept.connection is cast("Any", client), "who is gone is not kept"
    passed_s = 300.0
    await world.owing.turn()
    assert not world.owing._came


async def test_one_whose_region_is_silent_or_was_removed_keeps_nobody_else(
    world: _World, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_s = 0.0
    monkeypatch.setattr("relay.edge.clock.now", lambda: SimpleNamespace(mono_s=passed_s))
    world.late.add("gone")
    removed = replace(CURSOR, region="gone")
    for cursor in (removed, CURSOR):
        await world.owing.came(cast("Any", _Client()), frozenset({ROOM}), cursor)
    passed_s = 30.0
    await world.owing.turn()
    assert [came.cursor for came in world.owing._came] == [removed, CURSOR]
    passed_s = 61.0
    await world.owing.turn()
    assert not world.owing._came


async def test_each_has_its_minute_after_its_region_is_heard_again(
    world: _World, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_s = 0.0
    monkeypatch.setattr("relay.edge.clock.now", lambda: SimpleNamespace(mono_s=passed_s))
    world.owing._feeds = cast("Any", {"us": SimpleNamespace(), "ap": SimpleNamespace()})
    first, second = replace(CURSOR, region="ap"), CURSOR
    world.late |= {"ap", "us"}
    for cursor in (first, second):
        await world.owing.came(cast("Any", _Client()), frozenset({ROOM}), cursor)
    passed_s = 100.0
    await world.owing.turn()
    world.late.discard("us")  # while the one before it still waits
    passed_s = 130.0
    await world.owing.turn()
    assert [came.cursor for came in world.owing._came] == [first, second]
    passed_s = 161.0
    await world.owing.turn()
    assert [came.cursor for came in world.owing._came] == [first]


async def test_who_came_from_elsewhere_has_cursors_that_say_so_for_as_long_as_it_may_matter(
    world: _World, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_s = 0.0
    monkeypatch.setattr("relay.edge.clock.now", lambda: SimpleNamespace(mono_s=passed_s))
    client = _Client()
    await world.come(client)
    assert client.owing == {"us"}
    passed_s = 30.0
    again = await world.owing.came(cast("Any", client), frozenset({ROOM}), CURSOR)
    world.owing.seat(again.each)
    passed_s = 61.0
    await world.owing.turn()
    assert client.owing == {"us"}, "a later request of its own asks still"
    passed_s = 91.0
    await world.owing.turn()
    assert client.owing == frozenset()


async def test_what_cursors_say_is_dealt_with_waits_for_who_is_still_joining(
    world: _World,
) -> None:
    client = _Client()
    came = await world.come(client, join=False)
    await world.learn(HOLE)
    assert world.log.told == {}
    world.sit(client, came)
    async with asyncio.timeout(5):
        while not world.log.told:
            await asyncio.sleep(0)
    assert world.log.told == {"us": 5}
    assert client.got == [("event", 10), ("event", 11), ("event", 12)]


async def test_who_moves_on_is_owed_what_the_region_before_the_last_one_finds(
    world: _World,
) -> None:
    """The record of the hole had not come when it left the region that it went to."""
    moved = replace(CURSOR, region="ap", owes={"us": 3})
    known, late = _Client(), _Client()
    world.owing._feeds = {**world.owing._feeds, "ap": world.owing._feeds["us"]}
    for client, learns in ((late, True), (known, False)):
        came = await world.owing.came(cast("Any", client), frozenset({ROOM, OTHER}), moved)
        assert [each.cursor.region for each in came.each] == ["ap", "us"]
        client.got += [("event", event.seq) for event in came.events]
        world.sit(client, came)
        assert client.owing == {"ap", "us"}
        if learns:
            assert client.got == []
            await world.learn(HOLE)
    for client in (late, known):
        assert client.got == [("event", 10), ("event", 11), ("event", 12)]
    nothing = replace(moved, owes={"us": HOLE.number})
    assert (await world.owing.came(cast("Any", _Client()), frozenset({ROOM}), nothing)).events == []


async def test_what_it_may_have_passed_before_it_moved_is_declared_where_its_room_went_on(
    world: _World,
) -> None:
    """What came in the room since, came from the region in between: that had nothing to repair."""
    moved = replace(CURSOR, region="ap", owes={"us": 3})
    world.owing._feeds = {**world.owing._feeds, "ap": world.owing._feeds["us"]}
    world.log.known.append(HOLE)
    world.followed[ROOM] = (15,)
    client = _Client()
    came = await world.owing.came(cast("Any", client), frozenset({ROOM, OTHER}), moved)
    assert client.got == [("gap", 10, 12)]
    assert [event.seq for event in came.events] == [11]


async def test_what_two_regions_owe_is_sent_once(world: _World) -> None:
    both = replace(CURSOR, owes={"ap": 0})
    world.owing._feeds = {**world.owing._feeds, "ap": world.owing._feeds["us"]}
    world.log.known += [HOLE, msgspec.structs.replace(HOLE, region="ap")]
    client = _Client()
    came = await world.owing.came(cast("Any", client), frozenset({ROOM, OTHER}), both)
    assert [event.seq for event in came.events] == [10, 11, 12]
