"""Where operators go: plan, submit, take up, abort and see operations, in any region that lives.

Plan, confirm, submit, follow: `plan` changes nothing; `submit` stores what is to be done and by
whom, and returns what carries it out.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from regions.doors import Door
from regions.errors import OperationError
from regions.news import AckNews, encode_news
from regions.operations.book import Book
from regions.operations.entry import Entry, Objection, Plan, Request, Run, new_run
from regions.operations.execution import Execution
from regions.operations.holder import Holder
from regions.operations.lock import FLEET, Lock, holder_of
from regions.operations.plan import make_plan
from regions.operations.station import Station, open_stations
from regions.operations.watch import Watch
from regions.steering.health import EdgeKey
from regions.steering.observing import Posts
from regions.topology import Topology
from relay.core.names import news_subject
from relay.core.orders import Orders
from relay.errors import UnavailableError

HEAR_S = 2.5  # every edge says how it is once a second
LOOK_S = 0.5  # whether who carries an operation out has stopped
MORE, FEW = 1.2, 20  # clients that come between plan and submission change nothing
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

    @property
    def unreached(self) -> list[str]:
        """Regions whose NATS does not."""
        there = {station.region for station in self._stations}
        return [name for name in self._topology.names if name not in there]

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
        return make_plan(
            request, self.watch.sight(await self.orders(), self.reached, self.book.now_ms)
        )

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
        holder = Holder(name, request.by, at_ms, secrets.token_hex(8))
        async with (
            self._locked(request.region, holder, override) as lock,
            # Nobody else plans until the first orders stand: what is open is the fleet's matter.
            self._locked(FLEET, holder, override) as fleet,
        ):
            fresh = await self.plan(request)
            _refuse(fresh, override)
            if changed := _changed(plan, fresh):
                raise OperationError(f"since it was confirmed, {changed}; look at the plan again")
            entry = Entry(
                run=name, at_ms=at_ms, by=request.by, what="submitted", request=request,
                plan=fresh, override=override,
            )  # fmt: skip
            await self.book.write(entry)
            run = Run(name, request, fresh, [entry])
            execution = Execution(run, self.book, lock, self.watch, request.by, tell)
            execution.begun = fleet.release
            yield execution

    @asynccontextmanager
    async def resumed(
        self, name: str, by: str, tell: Tell, override: str = ""
    ) -> AsyncIterator[Execution]:
        """Take up an operation whose carrier is gone.

        Args:
            name: the operation's.
            by: who takes it up.
            tell: is told what happens, for people.
            override: why it goes on in spite of what speaks against it; empty: as it was submitted.

        Raises:
            BusyError: somebody carries it out, or is at work there.
            OperationError: there is no such operation, or it has ended.
        """
        run = await self.book.run(name)
        if run.end is not None and run.end.what != "failed":
            raise OperationError(f"{name} has ended: {run.end.what}")
        at_ms = self.book.stamp_ms(run.entries[-1].at_ms)
        override = override or run.entries[0].override
        holder = Holder(name, by, at_ms, secrets.token_hex(8))
        async with (
            self._locked(run.request.region, holder, override) as lock,
            self._locked(FLEET, holder, override) as fleet,
        ):
            run = await self.book.run(name)  # by whoever had it until now
            if run.end is not None and run.end.what != "failed":
                raise OperationError(f"{name} has ended: {run.end.what}")
            if run.abort is None:
                await self._still_wanted(run, override)
            entry = Entry(run=name, at_ms=at_ms, by=by, what="resumed", override=override)
            await self.book.write(entry)
            run.entries.append(entry)
            execution = Execution(run, self.book, lock, self.watch, by, tell)
            execution.begun = fleet.release
            yield execution

    async def _still_wanted(self, run: Run, override: str) -> None:
        """Whether an operation may go on as it was planned.

        Raises:
            OperationError: something else was ordered since, or it would hurt now.
        """
        orders = await self.orders()
        for wanted in (order for stage in run.plan.stages for order in stage.orders):
            known = orders.of(wanted.region, wanted.edge)
            if known is not None and known.run != run.name and known.at_ms > run.began_ms:
                raise OperationError(
                    f"{known.by} has ordered something else of {known.scope} since ({known.run}): "
                    "plan it anew"
                )
        _refuse(await self.plan(run.request), override)

    async def abort(self, name: str, by: str, why: str, tell: Tell) -> bool:
        """Have an operation aborted: by who carries it out, or, where nobody does, here.

        Returns:
            Whether it was; else it was done before anybody heard.

        Raises:
            OperationError: there is no such operation, or it has ended.
        """
        run = await self.book.run(name)
        if run.end is not None and run.end.what != "failed":
            raise OperationError(f"{name} has ended: {run.end.what}")
        await self.book.write(
            Entry(
                run=name, at_ms=self.book.stamp_ms(run.entries[-1].at_ms), by=by, what="abort",
                text=why,
            )
        )  # fmt: skip
        told = ""
        while True:
            holder = await holder_of(self._stations, run.request.region)
            if holder is None or holder.run != name:
                break
            if holder.by != told:
                told = holder.by
                tell(f"{told} is told to stop")
            await asyncio.sleep(LOOK_S)
            run = await self.book.run(name)
            if run.end is not None:
                tell(f"{run.end.what}: {run.end.text}" if run.end.text else run.end.what)
                return run.end.what == "aborted"
        # Its carrier is gone. To stop needs no majority: it does no harm.
        async with self.resumed(name, by, tell, override=why or "to stop it") as execution:
            return await execution.carry_out() == "aborted"

    async def acknowledge(self, name: str, on: str, by: str, why: str) -> None:
        """Say that somebody looks after an alert: keepers and consoles of all regions hear it.

        Args:
            name: the alert's.
            on: what it is about.
            by: who looks after it.
            why: what is to be known of that.

        Raises:
            OperationError: no region took it.
        """
        news = AckNews(at_ms=self.book.stamp_ms(), name=name, on=on, by=by, why=why)
        refused = []
        for station in self._stations:
            try:
                await station.tell(news_subject(station.region, "ack"), encode_news(news))
            except UnavailableError as error:
                refused.append(str(error))
        if len(refused) == len(self._stations):
            raise OperationError("; ".join(refused))

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
    async def _locked(self, scope: str, holder: Holder, override: str) -> AsyncIterator[Lock]:
        total = len(self._topology.regions)
        # Who says why may go on where most regions do not answer, or do not store.
        lock = Lock(self._stations, total, scope, holder, minority=bool(override))
        try:
            await lock.take()
            yield lock
        finally:
            await asyncio.shield(lock.release())


def _refuse(plan: Plan, override: str) -> None:
    if plan.objections and not override:
        raise OperationError("; ".join(plan.against))


def _changed(confirmed: Plan, fresh: Plan) -> str:
    """What is worse about a plan than about the one that was confirmed; empty: nothing."""
    known = {
        (each.kind, each.about): each.figure
        for each in confirmed.objections
        if isinstance(each, Objection)
    }
    for each in fresh.objections:
        if isinstance(each, str):
            return each
        figure = known.get((each.kind, each.about))
        if figure is None or each.figure > figure * MORE:
            return each.text
    if fresh.moves > confirmed.moves * MORE + FEW:
        return f"{fresh.moves:,} clients would move instead of {confirmed.moves:,}"
    return ""


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
        office = Office(topology, stations, Watch(topology, posts))
        await office.book.set_clock()
        yield office
