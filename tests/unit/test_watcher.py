"""The watcher at work: a jump that it found is told, whatever fails meanwhile."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.bus.events import SEQUENCE
from relay.bus.reader import Page
from relay.core.hole import Stretch, decode_stretch
from relay.core.session import Instant
from relay.core.watch import Skipped, Watch
from relay.edge.watcher import SKIPS, TOLD_AGAIN_S, Watcher
from relay.errors import BusError, UnavailableError


class _Region:
    """What a watcher needs of its edge."""

    def __init__(self) -> None:
        self.told: list[Stretch] = []
        self.silent = self.full = False
        self.recorded = 0

    async def page(self, _stream: str, seq: int, *, batch: int) -> Page:
        assert batch == 1
        if self.silent:
            raise UnavailableError("no answer")
        return Page((({SEQUENCE: str(seq)}, b"1"),), 0)

    async def record(self, _origin: str, _first: int, _last: int) -> int:
        if self.full:
            raise BusError("no room")
        self.recorded += 1
        return self.recorded

    async def send(self, _subject: str, body: bytes, _reply: str) -> None:
        stretch = decode_stretch(body)
        assert stretch is not None
        self.told.append(stretch)

    async def take_duty(self, _duty: str) -> bool:
        return False  # another edge has it now


@pytest.fixture
def region() -> _Region:
    return _Region()


def watcher_of(region: _Region, *, clustered: bool = False) -> Watcher:
    feeds = SimpleNamespace(feeds={"us": SimpleNamespace(position=9)})
    nothing = SimpleNamespace()
    parts = (nothing, region, region, nothing, region, feeds, nothing, region, "us")
    return Watcher(*(cast("Any", part) for part in parts), clustered=clustered)


@pytest.fixture
def watcher(region: _Region) -> Watcher:
    return watcher_of(region)


async def test_a_jump_is_told_also_after_a_failure_and_without_the_duty(
    region: _Region, watcher: Watcher
) -> None:
    watcher._found("us", (Skipped(3, 4), Skipped(6, 6)))
    region.silent = True
    await watcher.turn()
    region.silent, region.full = False, True
    await watcher.turn()
    assert region.told == []
    region.full = False
    await watcher.turn()
    assert region.told == [Stretch("us", 3, 4, 1), Stretch("us", 6, 6, 2)]
    await watcher.turn()
    assert len(region.told) == 2


async def test_too_many_jumps_become_one_and_none_is_dropped(
    region: _Region, watcher: Watcher
) -> None:
    for seq in range(1, 2 * SKIPS + 20, 2):
        watcher._found("us", (Skipped(seq, seq),))
    await watcher.turn()
    assert len(region.told) == SKIPS
    last = region.told[-1]
    assert (last.first, last.last, last.number) == (2 * SKIPS - 1, 2 * SKIPS + 19, 0)


async def test_what_is_in_no_record_is_told_once_more_to_who_was_reconnecting(
    region: _Region, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr("relay.edge.clock.now", lambda: Instant(now_s, 0))
    watcher._found("us", (Skipped(3, 4, sure=False), Skipped(6, 6)))
    await watcher.turn()
    assert region.told == [Stretch("us", 3, 4), Stretch("us", 6, 6, 1)]
    now_s += TOLD_AGAIN_S
    await watcher.turn()
    await watcher.turn()
    assert region.told[2:] == [Stretch("us", 3, 4)]


@pytest.mark.parametrize("clustered", [True, False])
async def test_what_a_watcher_is_sure_of_begins_when_all_servers_know_that_it_listens(
    region: _Region, monkeypatch: pytest.MonkeyPatch, clustered: bool
) -> None:
    done: list[str] = []

    async def step(name: str) -> SimpleNamespace:
        done.append(name)
        return SimpleNamespace(last=9)

    monkeypatch.setattr("relay.bus.connection.asyncio.sleep", lambda _: step("wait"))
    region.info = lambda _stream: step("look")  # type: ignore[attr-defined]
    watcher = watcher_of(region, clustered=clustered)
    watcher._watches = {"us": Watch("us")}
    watcher._past.append({"us": 9})
    watcher._connection = cast(
        "Any", SimpleNamespace(flush=lambda _: step("flush"), hears=True, is_closed=False)
    )
    await watcher._join()
    assert done == ["flush", *(["wait"] if clustered else []), "look"]
