"""The home stream: whether the epoch that was to begin has begun in it."""

from typing import Any, cast

import pytest

from relay.bus.events import EPOCH, SEQUENCE
from relay.bus.home import HomeStream
from relay.bus.reader import Page, StreamInfo
from relay.core.gate import StartEpoch, first_look
from relay.errors import BusError


class _Reader:
    """A home stream: the epoch that each sequence is stamped with."""

    def __init__(self, stamped: dict[int, int]) -> None:
        self.stamped = stamped
        self.pages = 0

    async def page(self, _stream: str, seq: int, *, batch: int) -> Page:
        self.pages += 1
        found = [one for one in sorted(self.stamped) if one >= seq][:batch]
        messages = [({SEQUENCE: str(one), EPOCH: str(self.stamped[one])}, b"") for one in found]
        return Page(tuple(messages), 0)


def home(reader: _Reader) -> HomeStream:
    return HomeStream(cast("Any", None), cast("Any", reader), "us")


def info(last: int, above: int, first: int = 1) -> StreamInfo:
    metadata = {"epoch": "2", "epoch_above": str(above)}
    return StreamInfo(first, last, last - first + 1, 0, 0, "monday", metadata, {})


async def test_what_another_edge_stored_where_an_epoch_was_to_begin_does_not_begin_it() -> None:
    reader = _Reader({100: 1, 101: 1, 102: 1, 103: 1})
    one = home(reader)
    found = await one.begun(info(last=103, above=102))
    assert (found.epoch, found.above) == (2, 104)
    assert first_look(found, ()) == StartEpoch(2, 104)
    reader.stamped[104] = 2
    assert (await one.begun(info(last=104, above=104))).above == 104


async def test_an_epoch_that_has_begun_is_looked_at_once() -> None:
    reader = _Reader({101: 1, 102: 2, 103: 2})
    one = home(reader)
    for _ in range(3):
        assert (await one.begun(info(last=103, above=102))).above == 102
    assert reader.pages == 1
    assert (await one.begun(info(last=101, above=102))).above == 102, "it is to be finished"


async def test_a_beginning_that_limits_have_dropped_is_one() -> None:
    one = home(_Reader({150: 2}))
    assert (await one.begun(info(last=150, above=102, first=150))).above == 102


async def test_a_replica_that_shows_nothing_says_nothing() -> None:
    with pytest.raises(BusError, match="does not show"):
        await home(_Reader({})).begun(info(last=103, above=102))
