"""The books: an order goes into all that are reached, and one is enough."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from regions.errors import OperationError
from regions.operations.book import Book
from relay.bus.ack import PubAck, _ApiError
from relay.core.orders import Order
from relay.errors import UnavailableError

ORDER = Order(region="eu", edge="eu-1", at_ms=5, by="ops", drain_s=1.0)


@dataclass
class _Station:
    region: str
    state: str = "well"  # well | full | silent
    ahead_ms: int = 0  # of its clock
    stored: list[str] = field(default_factory=list)
    reader: Any = None

    async def store(self, subject: str, _data: bytes) -> PubAck:
        if self.state == "silent":
            raise UnavailableError("no answer")
        if self.state == "full":
            return PubAck(error=_ApiError(400, 10077, "maximum bytes exceeded"))
        self.stored.append(subject)
        return PubAck(seq=len(self.stored))

    async def now_ms(self) -> int:
        if self.state == "silent":
            raise UnavailableError("no answer")
        return 1_800_000_000_000 + self.ahead_ms


def book(*stations: _Station) -> Book:
    return Book(cast("Any", stations), [each.region for each in stations])


async def test_an_order_goes_into_every_book_since_each_region_may_be_cut_off() -> None:
    there = [_Station("us"), _Station("eu", "silent"), _Station("ap")]
    await book(*there).give(ORDER)
    assert [each.stored for each in there] == [
        ["ops.us.order.eu.eu-1"], [], ["ops.ap.order.eu.eu-1"],
    ]  # fmt: skip


async def test_where_no_book_takes_it_each_says_why() -> None:
    there = [_Station("us", "silent"), _Station("eu", "full")]
    with pytest.raises(OperationError, match=r"us: no answer; eu: maximum bytes exceeded"):
        await book(*there).give(ORDER)


async def test_orders_are_stamped_by_the_regions_clock_and_each_later_than_the_one_before() -> None:
    there = [_Station("us", ahead_ms=9_000_000), _Station("eu"), _Station("ap", ahead_ms=5)]
    one = book(*there)
    await one.set_clock()
    first = one.stamp_ms()
    assert 0 <= first - 1_800_000_000_005 < 60_000, "of three clocks the middle one"
    assert one.stamp_ms() > first
    assert one.stamp_ms(first + 10_000_000) == first + 10_000_001
    with pytest.raises(OperationError, match="what time it is"):
        await book(_Station("us", "silent")).set_clock()
