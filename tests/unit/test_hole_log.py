"""Holes that are to be recorded: they wait where NATS takes nothing, and none is dropped."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.core.hole import Hole
from relay.edge import holes
from relay.edge.holes import WAITING, HoleLog
from relay.errors import BusError, UnavailableError

HOLES = (Hole("us", "eu", 10, 20, number=1), Hole("us", "eu", 30, 40, number=2))


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[Hole | None]:
    """What was recorded; while it begins with None, nothing is taken."""
    taken: list[Hole | None] = [None]

    async def store_hole(_inbox: object, hole: Hole) -> int:
        if taken[:1] == [None]:
            raise UnavailableError("no answer")
        taken.append(hole)
        return len(taken)

    monkeypatch.setattr(holes, "store_hole", store_hole)
    return taken


@pytest.fixture
def log() -> HoleLog:
    """The log of an edge of us, where NATS is silent."""
    nothing = cast("Any", SimpleNamespace())
    return HoleLog(nothing, nothing, ["us", "eu"], "us", nothing)


async def test_holes_wait_until_they_can_be_recorded_and_grow_together_when_there_are_many(
    stored: list[Hole | None], log: HoleLog
) -> None:
    assert not await log.note("ap", 3, 4)
    for number in range(WAITING + 10):
        assert not await log.note("eu", 2 * number + 1, 2 * number + 1)
    assert not await log.note("eu", 8, 8, skipped=True)
    with pytest.raises(BusError):
        await log.poll()
    stored.clear()
    assert await log.note("ap", 9, 9)
    found = [(hole.origin, hole.first, hole.last, hole.skipped) for hole in stored if hole]
    assert found[:3] == [("ap", 3, 9, False), ("eu", 1, 1, False), ("eu", 3, 3, False)]
    widest = 2 * WAITING - 3
    assert found[WAITING - 1 :] == [("eu", widest, 2 * WAITING + 19, False), ("eu", 8, 8, True)]


async def test_what_lies_in_holes_that_grew_together_and_was_never_recorded_is_recorded(
    stored: list[Hole | None], log: HoleLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.clear()
    monkeypatch.setattr("relay.bus.holes.KEPT", 1)
    for hole in HOLES:
        log._holes._keep(hole)
    assert [(hole.first, hole.last) for hole in log._holes.of("us")] == [(10, 40)]
    assert await log.note("eu", 22, 25)
    assert stored == [Hole("us", "eu", 22, 25)]
    log._holes._keep(Hole("eu", "eu", 5, 9, number=1))
    assert await log.note("eu", 5, 9), "of another region's cursors"


async def test_what_is_recorded_is_not_recorded_again(
    stored: list[Hole | None], log: HoleLog
) -> None:
    stored.clear()
    for hole in HOLES:
        log._holes._keep(hole)
    assert not await log.note("eu", 12, 20)
    assert await log.note("eu", 12, 21)
