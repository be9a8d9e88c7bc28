"""What an edge does every so often: pulse, lease, telemetry, markers, records, announcements."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from relay.bus.records import Record, store_record
from relay.core.names import takeover_subject, telemetry_subject
from relay.core.telemetry import encode_frame
from relay.edge import clock
from relay.edge.account import frame_of
from relay.edge.edge import Edge
from relay.edge.peers import BEAT_S, LeaseBeat, subject_of
from relay.errors import BusError, UnavailableError
from relay.tasks import Tasks

if TYPE_CHECKING:
    from relay.edge.takeovers import Takeover

_log = logging.getLogger("jetrelay.rhythm")

PULSE_S = 0.25
ANNOUNCE_S = 0.1
LEAST_S = 0.25  # between two frames, whatever the wall clock does
MINUTES_S = 5.0
INQUIRE_S = 0.25  # after the look that raised a question
REPEAT_S = 5.0  # takeovers are announced again
ANNOUNCED_AT_ONCE = 256


class Rhythm:
    """The periodic acts of one edge. One that fails is tried again at its next turn."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._inbox = edge.bus.inbox
        self._region, self._name = edge.config.region, edge.config.edge
        self._tasks = Tasks("rhythm")
        self._lag_worst_s = 0.0
        self._repeated_s = 0.0

    def start(self) -> None:
        """Begin all of them."""
        self._every(PULSE_S, self._pulse)
        self._every(BEAT_S, self._beat)
        self._every(BEAT_S, self._edge.renew_slot)
        self._tasks.spawn(self._seconds(), "seconds")
        self._every(1.0, self._edge.counting.census.turn)
        self._every(MINUTES_S, self._minutes)
        self._every(1.0, self._mark)
        self._every(1.0, self._edge.mirrors.watch)
        self._every(INQUIRE_S, self._edge.mirrors.inquire)
        self._every(1.0, self._edge.watcher.turn)
        self._every(1.0, self._edge.owing.turn)
        self._every(1.0, self._edge.standing.turn)
        self._every(1.0, self._sweep)
        self._every(1.0, self._record)
        self._every(ANNOUNCE_S, self._announce)

    async def close(self) -> None:
        """End them."""
        await self._tasks.close()

    async def say_ended(self) -> None:
        """The last frame of an edge that ends in order: nobody has to wonder where it is."""
        with contextlib.suppress(BusError):
            await self._frame()

    def _every(self, seconds: float, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def repeat() -> None:
            while True:
                await self._act(act)
                await asyncio.sleep(seconds)

        self._tasks.spawn(repeat(), act.__name__.strip("_"))

    async def _act(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        name = act.__name__.strip("_")
        try:
            self._edge.check_fence()  # who was stopped meanwhile says nothing stale
            await act()
        except BusError as error:
            _log.info("%s: %s", name, error)
        except Exception:
            self._edge.gateway.counters.errors += 1
            _log.exception("%s failed", name)

    async def _pulse(self) -> None:
        self._edge.gateway.standstill.turn(clock.now().mono_s)
        self._lag_worst_s = max(self._lag_worst_s, self._edge.pulse() - PULSE_S)

    async def _beat(self) -> None:
        edge = self._edge
        beat = LeaseBeat(
            self._region,
            self._name,
            edge.epoch,
            edge.config.url,
            edge.state,
            len(edge.gateway.connections),
            edge.config.limits.connections,
        )
        await self._inbox.send(subject_of(beat), msgspec.json.encode(beat), "")
        edge.peers.forget_dead(clock.now().mono_s)

    async def _seconds(self) -> None:
        """At once, then at each full second, at all edges: their sum is of one moment."""
        await self._act(self._second)
        while True:
            wall_s = clock.wall_ms() / 1000
            await asyncio.sleep(LEAST_S + (-wall_s - LEAST_S) % 1.0)
            await self._act(self._second)

    async def _minutes(self) -> None:
        await self._edge.counting.minutes.turn(on_duty=self._edge.counting.census.counting)

    async def _second(self) -> None:
        edge = self._edge
        with contextlib.suppress(BusError):
            await edge.counting.census.say()
        edge.loop_lag_ms, self._lag_worst_s = self._lag_worst_s * 1000, 0.0
        edge.peers.look(clock.now().mono_s)
        edge.gateway.tell_regions()
        await self._frame()

    async def _frame(self) -> None:
        self._edge.frames += 1
        subject = telemetry_subject(self._region, self._name)
        await self._inbox.send(subject, encode_frame(frame_of(self._edge)), "")

    async def _mark(self) -> None:
        await self._edge.marks.write(clock.wall_ms())

    async def _record(self) -> None:
        hub = self._edge.hub
        if not self._edge.slot.stands(clock.now().mono_s):
            raise UnavailableError("the slot may be another edge's: it is renewed first")
        places = {o: (place.epoch, place.seq) for o, place in hub.positions.items()}
        s = hub.numbering.seal(clock.wall_ms())
        record = Record(s, self._name, places, hub.holes, hub.owes(self._edge.holes.elsewhere))
        await store_record(self._inbox, self._region, record)
        self._edge.lifeline.stored(clock.now().mono_s)

    async def _sweep(self) -> None:
        self._edge.rings.sweep(clock.mono_ms())

    async def _announce(self) -> None:
        gateway, now_s = self._edge.gateway, clock.now().mono_s
        fresh, gateway.announcements = gateway.announcements, []
        if now_s - self._repeated_s > REPEAT_S:
            self._repeated_s = now_s
            fresh = [*fresh, *gateway.takeovers.announced(now_s)]
        for start in range(0, len(fresh), ANNOUNCED_AT_ONCE):
            part: list[Takeover] = fresh[start : start + ANNOUNCED_AT_ONCE]
            await self._inbox.send(takeover_subject(self._region), msgspec.json.encode(part), "")
