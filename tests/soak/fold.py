"""A part of the herd in a process of its own: a process may have 20,000 open files at most."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import uvloop

from tests.soak.herd import Herd, Plan
from tests.soak.member import Tally

ANSWER_S = 600.0


@dataclass
class Fold:
    """The pipe to a process that runs a herd."""

    process: BaseProcess
    pipe: Connection

    def ask(self, act: str, *details: object) -> Any:
        """Let the herd do something: see `_Answers`.

        Raises:
            TimeoutError: no answer.
            RuntimeError: it failed.
        """
        self.pipe.send((act, details))
        if not self.pipe.poll(ANSWER_S):
            raise TimeoutError(f"the herd does not answer {act}")
        answer = self.pipe.recv()
        if isinstance(answer, Exception):
            raise RuntimeError(f"{act}: {answer!r}") from answer
        return answer


@contextmanager
def folds(plan: Plan, clients: int, processes: int) -> Iterator[list[Fold]]:
    """Processes that share the herd, ended afterwards."""
    made: list[Fold] = []
    try:
        for number in range(processes):
            first, last = clients * number // processes, clients * (number + 1) // processes
            here, there = multiprocessing.Pipe()
            process = multiprocessing.Process(
                target=_run, args=(there, plan, first, last - first), daemon=True
            )
            process.start()
            there.close()
            made.append(Fold(process, here))
        yield made
    finally:
        for fold in made:
            fold.process.kill()
            fold.process.join()


def _run(pipe: Connection, plan: Plan, first: int, count: int) -> None:
    uvloop.run(_serve(pipe, plan, first, count))


async def _serve(pipe: Connection, plan: Plan, first: int, count: int) -> None:
    herd, returns = Herd(plan, first, count), 0
    loop = asyncio.get_running_loop()
    while True:
        act, details = await loop.run_in_executor(None, pipe.recv)
        answer: object = None
        try:
            match act:
                case "come":
                    await herd.come(*details)
                case "go":
                    await herd.go()
                case "caught_up":
                    answer = await herd.caught_up(*details)
                case "resumed":  # since asked before
                    answer = Tally(
                        resume_ms=herd.tally.resume_ms[returns:],
                        refused=herd.tally.refused,
                        retried=herd.tally.retried,
                    )
                    returns = len(herd.tally.resume_ms)
                    herd.tally.refused = herd.tally.retried = 0
                case "tally":
                    answer = herd.tally
        except Exception as error:
            answer = error
        pipe.send(answer)
