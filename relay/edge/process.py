"""One edge process: everything put together, started, kept going, drained and ended."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from relay import __version__
from relay.bus.connection import Connection, Headers, open_connection
from relay.bus.gatekeeper import Gatekeeper
from relay.bus.history import History
from relay.bus.inbox import Inbox
from relay.bus.leases import TTL_S, Lease, Leases
from relay.bus.marks import MarkWriter
from relay.bus.publisher import Publisher
from relay.bus.reader import Reader
from relay.bus.records import newest_record, store_record
from relay.bus.replay import Pages
from relay.config import EdgeConfig
from relay.core.codes import EventName, Op
from relay.core.cursor import CursorCodec
from relay.core.feed import NewEpoch
from relay.core.names import takeover_subject, telemetry_subject
from relay.core.numbering import Numbering, slots_of_region, unix_ms_of
from relay.core.session import Rules
from relay.core.session_id import SessionIds
from relay.core.telemetry import EdgeFrame, encode_frame
from relay.core.tokens import token_rules
from relay.core.wire import Payload
from relay.edge import clock, http, metrics
from relay.edge.admission import Door
from relay.edge.feeds import Feeds, lag_ms
from relay.edge.gateway import Gateway
from relay.edge.hub import Hub, gap
from relay.edge.joining import Joiner
from relay.edge.machine import cpu_s, rss_bytes
from relay.edge.peers import ALIVE_S, BEAT_S, READY, LeaseBeat, Peers, subject_of
from relay.edge.rooms import Rooms
from relay.edge.streams import Streams
from relay.edge.takeovers import Takeover, decode_takeovers
from relay.edge.websocket import GatewayProtocol
from relay.errors import BusError, ConfigError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.edge")

INBOX = "_INBOX_edge"
SLOT_MARGIN_MS = 10_000  # a slot's next holder starts this far above its last record
PULSE_S = 0.25
ANNOUNCE_S = 5.0
STAY_S = 2.0  # after the drain window, for clients that are on their way


class Edge:
    """An edge, from its configuration."""

    def __init__(self, config: EdgeConfig) -> None:
        self.config = config
        self.region, self.name = config.region, config.edge
        self.epoch = clock.wall_ms()
        self._tasks = Tasks("edge")
        self._draining = False
        self._ending = asyncio.Event()
        self._live: Connection | None = None
        self._pulse_s = clock.now().mono_s
        self._lag_worst_s = 0.0
        self._frames = 0
        self._lag_shown_ms = 0.0
        limits = config.limits
        try:
            cursor_key, session_key = (
                bytes.fromhex(config.cursor_key),
                bytes.fromhex(config.session_key),
            )
            self._cursors, session_ids = CursorCodec(cursor_key), SessionIds(session_key)
        except ValueError as error:
            raise ConfigError(f"session_key, cursor_key: {error}") from error
        self._rules = Rules(
            limits,
            token_rules(
                config.token_keys,
                config.token_audience,
                config.token_tenant,
                limits.token_lifetime_s,
            ),
            session_ids,
            self._cursors,
        )
        self._origins = tuple(region.name for region in config.regions)
        self._me = next(region for region in config.regions if region.name == config.region)

    # --- starting ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until a signal ends it.

        Raises:
            OSError: a port is taken.
            BusError: NATS has no streams for this edge.
        """
        config = self.config
        public = http.bound_socket(config.host, config.port)
        admin = http.bound_socket(config.admin_host, config.admin_port)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)
        loop.add_signal_handler(signal.SIGINT, self._ending.set)
        try:
            await self._connect()
            await self._assemble()
            await self._serve(public, admin)
        finally:
            public.close()
            admin.close()
            await self._close()

    async def _connect(self) -> None:
        config = self.config
        self._live = await self._until_connected("live", self._live_lost, self._live_back)
        self._work = await self._until_connected("work", self._work_lost, self._work_back)
        self._read = await self._until_connected("read", None, None)
        self._inbox = Inbox(self._work)
        read_inbox = Inbox(self._read)
        await self._inbox.start()
        await read_inbox.start()
        self._reader = Reader(read_inbox, config.limits.replay_reads)

    async def _until_connected(
        self,
        purpose: str,
        lost: Callable[[], Coroutine[Any, Any, None]] | None,
        back: Callable[[], Coroutine[Any, Any, None]] | None,
    ) -> Connection:
        return await open_connection(
            self.config.nats, f"{self.name}.{purpose}", INBOX, lost=lost, back=back
        )

    async def _assemble(self) -> None:
        config, limits = self.config, self.config.limits
        pages = Pages(limits.replay_page_events, limits.replay_page_bytes)
        self._leases = Leases(self._inbox, self._reader, self.region, self.name, self.epoch)
        slot, self._slot_lease = await self._take_slot()
        self._hub = Hub(self.region, self._cursors, await self._numbering(slot))
        assert self._live is not None, "connected before"
        self._feeds = Feeds(
            self._live,
            self._reader,
            self._hub,
            self.region,
            clustered=self._me.nats_servers > 1,
            pages=pages,
            buffer_events=limits.feed_buffer_events,
        )
        self._feeds.before = self._check_fence
        self._feeds.on_epoch = self._new_epoch
        self._rooms = Rooms(self._feeds)
        streams = Streams(self._reader, self.region, self._origins)
        history = History(self._reader, pages, limits.history_bytes)
        others = [origin for origin in self._origins if origin != self.region]
        self._gate = Gatekeeper(
            self._work, self._inbox, self._reader, self._leases, self.region, others
        )
        self._publisher = Publisher(
            self._inbox, self._gate, self.region, limits.publish_window, limits.publish_deadline_s
        )
        self._joiner = Joiner(
            self._hub,
            self._feeds,
            self._rooms,
            streams,
            self._reader,
            history,
            config.regions,
            limits,
        )
        self._peers = Peers(self.region, self.name, config.url, config.regions)
        self._gateway = Gateway(
            self._rules,
            self._hub,
            self._joiner,
            self._publisher,
            history,
            streams,
            self._peers,
            self.region,
            self.name,
            self.epoch,
        )
        self._gateway.before = self._check_fence
        self._marks = MarkWriter(
            self._inbox, self._reader, self._leases, self._gate, self.region, self.name
        )
        await self._work.listen("lease.>", self._hear_lease)
        await self._work.listen(takeover_subject("*"), self._hear_takeover)
        await self._feeds.start(await streams.epochs())
        await self._gate.start()

    async def _take_slot(self) -> tuple[int, Lease]:
        return await self._leases.take_slot(slots_of_region(self._me.index))

    async def _numbering(self, slot: int) -> Numbering:
        newest = await newest_record(self._reader, self.region, slot)
        floor_ms = unix_ms_of(newest.s) + SLOT_MARGIN_MS if newest else 0
        if newest is not None and newest.edge == self.name:
            floor_ms = unix_ms_of(newest.s) + ALIVE_MS
        return Numbering(slot, floor_ms)

    async def _serve(self, public: socket.socket, admin: socket.socket) -> None:
        limits = self.config.limits
        door = Door(
            limits,
            self.config.origins,
            connections=lambda: len(self._gateway.connections),
            admitting=lambda: self.not_ready() is None,
        )
        protocol = GatewayProtocol.bind(self._gateway, door)
        registry = metrics.registry(self.frame, self._gateway.counters)
        servers = (
            (http.listener(http.public_app(self.not_ready), protocol), public),
            (http.listener(http.admin_app(self.not_ready, registry), None), admin),
        )
        for server, bound in servers:
            self._tasks.spawn(server.serve(sockets=[bound]), "serve")
        self._every(PULSE_S, self._pulse, "pulse")
        self._every(BEAT_S, self._beat, "beat")
        self._every(1.0, self._second, "second")
        self._every(1.0, self._mark, "mark")
        self._every(1.0, self._record, "record")
        self._every(0.5, self._announce, "announce")
        _log.info("edge %s of %s serves %s", self.name, self.region, self.config.url)
        await self._ending.wait()
        self._draining = True
        self._gateway.close_all(4021)
        await asyncio.sleep(0.1)
        for server, _ in servers:
            server.should_exit = True

    async def _close(self) -> None:
        await self._tasks.close()
        for part in ("_gateway", "_rooms", "_feeds", "_gate"):
            if hasattr(self, part):
                await getattr(self, part).close()
        for connection in (self._live, getattr(self, "_work", None), getattr(self, "_read", None)):
            if connection is not None:
                await connection.close()

    # --- state ---------------------------------------------------------------------------------

    def not_ready(self) -> str | None:
        """Why no new client is taken; None when they are."""
        if self._draining:
            return "draining"
        if self._live is None or not self._live.is_connected or not self._work.is_connected:
            return "cut off from NATS"
        if not self._feeds.feeds or self._gate.epoch == 0:
            return "starting"
        if len(self._gateway.connections) >= self.config.limits.connections:
            return "full"
        return None

    @property
    def state(self) -> str:
        """The state as telemetry says it."""
        words = {"draining": "draining", "cut off from NATS": "cut_off", "full": "full"}
        why = self.not_ready()
        return READY if why is None else words.get(why, "starting")

    # --- NATS connections ----------------------------------------------------------------------

    async def _live_lost(self) -> None:
        _log.warning("live connection lost")
        if hasattr(self, "_feeds"):
            await self._feeds.lost()

    async def _live_back(self) -> None:
        _log.info("live connection back")
        if hasattr(self, "_feeds"):
            await self._feeds.back()

    async def _work_lost(self) -> None:
        if hasattr(self, "_gate"):
            self._gate.shut()

    async def _work_back(self) -> None:
        if hasattr(self, "_gate"):
            self._gate.look()

    def _hear_lease(self, subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        self._peers.hear(subject, data, clock.now().mono_s)

    def _hear_takeover(self, _subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        for takeover in decode_takeovers(data):
            self._gateway.hear_takeover(takeover)

    def _new_epoch(self, origin: str, turned: NewEpoch) -> None:
        d = gap(origin, turned.old, turned.position + 1, None, "epoch")
        for connection in list(self._gateway.connections):
            if connection.session.grants is not None:
                connection.send(Payload(Op.DISPATCH, d, None, EventName.GAP))

    # --- every so often ------------------------------------------------------------------------

    def _every(
        self, seconds: float, act: Callable[[], Coroutine[Any, Any, None]], name: str
    ) -> None:
        async def repeat() -> None:
            while True:
                try:
                    await act()
                except BusError as error:
                    _log.info("%s: %s", name, error)
                except Exception:
                    self._gateway.counters.errors += 1
                    _log.exception("%s failed", name)
                await asyncio.sleep(seconds)

        self._tasks.spawn(repeat(), name)

    def _check_fence(self) -> None:
        """A process that was stopped and continued holds a lease that ran out: it says nothing."""
        now_s = clock.now().mono_s
        if now_s - self._pulse_s > ALIVE_S:
            stopped_s, self._pulse_s = now_s - self._pulse_s, now_s
            _log.error("this edge stood still for %.1f s: all sessions end", stopped_s)
            self._gateway.close_all(4000)

    async def _pulse(self) -> None:
        self._check_fence()
        now_s = clock.now().mono_s
        self._lag_worst_s = max(self._lag_worst_s, now_s - self._pulse_s - PULSE_S)
        self._pulse_s = now_s

    async def _beat(self) -> None:
        beat = LeaseBeat(self.region, self.name, self.epoch, self.config.url, self.state)
        await self._inbox.send(subject_of(beat), msgspec.json.encode(beat), "")
        if not await self._leases.renew(self._slot_lease):
            slot, self._slot_lease = await self._take_slot()
            self._hub.numbering.slot = slot
        self._peers.forget_dead(clock.now().mono_s)

    async def _second(self) -> None:
        self._lag_shown_ms, self._lag_worst_s = self._lag_worst_s * 1000, 0.0
        self._frames += 1
        await self._inbox.send(
            telemetry_subject(self.region, self.name), encode_frame(self.frame()), ""
        )
        self._gateway.tell_regions()

    async def _mark(self) -> None:
        await self._marks.write(clock.wall_ms())

    async def _record(self) -> None:
        if not self._feeds.caught_up:
            return
        s = self._hub.numbering.seal(clock.wall_ms())
        positions = dict(self._hub.positions)
        await store_record(self._inbox, self.region, self.name, s, positions)

    async def _announce(self) -> None:
        now_s = clock.now().mono_s
        fresh, self._gateway.announcements = self._gateway.announcements, []
        if now_s - getattr(self, "_announced_s", 0.0) > ANNOUNCE_S:
            self._announced_s = now_s
            fresh = [*fresh, *self._gateway.takeovers.announced(now_s)]
        for start in range(0, len(fresh), 256):
            part: list[Takeover] = fresh[start : start + 256]
            await self._inbox.send(takeover_subject(self.region), msgspec.json.encode(part), "")

    def frame(self) -> EdgeFrame:
        """The telemetry frame of now."""
        gateway, hub, feeds = self._gateway, self._hub, self._feeds
        counters, now_ms = gateway.counters, clock.wall_ms()
        return EdgeFrame(
            region=self.region,
            edge=self.name,
            epoch=self.epoch,
            frame=self._frames,
            at_ms=now_ms,
            url=self.config.url,
            version=__version__,
            state=self.state,
            nats_connected=bool(self._live and self._live.is_connected),
            connections=len(gateway.connections),
            sessions=gateway.sessions,
            rooms=len(self._rooms),
            events_in=feeds.events_in,
            events_out=hub.events_out + self._joiner.replayed,
            bytes_out=counters.bytes_out,
            publishes=self._publisher.stored,
            publishes_failed=self._publisher.failed,
            publishes_waiting=self._publisher.in_flight,
            resumes=counters.resumes,
            resumes_refused=counters.resumes_refused,
            replayed=self._joiner.replayed,
            holes=sum(feed.holes for feed in feeds.feeds.values()),
            closes={str(code): count for code, count in counters.closes.items()},
            send_buffer_bytes=sum(c.socket.buffered() for c in gateway.connections),
            loop_lag_ms=round(self._lag_shown_ms, 1),
            rss_bytes=rss_bytes(),
            cpu_s=round(cpu_s(), 3),
            epochs={origin: place.epoch for origin, place in hub.positions.items()},
            positions=dict(hub.seqs),
            heads={origin: head.seq for origin, head in feeds.heads.items()},
            lag_ms={o: lag_ms(feeds.marks.get(o), now_ms) for o in self._origins},
        )

    # --- draining ------------------------------------------------------------------------------

    def _on_sigterm(self) -> None:
        if self._draining:
            self._ending.set()
            return
        self._draining = True
        self._tasks.spawn(self._drain(), "drain")

    async def _drain(self) -> None:
        """Send everybody elsewhere, spread evenly over the window, then end."""
        if hasattr(self, "_gateway"):
            waiting = list(self._gateway.connections)
            _log.info("draining %d connections", len(waiting))
            pause_s = self.config.limits.drain_s / max(len(waiting), 1)
            for connection in waiting:
                connection.send(Payload(Op.RECONNECT))
                await asyncio.sleep(pause_s)
            await self._gateway.emptied(STAY_S)
        self._ending.set()


ALIVE_MS = int(TTL_S * 1000)
