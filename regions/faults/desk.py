"""Takes the faults that are asked for over the control socket, makes them and heals them."""

import asyncio
import time
from collections.abc import Callable, Iterable

from regions.control import Client, Reply, Request
from regions.errors import WorldError
from regions.faults.fault import (
    DownFault,
    Fault,
    FaultName,
    Held,
    KillFault,
    LinkFault,
    PauseFault,
    Possible,
)
from regions.faults.leases import Lease, Leases
from regions.faults.links import Links
from regions.faults.possible import possible
from regions.process import Process
from regions.processes import Processes
from regions.topology import Topology
from relay.errors import RelayError


class FaultDesk:
    """The faults of one running world."""

    def __init__(
        self,
        topology: Topology,
        processes: Processes,
        links: Links | None,
        narrate: Callable[[str], None],
    ) -> None:
        """`links`: None where they are direct."""
        self._topology = topology
        self._processes = processes
        self._links = links
        self._narrate = narrate
        self._leases = Leases()
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
            case "faults":
                return Reply(ok=True, faults=self.held(), possible=self.possible())
            case _:
                raise WorldError(f"{request.cmd}: not yet")

    async def make(self, client: Client, fault: Fault) -> Held:
        """Make a fault; returns when it is in effect.

        Raises:
            WorldError: it can't be made in this world, or names what is not there.
        """
        async with self._lock:
            text = self._checked(fault)
            lease = self._leases.add(client, fault, text)
            try:
                at_s = await self._begin(fault)
            except BaseException:
                self._leases.remove(lease)
                await self._undo(lease)
                raise
            if isinstance(fault, KillFault):
                self._leases.remove(lease)
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

    def held(self) -> list[Held]:
        """The faults that are in effect."""
        return self._leases.held()

    def possible(self) -> list[Possible]:
        """Which faults can be made here."""
        more: dict[FaultName, str | None] = {}
        names = self._topology.names
        return possible(self._topology.faults.links, regions=len(names), more=more)

    def close(self) -> None:
        """The world ends: nothing is to be healed any more."""
        self._closed = True

    async def _heal(self, leases: list[Lease]) -> list[Held]:
        healed: list[Held] = []
        async with self._lock:
            for lease in leases:
                if self._leases.get(lease.number) is None:
                    continue
                self._leases.remove(lease)
                at_s = await self._undo(lease)
                healed.append(lease.held(at_s, at_s))
        return healed

    # --- what each one does --------------------------------------------------------------------

    def _checked(self, fault: Fault) -> str:
        """The fault in words, if it can be made."""
        match fault:
            case LinkFault():
                return self._checked_link(fault)
            case DownFault() | PauseFault() | KillFault():
                self._of(fault.processes)
                return f"{fault.__struct_config__.tag} {', '.join(fault.processes)}"
            case _:
                raise WorldError(f"{fault.__struct_config__.tag}: not yet")

    def _checked_link(self, fault: LinkFault) -> str:
        if not fault.pairs:
            raise WorldError("pairs: none given")
        names = self._topology.names
        for source, target in fault.pairs:
            for region in (source, target):
                if region not in names:
                    raise WorldError(f"no region {region!r}; the world has {', '.join(names)}")
            if source == target:
                raise WorldError(f"{source}: a region has no link to itself")
        problem = fault.change.problem()
        if problem is not None:
            raise WorldError(problem)
        for name in _names(fault):
            self._require(name)
        done = ", ".join(_said(fault))
        return f"{done} {' '.join(f'{source}->{target}' for source, target in fault.pairs)}"

    def _require(self, name: FaultName) -> None:
        for one in self.possible():
            if one.fault == name and one.why_not is not None:
                raise WorldError(f"{name}: {one.why_not}")

    async def _begin(self, fault: Fault) -> float:
        at_s = time.monotonic()
        match fault:
            case LinkFault():
                at_s = await self._shape()
            case DownFault():
                await asyncio.gather(*(one.hold() for one in self._of(fault.processes)))
            case KillFault():
                await asyncio.gather(*(one.kill() for one in self._of(fault.processes)))
            case PauseFault():
                for one in self._of(fault.processes):
                    if not one.pause():
                        raise WorldError(f"{one.name} does not run: it is {one.state}")
        return at_s

    async def _undo(self, lease: Lease) -> float:
        """Heal it; the time at which it is. What fails is said, and holds nothing else up."""
        fault = lease.fault
        try:
            match fault:
                case LinkFault():
                    return await self._shape()
                case DownFault():
                    still = self._leases.down()
                    for one in self._of(fault.processes):
                        if one.name not in still:
                            one.launch()
                case PauseFault():
                    still = self._leases.paused()
                    for one in self._of(fault.processes):
                        if one.name not in still:
                            one.resume()
        except RelayError as error:
            self._narrate(f"healing {lease.text}: {error}")
        return time.monotonic()

    async def _shape(self) -> float:
        assert self._links is not None
        return await self._links.shape(self._leases.changes())

    def _of(self, names: Iterable[str]) -> list[Process]:
        found = [self._processes.find(name) for name in names]
        if not found:
            raise WorldError("processes: none given")
        return found


def _names(fault: LinkFault) -> list[FaultName]:
    """The faults that one change asks for."""
    change = fault.change
    both = all((target, source) in fault.pairs for source, target in fault.pairs)
    asked: list[tuple[bool, FaultName]] = [
        (bool(change.cut), "cut" if both else "one-way"),
        (bool(change.stall), "stall"),
        (change.delay_ms is not None or change.jitter_ms is not None, "delay"),
        (change.rate_kbit is not None, "rate"),
        (change.loss is not None, "loss"),
    ]
    return [name for is_asked, name in asked if is_asked]


def _said(fault: LinkFault) -> list[str]:
    change = fault.change
    said = ["cut"] if change.cut else []
    said += ["stall"] if change.stall else []
    for name, value, unit in (
        ("delay", change.delay_ms, "ms"),
        ("jitter", change.jitter_ms, "ms"),
        ("rate", change.rate_kbit, "kbit/s"),
        ("loss", None if change.loss is None else change.loss * 100, "%"),
    ):
        if value is not None:
            said.append(f"{name} {value:g} {unit}")
    if not said:
        raise WorldError("change: nothing given")
    return said
