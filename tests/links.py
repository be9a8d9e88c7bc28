"""Leaf links through TCP relays of the test's own, which can be cut as an ocean cable is."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from regions.state import StateDir
from regions.topology import server_name

_BYTES = 65_536
Writers = tuple[asyncio.StreamWriter, ...]


class Link:
    """One relay. Cut, it swallows what comes and tells neither side: connections stay half open."""

    def __init__(self, target: Callable[[], int]) -> None:
        """Relay to the port that `target` names when a connection comes."""
        self.port = 0
        self._target = target
        self._cut = False
        self._server: asyncio.Server | None = None
        self._open: set[Writers] = set()
        self._broken: set[Writers] = set()  # bytes are missing: they can't go on after the cut
        self._healed = asyncio.Event()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        assert self._server is not None
        self._server.close()
        self._healed.set()
        _abort(self._open)
        await self._server.wait_closed()

    async def cut(self) -> None:
        """Let nothing through from now on."""
        self._cut = True
        self._healed.clear()

    async def heal(self) -> None:
        """Let new connections through, and those that lost nothing."""
        self._cut = False
        self._healed.set()
        _abort(self._broken)
        self._broken.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends: Writers = (writer,)
        self._open.add(ends)
        try:
            if self._cut:
                self._broken.add(ends)
                await self._swallow(reader)
                return
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target())
            except OSError:
                return  # nobody listens there (yet): the dialler tries again
            self._open.discard(ends)
            ends = (writer, far_writer)
            self._open.add(ends)
            await asyncio.gather(
                self._pump(reader, far_writer, ends), self._pump(far_reader, writer, ends)
            )
        finally:
            self._open.discard(ends)
            self._broken.discard(ends)
            _abort([ends])

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: Writers
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_BYTES):
                if self._cut:
                    self._broken.add(ends)
                    await self._swallow(reader)
                    break
                writer.write(data)
                await writer.drain()
        if self._cut:  # the end of one side does not get through either
            self._broken.add(ends)
            await self._healed.wait()
        _abort([ends])

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while await reader.read(_BYTES):
                pass
        await self._healed.wait()


class Links:
    """A relay for the leaf link of each pair of regions, in a thread and event loop of its own.

    Use it as a context manager around the world whose `topology` names it.
    """

    def __init__(self, regions: Sequence[str], state_dir: Path) -> None:
        """Relay between `regions` (one nats-server each) of the world in `state_dir`."""
        self.regions = tuple(regions)
        self._state = StateDir(state_dir)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._links = {
            (source, target): Link(self._leaf_port(target))
            for source, target in itertools.combinations(self.regions, 2)
        }

    def __enter__(self) -> "Links":
        self._thread.start()
        for link in self._links.values():
            self._run(link.start())
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for link in self._links.values():
            self._run(link.close())
        self._run(_settled())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def topology(self) -> str:
        """The `[[links]]` of a topology file."""
        return "\n".join(
            f'[[links]]\nfrom = "{source}"\nto = "{target}"\nvia = ["127.0.0.1:{link.port}"]\n'
            for (source, target), link in self._links.items()
        )

    def cut(self, one: str, other: str) -> None:
        """Let nothing through between two regions."""
        self._run(self._between(one, other).cut())

    def heal(self, one: str, other: str) -> None:
        """Join two regions again."""
        self._run(self._between(one, other).heal())

    def _between(self, one: str, other: str) -> Link:
        return self._links.get((one, other)) or self._links[other, one]

    def _leaf_port(self, region: str) -> Callable[[], int]:
        return lambda: self._state.ports()[f"{server_name(region, 1)}/leaf"]

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)


def _abort(connections: "set[Writers] | list[Writers]") -> None:
    for ends in list(connections):
        for writer in ends:
            writer.transport.abort()


async def _settled() -> None:
    """Wait until the tasks of dropped connections have ended."""
    me = asyncio.current_task()
    others = [task for task in asyncio.all_tasks() if task is not me]
    if others:
        await asyncio.wait(others, timeout=5)
