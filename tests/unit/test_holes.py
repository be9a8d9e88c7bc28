"""The record of holes as a region reads it: nothing that was read is forgotten."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from relay.bus.events import SEQUENCE
from relay.bus.holes import Holes
from relay.bus.reader import Page
from relay.core.hole import Hole
from relay.core.names import records_stream
from relay.errors import UnavailableError


@dataclass
class _Records:
    """What each region's record holds; those in `silent` do not answer."""

    stored: dict[str, list[Hole]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    def store(self, region: str, first: int, last: int) -> None:
        self.stored.setdefault(records_stream(region), []).append(Hole(region, "us", first, last))

    made: dict[str, str] = field(default_factory=dict)  # by stream; else "t0"

    async def info(self, stream: str) -> Any:
        if stream in self.silent:
            raise UnavailableError("no answer")
        last = len(self.stored.get(stream, ()))
        return SimpleNamespace(created=self.made.get(stream, "t0"), last=last)

    async def page(self, stream: str, seq: int, *, batch: int, subject: str) -> Page:
        assert batch > 1
        assert subject.endswith(".hole")
        if stream in self.silent:
            raise UnavailableError("no answer")
        found = list(enumerate(self.stored.get(stream, ()), 1))[seq - 1 :]
        return Page(tuple(({SEQUENCE: str(n)}, msgspec.json.encode(h)) for n, h in found), 0)


@pytest.fixture
def records() -> _Records:
    return _Records()


@pytest.fixture
def holes(records: _Records) -> Holes:
    return Holes(cast("Any", records), ["us", "eu"])


def named(found: list[Hole]) -> list[tuple[str, int, int]]:
    return [(hole.region, hole.first, hole.number) for hole in found]


async def test_a_record_that_can_not_be_read_keeps_nothing_back(
    records: _Records, holes: Holes
) -> None:
    records.store("us", 1, 2)
    records.store("eu", 7, 7)
    records.silent = {records_stream("eu")}
    assert named(await holes.poll()) == [("us", 1, 1)]
    records.store("us", 5, 5)
    records.silent |= {records_stream("us")}
    with pytest.raises(UnavailableError):
        await holes.poll()
    records.silent = set()
    assert named(await holes.poll()) == [("us", 5, 2), ("eu", 7, 1)]
    assert await holes.poll() == []


async def test_what_two_edges_recorded_is_one(records: _Records, holes: Holes) -> None:
    records.store("us", 1, 2)
    records.store("us", 1, 2)
    records.store("us", 1, 3)
    assert named(await holes.poll()) == [("us", 1, 1), ("us", 1, 3)]
    assert len(holes.of("us")) == 2


async def test_a_record_that_was_lost_is_read_from_its_new_beginning(
    records: _Records, holes: Holes
) -> None:
    for first in range(1, 6):
        records.store("us", first, first)
    assert len(await holes.poll()) == 5
    records.stored[records_stream("us")] = []
    records.made[records_stream("us")] = "t1"
    records.store("us", 70, 71)
    found = [hole for _ in range(5) for hole in await holes.poll()]
    assert named(found) == [("us", 70, 1)]
    assert holes.fallen == {"us": 1}


async def test_a_copy_that_was_filled_anew_is_read_again_for_what_it_had_skipped(
    records: _Records, holes: Holes
) -> None:
    records.store("eu", 9, 9)
    assert named(await holes.poll()) == [("eu", 9, 1)]
    stream = records_stream("eu")
    records.stored[stream] = [Hole("eu", "us", 3, 4), Hole("eu", "us", 9, 9)]
    records.made[stream] = "t1"
    found = [hole for _ in range(5) for hole in await holes.poll()]
    assert named(found) == [("eu", 3, 1)]


async def test_of_too_many_none_is_forgotten_the_oldest_grow_together(
    records: _Records, holes: Holes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.bus.holes.KEPT", 4)
    for number in range(8):
        records.store("us", 10 * number, 10 * number + 1)
    assert len(await holes.poll()) == 8, "each is told"
    kept = holes.of("us")
    assert len(kept) == 4
    assert (kept[0].first, kept[0].last, kept[0].number) == (0, 41, 5)
    assert named(list(kept[1:])) == [("us", 50, 6), ("us", 60, 7), ("us", 70, 8)]
    assert holes.merged == 4
    records.made[records_stream("us")] = "t1"
    for _ in range(5):
        assert await holes.poll() == [], "read again, none is new"


async def test_a_hole_within_one_that_grew_is_news_where_it_was_recorded_later(
    records: _Records, holes: Holes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.bus.holes.KEPT", 2)
    for first, last in ((10, 20), (30, 40), (50, 60)):
        records.store("us", first, last)
    await holes.poll()
    assert (holes.merged, holes.of("us")[0].last) == (1, 40)
    records.store("us", 22, 25)
    assert named(await holes.poll()) == [("us", 22, 4)]


async def test_a_hole_as_wide_as_one_that_grew_is_news_where_it_was_recorded_later(
    records: _Records, holes: Holes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.bus.holes.KEPT", 1)
    for first, last in ((10, 20), (21, 40)):
        records.store("us", first, last)
    await holes.poll()
    assert [(hole.first, hole.last) for hole in holes.of("us")] == [(10, 40)]
    records.store("us", 10, 40)
    assert named(await holes.poll()) == [("us", 10, 3)]
