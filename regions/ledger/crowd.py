"""A crowd of clients, as a drill holds it: processes of their own that are told what to do."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from regions.children import ended
from regions.errors import CrowdError, LedgerError
from regions.ledger import orders
from regions.ledger.files import Writer
from regions.ledger.orders import (
    Answer,
    Ask,
    Begin,
    Drain,
    DrainedAll,
    Drop,
    Dropped,
    Heads,
    Hush,
    Hushed,
    Order,
    Playing,
    Status,
    Stop,
    Stopped,
    decode_answer,
    furthest,
)
from regions.ledger.record import Phase
from regions.ledger.spec import SPEC_FILE, CrowdSpec

A = TypeVar("A", bound=Answer)
LINE_BYTES = 4 * 1024 * 1024
STOP_S = 20.0
END_S = 1.0  # after it has stopped, or was never asked to
ASK_S = 30.0


@dataclass(slots=True)
class _Process:
    child: asyncio.subprocess.Process
    log: Path

    async def told(self, kind: type[A], timeout_s: float) -> A:
        """The next answer that is a `kind`; others, asked for in vain, are passed."""
        assert self.child.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                while line := await self.child.stdout.readline():
                    answer = decode_answer(line)
                    if isinstance(answer, kind):
                        return answer
        except TimeoutError as error:
            raise CrowdError(f"the crowd gave no {kind.__name__} within {timeout_s:g} s") from error
        said = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise CrowdError(f"the crowd's process ended: {' '.join(said) or f'see {self.log}'}")

    def tell(self, order: Order) -> None:
        assert self.child.stdin is not None
        if not self.child.stdin.is_closing():
            self.child.stdin.write(orders.encode(order) + b"\n")


class Crowd:
    """A crowd that runs. Made by `start`; `stop` it in any case.

    One question at a time: the methods must not run at once.
    """

    def __init__(self, spec: CrowdSpec, ledger: Path, processes: list[_Process]) -> None:
        self.spec = spec
        self.ledger = ledger
        self._processes = processes
        self._marks = Writer(ledger, "marks")
        self._heads: Heads = {}

    @classmethod
    async def start(
        cls, state: Path, spec: CrowdSpec, ledger: Path, wrap: Sequence[str] = ()
    ) -> "Crowd":
        """Let a crowd connect to the world in the state directory `state`.

        Args:
            state: the world's.
            spec: what the crowd is.
            ledger: an empty or new directory for its records.
            wrap: what to put before the command, `ip netns exec NAME` for instance.

        Raises:
            LedgerError: the ledger can't be written.
            CrowdError: the ledger has records already.
        """
        raw = _prepare(ledger, spec)
        processes: list[_Process] = []
        crowd = cls(spec, ledger, processes)
        for index in range(spec.processes):
            log = ledger / f"crowd-{index}.log"
            with log.open("wb") as errors:
                child = await asyncio.create_subprocess_exec(
                    *wrap, sys.executable, "-m", "regions.ledger.crowd_process",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=errors,
                    limit=LINE_BYTES,
                    start_new_session=True,  # Ctrl-C is for the drill, which ends the crowd
                )  # fmt: skip
            one = _Process(child, log)
            processes.append(one)
            one.tell(Begin(str(state), msgspec.Raw(raw), str(ledger), index))
        return crowd

    async def ready(self, timeout_s: float = 60.0) -> int:
        """Wait until every client is connected and publishing begins; returns how many they are.

        Raises:
            CrowdError: not in time, or a process of the crowd ended.
        """
        answers = await self._each(Playing, timeout_s)
        return sum(answer.clients for answer in answers)

    def mark(self, phase: str) -> None:
        """Write into the ledger that a phase begins now."""
        self._marks.write(Phase(time.monotonic_ns(), phase))
        self._marks.flush()

    async def status(self) -> Status:
        """How the crowd stands now.

        Raises:
            CrowdError: a process of it does not answer.
        """
        self._tell(Ask())
        return _sum(await self._each(Status, ASK_S))

    async def drop(self, *regions: str) -> int:
        """Break the connections of all clients in these regions at once; how many they were.

        Raises:
            CrowdError: a process of it does not answer.
        """
        self._tell(Drop(regions))
        return sum(answer.count for answer in await self._each(Dropped, ASK_S))

    async def hush(self, timeout_s: float = 15.0) -> int:
        """Publish no more; returns how many publishes have no answer after `timeout_s`.

        Raises:
            CrowdError: a process of it does not answer.
        """
        self._tell(Hush(timeout_s))
        answers = await self._each(Hushed, timeout_s + ASK_S)
        self._heads = furthest([answer.heads for answer in answers])
        return sum(answer.open for answer in answers)

    async def drain(self, timeout_s: float = 60.0) -> dict[str, str]:
        """After `hush`: wait until every client got as far as what was acknowledged.

        Returns:
            Who did not within `timeout_s`, and the first place that each lacks.

        Raises:
            CrowdError: a process of it does not answer.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            heads, left_s = self._heads, max(deadline - time.monotonic(), 0.0)
            self._tell(Drain(heads, left_s))
            answers = await self._each(DrainedAll, left_s + ASK_S)
            short = {name: place for answer in answers for name, place in answer.short.items()}
            self._heads = furthest([answer.heads for answer in answers])
            # One process may have been answered what the clients of another have to wait for.
            if short or len(answers) == 1 or self._heads == heads:
                return short

    async def stop(self) -> Status:
        """Close the clients and end the processes; returns how the crowd stood before."""
        self._tell(Stop())
        last: list[Status] = []
        for one in self._processes:
            with contextlib.suppress(CrowdError):
                last.append((await one.told(Stopped, STOP_S)).status)
            await _end(one.child)
        self._marks.close()
        return _sum(last)

    def _tell(self, order: Order) -> None:
        for one in self._processes:
            one.tell(order)

    async def _each(self, kind: type[A], timeout_s: float) -> list[A]:
        return list(await asyncio.gather(*(one.told(kind, timeout_s) for one in self._processes)))


def _prepare(ledger: Path, spec: CrowdSpec) -> bytes:
    """Make the ledger's directory, with the spec in it; returns the spec as JSON."""
    if any(ledger.glob("*.jsonl*")):
        raise CrowdError(f"{ledger}: has a ledger already; take another directory")
    raw = msgspec.json.encode(spec)
    try:
        ledger.mkdir(parents=True, exist_ok=True)
        (ledger / SPEC_FILE).write_bytes(raw + b"\n")
    except OSError as error:
        raise LedgerError(f"{ledger}: {error.strerror}") from error
    return raw


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.stdin is not None:
        child.stdin.close()
    await ended(child, END_S)


def _sum(each: list[Status]) -> Status:
    on_edge: dict[str, int] = {}
    for one in each:
        for edge, count in one.on_edge.items():
            on_edge[edge] = on_edge.get(edge, 0) + count
    counts = {
        name: sum(getattr(one, name) for one in each)
        for name in Status.__struct_fields__
        if name != "on_edge"
    }
    return Status(**counts, on_edge=on_edge)
