"""One edge as a process: the real `Edge`, put together as `EdgeProcess` does, on modelled wires.

It is killed, stopped and continued as a process is: its loop runs no further.
"""

import random
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlsplit

from relay.bus.bus import Bus
from relay.config import EdgeConfig
from relay.core.session import Rules
from relay.edge.admission import Door, Refusal
from relay.edge.connection import ClientConnection
from relay.edge.edge import Edge
from relay.edge.rhythm import Rhythm
from relay.errors import BusError
from tests.simulation.connection import SimConnection
from tests.simulation.loop import Handle, ProcessLoop, Scheduler
from tests.simulation.nats import System
from tests.simulation.sockets import Socket, Wire

RESTART_S = 0.5
STALE_CLIENT_S = 12.0  # the NATS server pings every 5 s, and ends who does not answer two


class SimEdge:
    """An edge that can be killed, stopped, continued, and is started again by its supervisor."""

    def __init__(
        self,
        scheduler: Scheduler,
        systems: Mapping[str, System],
        config: EdgeConfig,
        rules: Rules,
        seed: int,
        number: Callable[[], int],
    ) -> None:
        self.config = config
        self.name = config.edge
        self.region = config.region
        self.edge: Edge | None = None
        self.skew_s = 0.0
        self.loop: ProcessLoop | None = None
        self.lives = 0
        self._scheduler = scheduler
        self._systems = systems
        self._rules = rules
        self._dice = random.Random(seed)
        self._number = number
        self._door: Door | None = None
        self._sockets: dict[int, Socket] = {}  # by number
        self._graveyard: list[ProcessLoop] = []  # so that no `finally` of theirs runs

    # --- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process."""
        self.lives += 1
        dice = random.Random(self._number())
        loop = ProcessLoop(self._scheduler, self.name, dice)  # type: ignore[abstract]
        loop.skew_s = self.skew_s
        loop.connect = self._connect
        self.loop = loop
        loop.call_soon(lambda: loop.create_task(self._main(loop), name="main"))

    def _connect(self, address: str, name: str) -> SimConnection:
        assert self.loop is not None
        system = self._systems[address.removeprefix("sim://")]
        return SimConnection(system, self.loop, name, self._number())

    async def _main(self, loop: ProcessLoop) -> None:
        config = self.config
        try:
            bus = await Bus.open(config.nats, config.edge, config.limits.replay_reads)
            edge = await Edge.open(config, self._rules, bus)
            rhythm = Rhythm(edge)
            await edge.start()
        except BusError:
            self._scheduler.after(0.0, self._ended, loop)
            return
        rhythm.start()
        self._door = Door(
            config.limits,
            config.origins,
            connections=lambda: len(edge.gateway.connections),
            admits=lambda resuming: edge.admits(resuming=resuming),
        )
        self.edge = edge

    def _ended(self, loop: ProcessLoop) -> None:
        if loop is self.loop:
            self.kill()
            self._scheduler.after(RESTART_S, self._restart, self.lives)

    def _restart(self, lives: int) -> None:
        if self.loop is None and self.lives == lives:
            self.start()

    def kill(self) -> None:
        """SIGKILL: sockets end, nothing of the process runs any more."""
        loop = self.loop
        if loop is None:
            return
        loop.killed = True
        self._graveyard.append(loop)
        self.loop = self.edge = self._door = None
        system = self._systems[self.region]
        for connection in system.connections_of(self.name):
            system.forget(connection)
        for socket in list(self._sockets.values()):
            socket.broken()
        self._sockets.clear()

    def stop(self) -> None:
        """SIGSTOP."""
        if self.loop is not None:
            self.loop.stopped = True
            self._scheduler.after(STALE_CLIENT_S, self._stale, self.loop)

    def _stale(self, loop: ProcessLoop) -> None:
        if loop.stopped and not loop.killed:
            system = self._systems[self.region]
            for connection in system.connections_of(self.name):
                system.hang_up(connection, keep=True)

    def proceed(self) -> None:
        """SIGCONT."""
        if self.loop is not None:
            self.loop.proceed()

    @property
    def running(self) -> bool:
        """Whether the process lives and is not stopped."""
        return self.loop is not None and not self.loop.stopped

    # --- clients -------------------------------------------------------------------------------

    def handshake(self, url: str, wire: Wire) -> None:
        """An upgrade request has arrived at the machine."""
        loop = self.loop
        if loop is None:
            wire.refused("connection refused", busy=False, retry_after_s=None)
            return
        loop.enqueue(Handle(self._upgrade, (url, wire), loop))

    def _upgrade(self, url: str, wire: Wire) -> None:
        if self._door is None or self.edge is None:
            wire.refused("connection refused", busy=False, retry_after_s=None)
            return
        parts = urlsplit(url)
        answer = self._door.judge(parts.path, dict(parse_qsl(parts.query)))
        if isinstance(answer, Refusal):
            busy = answer.status == 503
            after_s = None if answer.retry_after_s is None else float(answer.retry_after_s)
            wire.refused(answer.reason, busy=busy, retry_after_s=after_s)
            return
        assert answer.codec is not None, "the simulation asks for version 10"
        assert self.loop is not None
        socket = Socket(self.loop, wire, self._number(), self._forget)
        connection = ClientConnection(
            self.edge.gateway, socket, answer.codec, resuming=answer.resuming
        )
        socket.connection = connection
        self._sockets[socket.number] = socket
        wire.accepted(socket)
        self.edge.gateway.opened(connection)

    def _forget(self, socket: Socket) -> None:
        self._sockets.pop(socket.number, None)
