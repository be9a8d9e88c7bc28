"""An edge as a process: started, served over HTTP and WebSocket, drained and ended by signals."""

import asyncio
import logging
import signal
import socket
from functools import partial
from pathlib import Path

from relay.bus.bus import Bus
from relay.config import EdgeConfig
from relay.edge import http, metrics
from relay.edge.account import frame_of, levels_of, totals_of
from relay.edge.admission import Door
from relay.edge.collecting import Collecting
from relay.edge.compass import Compass
from relay.edge.departures import Departures
from relay.edge.edge import Edge, rules_of
from relay.edge.front import Front
from relay.edge.geography import Geography
from relay.edge.inquiries import Inquiries
from relay.edge.negotiate import Negotiation
from relay.edge.rhythm import Rhythm
from relay.edge.visit_routes import VisitRoutes
from relay.edge.websocket import GatewayProtocol
from relay.errors import BusError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.edge")

FLUSH_S = 0.1  # for the last close frames
REFRESH_S = 10.0  # between two looks at the database of countries


class EdgeProcess:
    """Runs one edge until a signal ends it: SIGTERM drains first, a second or SIGINT does not."""

    def __init__(self, config: EdgeConfig, *, shared: bool = False) -> None:
        """Read the configuration; `shared`: others listen at the public port, too.

        Raises:
            ConfigError: a key in it is wrong.
        """
        self._config = config
        self._shared = shared
        self._collecting = Collecting()
        self._servers: list[http.Listener] = []
        self._rules = rules_of(config)
        self._geography = Geography(
            None if config.geoip is None else Path(config.geoip), config.trusted_proxies
        )
        self._tasks = Tasks("process")
        self._main: asyncio.Task[None] | None = None
        self._ended = False
        self._failure: BusError | None = None
        self._edge: Edge | None = None
        self._draining = False

    async def run(self) -> None:
        """Serve until a signal ends it.

        Raises:
            OSError: a port is taken.
            BusError: the region's streams are not there, or NATS refuses this edge from now on.
        """
        self._collecting.start()
        self._main = asyncio.current_task()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)
        loop.add_signal_handler(signal.SIGINT, self._end)
        config = self._config
        public = http.bound_socket(config.host, config.port, shared=self._shared)
        admin = http.bound_socket(config.admin_host, config.admin_port)
        try:
            await self._serve(public, admin)
        except asyncio.CancelledError:
            if self._failure is not None:
                raise self._failure from None
            if not self._ended:
                raise
        finally:
            self._collecting.stop()
            public.close()
            admin.close()

    async def _serve(self, public: socket.socket, admin: socket.socket) -> None:
        bus = await Bus.open(self._config.nats, self._config.edge, self._config.limits.replay_reads)
        try:
            bus.on_ended = self._fail
            edge = await Edge.open(self._config, self._rules, bus)
            self._edge = edge
            rhythm = Rhythm(edge)
            try:
                await edge.start()
                rhythm.start()
                await self._listen(edge, public, admin)
            finally:
                await self._tasks.close()
                await rhythm.close()
                await edge.close()
                await rhythm.say_ended()
        finally:
            await bus.close()

    async def _listen(self, edge: Edge, public: socket.socket, admin: socket.socket) -> None:
        config = self._config
        door = Door(
            config.limits,
            config.origins,
            connections=lambda: len(edge.gateway.connections),
            admits=lambda resuming: edge.admits(resuming=resuming),
        )
        departures = Departures()
        inquiries = Inquiries(edge, departures)
        registry = metrics.registry(
            partial(frame_of, edge),
            edge.gateway.counters,
            lambda: totals_of(edge) | inquiries.totals | self._collecting.totals,
            lambda: levels_of(edge) | inquiries.levels | self._collecting.levels,
        )
        protocol = GatewayProtocol.bind(edge.gateway, door, self._geography, departures)
        visits = VisitRoutes(
            edge.counting.visits, self._geography, config.origins, config.limits, edge.not_ready
        )
        self._tasks.spawn(self._refresh_geography(), "geography")
        compass = Compass(edge.peers, edge.standing.orders, config.regions)
        negotiation = Negotiation(
            compass, self._geography, config.origins, config.limits, edge.gateway.counters
        )
        routes = [*visits.routes, *negotiation.routes]
        servers = (
            (http.listener(http.public_app(edge.not_ready, routes), protocol, Front), public),
            (http.listener(http.admin_app(edge.not_ready, registry), None), admin),
        )
        self._servers = [server for server, _ in servers]
        for server, bound in servers:
            self._tasks.spawn(server.serve(sockets=[bound]), "http")
        await inquiries.start()
        _log.info("edge %s of %s serves %s", config.edge, config.region, config.url)
        try:
            await asyncio.Event().wait()  # until `_end`
        finally:
            await inquiries.close()
            edge.drain()
            edge.gateway.close_all(4021)
            await asyncio.sleep(FLUSH_S)
            for server, _ in servers:
                server.should_exit = True

    async def _refresh_geography(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            await self._geography.atlas.refresh()

    # --- signals -------------------------------------------------------------------------------

    def _end(self) -> None:
        self._ended = True
        if self._main is not None:
            self._main.cancel()

    def _fail(self, why: str) -> None:
        """A connection to NATS is closed for good: who runs this process starts it anew."""
        if self._failure is None and not self._ended:
            self._failure = BusError(f"NATS has ended the connection: {why}")
            if self._main is not None:
                self._main.cancel()

    def _on_sigterm(self) -> None:
        if self._draining or self._edge is None:
            self._end()
            return
        self._draining = True
        self._tasks.spawn(self._drain(self._edge), "drain")

    async def _drain(self, edge: Edge) -> None:
        """Send everybody elsewhere, spread evenly over the window, then end."""
        edge.drain()
        if self._shared:
            self._servers[0].stop_accepting()  # else the kernel sends some of the newcomers here
        _log.info("draining %d connections", len(edge.gateway.connections))
        await edge.gateway.send_away(self._config.limits.drain_s)
        self._end()
