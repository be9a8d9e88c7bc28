"""Where operators go: plan, submit, take up, abort and see operations, in any region that lives.

Plan, confirm, submit, follow: `plan` changes nothing; `submit` stores what is to be done and by
whom, and returns what carries it out.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from regions.doors import Door
from regions.errors import OperationError
from regions.operations.book import Book
from regions.operations.entry import Entry, Plan, Request, Run, new_run
from regions.operations.execution import Execution
from regions.operations.lock import Holder, Lock, holder_of
from regions.operations.plan import make_plan
from regions.operations.station import Station, open_stations
from regions.operations.watch import Watch
from regions.steering.health import EdgeKey
from regions.steering.observing import Posts
from regions.topology import Topology
from relay.core.orders import Orders

HEAR_S = 2.5  # every edge says how it is once a second
DAY_MS = 86_400_000
Tell = Callable[[str], None]


class Office:
    """The control plane of a fleet. `open_office` makes it."""

    def __init__(self, topology: Topology, stations: Sequence[Station], watch: Watch) -> None:
        self._topology = topology
        self._stations = stations
        self.watch = watch
        self.book = Book(stations, topology.names)

    @property
    def reached(self) -> int:
        """Regions whose NATS answers."""
        return len(self._stations)

    async def orders(self) -> Orders:
        """What stands.

        Raises:
            OperationError: no book could be read.
        """
        return await self.book.orders()

    async def plan(self, request: Request) -> Plan:
        """What would be done; nothing is.

        Raises:
            OperationError: what is asked for makes no sense, or no book could be read.
        """
        return make_plan(request, self.watch.sight(await self.orders(), self.reached))

    @asynccontextmanager
    async def submitted(
        self, request: Request, plan: Plan, tell: Tell, override: str = ""
    ) -> AsyncIterator[Execution]:
        """Store an operation, and be the one who carries it out.

        It is planned again once nobody else is at work there: what was confirmed has to be as good
        as before.

        Args:
            request: what is wanted.
            plan: what was confirmed.
            tell: is told what happens, for people.
            override: why it is done in spite of the plan's objections; empty: it is not.

        Raises:
            BusyError: somebody else is at work there.
            OperationError: it would hurt, or could not be stored.
        """
        _refuse(plan, override)
        at_ms = self.book.stamp_ms()
        name = new_run(request, at_ms)
        async with self._locked(request.region, name, request.by, at_ms, override) as lock:
            plan = await self.plan(request)
            _refuse(plan, override)
            entry = Entry(
                run=name, at_ms=at_ms, by=request.by, what="submitted", request=request, plan=plan,
                override=override,
            )  # fmt: skip
            await self.book.write(entry)
            run = Run(name, request, plan, [entry])
            yield Execution(run, self.book, lock, self.watch, request.by, tell)

    @asynccontextmanager
    async def resumed(self, name: str, by: str, tell: Tell) -> AsyncIterator[Execution]:
        """Take up an operation whose carrier is gone.

        Args:
            name: the operation's.
            by: who takes it up.
            tell: is told what happens, for people.

        Raises:
            BusyError: somebody carries it out, or is at work there.
            OperationError: there is no such operation, or it has ended.
        """
        run = await self.book.run(name)
        if run.end is not None and run.end.what != "failed":
            raise OperationError(f"{name} has ended: {run.end.what}")
        holder = await holder_of(self._stations, run.request.region)
        if holder is not None and holder.run == name:
            raise OperationError(f"{holder.by} carries {name} out")
        at_ms = self.book.stamp_ms(run.entries[-1].at_ms)
        override = run.entries[0].override
        async with self._locked(run.request.region, name, by, at_ms, override) as lock:
            entry = Entry(run=name, at_ms=at_ms, by=by, what="resumed")
            await self.book.write(entry)
            run.entries.append(entry)
            yield Execution(run, self.book, lock, self.watch, by, tell)

    async def abort(self, name: str, by: str, why: str, tell: Tell) -> None:
        """Have an operation aborted: by who carries it out, or, where nobody does, here.

        Raises:
            OperationError: there is no such operation, or it has ended.
        """
        run = await self.book.run(name)
        if run.end is not None:
            raise OperationError(f"{name} has ended: {run.end.what}")
        await self.book.write(
            Entry(
                run=name, at_ms=self.book.stamp_ms(run.entries[-1].at_ms), by=by, what="abort",
                text=why,
            )
        )  # fmt: skip
        holder = await holder_of(self._stations, run.request.region)
        if holder is not None and holder.run == name:
            tell(f"{holder.by} is told to stop")
            return
        async with self.resumed(name, by, tell) as execution:
            await execution.carry_out()

    async def runs(self, days: float) -> list[Run]:
        """The operations of the last days.

        Raises:
            OperationError: no book could be read.
        """
        return await self.book.runs(self.book.stamp_ms() - int(days * DAY_MS))

    async def holders(self) -> dict[str, Holder]:
        """Who is at work, by region."""
        found = {name: await holder_of(self._stations, name) for name in self._topology.names}
        return {name: holder for name, holder in found.items() if holder is not None}

    @asynccontextmanager
    async def _locked(
        self, region: str, name: str, by: str, at_ms: int, override: str
    ) -> AsyncIterator[Lock]:
        total = len(self._topology.regions)
        lock = Lock(self._stations, total, region, Holder(name, by, at_ms), minority=bool(override))
        try:
            await lock.take()
            yield lock
        finally:
            await asyncio.shield(lock.release())


def _refuse(plan: Plan, override: str) -> None:
    if plan.objections and not override:
        raise OperationError("; ".join(plan.objections))


@asynccontextmanager
async def open_office(
    topology: Topology, listen: Sequence[Door], control: Sequence[Door]
) -> AsyncIterator[Office]:
    """The control plane of a fleet, through all regions that are reached.

    Args:
        topology: the fleet.
        listen: its regions' NATS, with a login that hears edges (`console`).
        control: the same with one that stores orders (`control`).

    Raises:
        OperationError: no region is reached.
    """
    async with open_stations(control) as stations, Posts(listen) as posts:
        keys = [
            EdgeKey(region.name, edge.name) for region in topology.regions for edge in region.edges
        ]
        await posts.heard(keys, HEAR_S)
        yield Office(topology, stations, Watch(topology, posts))
