"""The processes of a world: found by name, told what to do, and described."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator

from regions.control import Cmd, ProcessStatus
from regions.errors import WorldError
from regions.identity import Identity
from regions.process import Command, Kind, Notice, Process
from regions.topology import Watch


class Processes:
    """The processes that a supervisor has launched."""

    def __init__(self, watch: Watch, notify: Callable[[Process, Notice], None]) -> None:
        """`notify` is told what happens to each."""
        self._watch = watch
        self._notify = notify
        self._processes: dict[str, Process] = {}

    def __iter__(self) -> Iterator[Process]:
        return iter(self._processes.values())

    def launch(
        self,
        command: Command,
        ready: Callable[[], Awaitable[bool]],
        answers: Callable[[], Awaitable[bool]],
    ) -> None:
        """Run one; `ready`: whether it serves, `answers`: whether it is not hung."""
        process = Process(command, ready, self._notify, answers=answers, watch=self._watch)
        self._processes[command.name] = process
        process.launch()

    def of(self, kind: Kind) -> list[Process]:
        """All of one kind."""
        return [process for process in self if process.command.kind == kind]

    def find(self, name: str) -> Process:
        """The one called `name`, or `nats:<name>`.

        Raises:
            WorldError: there is none.
        """
        process = self._processes.get(name.removeprefix("nats:"))
        if process is None:
            raise WorldError(f"no process {name!r}; there are {', '.join(self._processes)}")
        return process

    def identities(self) -> dict[str, Identity]:
        """Who each one that runs is."""
        return {one.name: one.identity for one in self if one.identity is not None}

    async def up(self, group: Iterable[Process]) -> None:
        """Wait until all of `group` serve."""
        await asyncio.gather(*(process.wait_up() for process in group))

    async def end(self, kind: Kind, *, gentle: bool) -> None:
        """End all of one kind; none is left when it returns."""
        group = self.of(kind)
        await asyncio.gather(*(process.end(gentle=gentle) for process in group))
        await asyncio.gather(*(process.close() for process in group))

    async def act(self, cmd: Cmd, name: str | None) -> Process:
        """Carry out an operator's word on one process.

        Raises:
            WorldError: there is no such process, or it does not run.
        """
        if name is None:
            raise WorldError("`process` is missing")
        process = self.find(name)
        if cmd in ("kill", "pause", "continue") and process.identity is None:
            raise WorldError(f"{process.name} does not run: it is {process.state}")
        match cmd:
            case "stop":
                await process.end(gentle=True)
            case "hold":
                await process.hold()
            case "start":
                process.launch()
            case "restart":
                await process.restart()
            case "kill":
                await process.kill()
            case "pause":
                process.pause()
            case "continue":
                process.resume()
            case _:
                raise AssertionError(cmd)
        return process


def status(process: Process, url: str) -> ProcessStatus:
    """One process, as `jetrelay ctl ps` tells."""
    return ProcessStatus(
        name=process.name,
        kind=process.command.kind,
        region=process.command.region,
        state=process.state,
        pid=None if process.identity is None else process.identity.pid,
        paused=process.paused,
        starts=process.starts,
        url=url,
        last_exit=None if process.death is None else process.death.code,
        hung=process.hung,
    )
