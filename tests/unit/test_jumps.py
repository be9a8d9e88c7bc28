"""Stretches that the live feed jumped over: dealt with, and then said in cursors, in order."""

from typing import Any, cast

import pytest

from relay.core.hole import Hole, Stretch
from relay.edge.jumps import Jumps
from relay.errors import UnavailableError


class _Log:
    def __init__(self) -> None:
        self.fresh: list[Hole] = []
        self.recorded: list[tuple[str, int, int]] = []
        self.number = 0

    async def poll(self) -> list[Hole]:
        fresh, self.fresh = self.fresh, []
        return fresh

    async def record(self, origin: str, first: int, last: int) -> int:
        self.recorded.append((origin, first, last))
        return 99

    def dealt(self, number: int) -> None:
        self.number = max(self.number, number)


class _Mirrors:
    """`unheard`: first sequence -> events that the rooms lacked; None: a scan comes first."""

    def __init__(self) -> None:
        self.unheard: dict[int, int | None] = {}
        self.skipped: set[int] = set()
        self.asked: list[int] = []

    def lacks(self, origin: str, first: int, last: int) -> bool:
        assert origin == "eu"
        return bool(self.skipped & set(range(first, last + 1)))

    async def jumped(self, origin: str, first: int, last: int) -> int | None:
        assert origin == "eu"
        assert first <= last
        self.asked.append(first)
        return self.unheard.get(first, 0)


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
    holes = [Hole("us", "eu", 5, 6, number=3), Hole("ap", "eu", 8, 8, number=7)]
    log.fresh = list(holes)
    assert await jumps.turn() == holes, "the other regions' are returned as well"
    assert (log.number, mirrors.asked) == (3, [5])
    assert await jumps.turn() == []
    assert mirrors.asked == [5]


async def test_a_cursor_does_not_claim_a_hole_beyond_one_that_waits(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    log.fresh = [Hole("us", "eu", 5, 6, number=3), Hole("us", "eu", 9, 9, number=4)]
    mirrors.unheard[5] = None
    await jumps.turn()
    assert (log.number, mirrors.asked) == (0, [5, 9]), "the second is delivered all the same"
    mirrors.unheard[5] = 2
    await jumps.turn()
    assert (log.number, mirrors.asked) == (4, [5, 9, 5])


async def test_what_the_copy_had_skipped_waits_until_it_was_read_at_the_origin(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    log.fresh = [Hole("us", "eu", 5, 6, number=3, skipped=True)]
    mirrors.skipped = {6}
    await jumps.turn()
    assert (log.number, mirrors.asked) == (0, [])
    mirrors.skipped = set()
    await jumps.turn()
    assert log.number == 3


async def test_what_the_watcher_was_not_sure_of_is_recorded_if_it_was_one(
    log: _Log, mirrors: _Mirrors, jumps: Jumps
) -> None:
    jumps.told(Stretch("eu", 5, 6))
    jumps.told(Stretch("eu", 8, 8))
    jumps.told(Stretch("eu", 9, 9, number=12))  # comes with the record
    mirrors.unheard[8] = 1
    await jumps.turn()
    assert log.recorded == [("eu", 8, 8)]
    assert mirrors.asked == [5, 8]


async def test_without_nats_nothing_is_forgotten(log: _Log, mirrors: _Mirrors) -> None:
    class _Unavailable(_Mirrors):
        async def jumped(self, origin: str, first: int, last: int) -> int | None:
            if not self.asked:
                self.asked.append(0)
                raise UnavailableError("no answer")
            return await super().jumped(origin, first, last)

    jumps = Jumps(cast("Any", log), cast("Any", _Unavailable()), "us")
    hole = Hole("us", "eu", 5, 6, number=3)
    log.fresh = [hole]
    with pytest.raises(UnavailableError):
        await jumps.turn()
    assert await jumps.turn() == [hole]
    assert log.number == 3
