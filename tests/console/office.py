"""A control plane played by hand: it plans what it is told to, and records what was wanted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from console.backing import Backing
from regions.errors import OperationError
from regions.operations.entry import Plan, Request, Stage, What
from regions.operations.office import Office

STAGE = Stage("its clients go elsewhere", [], "gone", 10.0)


@dataclass
class Execution:
    """What is carried out, until the test lets it end."""

    name: str
    end: "asyncio.Future[What]"
    aborting: str = ""

    async def carry_out(self) -> What:
        while not self.end.done():
            if self.aborting:
                return "aborted"
            await asyncio.sleep(0.01)
        return self.end.result()


@dataclass
class Desk:
    """Plays `Office`."""

    plan_: Plan = field(default_factory=lambda: Plan([STAGE]))
    asked: list[Request] = field(default_factory=list)
    submitted_: list[tuple[Request, str]] = field(default_factory=list)
    acked: list[tuple[str, str, str, str]] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    refusal: str = ""  # why it can't be opened
    unreached: tuple[str, ...] = ()
    executions: list[Execution] = field(default_factory=list)
    resumed_: list[tuple[str, str]] = field(default_factory=list)
    aborted_: list[tuple[str, str, str]] = field(default_factory=list)
    gone: str = ""  # why nothing is to be done with an operation any more

    async def plan(self, request: Request) -> Plan:
        self.asked.append(request)
        return self.plan_

    @asynccontextmanager
    async def submitted(
        self, request: Request, plan: Plan, tell: Callable[[str], None], override: str
    ) -> AsyncIterator[Execution]:
        assert plan is self.plan_
        self.submitted_.append((request, override))
        tell("the clients go elsewhere")
        end = asyncio.get_running_loop().create_future()
        self.executions.append(Execution(f"run-{len(self.submitted_)}", end))
        yield self.executions[-1]

    @asynccontextmanager
    async def resumed(
        self, name: str, by: str, tell: Callable[[str], None]
    ) -> AsyncIterator[Execution]:
        if self.gone:
            raise OperationError(self.gone)
        self.resumed_.append((name, by))
        tell("goes on")
        end = asyncio.get_running_loop().create_future()
        self.executions.append(Execution(name, end))
        yield self.executions[-1]

    async def abort(self, name: str, by: str, why: str, tell: Callable[[str], None]) -> bool:
        if self.gone:
            raise OperationError(self.gone)
        self.aborted_.append((name, by, why))
        tell("somebody is told to stop")
        return True

    async def acknowledge(self, name: str, on: str, by: str, why: str) -> None:
        self.acked.append((name, on, by, why))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Office]:
        if self.refusal:
            raise OperationError(self.refusal)
        self.opened += 1
        try:
            yield cast("Office", self)
        finally:
            self.closed += 1

    def backing(self, **more: Any) -> Backing:
        return Backing(office=self.open, by="ops@host", **more)
