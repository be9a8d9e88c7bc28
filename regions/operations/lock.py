"""Who works on a region: a lease in most of the regions, so that nobody else does at the same time.

A lease lives in the LEASE stream of each region, ends by itself, and is prolonged as long as its
holder works. Who has it in more than half of all regions, has it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from regions.errors import OperationError
from regions.operations.holder import Holder
from regions.operations.lease import TTL_S
from regions.operations.station import Station
from relay.core.names import RUNNING, duty_subject
from relay.errors import BusError
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.operations")

RENEW_S = 4.0
FLEET = "_fleet"  # held from a plan until its first orders are given
TRIES = 6
PAUSE_S = (0.1, 0.4)
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_TTL = "Nats-TTL"


class BusyError(OperationError):
    """Somebody else is at work there."""

    def __init__(self, region: str, holder: Holder) -> None:
        since = datetime.fromtimestamp(holder.since_ms / 1000, UTC)
        where = "the fleet" if region == FLEET else region
        super().__init__(
            f"{holder.by} is at work on {where} since {since:%Y-%m-%d %H:%M:%SZ}: {holder.run}"
        )
        self.holder = holder


class Lock:
    """The lease of one region's operations. `take` it, and `release` it at the end.

    Args:
        stations: the regions that are reached.
        total: how many regions there are.
        region: on which the work is.
        holder: who does it.
        minority: whether fewer than most of the regions are enough, where the others do not
            answer or do not store.
    """

    def __init__(
        self,
        stations: Sequence[Station],
        total: int,
        region: str,
        holder: Holder,
        *,
        minority: bool = False,
    ) -> None:
        self._stations = stations
        self._needed = total // 2 + 1
        self._minority = minority
        self._region = region
        self._holder = holder
        self._held: dict[str, int] = {}  # region -> sequence of the lease there
        self._tasks = Tasks("lock")
        self._until_s = 0.0
        self._lost = False

    @property
    def stands(self) -> bool:
        """Whether nobody else can have it by now."""
        return not self._lost and _now_s() < self._until_s

    async def take(self) -> None:
        """Take it, and keep it until `release`.

        Raises:
            BusyError: somebody else has it.
            OperationError: too few regions answer.
        """
        for attempt in range(TRIES):
            until_s = _now_s() + TTL_S
            other = await self._try()
            if other is None and self._minority and self._held:
                self._needed = min(self._needed, len(self._held))
            if len(self._held) >= self._needed:
                self._until_s = until_s
                self._tasks.spawn(self._keep(), "keep")
                return
            taken = len(self._held)
            await self._give_back()
            if other is None:
                if self._minority:
                    raise OperationError("no region stores who is at work: nothing can be ordered")
                raise OperationError(
                    f"{taken} regions store who is at work, and {self._needed} are needed to be "
                    "sure that nobody else is; who is sure of it says why, with --override"
                )
            if attempt + 1 == TRIES:
                raise BusyError(self._region, other)
            # Two that began at the same moment may have kept each other out.
            await asyncio.sleep(random.uniform(*PAUSE_S))  # noqa: S311 (jitter)

    async def _try(self) -> Holder | None:
        """Take it wherever it is free; who has it elsewhere, if anybody."""
        found = await asyncio.gather(*(self._take_in(each) for each in self._stations))
        return next((each for each in found if each is not None), None)

    async def _take_in(self, station: Station) -> Holder | None:
        """Take or prolong it in one region; who has it there, if it is somebody else."""
        subject = duty_subject(station.region, RUNNING, self._region)
        body = msgspec.json.encode(self._holder)
        headers = {_EXPECTED: str(self._held.get(station.region, 0)), _TTL: f"{TTL_S}s"}
        try:
            ack = await station.store(subject, body, headers)
            if ack.error is None:
                self._held[station.region] = ack.seq
                return None
            other, seq = await station.holder(subject)
            if other is not None and other.token != self._holder.token:
                self._held.pop(station.region, None)
                return other
            # Its own, of which it did not hear, or gone meanwhile.
            ack = await station.store(subject, body, headers | {_EXPECTED: str(seq)})
            if ack.error is None:
                self._held[station.region] = ack.seq
        except BusError as error:
            _log.info("%s: the lease is not to be had: %s", station.region, error)
        return None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await self._renew()

    async def _renew(self) -> None:
        """Prolong it everywhere at once: it stands as soon as it does in enough regions."""
        began_s, kept = _now_s(), 0

        async def one(station: Station) -> None:
            nonlocal kept
            before = self._held.get(station.region)
            if await self._take_in(station) is None:
                kept += self._held.get(station.region) != before
            if kept >= self._needed:
                self._until_s = max(self._until_s, began_s + TTL_S)

        await asyncio.gather(*(one(station) for station in self._stations))

    async def _give_back(self) -> None:
        for station in self._stations:
            seq = self._held.pop(station.region, None)
            if seq is None:
                continue
            try:
                await station.drop(seq)
            except BusError as error:
                _log.info("%s: the lease ends by itself: %s", station.region, error)

    async def release(self) -> None:
        """Give it back."""
        self._lost = True
        await self._tasks.close()
        await self._give_back()


async def holder_of(stations: Sequence[Station], region: str) -> Holder | None:
    """Who is at work on a region, as far as the regions that are reached know."""
    for station in stations:
        try:
            found, _ = await station.holder(duty_subject(station.region, RUNNING, region))
        except BusError:
            continue
        if found is not None:
            return found
    return None


def _now_s() -> float:
    """Seconds of a clock that goes on while the machine sleeps: the leases do so, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
