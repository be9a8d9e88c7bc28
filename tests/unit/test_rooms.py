"""A room's opening that fails leaves nothing behind, and the next one works."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from relay.bus.reader import API, Page
from relay.bus.replay import Pages
from relay.core.copy import Copy
from relay.core.cursor import CursorCodec
from relay.core.feed import Feed
from relay.core.hold import Hold
from relay.core.numbering import Numbering
from relay.core.rings import RingBounds, Rings
from relay.edge.feeds import Feeds
from relay.edge.hub import Hub
from relay.edge.rooms import Rooms
from relay.errors import BusError, UnavailableError
from tests.unit.streams_model import key

ROOM = key("a")


class _Connection:
    """NATS as far as rooms are opened on it."""

    hears = True

    def __init__(self) -> None:
        self.open: set[int] = set()
        self._sid = 0

    async def listen(self, _subject: str, _handler: object) -> int:
        self._sid += 1
        self.open.add(self._sid)
        return self._sid

    async def unlisten(self, sid: int) -> None:
        self.open.discard(sid)

    async def flush(self, _patience_s: int) -> None:
        await asyncio.sleep(0)


@dataclass
class _Reader:
    """Reads that fail or take long, by stream and number of the read."""

    fail: dict[tuple[str, int], Exception] = field(default_factory=dict)
    slow_s: dict[tuple[str, int], float] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    running: int = 0

    async def page(self, stream: str, _seq: int, **_: object) -> Page:
        number = self.reads[stream] = self.reads.get(stream, 0) + 1
        self.running += 1
        try:
            await asyncio.sleep(self.slow_s.get((stream, number), 0))
            if (stream, number) in self.fail:
                raise self.fail[stream, number]
            return Page((), 0)
        finally:
            self.running -= 1


class _Copies:
    def known(self, _origin: str) -> Copy:
        return Copy(1, 0)

    async def epoch_at(self, _origin: str, _api: str, _claimed: int) -> int:
        return 1

    async def source(self, _origin: str, _after: int, _upto: int) -> str:
        return API


def rooms_of(connection: _Connection, reader: _Reader) -> Rooms:
    hub = Hub("us", CursorCodec(bytes(32)), Numbering(0, 0))
    feeds = Feeds(
        cast("Any", connection), cast("Any", reader), cast("Any", _Copies()), hub,
        Rings(RingBounds(100, 10**6, 10**7, 10**6)), "us",
        clustered=False, pages=Pages(), hold=lambda: Hold(100, 10**6),
    )  # fmt: skip
    for origin in ("us", "eu"):
        feeds.feeds[origin] = Feed(origin, 1, 0, Hold(100, 10**6))
        feeds.feeds[origin].repairing = False
        hub.move(origin, 1, 0)
    return Rooms(feeds, 60.0, 10)


@pytest.mark.parametrize("error", [UnavailableError("no answer"), BusError("status 408")])
async def test_a_read_that_fails_ends_those_beside_it_and_the_next_opening_works(
    error: Exception,
) -> None:
    connection = _Connection()
    reader = _Reader(fail={("EV_eu", 1): error}, slow_s={("EV_us", 1): 30, ("EV_us", 2): 0.05})
    rooms = rooms_of(connection, reader)
    with pytest.raises(UnavailableError):
        await rooms.acquire(ROOM)
    assert (reader.running, connection.open, rooms.held) == (0, set(), 0)
    await rooms.acquire(ROOM)
    assert len(connection.open) == 2
    assert rooms.held == 1
    await rooms.close()


async def test_what_nobody_expected_fails_those_who_wait_and_is_no_trap_for_the_next() -> None:
    connection = _Connection()
    reader = _Reader(fail={("EV_us", 1): KeyError("a bug")}, slow_s={("EV_us", 1): 0.01})
    rooms = rooms_of(connection, reader)
    both = await asyncio.gather(rooms.acquire(ROOM), rooms.acquire(ROOM), return_exceptions=True)
    assert [type(each) for each in both] == [UnavailableError, UnavailableError]
    assert (connection.open, rooms.held) == (set(), 0)
    await rooms.acquire(ROOM)
    assert rooms.held == 1
    await rooms.close()
