"""Leases in the region's own LEASE stream: compare-and-set on a subject, ended by a time to live.

A lease lives in one region: cut off from the others it works on.
"""

import asyncio
import json
from dataclasses import dataclass

from relay.bus.ack import read_ack
from relay.bus.events import SEQUENCE
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core.names import LEASE_STREAM, duty_subject, slot_subject
from relay.errors import BusError, UnavailableError

TTL_S = 6
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_TTL = "Nats-TTL"


@dataclass(slots=True)
class Lease:
    """A lease that this edge holds."""

    subject: str
    seq: int
    until_s: float  # of the event loop's clock: nobody else can have it before

    def stands(self, now_s: float) -> bool:
        """Whether nobody else can have it by now."""
        return now_s < self.until_s


class Leases:
    """The leases of one edge."""

    def __init__(self, inbox: Inbox, reader: Reader, region: str, edge: str, epoch: int) -> None:
        self._inbox = inbox
        self._reader = reader
        self._region = region
        self.edge = edge
        self._epoch = epoch
        self._duties: dict[str, Lease] = {}

    async def _put(self, subject: str, expected: int, ttl_s: int = TTL_S) -> Lease | None:
        body = json.dumps({"edge": self.edge, "epoch": self._epoch}).encode()
        headers = {_EXPECTED: str(expected), _TTL: f"{ttl_s}s"}
        until_s = asyncio.get_running_loop().time() + ttl_s  # the server counts from later on
        ack = read_ack(*await self._inbox.request(subject, body, 2.0, headers))
        return None if ack.error is not None else Lease(subject, ack.seq, until_s)

    async def _holder(self, subject: str) -> tuple[str, int]:
        """The edge that holds a lease, and the sequence of it; ("", 0) when nobody does."""
        got = await self._reader.last_by_subject(LEASE_STREAM, subject)
        if got is None or not got[1]:
            return "", int(got[0][SEQUENCE]) if got else 0
        return str(json.loads(got[1]).get("edge", "")), int(got[0][SEQUENCE])

    async def take_slot(self, slots: range) -> tuple[int, Lease]:
        """Lease a slot of `s`: the one this edge's name had before, else the first free one.

        Raises:
            UnavailableError: NATS did not answer.
            BusError: all slots are taken.
        """
        taken: dict[int, tuple[str, int]] = {}
        page = await self._reader.page(
            LEASE_STREAM, 1, batch=1024, subject=slot_subject(self._region, -1)[:-2] + "*"
        )
        for headers, data in page.messages:
            slot = int(headers["Nats-Subject"].rsplit(".", 1)[1])
            taken[slot] = (str(json.loads(data or b"{}").get("edge", "")), int(headers[SEQUENCE]))
        mine = [slot for slot, (edge, _) in taken.items() if edge == self.edge and slot in slots]
        for slot in [*mine, *(slot for slot in slots if slot not in taken)]:
            expected = taken[slot][1] if slot in taken else 0
            lease = await self._put(slot_subject(self._region, slot), expected)
            if lease is not None:
                return slot, lease
        raise BusError(f"no slot of {slots} is free")

    async def renew(self, lease: Lease) -> bool:
        """Prolong a lease. False: somebody else has it now, or it ran out and is taken.

        Raises:
            UnavailableError: NATS did not answer; the lease runs on until its time is up.
        """
        renewed = await self._put(lease.subject, lease.seq)
        if renewed is None:
            holder, seq = await self._holder(lease.subject)
            if holder not in ("", self.edge):
                return False
            renewed = await self._put(lease.subject, seq)
        if renewed is None:
            return False
        lease.seq, lease.until_s = renewed.seq, renewed.until_s
        return True

    async def take_duty(self, duty: str, ttl_s: int = 3) -> bool:
        """Take or prolong a duty of the region: whether this edge has it now.

        Raises:
            UnavailableError: NATS did not answer.
        """
        subject = duty_subject(self._region, duty)
        held = self._duties.get(duty)
        lease = await self._put(subject, held.seq if held else 0, ttl_s)
        if lease is None:
            # Of a life before this one, under the same name: it is this edge's still.
            holder, seq = await self._holder(subject)
            if holder in ("", self.edge):
                lease = await self._put(subject, seq, ttl_s)
        if lease is None:
            self._duties.pop(duty, None)
            return False
        self._duties[duty] = lease
        return True

    async def drop_duty(self, duty: str) -> None:
        """Give a duty back: it runs out in a second, the shortest time to live there is."""
        held = self._duties.pop(duty, None)
        if held is None:
            return
        try:
            await self._put(held.subject, held.seq, 1)
        except UnavailableError:
            return  # it runs out by itself
