"""Runs a world on one machine: starts it, watches it, and leaves nothing behind."""

import asyncio
import os
from collections.abc import Callable
from typing import IO

from regions.apply import Report
from regions.commands import edge_command, nats_command, serves
from regions.control import ControlServer, ProcessStatus, Request
from regions.deployment import Deployment
from regions.errors import ServerError, WorldError
from regions.events import Event, EventName, ReadyEdge, ReadyNats, ReadyRegion
from regions.identity import boot_id, end_all, identify
from regions.keeper import StreamKeeper
from regions.layout import Layout, assign, listeners
from regions.nats_server import require_nats_server
from regions.ports import Claims
from regions.process import Command, Kind, Notice, Process
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
    ) -> None:
        self.topology = topology
        self.state = state
        self._tell = tell
        self._narrate = narrate
        self._deployment = deployment
        self._apply_streams = apply_streams
        self._with_edges = with_edges
        self._tasks = Tasks("supervisor")
        self._claims = Claims()
        self._processes: dict[str, Process] = {}
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
        self._control = ControlServer(self.state.control_socket, self._handle)
        await self._control.start()
        if self._deployment is None:
            layout = await self._start_nats()
        else:
            layout = self._arrange(self.state.ports())
        if self._apply_streams:
            await self._start_streams(layout)
        await asyncio.gather(self._start_edges(layout), self._hear_mirrors())
        self._ready = True
        self._tell(Event(event="ready", regions=_ready_regions(self._record(layout).regions)))

    async def stop(self, *, drain: bool = False) -> None:
        """End everything, edges first, then NATS; nothing is left when it returns."""
        if self._lock is None:
            return
        self._stopping = True
        if self._ready:
            self._tell(Event(event="stopping"))
        if self._control is not None:
            await self._control.close()
        await self._tasks.close()
        await self._end("edge", gentle=drain)
        await self._end("nats", gentle=False)
        self.state.forget_world()
        self._claims.release()
        self._lock.close()
        self._lock = None
        if self._ready:
            self._tell(Event(event="stopped"))

    async def _end(self, kind: Kind, *, gentle: bool) -> None:
        group = self._of(kind)
        await asyncio.gather(*(process.end(gentle=gentle) for process in group))
        await asyncio.gather(*(process.close() for process in group))

    # --- start ---------------------------------------------------------------------------------

    async def _clean(self) -> None:
        """End what a supervisor left that died without doing so itself."""
        record = self.state.world()
        if record is None:
            return
        left = await asyncio.to_thread(end_all, record.processes(), STALE_END_S)
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            raise WorldError(f"processes of the world before can't be ended: {pids}")
        self.state.forget_world()

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
            urls = {
                server.name: f"{server.monitor_url}/healthz?js-enabled-only=true"
                for region in layout.regions({})
                for server in region.nats
            }
            # Those that are dialled a little before those that dial: a link that is refused at
            # first comes 1.6 s later, and the mirrors behind it 5 s after that.
            for region in reversed(self.topology.regions):
                for server in region.servers:
                    command = nats_command(layout, program, region, server)
                    self._launch(command, urls[server.name])
                await asyncio.sleep(NATS_STAGGER_S)
            self._narrate(f"starting {len(urls)} nats-servers")
            conflicts = await self._nats_up()
            if not conflicts:
                return layout
            self._narrate(f"the ports of {', '.join(conflicts)} were taken meanwhile")
            await self._end("nats", gentle=False)
            self._claims.release()
            stored = {
                key: port
                for key, port in self.state.ports().items()
                if key.partition("/")[0] not in conflicts
            }
        raise WorldError(f"no free ports found in {BIND_ATTEMPTS} attempts")

    async def _nats_up(self) -> list[str]:
        """Wait until all nats-servers serve; the names of those whose port was taken, if any."""
        group = self._of("nats")
        up = self._tasks.spawn(_all_up(group), "up")
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
                self._launch(edge_command(layout, region, edge), f"{urls[edge.name]}/readyz")
        if urls:
            self._narrate(f"starting {len(urls)} edges")
        await _all_up(self._of("edge"))

    async def _hear_mirrors(self) -> None:
        if self._keeper is None or len(self.topology.regions) == 1:
            return
        self._narrate("waiting for the mirrors")
        silent = await self._keeper.mirrors_heard(MIRRORS_START_S)
        if silent:
            self._narrate(f"not heard of their origin yet: {', '.join(silent)}")

    # --- processes -----------------------------------------------------------------------------

    def _launch(self, command: Command, ready_url: str) -> None:
        process = Process(command, serves(ready_url), self._noticed)
        self._processes[command.name] = process
        process.launch()

    def _of(self, kind: Kind) -> list[Process]:
        return [process for process in self._processes.values() if process.command.kind == kind]

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
        is_edge = process.command.kind == "edge"
        name: EventName
        if notice == "up":
            name = "edge_up" if is_edge else "nats_up"
        else:
            name = "edge_down" if is_edge else "nats_down"
        death = process.death if notice == "down" else None
        reason = None if death is None else death.reason
        if death is not None and reason == "exited" and not death.was_up:
            reason = process.last_words() or reason
        return Event(
            event=name,
            region=process.command.region,
            edge=process.name if is_edge else None,
            server=None if is_edge else process.name,
            url=self._child(process).url,
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

    def _child(self, process: Process) -> WorldNats | WorldEdge:
        assert self._layout is not None
        for region in self._layout.regions({}):
            children: list[WorldNats | WorldEdge] = [*region.nats, *region.edges]
            for child in children:
                if child.name == process.name:
                    return child
        raise AssertionError(process.name)

    def _record(self, layout: Layout) -> WorldRecord:
        me = identify(os.getpid())
        assert me is not None
        running = {
            name: process.identity
            for name, process in self._processes.items()
            if process.identity is not None
        }
        return WorldRecord(
            version=VERSION,
            boot=boot_id(),
            supervisor=me,
            topology_where=self.topology.where,
            topology_text=self.topology.text,
            regions=layout.regions(running),
        )

    # --- control -------------------------------------------------------------------------------

    async def _handle(self, request: Request) -> list[ProcessStatus]:
        if request.cmd == "status":
            return [self._status(process) for process in self._processes.values()]
        if request.process is None:
            raise WorldError("`process` is missing")
        process = self._processes.get(request.process.removeprefix("nats:"))
        if process is None:
            raise WorldError(
                f"no process {request.process!r}; there are {', '.join(self._processes)}"
            )
        if request.cmd in ("kill", "pause", "continue") and process.identity is None:
            raise WorldError(f"{process.name} does not run: it is {process.state}")
        match request.cmd:
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
        return [self._status(process)]

    def _status(self, process: Process) -> ProcessStatus:
        return ProcessStatus(
            name=process.name,
            kind=process.command.kind,
            region=process.command.region,
            state=process.state,
            pid=None if process.identity is None else process.identity.pid,
            paused=process.paused,
            starts=process.starts,
            url=self._child(process).url,
            last_exit=None if process.death is None else process.death.code,
        )


async def _all_up(group: list[Process]) -> None:
    await asyncio.gather(*(process.wait_up() for process in group))


def _ready_regions(regions: list[WorldRegion]) -> list[ReadyRegion]:
    return [
        ReadyRegion(
            name=region.name,
            nats=[ReadyNats(server.url, server.pid) for server in region.nats],
            edges=[ReadyEdge(edge.name, edge.url, edge.http, edge.pid) for edge in region.edges],
        )
        for region in regions
    ]
