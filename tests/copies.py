"""Every region's copy of every stream, read and compared."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from regions.permissions import inbox
from relay.bus.connection import open_connection
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core import names
from tests.world import World

STREAMS = (names.events_stream, names.records_stream)
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
    """Wait until every copy of each stream has reached these sequences; how long it took."""
    began_s = time.monotonic()
    missing = [(region, stream) for region in readers for stream in wanted]
    while missing:
        state = [
            (region, stream, (await readers[region].info(stream)).last)
            for region, stream in missing
        ]
        missing = [(region, stream) for region, stream, last in state if last < wanted[stream]]
        if missing:
            behind = [one for one in state if one[2] < wanted[one[1]]]
            assert time.monotonic() < began_s + timeout_s, f"{behind}, wanted {wanted}"
            await asyncio.sleep(0.05)
    return time.monotonic() - began_s


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
