"""A TCP relay that is cut, stalled and slowed, with real sockets on loopback."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from regions.faults.flow import Flow
from regions.faults.relay import Lane, Relay

PATIENCE_S = 5.0


class Line:
    """A relay to a server that sends back what it gets; both directions can be set."""

    def __init__(self) -> None:
        self.out, self.back = Lane(), Lane()
        self.accepted = 0
        self.got = bytearray()  # what reached the server
        self._server: asyncio.Server | None = None
        self.relay = Relay("127.0.0.1", 0, ("127.0.0.1", 0), self.out, self.back)
        self._open: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._echo, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.relay = Relay("127.0.0.1", 0, ("127.0.0.1", port), self.out, self.back)
        await self.relay.start()

    async def close(self) -> None:
        """End everything."""
        await self.relay.close()
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await self._server.wait_closed()

    def set(self, out: Flow, back: Flow | None = None) -> None:
        """Set the directions; one alone means both."""
        self.out.set(out)
        self.back.set(out if back is None else back)
        self.relay.changed()

    async def dial(self) -> "Caller":
        """A connection through the relay."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.relay.port)
        self._open.append(writer)
        return Caller(reader, writer)

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open.append(writer)
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                self.got += data
                writer.write(data)
                await writer.drain()
        writer.close()


class Caller:
    """Somebody who dialled."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self, data: bytes) -> None:
        """Send."""
        self.writer.write(data)

    async def hear(self, count: int) -> bytes:
        """Receive so many bytes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readexactly(count)

    async def trip_ms(self) -> float:
        """How long a byte takes there and back."""
        began = time.monotonic()
        self.say(b"x")
        await self.hear(1)
        return (time.monotonic() - began) * 1000

    async def is_silent(self, for_s: float) -> bool:
        """Whether nothing comes, not even an end."""
        try:
            async with asyncio.timeout(for_s):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False

    async def is_reset(self) -> bool:
        """Whether the connection ends."""
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                return not await self.reader.read(1)
        return True


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    """A line that works."""
    made = Line()
    await made.start()
    yield made
    await made.close()


async def test_a_megabyte_goes_through_unchanged_and_the_end_of_one_side_ends_the_other(
    line: Line,
) -> None:
    caller = await line.dial()
    sent = bytes(range(256)) * 4096
    caller.say(sent)
    assert await caller.hear(len(sent)) == sent
    for writer in line._open[1:]:
        writer.close()
    assert await caller.is_reset()


async def test_each_direction_has_its_own_delay(line: Line) -> None:
    caller = await line.dial()
    assert min([await caller.trip_ms() for _ in range(5)]) < 40
    line.set(Flow(delay_ms=60), Flow(delay_ms=20))
    trips = sorted([await caller.trip_ms() for _ in range(5)])
    assert trips[0] >= 80
    assert trips[2] < 200
    line.set(Flow())
    assert min([await caller.trip_ms() for _ in range(5)]) < 40


async def test_a_delay_does_not_slow_a_stream_down_only_later(line: Line) -> None:
    line.set(Flow(delay_ms=100), Flow())
    caller = await line.dial()
    sent = bytes(4 * 1024**2)
    began = time.monotonic()
    caller.say(sent)
    assert len(await caller.hear(len(sent))) == len(sent)
    assert time.monotonic() - began < 2.0  # piece by piece it would have taken 64 delays


async def test_cut_it_swallows_what_comes_tells_nobody_and_is_reset_when_healed(
    line: Line,
) -> None:
    caller, quiet = await line.dial(), await line.dial()
    assert await caller.trip_ms() < 1000
    assert await quiet.trip_ms() < 1000
    line.set(Flow(cut=True))
    caller.say(b"lost")
    assert await caller.is_silent(0.3)
    assert line.got == b"xx"
    line.set(Flow())
    assert await caller.is_reset()  # bytes are missing in it
    assert await quiet.trip_ms() < 1000  # nothing is missing in this one
    again = await line.dial()
    assert await again.trip_ms() < 1000


async def test_whoever_dials_during_a_cut_reaches_nobody(line: Line) -> None:
    line.set(Flow(), Flow(cut=True))
    caller = await line.dial()
    caller.say(b"hello")
    assert await caller.is_silent(0.3)
    assert line.accepted == 0
    line.set(Flow())
    assert await caller.is_reset()


async def test_cut_one_way_the_other_way_is_open(line: Line) -> None:
    caller = await line.dial()
    await caller.trip_ms()
    line.set(Flow(), Flow(cut=True))
    caller.say(b"there")
    async with asyncio.timeout(PATIENCE_S):
        while line.got != b"xthere":
            await asyncio.sleep(0.01)
    assert await caller.is_silent(0.2)


async def test_the_end_of_a_side_is_not_told_through_a_cut(line: Line) -> None:
    caller = await line.dial()
    await caller.trip_ms()
    line.set(Flow(cut=True))
    for writer in line._open[1:]:
        writer.transport.abort()
    assert await caller.is_silent(0.3)
    line.set(Flow())
    assert await caller.is_reset()


async def test_stalled_everything_waits_and_arrives_whole_afterwards(line: Line) -> None:
    caller = await line.dial()
    await caller.trip_ms()
    line.set(Flow(stall=True))
    caller.say(b"late")
    assert await caller.is_silent(0.3)
    line.set(Flow())
    assert await caller.hear(4) == b"late"


async def test_a_rate_bounds_how_much_comes_through(line: Line) -> None:
    line.set(Flow(rate_kbit=800), Flow())  # 100,000 bytes a second
    caller = await line.dial()
    began = time.monotonic()
    caller.say(bytes(50_000))
    await caller.hear(50_000)
    assert 0.5 <= time.monotonic() - began < 1.5


async def test_where_nobody_listens_the_dialler_is_told(line: Line) -> None:
    assert line._server is not None
    line._server.close()
    caller = await line.dial()
    assert await caller.is_reset()
