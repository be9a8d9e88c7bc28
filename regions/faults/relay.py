"""A TCP relay in the place of a leaf link, whose two directions can be cut, stalled and slowed.

Cut, a direction swallows what comes and tells neither side: connections stay half open. One that
lost bytes can't go on, so it is reset when the direction heals.
"""

import asyncio
import time
from collections import deque
from random import Random

from regions.faults.flow import Flow
from regions.faults.shaper import Shaper

_BYTES = 65_536
_SLOW_BYTES = 4_096  # on a line with a rate: a piece arrives when all of it has been sent
_QUEUE_BYTES = 16 * 1024**2  # of one direction of one connection; then the sender has to wait
_SOON_S = 0.0005

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Lane:
    """One direction of a pair of regions, for all connections that go through it."""

    def __init__(self, dice: Random | None = None) -> None:
        self.shaper = Shaper(dice or Random())  # noqa: S311 - jitter is no secret
        self.open = asyncio.Event()  # not stalled
        self.open.set()

    @property
    def flow(self) -> Flow:
        """What it does now."""
        return self.shaper.flow

    def set(self, flow: Flow) -> None:
        """Do this from now on, also with what is under way."""
        self.shaper.flow = flow
        if flow.stall and not flow.cut:
            self.open.clear()
        else:
            self.open.set()


class Relay:
    """Listens for one address of a link. `out`: from the side that dials; `back`: to it."""

    def __init__(self, host: str, port: int, target: tuple[str, int], out: Lane, back: Lane):
        self.host, self.port = host, port
        self._target = target
        self._out, self._back = out, back
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    async def start(self) -> None:
        """Listen; `port` is the real one afterwards, if it was 0.

        Raises:
            OSError: the port is taken.
        """
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        assert self._server is not None
        self._server.close()
        for connection in list(self._open):
            connection.drop()
        await asyncio.gather(*(connection.ended.wait() for connection in self._open))
        await self._server.wait_closed()

    def changed(self) -> None:
        """A lane was set: connections that lost bytes can't go on over a direction that is open."""
        for connection in list(self._open):
            connection.changed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection((reader, writer), self._target, self._out, self._back)
        self._open.add(connection)
        try:
            await connection.run()
        except asyncio.CancelledError:
            pass  # dropped: nobody waits for this task
        finally:
            self._open.discard(connection)
            connection.ended.set()


class _Connection:
    """A dialler's connection and ours to the target."""

    def __init__(self, near: Ends, target: tuple[str, int], out: Lane, back: Lane) -> None:
        self._near = near
        self._target = target
        self._out, self._back = out, back
        self.ended = asyncio.Event()
        self._broken: set[Lane] = set()
        self._writers = [near[1]]
        task = asyncio.current_task()
        assert task is not None
        self._task = task

    def drop(self) -> None:
        """Reset both sides."""
        self._task.cancel()

    def changed(self) -> None:
        """Drop it if it lost bytes in a direction that is open again."""
        if any(not lane.flow.cut for lane in self._broken):
            self.drop()

    async def run(self) -> None:
        """Relay until an end is closed, or it is dropped."""
        try:
            if self._out.flow.cut or self._back.flow.cut:  # no handshake gets through
                self._broken |= {lane for lane in (self._out, self._back) if lane.flow.cut}
                await _swallow(self._near[0])
                await _for_ever()
            try:
                far = await asyncio.open_connection(*self._target)
            except OSError:
                return  # nobody listens there (yet): the dialler tries again
            self._writers.append(far[1])
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(self._near[0], far[1], self._out))
                group.create_task(self._carry(far[0], self._near[1], self._back))
        finally:
            for writer in self._writers:
                if not writer.is_closing():
                    writer.transport.abort()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lane: Lane
    ) -> None:
        """Carry one direction. When its end has arrived at the other side, all is over."""
        line = _Line(lane)
        async with asyncio.TaskGroup() as group:
            group.create_task(line.fill(reader))
            while True:
                data = await line.next()
                if lane.flow.cut:
                    self._broken.add(lane)
                    if not data:  # its end does not get through either
                        await _for_ever()
                elif not data:
                    break
                elif not await _written(writer, data):
                    if not self._other(lane).flow.cut:
                        break
                    self._broken.add(self._other(lane))  # the news of its end is lost
                    await _for_ever()
            writer.close()  # what was written before still goes out
            self.drop()

    def _other(self, lane: Lane) -> Lane:
        return self._back if lane is self._out else self._out


class _Line:
    """What is under way in one direction of one connection."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._queue: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._came = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def fill(self, reader: asyncio.StreamReader) -> None:
        """Take what is sent, to its end; an empty piece stands for that."""
        while True:
            slow = self._lane.flow.rate_kbit is not None
            try:
                data = await reader.read(_SLOW_BYTES if slow else _BYTES)
            except ConnectionError:
                data = b""
            now_s = time.monotonic()
            arrival_s = self._lane.shaper.arrival_s(len(data), now_s, drops=False)
            assert arrival_s is not None
            self._queue.append((arrival_s, data))
            self._bytes += len(data)
            self._came.set()
            if not data:
                return
            if self._bytes > _QUEUE_BYTES:
                self._room.clear()
                await self._room.wait()

    async def next(self) -> bytes:
        """The next piece, when it arrives."""
        while not self._queue:
            self._came.clear()
            await self._came.wait()
        arrival_s, data = self._queue[0]
        left_s = arrival_s - time.monotonic()
        if left_s > _SOON_S:
            await asyncio.sleep(left_s)
        await self._lane.open.wait()
        self._queue.popleft()
        self._bytes -= len(data)
        if self._bytes <= _QUEUE_BYTES // 2:
            self._room.set()
        return data


async def _written(writer: asyncio.StreamWriter, data: bytes) -> bool:
    try:
        writer.write(data)
        await writer.drain()
    except ConnectionError:
        return False
    return True


async def _for_ever() -> None:
    """Until it is dropped."""
    await asyncio.Event().wait()


async def _swallow(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(_BYTES):
            pass
    except ConnectionError:
        return
