"""A swarm as its parent has it: processes that are told what to do, and what they say together."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

from regions.children import ended
from regions.errors import SwarmError
from regions.swarm.figures import Moment, Second, together
from regions.swarm.orders import (
    Begin,
    Come,
    Hush,
    Hushed,
    Order,
    Settle,
    Settled,
    Speak,
    Spoken,
    Stop,
    Word,
    decode_word,
    encode,
)
from regions.swarm.spec import Place, SwarmSpec
from relay.tasks import Tasks

W = TypeVar("W", bound=Hushed | Settled)
LEAD_S = 1.0  # until second 0 begins: the processes have to start first
LATE_S = 5.0  # that the word of one process may come after those of others
STOP_S = 15.0
LINE_BYTES = 64 * 1024 * 1024


class _Process:
    def __init__(self, child: asyncio.subprocess.Process, log: IO[bytes]) -> None:
        self.child = child
        self.log = log
        self.words: asyncio.Queue[Hushed | Settled] = asyncio.Queue()

    def tell(self, order: Order) -> None:
        assert self.child.stdin is not None
        if not self.child.stdin.is_closing():
            self.child.stdin.write(encode(order) + b"\n")

    def last_words(self) -> str:
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self.child.returncode}"


class Swarm:
    """A swarm that runs. Made by `start`; `stop` it in any case."""

    def __init__(self, spec: SwarmSpec) -> None:
        self.spec = spec
        self._processes: list[_Process] = []
        self._tasks = Tasks("swarm")
        self._heard: dict[int, dict[int, Second]] = {}  # number -> process -> its second
        self._ready: asyncio.Queue[Moment | SwarmError] = asyncio.Queue()
        self._stopping = False

    @classmethod
    async def start(
        cls,
        spec: SwarmSpec,
        places: Sequence[Place],
        *,
        state: Path | None = None,
        token: str | None = None,
    ) -> "Swarm":
        """Start the processes. Nobody comes yet.

        Args:
            spec: what the swarm is.
            places: the edges that clients know from the start; each begins with another one.
            state: the world's state directory, with whose keys tokens are made.
            token: what everybody shows instead.

        Raises:
            SwarmError: a process could not be started.
        """
        swarm = cls(spec)
        zero_ns = time.monotonic_ns() + int(LEAD_S * 1e9)
        try:
            for index in range(spec.processes):
                where = None if state is None else str(state)
                begin = Begin(spec, index, zero_ns, tuple(places), where, token)
                await swarm._start_one(begin)
        except OSError as error:
            await swarm.stop()
            raise SwarmError(f"a process of the swarm does not start: {error}") from error
        return swarm

    async def _start_one(self, begin: Begin) -> None:
        log = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "regions.swarm.process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=LINE_BYTES,
            start_new_session=True,  # Ctrl-C is for the parent, which ends them
        )  # fmt: skip
        process = _Process(child, log)
        self._processes.append(process)
        process.tell(begin)
        self._tasks.spawn(self._listen(process), f"listen{begin.index}")

    # --- orders --------------------------------------------------------------------------------

    def come(self, upto: int) -> None:
        """Those of the first `upto` clients who are not here come, at the pace of the profile."""
        self._tell(Come(upto))

    def speak(self, rate: float) -> None:
        """Publish so many events a second from now on, all processes together."""
        self._tell(Speak(rate / self.spec.processes))

    async def hush(self, timeout_s: float) -> tuple[Spoken, int]:
        """Publish no more; what was said, and how many publishes still have no answer.

        Raises:
            SwarmError: a process of the swarm ended.
        """
        self._tell(Hush(timeout_s))
        spoken: Spoken = {}
        unanswered = 0
        for word in await self._each(Hushed, timeout_s):
            spoken |= word.spoken
            unanswered += word.open
        return spoken, unanswered

    async def settle(self, spoken: Mapping[str, dict[str, int]], timeout_s: float) -> int:
        """Wait until everybody has what was said; how many events are missing at the end.

        Raises:
            SwarmError: a process of the swarm ended.
        """
        self._tell(Settle(dict(spoken), timeout_s))
        return sum(word.short for word in await self._each(Settled, timeout_s))

    async def moment(self) -> Moment:
        """The next second, when all processes have said how it was.

        Raises:
            SwarmError: a process of the swarm ended.
        """
        found = await self._ready.get()
        if isinstance(found, SwarmError):
            self._ready.put_nowait(found)  # for whoever asks next
            raise found
        return found

    async def stop(self) -> None:
        """End all connections and processes."""
        self._stopping = True
        self._tell(Stop())
        await asyncio.gather(*(ended(process.child, STOP_S) for process in self._processes))
        await self._tasks.close()
        for process in self._processes:
            process.log.close()

    def _tell(self, order: Order) -> None:
        for process in self._processes:
            process.tell(order)

    async def _each(self, kind: type[W], timeout_s: float) -> list[W]:
        words: list[W] = []
        for process in self._processes:
            try:
                async with asyncio.timeout(timeout_s + LATE_S):
                    word = await process.words.get()
            except TimeoutError as error:
                raise SwarmError(f"a process of the swarm gave no {kind.__name__}") from error
            assert isinstance(word, kind), "one question at a time"
            words.append(word)
        return words

    # --- words ---------------------------------------------------------------------------------

    async def _listen(self, process: _Process) -> None:
        assert process.child.stdout is not None
        while line := await process.child.stdout.readline():
            word: Word = decode_word(line)
            if isinstance(word, Second):
                self._hear(word)
            else:
                process.words.put_nowait(word)
        if not self._stopping:
            await process.child.wait()
            said = process.last_words()
            self._ready.put_nowait(SwarmError(f"a process of the swarm ended: {said}"))

    def _hear(self, second: Second) -> None:
        group = self._heard.setdefault(second.number, {})
        group[second.index] = second
        if len(group) == self.spec.processes:
            del self._heard[second.number]
            ordered = [group[index] for index in sorted(group)]
            self._ready.put_nowait(together(second.number, ordered))
