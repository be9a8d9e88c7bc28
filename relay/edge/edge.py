"""One edge: its parts put together over a bus, and what it does about what it hears."""

import asyncio
import logging
from functools import partial

from relay.bus.bus import INBOX, Bus
from relay.bus.connection import Headers, open_connection
from relay.bus.copies import Copies
from relay.bus.following import Following
from relay.bus.gatekeeper import Gatekeeper
from relay.bus.history import History
from relay.bus.leases import TTL_S, Lease, Leases
from relay.bus.marks import MarkWriter
from relay.bus.orders import OrderBook
from relay.bus.publisher import Publisher
from relay.bus.records import last_record
from relay.bus.replay import Pages, StreamRanges
from relay.bus.sharing import SharedReader
from relay.config import EdgeConfig
from relay.core.alarm import Wrong, decode_alarm
from relay.core.codes import EventName
from relay.core.cursor import CursorCodec
from relay.core.event import Event
from relay.core.feed import NewEpoch
from relay.core.gate import Doubt
from relay.core.hold import Hold
from relay.core.hole import decode_stretch
from relay.core.names import alarm_subject, skipped_subject, takeover_subject
from relay.core.numbering import Numbering, slots_of_region, unix_ms_of
from relay.core.rings import RingBounds, Rings
from relay.core.runs import Runs
from relay.core.session import Rules
from relay.core.session_id import SessionIds
from relay.core.telemetry import ENDED
from relay.core.tokens import token_rules
from relay.edge import clock
from relay.edge.alarms import Alarms
from relay.edge.counting import Counting
from relay.edge.fanout import FanOut
from relay.edge.feeds import Feeds
from relay.edge.gateway import Gateway
from relay.edge.holes import HoleLog
from relay.edge.hub import Hub, gap
from relay.edge.joining import Joining
from relay.edge.jumps import Jumps
from relay.edge.lifeline import Lifeline
from relay.edge.logbook import epoch_after
from relay.edge.mirrors import Mirrors
from relay.edge.owing import Owing
from relay.edge.peers import ALIVE_S, READY, Peers
from relay.edge.presence import Presence
from relay.edge.replays import Replays
from relay.edge.rooms import Rooms
from relay.edge.standing import Standing
from relay.edge.streams import Streams
from relay.edge.takeovers import decode_takeovers
from relay.edge.watcher import Watcher
from relay.errors import BusError, ConfigError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.edge")

SLOT_MARGIN_MS = 10_000  # another edge's slot is gone on with this far above its last record
OVERLOOKED_S = 0.05
HOLES = 64  # that are recorded of one mirror at the start; more become one
LEAVE_S = 2.0  # in which clients of an edge without NATS are sent elsewhere
DRAINING, CUT_OFF, STARTING, FULL = "draining", "cut_off", "starting", "full"
DRAINED, CORDONED = "drained", "cordoned"  # as an operator wants it


def rules_of(config: EdgeConfig) -> Rules:
    """What is the same for all sessions of the edge.

    Raises:
        ConfigError: a key is wrong.
    """
    limits = config.limits
    try:
        cursors = CursorCodec(bytes.fromhex(config.cursor_key))
        session_ids = SessionIds(bytes.fromhex(config.session_key))
    except ValueError as error:
        raise ConfigError(f"session_key, cursor_key: {error}") from error
    tokens = token_rules(
        config.token_keys, config.token_audience, config.token_tenant, limits.token_lifetime_s
    )
    return Rules(limits, tokens, session_ids, cursors)


async def floor_of(bus: Bus, config: EdgeConfig, slot: int) -> int:
    """The Unix ms from which `s` goes on in a slot: above all that its last holder can have given.

    Raises:
        UnavailableError: NATS did not answer.
    """
    newest = await last_record(bus.reader, config.region, slot)
    if newest is None:
        return 0
    margin_ms = int(TTL_S * 1000) if newest.edge == config.edge else SLOT_MARGIN_MS
    return unix_ms_of(newest.s) + margin_ms


class Edge:
    """The parts of one edge. `open` makes it, `start` joins the live feed."""

    def __init__(
        self,
        config: EdgeConfig,
        rules: Rules,
        bus: Bus,
        epoch: int,
        leases: Leases,
        slot: Lease,
        numbering: Numbering,
    ) -> None:
        limits = config.limits
        me = next(region for region in config.regions if region.name == config.region)
        self.config = config
        self.bus = bus
        self.epoch = epoch  # Unix ms of the start
        self.leases = leases
        self.slot = slot
        self.draining = False
        self.ended = False
        self.loop_lag_ms = 0.0  # the worst of the last second
        self.frames = 0
        self._pulse_s = clock.now().mono_s
        self.lifeline = Lifeline(limits.nats_patience_s, self._pulse_s)
        self._tasks = Tasks("edge")
        self._overlooks: list[tuple[str, int]] = []  # origin and sequence, to be recorded
        self._origins = tuple(region.name for region in config.regions)
        self._slots = slots_of_region(me.index)
        pages = Pages(limits.replay_page_events, limits.replay_page_bytes)
        region, name = config.region, config.edge
        fanout = FanOut(config.limits.fanout_window_ms / 1000)
        self.hub = Hub(region, rules.cursors, numbering, fanout)
        self.copies = Copies(bus.reader, region, self._origins)
        self.rings = Rings(
            RingBounds(
                limits.ring_events,
                limits.ring_bytes,
                limits.rings_bytes,
                int(limits.ring_age_s * 1000),
            )
        )
        self.feeds = Feeds(
            bus.live,
            bus.reader,
            self.copies,
            self.hub,
            self.rings,
            region,
            clustered=me.nats_servers > 1,
            pages=pages,
            hold=partial(Hold, limits.feed_buffer_events, limits.feed_buffer_bytes),
        )
        self.rooms = Rooms(self.feeds, limits.linger_s, limits.lingering_rooms)
        self._streams = Streams(bus.reader, self.copies, region, self.feeds.silent_s)
        clustered = {one.name for one in config.regions if one.nats_servers > 1}
        self.pages = SharedReader(bus.replays)
        ranges = StreamRanges(self.pages, pages, clustered, region, self.copies)
        self.history = History(
            bus.replays, ranges, self.copies, self.rings, self.feeds.reach, limits.history_bytes
        )
        others = [origin for origin in self._origins if origin != region]
        self.gate = Gatekeeper(bus.work, bus.inbox, bus.reader, leases, region, others)
        self.publisher = Publisher(
            bus.inbox, self.gate, region, limits.publish_window, limits.publish_deadline_s
        )
        self.replays = Replays(
            self.rings,
            ranges,
            self.copies,
            self.hub.positions,
            self.feeds.reached,
            self.feeds.scans.overlooked,
            limits.ring_block,
            limits.replay_streams,
            limits.replay_turn_s,
        )
        self.holes = HoleLog(bus.inbox, bus.reader, self._origins, region, self.hub)
        self.mirrors = Mirrors(self.feeds, self.copies, bus.reader)
        self.jumps = Jumps(self.holes, self.mirrors, region)
        self.following = Following(bus.replays, self.copies)
        self.owing = Owing(
            self.holes,
            self.jumps,
            self.replays,
            self.following,
            self.hub,
            self.feeds.feeds,
            self.feeds.is_late,
        )
        self.joining = Joining(
            hub=self.hub,
            feeds=self.feeds,
            rooms=self.rooms,
            streams=self._streams,
            replays=self.replays,
            history=self.history,
            owing=self.owing,
            reader=bus.replays,
            regions={one.index: one.name for one in config.regions},
            limits=limits,
            on_newer_epoch=self._newer_epoch,
            home_is_whole=lambda: self.gate.is_open,
        )
        self.peers = Peers(region, name, config.url, config.regions, clock.now().mono_s)
        self.gate.delivered = lambda: self.hub.seqs.get(region, 0)
        self.gate.neighbours = lambda: self.peers.neighbours
        self.presence = Presence(bus.work, bus.inbox, (region, name, epoch), limits)
        self.counting = Counting(config, bus, leases, epoch)
        self.gateway = Gateway(
            rules,
            self.hub,
            self.joining,
            self.publisher,
            self.history,
            self._streams,
            self.presence,
            self.counting.logbook,
            self.peers,
            region,
            name,
            epoch,
        )
        self.standing = Standing(
            OrderBook(bus.reader, self._origins),
            self.peers,
            region,
            name,
            self.gateway.send_away,
        )
        self.marks = MarkWriter(bus.inbox, bus.reader, leases, self.gate, region, name)
        self.alarms = Alarms()
        self.watcher = Watcher(
            lambda: open_connection(config.nats, f"{name}.watch", INBOX),
            bus.inbox,
            bus.reader,
            self.copies,
            leases,
            self.feeds,
            self.mirrors,
            self.holes,
            region,
            clustered=me.nats_servers > 1,
        )

    @classmethod
    async def open(cls, config: EdgeConfig, rules: Rules, bus: Bus) -> "Edge":
        """Take a slot of `s` and put the parts together.

        Raises:
            UnavailableError: NATS did not answer.
            BusError: the region's streams are not there, or all slots are taken.
        """
        epoch = await epoch_after(bus.reader, config.region, config.edge, clock.wall_ms())
        leases = Leases(bus.inbox, bus.reader, config.region, config.edge, epoch)
        me = next(region for region in config.regions if region.name == config.region)
        slot, lease = await leases.take_slot(slots_of_region(me.index))
        floor_ms = await floor_of(bus, config, slot)
        return cls(config, rules, bus, epoch, leases, lease, Numbering(slot, floor_ms))

    async def start(self) -> None:
        """Join the live feed, and let the gate look at the home stream.

        Raises:
            UnavailableError: NATS did not answer.
            BusError: the region's streams are not there.
        """
        self.bus.live.on_lost, self.bus.live.on_back = self.feeds.lost, self.feeds.back
        self.bus.work.on_lost, self.bus.work.on_back = self._work_lost, self._work_back
        for part in (self.feeds, self.feeds.scans, self.gateway, self.presence):
            part.before = self.check_fence
        self.feeds.on_epoch = self._new_epoch
        self.feeds.on_overlooked = self._overlooked
        self.feeds.scans.on_dropped = self._dropped
        await self.bus.work.listen("lease.>", self._hear_lease)
        await self.bus.work.listen(takeover_subject("*"), self._hear_takeover)
        await self.bus.work.listen(alarm_subject("*"), self._hear_alarm)
        await self.bus.work.listen(skipped_subject(self.config.region), self._hear_skipped)
        self.watcher.on_again = self._home_went_back
        self.mirrors.on_skipped = self.jumps.skipped
        self.jumps.look = self._look_at_holes
        await self.standing.begin()
        await self._begin_with_holes()
        await self.feeds.start(self._streams.epochs)
        self.copies.on_found, self.copies.unheard = self._tell_skipped, self.feeds.unheard
        await self.gate.start()
        await self.presence.start()
        await self.counting.start()

    async def _begin_with_holes(self) -> None:
        """What mirrors here have skipped, an edge before this one may have passed and not recorded:
        who has its cursors is owed that. Whoever begins here is not.

        Raises:
            UnavailableError: NATS did not answer.
            BusError: the region's streams are not there.
        """
        await self.holes.begin()
        for origin in self.copies.mirrored:
            await self.copies.look(origin)
            copy = await self.copies.inquire(origin)
            skipped = copy.missing.runs
            if len(skipped) > HOLES:
                skipped = ((copy.missing.first, copy.missing.last),)
            for first, last in skipped:
                await self.holes.note(origin, first, last, skipped=True)
        await self.holes.begin()

    async def close(self) -> None:
        """End what runs."""
        self.ended = True
        await self._tasks.close()
        for part in (
            self.standing,
            self.gateway,
            self.counting,
            self.presence,
            self.replays,
            self.pages,
            self.owing,
            self.following,
            self._streams,
            self.rooms,
            self.watcher,
            self.feeds,
            self.gate,
        ):
            await part.close()

    # --- what it hears -------------------------------------------------------------------------

    async def _work_lost(self) -> None:
        self.gate.shut()

    async def _work_back(self) -> None:
        self.gate.look()

    def _hear_lease(self, subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        beat, now_s = self.peers.hear(subject, data, clock.now().mono_s), clock.now().mono_s
        if beat is not None and (beat.edge, beat.epoch) == (self.config.edge, self.epoch):
            self.lifeline.heard(now_s)

    def _hear_takeover(self, _subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        for takeover in decode_takeovers(data):
            self.gateway.hear_takeover(takeover)

    def _hear_alarm(self, subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        alarm = decode_alarm(data)
        if alarm is None or subject != alarm_subject(alarm.region):
            return
        if self.alarms.tell(alarm, clock.now().mono_s):
            _log.error("%s", alarm)
        if alarm.wrong is Wrong.DIVERGED and alarm.origin == self.config.region:
            self.gate.doubt(Doubt(alarm.first, alarm.last))

    def _hear_skipped(self, _subject: str, _reply: str, _headers: Headers, data: bytes) -> None:
        skipped = decode_stretch(data)
        if skipped is not None and skipped.origin in self.feeds.feeds:
            self.jumps.told(skipped)

    def _look_at_holes(self) -> None:
        self._tasks.spawn(self._deal_with_holes(), "holes")

    async def _deal_with_holes(self) -> None:
        try:
            await self.owing.turn()
        except BusError as error:
            _log.info("holes wait: %s", error)

    def _tell_skipped(self, origin: str) -> None:
        self._tasks.spawn(self.mirrors.inquire_about(origin), "skipped")

    def _overlooked(self, event: Event) -> None:
        if not self._overlooks:
            self._tasks.spawn(self._record_overlooked(), "overlooked")
        self._overlooks.append((event.origin, event.seq))

    async def _record_overlooked(self) -> None:
        await asyncio.sleep(OVERLOOKED_S)  # a mirror that catches up brings many in a row
        found, self._overlooks = self._overlooks, []
        for origin in dict.fromkeys(origin for origin, _ in found):
            for first, last in Runs.of(seq for one, seq in found if one == origin).runs:
                await self.jumps.skipped(origin, first, last)

    def _dropped(self, origin: str, epoch: int, first: int, last: int) -> None:
        """A stream's limits dropped events before this edge had read them."""
        _log.error("%s dropped %d to %d before they were read", origin, first, last)
        # A copy may hold them yet: who comes back from before them is not served from memory.
        self.rings.reset(origin, max(last, self.feeds.feeds[origin].position))
        for connection in list(self.gateway.connections):
            ahead = connection.ahead
            if connection.session.grants is None or (ahead and ahead.seqs.get(origin, 0) >= last):
                continue
            connection.dispatch(EventName.GAP, gap(origin, epoch, first, last, "expired"))

    def _home_went_back(self, seq: int) -> None:
        # While the gate is shut it is what writes the stream's lost end back.
        if self.gate.is_open:
            _log.warning("the home stream gave out sequence %d again: looking at it", seq)
            self.gate.look()

    def _newer_epoch(self, origin: str, epoch: int) -> None:
        """An origin's stream says an epoch that no event has told of yet."""
        if origin == self.config.region and 0 < self.gate.epoch < epoch:
            self.gate.look()  # stamp it from now on: so the others hear of it, too

    def _new_epoch(self, origin: str, turned: NewEpoch) -> None:
        if origin == self.config.region and turned.new != self.gate.epoch:
            self.gate.look()  # another edge started it: stamp it from now on
        # What the copy here had skipped and the position has passed may be gone at the origin, too.
        skipped = self.copies.known(origin).missing.within(1, turned.position)
        had = skipped.first - 1 if skipped else turned.position
        # An origin that was alone when it began anew may not have known how far it had been: what
        # it gives out below this region's position can't be told from what it was. Nor can what
        # it gives out below what a session brought from elsewhere: it is not sent that again.
        known = turned.position if origin != self.config.region else 0
        for connection in list(self.gateway.connections):
            if connection.session.grants is None:
                continue
            brought = connection.membership.brought(origin)
            first = min([had, *brought]) + 1
            connection.dispatch(EventName.GAP, gap(origin, turned.old, first, None, "epoch"))
            last = max([known, *(seq for seq in brought if seq > turned.position)])
            if last:
                connection.dispatch(EventName.GAP, gap(origin, turned.new, 1, last, "epoch"))

    # --- being alive ---------------------------------------------------------------------------

    def check_fence(self) -> None:
        """A process that was stopped and continued holds a lease that ran out: it says nothing."""
        now_s = clock.now().mono_s
        if now_s - self._pulse_s > ALIVE_S:
            stopped_s, self._pulse_s = now_s - self._pulse_s, now_s
            _log.error("this edge stood still for %.1f s: all sessions end", stopped_s)
            self.gateway.close_all(4000)
            self.presence.fence(stopped_s)

    def pulse(self) -> float:
        """The loop turns. Returns the seconds since it was here before."""
        self.check_fence()
        now_s = clock.now().mono_s
        since_s, self._pulse_s = now_s - self._pulse_s, now_s
        self.lifeline.look(now_s, connected=self.bus.connected)
        cut = self.lifeline.cut(now_s)
        if cut and not self.peers.cut:
            _log.error("no NATS for %g s: clients go elsewhere", self.config.limits.nats_patience_s)
            self._tasks.spawn(self._leave(), "leave")
        self.peers.cut = cut
        return since_s

    def drain(self) -> None:
        """Take nobody new, and point who is here to the neighbours."""
        self.draining = self.peers.draining = True
        self.gateway.tell_regions()

    async def _leave(self) -> None:
        self.gateway.tell_regions()
        await self.gateway.send_away(LEAVE_S, lambda: self.peers.cut)

    async def renew_slot(self) -> None:
        """Keep the slot of `s`, or take another where the lease was lost.

        Raises:
            UnavailableError: NATS did not answer.
        """
        if not await self.leases.renew(self.slot):
            number, self.slot = await self.leases.take_slot(self._slots)
            numbering = self.hub.numbering
            floor_ms = await floor_of(self.bus, self.config, number)
            # The slot may be a lower one, with which the same millisecond would be less.
            numbering.floor_ms = max(numbering.floor_ms + 1, floor_ms)
            numbering.slot = number

    # --- what it says --------------------------------------------------------------------------

    def not_ready(self) -> str | None:
        """Why no new client is taken: a state; None when they are."""
        if self.draining or (self.standing.drained and self.gateway.connections):
            return DRAINING
        if self.standing.drained:
            return DRAINED
        lost = not self.bus.connected or not self.feeds.attached
        if lost or self.lifeline.silent(clock.now().mono_s):
            return CUT_OFF
        if self.gate.epoch == 0:
            return STARTING
        if len(self.gateway.connections) >= self.config.limits.connections:
            return FULL
        return CORDONED if self.standing.cordoned else None

    def admits(self, *, resuming: bool) -> bool:
        """Whether a client is let in.

        Args:
            resuming: it comes back: a cordon is no reason against that.
        """
        why = self.not_ready()
        return why is None or (why == CORDONED and resuming)

    @property
    def state(self) -> str:
        """The state as telemetry and leases say it."""
        return ENDED if self.ended else self.not_ready() or READY
