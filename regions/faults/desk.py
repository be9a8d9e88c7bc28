"""Takes the faults that are asked for over the control socket, makes them and heals them."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping

from regions.control import Client, Reply, Request
from regions.errors import WorldError
from regions.faults import disks
from regions.faults.fault import (
    DownFault,
    Fault,
    FaultName,
    FillDiskFault,
    Held,
    KillFault,
    LinkFault,
    PauseFault,
    Possible,
    RewindFault,
    WedgeFault,
)
from regions.faults.flow import Change, Pair
from regions.faults.leases import Effects, Lease, Leases
from regions.faults.links import Links
from regions.faults.possible import possible
from regions.faults.servers import Servers
from regions.faults.wedge import Wedge
from regions.faults.words import names_of, said
from regions.process import Kind, Process
from regions.processes import Processes
from regions.topology import Topology
from relay.config import NatsConfig
from relay.errors import RelayError


class FaultDesk:
    """The faults of one running world."""

    def __init__(
        self,
        topology: Topology,
        processes: Processes,
        links: Links | None,
        servers: Servers,
        nats: Mapping[str, NatsConfig],
        narrate: Callable[[str], None],
    ) -> None:
        """`links`: None where they are direct; `nats`: each region's, as user `control`."""
        self._topology = topology
        self._processes = processes
        self._links = links
        self._servers = servers
        self._nats = nats
        self._narrate = narrate
        self._leases = Leases()
        self._wedges: dict[int, Wedge] = {}  # by the number of the lease
        self._lock = asyncio.Lock()  # one fault after the other: they may concern the same things
        self._closed = False

    async def handle(self, request: Request, client: Client) -> Reply:
        """Answer a request for faults.

        Raises:
            WorldError: it can't be done; the text says why.
        """
        match request.cmd:
            case "fault":
                if request.fault is None:
                    raise WorldError("`fault` is missing")
                return Reply(ok=True, faults=[await self.make(client, request.fault)])
            case "heal":
                return Reply(ok=True, faults=await self.heal(client, request.number))
            case "snapshot":
                return Reply(ok=True, faults=[await self.snapshot(request.region or "")])
            case _:
                return Reply(ok=True, faults=self.held(), possible=self.possible())

    async def make(self, client: Client, fault: Fault) -> Held:
        """Make a fault; returns when it is in effect.

        Raises:
            WorldError: it can't be made in this world, or names what is not there.
        """
        async with self._lock:
            text = said(fault)
            for name in names_of(fault):
                self._require(name)
            lease = self._leases.add(client, fault, self._effects(fault), text)
            try:
                at_s = await self._begin(lease)
            except BaseException:
                self._leases.remove(lease)
                await self._undo(lease)
                raise
            if isinstance(fault, KillFault):
                self._leases.remove(lease)  # there is nothing to heal
            else:
                self._leases.began(lease, at_s)
            return lease.held(at_s)

    async def heal(self, client: Client, number: int | None) -> list[Held]:
        """Heal one fault of this connection, or all; returns when they are healed.

        Raises:
            WorldError: no such fault is held by this connection.
        """
        if number is None:
            leases = self._leases.of(client)
        else:
            found = self._leases.get(number)
            if found is None or found.client != client:
                raise WorldError(f"no fault {number} of this connection")
            leases = [found]
        return await self._heal(leases)

    async def gone(self, client: Client) -> None:
        """A connection ended: heal what it held."""
        leases = self._leases.of(client)
        if not leases or self._closed:
            return
        what = "; ".join(lease.text for lease in leases)
        self._narrate(f"process {client.pid} let go: healing {what}")
        await self._heal(leases)

    async def snapshot(self, region: str) -> Held:
        """Remember what a region's nats-servers have stored; they stand still meanwhile.

        Raises:
            WorldError: it has none here, or it can't be written.
        """
        self._require("rewind")
        servers = self._members(region, "nats")
        async with self._lock:
            at_s = await self._servers.remember(servers, self._leases.paused())
        return Held(0, f"snapshot {region}", at_s)

    def held(self) -> list[Held]:
        """The faults that are in effect."""
        return self._leases.held()

    def possible(self) -> list[Possible]:
        """Which faults can be made here."""
        return possible(
            self._topology.faults,
            regions=len(self._topology.names),
            own_nats=bool(self._processes.of("nats")),
            no_disks=disks.why_not(),
        )

    async def close(self) -> None:
        """The world ends: what would outlive its processes is healed."""
        self._closed = True
        for wedge in self._wedges.values():
            await self._quietly("the wedge", wedge.end())
        self._servers.close()

    async def _heal(self, leases: list[Lease]) -> list[Held]:
        healed: list[Held] = []
        async with self._lock:
            for lease in leases:
                if self._leases.get(lease.number) is None:
                    continue
                self._leases.remove(lease)
                why = await self._undo(lease)
                at_s = time.monotonic()
                healed.append(lease.held(at_s, at_s if why is None else None, why))
        return healed

    def _require(self, name: FaultName) -> None:
        for one in self.possible():
            if one.fault == name and one.why_not is not None:
                raise WorldError(f"{name}: {one.why_not}")

    # --- what each one does --------------------------------------------------------------------

    def _effects(self, fault: Fault) -> Effects:
        """What it does that others may do too; also sees that all that it names is there."""
        match fault:
            case LinkFault():
                self._check_link(fault)
                return Effects(pairs=tuple(fault.pairs), change=fault.change)
            case DownFault():
                return Effects(down=self._names(fault.processes))
            case PauseFault():
                return Effects(paused=self._names(fault.processes))
            case KillFault():
                self._names(fault.processes)
            case FillDiskFault():
                if self._processes.find(fault.server).command.kind != "nats":
                    raise WorldError(f"{fault.server} is not a nats-server")
            case RewindFault():
                return self._rewind_effects(fault)
            case WedgeFault():
                self._check_pair(fault.origin, fault.region)
        return Effects()

    def _rewind_effects(self, fault: RewindFault) -> Effects:
        if not self._servers.remembered(self._members(fault.region, "nats")):
            raise WorldError(f"no snapshot of {fault.region}: take one before the rewind")
        others = () if fault.mirrors else self._topology.others(fault.region)
        pairs = [pair for other in others for pair in _both(fault.region, other)]
        edges = [] if fault.witnesses else self._members(fault.region, "edge")
        return Effects(tuple(pairs), Change(cut=True), tuple(edge.name for edge in edges))

    async def _begin(self, lease: Lease) -> float:
        fault, effects = lease.fault, lease.effects
        at_s = time.monotonic()
        if effects.pairs:
            at_s = await self._shape()
        await asyncio.gather(*(one.hold() for one in self._find(effects.down)))
        for one in self._find(effects.paused):
            if not one.pause():
                raise WorldError(f"{one.name} does not run: it is {one.state}")
        match fault:
            case KillFault():
                await asyncio.gather(*(one.kill() for one in self._find(fault.processes)))
            case FillDiskFault(how="disk"):
                at_s = await self._servers.fill(self._processes.find(fault.server))
            case FillDiskFault():
                server = self._processes.find(fault.server)
                at_s = await self._servers.limit(server, limited=True)
            case RewindFault():
                at_s = await self._servers.rewind(self._members(fault.region, "nats"))
            case WedgeFault():
                wedge = Wedge(fault.origin, fault.region, self._nats[fault.origin])
                self._wedges[lease.number] = wedge
                await wedge.begin()
                at_s = time.monotonic()
        return at_s

    async def _undo(self, lease: Lease) -> str | None:
        """Heal it. What fails is said, and holds nothing else up; returns it."""
        effects, shaped = lease.effects, None
        if effects.pairs:
            shaped = await self._quietly(lease.text, self._shape())
        down, paused = self._leases.down(), self._leases.paused()
        for one in self._find(effects.down):
            if one.name not in down:
                one.launch()
        for one in self._find(effects.paused):
            if one.name not in paused:
                one.resume()
        return await self._quietly(lease.text, self._restore(lease)) or shaped

    async def _restore(self, lease: Lease) -> None:
        match lease.fault:
            case FillDiskFault(server=name, how="disk"):
                await self._servers.free(self._processes.find(name))
            case FillDiskFault(server=name):
                await self._servers.limit(self._processes.find(name), limited=False)
            case RewindFault(region=region):
                for server in self._members(region, "nats"):
                    if server.name not in self._leases.down():
                        server.launch()  # it failed half way
            case WedgeFault():
                wedge = self._wedges.pop(lease.number, None)
                if wedge is not None:
                    await wedge.end()

    async def _shape(self) -> float:
        assert self._links is not None
        return await self._links.shape(self._leases.changes())

    async def _quietly(self, what: str, healing: Coroutine[object, object, object]) -> str | None:
        try:
            await healing
        except (RelayError, OSError) as error:
            self._narrate(f"healing {what}: {error}")
            return str(error) or type(error).__name__
        return None

    # --- names ---------------------------------------------------------------------------------

    def _check_link(self, fault: LinkFault) -> None:
        if not fault.pairs:
            raise WorldError("pairs: none given")
        for source, target in fault.pairs:
            self._check_pair(source, target)
        problem = fault.change.problem()
        if problem is not None:
            raise WorldError(problem)

    def _check_pair(self, one: str, other: str) -> None:
        for region in (one, other):
            self._check_region(region)
        if one == other:
            raise WorldError(f"{one}: a region has no link to itself")

    def _check_region(self, region: str) -> None:
        names = self._topology.names
        if region not in names:
            raise WorldError(f"no region {region!r}; the world has {', '.join(names)}")

    def _members(self, region: str, kind: Kind) -> list[Process]:
        self._check_region(region)
        return [one for one in self._processes.of(kind) if one.command.region == region]

    def _names(self, names: Iterable[str]) -> tuple[str, ...]:
        found = tuple(one.name for one in self._find(names))
        if not found:
            raise WorldError("processes: none given")
        return found

    def _find(self, names: Iterable[str]) -> list[Process]:
        return [self._processes.find(name) for name in names]


def _both(one: str, other: str) -> tuple[Pair, Pair]:
    return (one, other), (other, one)
