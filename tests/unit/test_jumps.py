"""Stretches that the live feed jumped over: dealt with, and then said in cursors, in order."""

from typing import Any, cast

import pytest

from relay.core.hole import Hole, Stretch
from relay.edge.jumps import PART, RUNS, WAITING, Dealt, Jumps, News
from relay.edge.mirrors import Lacked
from relay.errors import UnavailableError


class _Log:
    """Holes that others recorded come out of `poll`, and those noted here, if NATS takes them."""

    def __init__(self) -> None:
        self.fresh: list[Hole] = []
        self.noted: list[tuple[str, int, int, bool]] = []
        self.number = 0
        self.takes = True

    async def poll(self) -> list[Hole]:
        fresh, self.fresh = self.fresh, []
        return fresh

    async def note(self, origin: str, first: int, last: int, *, skipped: bool = False) -> bool:
        self.noted.append((origin, first, last, skipped))
        if self.takes:
            number = 100 + len(self.noted)
            self.fresh.append(Hole("us", origin, first, last, number=number, skipped=skipped))
        return self.takes

    def dealt(self, number: int) -> None:
        self.number = max(self.number, number)


class _Mirrors:
    """`unheard`: first sequence -> what the rooms lacked; None: a scan comes first."""

    def __init__(self) -> None:
        self.unheard: dict[int, set[int] | None] = {}
        self.not_here: set[int] = set()  # of those, what the copy had skipped
        self.silent: set[str] = set()
        self.asked: list[int] = []

    async def jumped(self, origin: str, first: int, last: int) -> Lacked | None:
        assert first <= last
        if origin in self.silent:
            raise UnavailableError("no answer")
        self.asked.append(first)
        lacked = self.unheard.pop(first, set())
        if lacked is None:
            return None
        return Lacked(frozenset(lacked - self.not_here), frozenset(lacked & self.not_here))


@pytest.fixture
def log() -> _Log:
    return _Log()


@pytest.fixture
def mirrors() -> _Mirrors:
    return _Mirrors()


@pytest.fixture
def jumps(log: _Log, mirrors: _Mirrors) -> Jumps:
    return Jumps(cast("Any", log), cast("Any", mirrors), "us")


async def test_what_was_recorded_is_dealt_with_once_and_said_in_cursors(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    ours, theirs = Hole("us", "eu", 5, 6, number=3), Hole("ap", "eu", 8, 8, number=7)
    log.fresh = [ours, theirs]
    assert await jumps.turn() == [News(theirs), News(ours)]
    assert (log.number, mirrors.asked) == (3, [5])
    assert await jumps.turn() == []
    assert mirrors.asked == [5]


async def test_a_cursor_does_not_claim_a_hole_beyond_one_that_waits(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    first, second = Hole("us", "eu", 5, 6, number=3), Hole("us", "eu", 9, 9, number=4)
    log.fresh = [first, second]
    mirrors.unheard[5] = None
    assert await jumps.turn() == [News(second)], "it is delivered, and told, all the same"
    assert (log.number, mirrors.asked) == (0, [5, 9])
    assert await jumps.turn() == [News(first)]
    assert (log.number, mirrors.asked) == (4, [5, 9, 5])


async def test_what_the_copy_had_skipped_is_delivered_once_it_is_recorded(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    await jumps.skipped("eu", 5, 6)
    assert mirrors.asked == []
    hole = log.fresh[0]
    assert hole.skipped
    assert await jumps.turn() == [News(hole)]
    assert (log.number, mirrors.asked) == (hole.number, [5])


async def test_what_could_not_be_recorded_is_delivered_all_the_same(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    log.takes = False
    mirrors.unheard[5] = {6}
    await jumps.skipped("eu", 5, 6)
    await jumps.skipped("eu", 5, 6)  # found again a second later
    assert await jumps.turn() == []
    assert mirrors.asked == [5]
    hole = Hole("us", "eu", 5, 6, number=3, skipped=True)
    log.fresh = [hole]
    assert await jumps.turn() == [News(hole, (Dealt(1, "eu", frozenset({6})),))], (
        "by the time when it was delivered, not recorded"
    )


async def test_what_the_watcher_was_not_sure_of_is_recorded_if_it_was_one(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    looks = []
    jumps.look = lambda: looks.append(1)
    for stretch in (Stretch("eu", 5, 6), Stretch("eu", 8, 8), Stretch("eu", 9, 9, number=12)):
        jumps.told(stretch)  # the last comes with the record
    mirrors.unheard[8] = {8}
    await jumps.turn()
    assert log.noted == [("eu", 8, 8, False)]
    assert mirrors.asked == [5, 8]
    assert len(looks) == 3


async def test_no_more_is_recorded_than_what_was_lacking(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    jumps.told(Stretch("eu", 2, 44))
    mirrors.unheard[2] = {7, 8, 30}
    mirrors.not_here = {30}
    assert await jumps.turn() == []
    assert log.noted == [("eu", 7, 8, False), ("eu", 30, 30, True)]
    given = (Dealt(1, "eu", frozenset({7, 8, 30})),)
    first, second = log.fresh
    assert await jumps.turn() == [News(first, given), News(second, given)]


async def test_of_very_many_holes_the_nearest_become_one(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    jumps.told(Stretch("eu", 1, 1_000))
    mirrors.unheard[1] = {10, 12, *range(20, 20 + 5 * RUNS, 5)}
    await jumps.turn()
    apart = [("eu", seq, seq, False) for seq in range(20, 20 + 5 * (RUNS - 1), 5)]
    assert log.noted[0] == ("eu", 10, 12, False)
    assert len(log.noted) == RUNS
    assert len(set(log.noted) & set(apart)) >= RUNS - 3


async def test_an_origin_that_does_not_answer_holds_up_only_its_own(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    far, near = Hole("us", "eu", 5, 6, number=3), Hole("us", "us", 9, 9, number=4)
    log.fresh = [far, near]
    mirrors.silent = {"eu"}
    assert await jumps.turn() == [News(near)]
    assert log.number == 0
    mirrors.silent = set()
    assert await jumps.turn() == [News(far)]
    assert log.number == 4


async def test_where_very_many_wait_they_grow_together_and_none_is_dropped(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    mirrors.silent = {"eu", "ap"}
    for number in range(WAITING + 10):
        jumps.told(Stretch("eu", 2 * number + 1, 2 * number + 1))
        await jumps.turn()
    jumps.told(Stretch("ap", 7, 7))
    mirrors.silent = set()
    mirrors.unheard[2 * WAITING - 1] = {2 * WAITING + 19}
    await jumps.turn()
    assert mirrors.asked == [*range(1, 2 * WAITING, 2), 7]
    assert log.noted == [("eu", 2 * WAITING + 19, 2 * WAITING + 19, False)]


async def test_what_grows_while_it_is_dealt_with_is_dealt_with_again(
    mirrors: _Mirrors, jumps: Jumps
) -> None:
    for number in range(WAITING):
        jumps.told(Stretch("eu", number + 1, number + 1))
    told = mirrors.jumped

    async def jumped(origin: str, first: int, last: int) -> Lacked | None:
        lacked = await told(origin, first, last)
        if first == WAITING and last == WAITING:
            jumps.told(Stretch("eu", WAITING + 5, WAITING + 5))
        return lacked

    mirrors.jumped = jumped  # type: ignore[method-assign]
    await jumps.turn()
    await jumps.turn()
    assert mirrors.asked == [*range(1, WAITING + 1), WAITING]


async def test_no_more_wait_behind_one_that_waits_than_are_told_of(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    mirrors.silent = {"ap"}
    jumps.told(Stretch("ap", 1, 1))
    log.fresh = [Hole("us", "eu", seq, seq, number=seq) for seq in range(1, 30)]
    for seq in range(30, 60):
        jumps.told(Stretch("eu", seq, seq))
    assert len(await jumps.turn()) == 29
    assert len(jumps._waiting) == 2
    assert log.number == 0
    mirrors.silent = set()
    await jumps.turn()
    assert (len(jumps._waiting), log.number) == (0, 29)


async def test_what_was_skipped_is_recorded_so_within_a_stretch_that_was_only_jumped_over(
    log: _Log, jumps: Jumps
) -> None:
    jumps.told(Stretch("eu", 1, 9))
    await jumps.skipped("eu", 5, 6)
    assert log.noted == [("eu", 5, 6, True)]


async def test_a_long_stretch_is_dealt_with_in_parts_and_goes_on_where_it_was(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    hole = Hole("us", "eu", 1, 3 * PART, number=3)
    log.fresh = [hole]
    mirrors.unheard = {1: {5}, PART + 1: {PART + 7}, 2 * PART + 1: None}
    assert await jumps.turn() == []
    assert (mirrors.asked, log.number) == ([1, PART + 1, 2 * PART + 1], 0)
    [news] = await jumps.turn()
    assert mirrors.asked[3:] == [2 * PART + 1], "what was dealt with is not read again"
    assert log.number == 3
    assert [sorted(dealt.events) for dealt in news.dealt] == [[5], [PART + 7]]
    assert [dealt.stamp for dealt in news.dealt] == [1, 2]
