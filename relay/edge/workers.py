"""Several edges on one port: a process each, started, watched and replaced by their parent.

The kernel spreads new connections over the processes that listen (SO_REUSEPORT). To the fleet each
is an edge of its own, with a name and an admin port of its own; so a crash of one, or its being
drained, touches its own clients only, and these resume at the others.
"""

import asyncio
import ctypes
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from relay.config import EdgeConfig
from relay.errors import ConfigError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.workers")

MOST = 64
FIRST_WAIT_S, MOST_WAIT_S = 0.25, 10.0  # before one that ended is started again
STEADY_S = 30.0  # one that served for so long is started again at once
READY_S = 60.0  # for which a replaced one may take to serve
LOOK_S = 0.1
MARGIN_S = 10.0  # beyond its drain, for one to end
WRONG_CONFIGURATION = 3  # an edge's exit code; who runs it need not hurry to try again
_PR_SET_PDEATHSIG = 1


def worker_config(config: EdgeConfig, number: int) -> EdgeConfig:
    """The configuration of one worker: named `<edge>-<number>`, with an admin port of its own.

    Args:
        config: of all of them.
        number: 1, 2, …

    Raises:
        ConfigError: there is no such port.
    """
    admin_port = config.admin_port + number - 1
    if config.admin_port == 0 or admin_port > 65_535:
        raise ConfigError(f"admin_port: workers take {config.admin_port} and those after it")
    return msgspec.structs.replace(config, edge=f"{config.edge}-{number}", admin_port=admin_port)


def end_with_parent() -> None:
    """Drain and end when the process that started this one is gone, however it ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class _Worker:
    """One of them, and the process that it is now."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: asyncio.subprocess.Process | None = None
        self.began_s = 0.0
        self.served = False  # it was ready, this time
        self.wanted = True

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)


class Workers:
    """Keeps workers running until a signal ends them.

    SIGTERM drains all of them, a second one or SIGINT ends them at once; SIGHUP replaces one after
    the other: each is drained, started anew, and serves before it is the next one's turn.

    Args:
        config: of the edge.
        count: how many.
        command: what starts one, by its number.
    """

    def __init__(
        self, config: EdgeConfig, count: int, command: Callable[[int], Sequence[str]]
    ) -> None:
        self._config = config
        self._command = command
        self._workers = [_Worker(number) for number in range(1, count + 1)]
        self._tasks = Tasks("workers")
        self._code = 0
        self._any_served = False  # what is wrong with one, later on, is no reason to end the others
        self._replacing: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()  # all are to end

    async def run(self) -> int:
        """Until all have ended. Returns the exit code: 0, or that of one that could never serve."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)
        loop.add_signal_handler(signal.SIGINT, self._end, signal.SIGINT)
        loop.add_signal_handler(signal.SIGHUP, self._on_sighup)
        kept = [
            self._tasks.spawn(self._keep(worker), f"worker {worker.number}")
            for worker in self._workers
        ]
        try:
            await asyncio.gather(*kept)
        finally:
            await self._tasks.close()
        return self._code

    # --- one of them ---------------------------------------------------------------------------

    async def _keep(self, worker: _Worker) -> None:
        loop, wait_s = asyncio.get_running_loop(), FIRST_WAIT_S
        while not self._ended.is_set():
            worker.began_s, worker.served = loop.time(), False
            worker.process = await asyncio.create_subprocess_exec(*self._command(worker.number))
            if self._ended.is_set():  # while it was being started
                worker.signal(signal.SIGTERM)
            looking = self._tasks.spawn(self._look(worker), "look")
            code = await worker.process.wait()
            looking.cancel()
            if self._ended.is_set():
                return
            if worker.wanted:
                _log.error("worker %d ended with code %d", worker.number, code)
            if code in (1, WRONG_CONFIGURATION) and not self._any_served:
                self._code = code  # nor would it, or another one, the next time
                self._end(signal.SIGTERM)
                return
            lasted_s = loop.time() - worker.began_s
            wait_s = FIRST_WAIT_S if lasted_s > STEADY_S or not worker.wanted else wait_s
            worker.wanted = True
            await self._pause(wait_s)
            wait_s = min(2 * wait_s, MOST_WAIT_S)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()

    async def _look(self, worker: _Worker) -> None:
        """Notice when it serves."""
        config = worker_config(self._config, worker.number)
        while not worker.served:
            await asyncio.sleep(LOOK_S)
            worker.served = await is_ready(config.admin_host, config.admin_port)
        self._any_served = True

    # --- all of them ---------------------------------------------------------------------------

    async def _replace(self) -> None:
        loop = asyncio.get_running_loop()
        for worker in self._workers:
            _log.info("worker %d is replaced", worker.number)
            before, worker.wanted = worker.process, False
            worker.signal(signal.SIGTERM)
            if before is not None and not await self._goes(before):
                _log.error("worker %d does not end: it is killed", worker.number)
                worker.signal(signal.SIGKILL)
                await before.wait()
            until_s = loop.time() + READY_S
            while not (worker.process is not before and worker.served):
                if loop.time() > until_s:
                    _log.error("worker %d does not serve: the others stay as they are",
                               worker.number)  # fmt: skip
                    return
                await asyncio.sleep(LOOK_S)
        _log.info("all workers were replaced")

    async def _goes(self, process: asyncio.subprocess.Process) -> bool:
        try:
            async with asyncio.timeout(self._config.limits.drain_s + MARGIN_S):
                await process.wait()
        except TimeoutError:
            return False
        return True

    def _on_sighup(self) -> None:
        if self._ended.is_set() or (self._replacing is not None and not self._replacing.done()):
            return  # it is being done
        self._replacing = self._tasks.spawn(self._replace(), "replace")

    def _on_sigterm(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        self._ended.set()
        if self._replacing is not None:
            self._replacing.cancel()
        for worker in self._workers:
            worker.signal(number)


async def is_ready(host: str, port: int) -> bool:
    """Whether an edge's admin listener says that it serves."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET /readyz HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status
