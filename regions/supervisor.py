"""Runs a world on one machine: starts it, watches it, and leaves nothing behind."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from regions.apply import Report
from regions.commands import (
    answers,
    edge_command,
    nats_command,
    serves,
    wan_command,
)
from regions.control import Client, ControlServer, Reply, Request
from regions.deployment import Deployment
from regions.errors import ServerError, WorldError
from regions.events import Event, EventName, ReadyEdge, ReadyNats, ReadyRegion
from regions.faults.desk import FaultDesk
from regions.faults.disks import Disks
from regions.faults.links import Links
from regions.faults.route import LINKS, base_flows, check, in_spaces
from regions.faults.servers import Servers
from regions.faults.spaces import DEVICE, Spaces, sweep
from regions.faults.stores import Stores
from regions.identity import boot_id, end_all, identify
from regions.keeper import StreamKeeper
from regions.layout import Layout, assign, listeners
from regions.nats_server import require_nats_server
from regions.ports import Claims
from regions.process import Command, Kind, Notice, Process
from regions.processes import Processes, status
from regions.programs import EDGE_PROGRAM
from regions.state import StateDir
from regions.topology import Topology
from regions.world import VERSION, World, WorldEdge, WorldNats, WorldRecord, WorldRegion
from relay.tasks import Tasks

NATS_STAGGER_S = 0.03
NATS_START_S = 60.0
STREAMS_START_S = 45.0
MIRRORS_START_S = 10.0  # a mirror that tried before its link was up tries again after 5 s
STALE_END_S = 3.0
BIND_ATTEMPTS = 5
_TAKEN = "address already in use"
_EVENTS: dict[tuple[Kind, Notice], EventName] = {
    ("edge", "up"): "edge_up",
    ("edge", "down"): "edge_down",
    ("edge", "hung"): "edge_hung",
    ("nats", "up"): "nats_up",
    ("nats", "down"): "nats_down",
    ("nats", "hung"): "nats_hung",
    ("wan", "up"): "wan_up",
    ("wan", "down"): "wan_down",
    ("wan", "hung"): "wan_hung",
}


class Supervisor:
    """The parent of a world's processes. One at a time has a state directory."""

    def __init__(
        self,
        topology: Topology,
        state: StateDir,
        tell: Callable[[Event], None],
        narrate: Callable[[str], None],
        *,
        deployment: Deployment | None = None,
        apply_streams: bool = True,
        with_edges: bool = True,
        edge_program: Sequence[str] = EDGE_PROGRAM,
    ) -> None:
        self.topology = topology
        self.state = state
        self._tell = tell
        self._narrate = narrate
        self._deployment = deployment
        self._apply_streams = apply_streams
        self._with_edges = with_edges
        self._edge_program = edge_program
        self._tasks = Tasks("supervisor")
        self._claims = Claims()
        self._processes = Processes(topology.watch, self._noticed)
        self._links: Links | None = None
        self._spaces: Spaces | None = None
        self._disks = Disks()
        self._desk: FaultDesk | None = None
        self._layout: Layout | None = None
        self._lock: IO[str] | None = None
        self._control: ControlServer | None = None
        self._keeper: StreamKeeper | None = None
        self._ready = False
        self._stopping = False

    def world(self) -> World:
        """The world as other commands find it; only after `start`."""
        assert self._layout is not None
        return World(self._record(self._layout), self._layout.secrets)

    async def start(self) -> None:
        """Bring everything up, and return when it serves. May be cancelled; then call `stop`.

        Raises:
            WorldError: another supervisor runs here, a port is taken, or NATS does not come up.
            ServerError: there is no usable nats-server, or one does not start.
        """
        self._lock = self.state.lock()
        await self._clean()
        self._control = ControlServer(self.state.control_socket, self._handle, self._gone)
        await self._control.start()
        if self._deployment is None:
            await self._prepare_links()
            await asyncio.to_thread(self._prepare_disks)
            layout = await self._start_nats()
        else:
            layout = self._arrange(self.state.ports())
        if self._apply_streams:
            await self._start_streams(layout)
        await asyncio.gather(self._start_edges(layout), self._hear_mirrors())
        self._desk = FaultDesk(
            self.topology,
            self._processes,
            self._links,
            Servers(self._processes, Stores(self.state), layout.monitors()),
            {name: layout.nats_config(name, "control") for name in self.topology.names},
            self._narrate,
        )
        self._ready = True
        self._tell(Event(event="ready", regions=_ready_regions(self._record(layout).regions)))

    async def stop(self, *, drain: bool = False) -> None:
        """End everything, edges first, then NATS; nothing is left when it returns."""
        if self._lock is None:
            return
        self._stopping = True
        if self._ready:
            self._tell(Event(event="stopping"))
        if self._desk is not None:
            await self._desk.close()
        if self._control is not None:
            await self._control.close()
        await self._tasks.close()
        await self._processes.end("edge", gentle=drain)
        await self._processes.end("nats", gentle=False)
        await self._end_links()
        await asyncio.to_thread(self._disks.close)
        self.state.forget_world()
        self._claims.release()
        self._lock.close()
        self._lock = None
        if self._ready:
            self._tell(Event(event="stopped"))

    async def _end_links(self) -> None:
        if self._links is not None:
            await self._links.close()
        await self._processes.end("wan", gentle=False)
        if self._spaces is not None:
            await asyncio.to_thread(self._spaces.close)

    # --- start ---------------------------------------------------------------------------------

    async def _clean(self) -> None:
        """End what a supervisor left that died without doing so itself."""
        record = self.state.world()
        if record is None:
            return
        if record.supervisor is None:
            raise WorldError(
                f"{self.state.path} describes a deployment that runs elsewhere: use another --state"
            )
        left = await asyncio.to_thread(end_all, record.processes(), STALE_END_S)
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            raise WorldError(f"processes of the world before can't be ended: {pids}")
        if record.wan is not None:
            await asyncio.to_thread(sweep)
        self.state.forget_world()

    async def _prepare_links(self) -> None:
        """What the links need before ports are chosen."""
        mode = self.topology.faults.links
        if mode == "direct" or len(self.topology.regions) == 1:
            return
        check(self.topology)
        if mode == "netns":
            self._spaces = Spaces(self.topology.names, self.state.path)
            await asyncio.to_thread(self._spaces.make)
            self.topology = in_spaces(self.topology, self._spaces.places())
        self._links = Links(self.state.wan_socket, base_flows(self.topology))

    def _prepare_disks(self) -> None:
        size_mb = self.topology.faults.disk_mb
        for region in self.topology.regions:
            for server in region.servers:
                self._disks.prepare(self.state.server_store(server.name), size_mb)
                Stores(self.state).clean(server.name)  # a killed supervisor left it

    def _arrange(self, stored: dict[str, int]) -> Layout:
        """Choose ports and complete the secrets."""
        wanted = listeners(
            self.topology, with_nats=self._deployment is None, with_edges=self._with_edges
        )
        ports = assign(list(wanted), stored, self._claims, self._narrate)
        self.state.save_ports(self.state.ports() | ports)
        secrets = self.state.secrets().completed(self.topology)
        self.state.save_secrets(secrets)
        self._layout = Layout(
            self.topology, self.state, secrets, ports, self._deployment, self._with_edges
        )
        return self._layout

    async def _start_nats(self) -> Layout:
        program = await asyncio.to_thread(require_nats_server)
        stored = self.state.ports()
        for _ in range(BIND_ATTEMPTS):
            layout = self._arrange(stored)
            conflicts = await self._start_links(layout)
            if not conflicts:
                conflicts = await self._start_servers(layout, program)
            if not conflicts:
                return layout
            self._narrate(f"the ports of {', '.join(conflicts)} were taken meanwhile")
            await self._processes.end("nats", gentle=False)
            await self._processes.end("wan", gentle=False)
            self._claims.release()
            stored = {
                key: port
                for key, port in self.state.ports().items()
                if key.partition("/")[0] not in conflicts
            }
        raise WorldError(f"no free ports found in {BIND_ATTEMPTS} attempts")

    async def _start_links(self, layout: Layout) -> list[str]:
        """Start what carries the links: a link that is refused at first comes 1.6 s later."""
        if self._links is None:
            return []
        router = None if self._spaces is None else self._spaces.router
        command = wan_command(layout, DEVICE, router)
        self._processes.launch(command, self._links.serves, self._links.serves)
        return await self._up("wan")

    async def _start_servers(self, layout: Layout, program: Path) -> list[str]:
        """Start the nats-servers; the names of those whose port was taken, if any."""
        urls = {
            name: f"{url}/healthz?js-enabled-only=true" for name, url in layout.monitors().items()
        }
        # Those that are dialled a little before those that dial.
        for region in reversed(self.topology.regions):
            for server in region.servers:
                self._launch(nats_command(layout, program, region, server), urls[server.name])
            await asyncio.sleep(NATS_STAGGER_S)
        self._narrate(f"starting {len(urls)} nats-servers")
        return await self._up("nats")

    async def _up(self, kind: Kind) -> list[str]:
        """Wait until all of a kind serve; the names of those whose port was taken, if any."""
        group = self._processes.of(kind)
        up = self._tasks.spawn(self._processes.up(group), "up")
        deaths = [self._tasks.spawn(process.wait_dead(), "dead") for process in group]
        done, _ = await asyncio.wait(
            [up, *deaths], timeout=NATS_START_S, return_when=asyncio.FIRST_COMPLETED
        )
        for task in (up, *deaths):
            task.cancel()
        if up in done:
            return []
        dead = {process.name: process.last_words() for process in group if process.death}
        conflicts = [name for name, words in dead.items() if _TAKEN in words]
        if conflicts:
            return conflicts
        if dead:
            name, words = next(iter(dead.items()))
            raise ServerError(f"{name} does not start: {words or 'it says nothing'}")
        silent = ", ".join(process.name for process in group if process.state != "up")
        raise ServerError(f"{silent}: not serving within {NATS_START_S:.0f} s")

    async def _start_streams(self, layout: Layout) -> None:
        self._narrate("applying streams")
        nats = {region: layout.nats_config(region, "control") for region in self.topology.names}
        keep = self.state.salvage
        self._keeper = StreamKeeper(self.topology, nats, self._streams_applied, keep)
        report = await self._keeper.settle(STREAMS_START_S)
        if report.failures:
            raise WorldError("; ".join(failure.error for failure in report.failures))
        self._tasks.spawn(self._keeper.run(), "keeper")

    async def _start_edges(self, layout: Layout) -> None:
        urls = {edge.name: edge.http for region in layout.regions({}) for edge in region.edges}
        for region in self.topology.regions:
            for edge in region.edges if self._with_edges else ():
                command = edge_command(layout, region, edge, self._edge_program)
                self._launch(command, f"{urls[edge.name]}/readyz")
        if urls:
            self._narrate(f"starting {len(urls)} edges")
        await self._processes.up(self._processes.of("edge"))

    async def _hear_mirrors(self) -> None:
        if self._keeper is None or len(self.topology.regions) == 1:
            return
        self._narrate("waiting for the mirrors")
        silent = await self._keeper.mirrors_heard(MIRRORS_START_S)
        if silent:
            self._narrate(f"not heard of their origin yet: {', '.join(silent)}")

    # --- processes -----------------------------------------------------------------------------

    def _launch(self, command: Command, ready_url: str) -> None:
        self._processes.launch(command, serves(ready_url), answers(ready_url))

    def _noticed(self, process: Process, notice: Notice) -> None:
        assert self._layout is not None
        try:
            self.state.save_world(self._record(self._layout))
        except OSError as error:
            # Going on matters more: without it, only a clean-up after SIGKILL would miss a process.
            self._narrate(f"world.json was not written: {error.strerror}")
        if notice == "up" and process.command.kind == "nats" and self._keeper is not None:
            self._keeper.hurry()
        if self._stopping or notice == "spawned":
            return
        if self._ready:
            self._tell(self._event(process, notice))
        elif notice == "down" and process.death is not None:
            code, words = process.death.code, process.last_words()
            self._narrate(f"{process.name} ended with code {code}: {words}")

    def _event(self, process: Process, notice: Notice) -> Event:
        kind = process.command.kind
        is_up = notice in ("up", "awake")
        name: EventName = _EVENTS[kind, "up" if is_up else notice]
        death = process.death if notice == "down" else None
        reason = "answers again" if notice == "awake" else None
        if death is not None:
            reason = death.reason
        if death is not None and reason == "exited" and not death.was_up:
            reason = process.last_words() or reason
        return Event(
            event=name,
            region=process.command.region or None,
            edge=process.name if kind == "edge" else None,
            server=process.name if kind == "nats" else None,
            url=self._url(process),
            pid=None if process.identity is None else process.identity.pid,
            code=None if death is None else death.code,
            reason=reason,
            retry_in_s=None if death is None else death.retry_in_s,
        )

    def _streams_applied(self, report: Report) -> None:
        changes = [str(change) for change in report.changes]
        failures = [failure.error for failure in report.failures]
        if not self._ready:  # `ready` is the first event
            self._narrate("; ".join(("streams:", *changes, *failures)))
            return
        self._tell(Event(event="streams_applied", changes=changes, failures=failures))

    def _url(self, process: Process) -> str | None:
        assert self._layout is not None
        for region in self._layout.regions({}):
            children: list[WorldNats | WorldEdge] = [*region.nats, *region.edges]
            for child in children:
                if child.name == process.name:
                    return child.url
        return None

    def _record(self, layout: Layout) -> WorldRecord:
        me = identify(os.getpid())
        assert me is not None
        running = self._processes.identities()
        return WorldRecord(
            version=VERSION,
            boot=boot_id(),
            supervisor=me,
            topology_where=self.topology.where,
            topology_text=self.topology.text,
            regions=layout.regions(running),
            wan=running.get(LINKS),
        )

    # --- control -------------------------------------------------------------------------------

    async def _handle(self, request: Request, client: Client) -> Reply:
        match request.cmd:
            case "status":
                return self._reply(*self._processes)
            case "fault" | "heal" | "faults" | "snapshot":
                if self._desk is None:
                    raise WorldError("the world is still starting")
                return await self._desk.handle(request, client)
            case _:
                return self._reply(await self._processes.act(request.cmd, request.process))

    async def _gone(self, client: Client) -> None:
        if self._desk is not None:
            await self._desk.gone(client)

    def _reply(self, *processes: Process) -> Reply:
        return Reply(ok=True, processes=[status(one, self._url(one) or "-") for one in processes])


def _ready_regions(regions: list[WorldRegion]) -> list[ReadyRegion]:
    return [
        ReadyRegion(
            name=region.name,
            nats=[ReadyNats(server.url, server.pid) for server in region.nats],
            edges=[ReadyEdge(edge.name, edge.url, edge.http, edge.pid) for edge in region.edges],
        )
        for region in regions
    ]
