"""The lease of who works on a region: in most of the regions, and nobody else's."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from regions.errors import OperationError
from regions.operations import lock as module
from regions.operations.holder import Holder
from regions.operations.lock import FLEET, BusyError, Lock, holder_of
from regions.operations.station import Station
from relay.bus.ack import PubAck, _ApiError
from relay.core.names import is_region
from relay.errors import UnavailableError


@dataclass
class _Station:
    """A region's LEASE stream, as far as one lease goes: compare-and-set by sequence."""

    region: str
    held: tuple[bytes, int] = (b"", 0)
    silent: bool = False
    stores: list[str] = field(default_factory=list)
    last: int = 0

    async def store(self, subject: str, data: bytes, headers: dict[str, str]) -> PubAck:
        await asyncio.sleep(0)
        if self.silent:
            raise UnavailableError("no answer")
        if int(headers["Nats-Expected-Last-Subject-Sequence"]) != self.held[1]:
            return PubAck(error=_ApiError(400, 10071, "wrong last sequence"))
        self.stores.append(subject)
        self.last += 1
        self.held = data, self.last
        return PubAck(seq=self.last)

    async def holder(self, _subject: str) -> tuple[Holder | None, int]:
        if self.silent:
            raise UnavailableError("no answer")
        data, seq = self.held
        return (msgspec.json.decode(data, type=Holder) if data else None), seq

    async def drop(self, seq: int) -> None:
        if self.held[1] == seq:
            self.held = b"", 0

    def expire(self) -> None:
        self.held = b"", 0


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", (0.0, 0.001))
    monkeypatch.setattr(module, "RENEW_S", 0.01)


def has(one: Lock) -> bool:
    """Whether it stands now."""
    return one.stands


def stations() -> list[_Station]:
    return [_Station(name) for name in ("us", "eu", "ap")]


def lock(of: list[_Station], token: str, *, minority: bool = False, run: str = "") -> Lock:
    holder = Holder(run or f"run-{token}", token, 1_800_000_000_000, token)
    return Lock(cast("Any", of), 3, "eu", holder, minority=minority)


async def test_one_has_it_and_the_second_is_told_who_and_since_when() -> None:
    there = stations()
    first, second = lock(there, "one"), lock(there, "two")
    await first.take()
    assert has(first)
    with pytest.raises(
        BusyError, match=r"one is at work on eu since 2027-01-15 08:00:00Z: run-one"
    ):
        await second.take()
    assert not has(second)
    found = await holder_of(cast("Any", there), "eu")
    assert found is not None
    assert found.by == "one"
    await first.release()
    assert not has(first)
    await second.take()
    assert has(second)
    await second.release()
    assert [each.held for each in there] == [(b"", 0)] * 3


async def test_two_that_begin_at_once_do_not_both_have_it() -> None:
    for _ in range(50):
        there = stations()
        both = [lock(there, "one"), lock(there, "two")]
        await asyncio.gather(*(each.take() for each in both), return_exceptions=True)
        assert sum(has(each) for each in both) <= 1
        await asyncio.gather(*(each.release() for each in both))


async def test_two_who_take_up_the_same_operation_do_not_both_have_it() -> None:
    there = stations()
    first, second = lock(there, "one", run="r"), lock(there, "two", run="r")
    await first.take()
    with pytest.raises(BusyError):
        await second.take()
    await first.release()


async def test_most_regions_are_enough_and_fewer_are_not_unless_it_is_said() -> None:
    there = stations()
    there[0].silent = True
    one = lock(there, "one")
    await one.take()
    await one.release()
    there[1].silent = True
    with pytest.raises(OperationError, match="2 are needed"):
        await lock(there, "one").take()
    alone = lock(there, "one", minority=True)
    await alone.take()
    assert has(alone)
    await alone.release()
    there[2].silent = True
    with pytest.raises(OperationError, match="no region stores who is at work"):
        await lock(there, "one", minority=True).take()


async def test_whoever_says_why_does_not_get_past_somebody_who_is_at_work() -> None:
    there = stations()
    first = lock(there, "one")
    await first.take()
    there[0].silent = True
    with pytest.raises(BusyError):
        await lock(there, "two", minority=True).take()
    await first.release()


async def test_it_is_prolonged_and_lost_where_somebody_else_has_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TTL_S", 0.3)
    there = stations()
    one = lock(there, "one")
    await one.take()
    await asyncio.sleep(0.6)
    assert has(one), "it was prolonged"
    thief = msgspec.json.encode(Holder("other", "two", 0, "two"))
    for each in there:
        each.held = thief, each.last + 5
        each.last += 5
    await asyncio.sleep(0.6)
    assert not has(one)
    await one.release()
    assert all(each.held[0] == thief for each in there), "what is another's is not given back"


def test_the_fleet_is_no_region() -> None:
    assert not is_region(FLEET)


@pytest.mark.parametrize(("age_s", "held"), [(1, True), (19, True), (21, False), (90_000, False)])
async def test_a_lease_that_the_store_forgot_to_end_is_nobodys(age_s: int, held: bool) -> None:
    now_ms, kept = 1_800_000_000_000, Holder("r", "ops", 5)
    stamp = datetime.fromtimestamp(now_ms / 1000 - age_s, UTC).isoformat()

    class Reader:
        async def api(self, *_: object) -> dict[str, str]:
            return {"ts": datetime.fromtimestamp(now_ms / 1000, UTC).isoformat()}

        async def last_by_subject(self, *_: object) -> tuple[dict[str, str], bytes]:
            return {"Nats-Sequence": "7", "Nats-Time-Stamp": stamp}, msgspec.json.encode(kept)

    station = Station("us", cast("Any", None), cast("Any", None))
    station.reader = cast("Any", Reader())
    found = await station.holder("duty.us.running.eu")
    assert found == (kept if held else None, 7)


async def test_regions_that_hang_do_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    there = stations()
    one = lock(there, "one")
    await one.take()
    before_s = one._until_s
    hang = asyncio.Event()

    async def hangs(*_: object) -> PubAck:
        await hang.wait()
        raise UnavailableError("no answer")

    monkeypatch.setattr(there[0], "store", hangs)
    async with asyncio.timeout(5):
        while one._until_s == before_s:
            await asyncio.sleep(0.01)
    hang.set()
    await one.release()
