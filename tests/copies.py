"""Every region's copy of every stream, read and compared."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from regions.permissions import inbox
from relay.bus.connection import open_connection
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core import names
from relay.errors import BusError
from tests.world import World

STREAMS = (names.events_stream, names.records_stream, names.log_stream)
_VARYING = {"Nats-Num-Pending", "Nats-Last-Sequence"}  # of the answer, not of the message

Stored = dict[int, tuple[dict[str, str], bytes]]  # sequence -> headers and payload
Readers = dict[str, Reader]


@asynccontextmanager
async def reading(world: World, regions: Sequence[str]) -> AsyncIterator[Readers]:
    """A reader of each region's own copies."""
    readers: Readers = {}
    async with AsyncExitStack() as stack:
        for region in regions:
            config = world.nats_config(region)
            connection = await open_connection(config, f"test-{region}", inbox("edge"))
            stack.push_async_callback(connection.close)
            replies = Inbox(connection)
            await replies.start()
            readers[region] = Reader(replies, reads=8, timeout_s=5.0)
        yield readers


async def heads(readers: Readers) -> dict[str, int]:
    """The last sequence of every home stream now."""
    return {
        stream_of(origin): (await readers[origin].info(stream_of(origin))).last
        for origin in readers
        for stream_of in STREAMS
    }


async def until_everywhere(readers: Readers, wanted: dict[str, int], timeout_s: float) -> float:
    """Wait until every copy of each stream has all up to these sequences; how long it took.

    A mirror may have skipped some when its link came back: it is whole when it was filled anew.
    """
    began_s = time.monotonic()
    missing = [(region, stream) for region in readers for stream in wanted]
    while missing:
        state = {one: await extent(readers[one[0]], one[1]) for one in missing}
        missing = [one for one in missing if not state[one].whole(wanted[one[1]])]
        if missing:
            behind = {one: state[one] for one in missing}
            assert time.monotonic() < began_s + timeout_s, f"{behind}, wanted {wanted}"
            await asyncio.sleep(0.05)
    return time.monotonic() - began_s


@dataclass(frozen=True)
class Extent:
    """How far a copy goes, and how many sequences it skipped. The tests' streams begin at 1."""

    first: int = 1
    last: int = 0
    skipped: int = 0

    def whole(self, upto: int) -> bool:
        """Whether it holds everything up to a sequence."""
        return self.first == 1 and self.skipped == 0 and self.last >= upto


async def extent(reader: Reader, stream: str) -> Extent:
    """What a region's copy holds now: nothing while it is made anew."""
    try:
        info = await reader.info(stream)
    except BusError:
        return Extent()
    return Extent(info.first, info.last, info.deleted)


async def stored(reader: Reader, stream: str, upto: int) -> Stored:
    """Every message of a region's copy: sequence -> headers and payload."""
    found: Stored = {}
    seq = 1
    while seq <= upto:
        page = await reader.page(stream, seq, batch=500)
        if not page.messages:
            break
        for headers, data in page.messages:
            kept = {name: value for name, value in headers.items() if name not in _VARYING}
            found[int(headers["Nats-Sequence"])] = (kept, data)
        seq = page.last + 1
    return {seq: message for seq, message in found.items() if seq <= upto}


async def check_copies(readers: Readers, timeout_s: float) -> dict[str, Stored]:
    """Every copy of every stream equals the origin's; returns the events by origin."""
    ends = await heads(readers)
    await until_everywhere(readers, ends, timeout_s)
    events: dict[str, Stored] = {}
    for stream, end in ends.items():
        copies = {region: await stored(readers[region], stream, end) for region in readers}
        origin = stream.partition("_")[2]
        home = copies.pop(origin)
        assert home, f"{stream} is empty"
        for region, copy in copies.items():
            missing = sorted(home.keys() - copy.keys())
            assert not missing, f"{stream} in {region} lacks {missing[:5]} and so on, of {end}"
            assert copy == home, f"{stream} in {region} differs from {origin}"
        if stream == names.events_stream(origin):
            events[origin] = home
    return events
