"""Faults of running nats-servers' stores: no room, a limit, a loss of the newest part."""

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence

import msgspec

from regions import http
from regions.errors import WorldError
from regions.faults.stores import Stores
from regions.identity import send
from regions.process import Process
from regions.processes import Processes

START_S = 60.0
RELOAD_S = 5.0
_LOOK_S = 0.02


class _Varz(msgspec.Struct):
    config_load_time: str


class Servers:
    """The nats-servers of a world and their stores."""

    def __init__(self, processes: Processes, stores: Stores, monitors: Mapping[str, str]) -> None:
        """`monitors`: where each nats-server tells about itself, over HTTP."""
        self._processes = processes
        self._stores = stores
        self._monitors = monitors

    async def fill(self, server: Process) -> float:
        """Leave no room on the file system of its store; since when."""
        await asyncio.to_thread(self._stores.fill, server.name)
        return time.monotonic()

    async def free(self, server: Process) -> None:
        """Give the room back. Returns when the server, which is restarted, serves again."""
        await asyncio.to_thread(self._stores.free, server.name)
        if server.identity is not None:
            await server.restart()  # JetStream stores nothing more before that
            await self._serving([server])

    async def limit(self, server: Process, *, limited: bool) -> float:
        """Let JetStream refuse to store more, or not any longer; since when."""
        await asyncio.to_thread(self._stores.limit, server.name, limited=limited)
        if server.identity is not None:  # else it reads it when it starts
            before = await self._loaded(server)
            send(server.identity, signal.SIGHUP)
            deadline_s = time.monotonic() + RELOAD_S
            while server.identity is not None and await self._loaded(server) == before:
                if time.monotonic() > deadline_s:
                    raise WorldError(f"{server.name} does not read its configuration again")
                await asyncio.sleep(_LOOK_S)
        return time.monotonic()

    async def remember(self, servers: Sequence[Process], standing: set[str]) -> float:
        """Copy what they have stored; they stand still meanwhile. As of when.

        `standing`: those that stand still anyway.
        """
        at_s = time.monotonic()
        for server in servers:
            server.pause()
        try:
            for server in servers:
                await asyncio.to_thread(self._stores.remember, server.name)
        except OSError as error:
            raise WorldError(f"the stores can't be copied: {error}") from error
        finally:
            for server in servers:
                if server.name not in standing:
                    server.resume()
        return at_s

    def remembered(self, servers: Sequence[Process]) -> bool:
        """Whether there is a copy of each."""
        return all(self._stores.remembered(server.name) for server in servers)

    async def rewind(self, servers: Sequence[Process]) -> float:
        """SIGKILL them and start them with their copies; when they were killed."""
        at_s = time.monotonic()
        await asyncio.gather(*(server.hold() for server in servers))
        for server in servers:
            await asyncio.to_thread(self._stores.restore, server.name)
        for server in servers:
            server.launch()
        await self._serving(servers)
        return at_s

    def close(self) -> None:
        """Remove what lies in the state directory because of faults."""
        for server in self._processes.of("nats"):
            self._stores.clean(server.name)

    async def _serving(self, servers: Sequence[Process]) -> None:
        try:
            async with asyncio.timeout(START_S):
                await self._processes.up(servers)
        except TimeoutError as error:
            names = ", ".join(server.name for server in servers)
            raise WorldError(f"{names}: not serving within {START_S:.0f} s") from error

    async def _loaded(self, server: Process) -> str | None:
        """When it last read its configuration, as it says itself."""
        answer = await http.get(f"{self._monitors[server.name]}/varz")
        if answer is None:
            return None
        return msgspec.json.decode(answer.body, type=_Varz).config_load_time
