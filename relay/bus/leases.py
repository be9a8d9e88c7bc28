"""Leases in the region's own LEASE stream: compare-and-set on a subject, ended by a time to live.

A lease lives in one region: cut off from the others it works on.

A nats-server that crashed may bring back a lease that had ended, and forget when it was to end
(seen with 2.15.1, which then looks for times to live from some sequence on only). So a lease of
somebody else that is not renewed for longer than it was given for is free.
"""

import asyncio
import json
from dataclasses import dataclass

from relay.bus.ack import read_ack
from relay.bus.connection import Headers
from relay.bus.events import SEQUENCE, SUBJECT
from relay.bus.inbox import Inbox
from relay.bus.reader import Reader
from relay.core.names import LEASE_STREAM, duty_subject, slot_subject
from relay.errors import BusError, UnavailableError

TTL_S = 6
SLACK_S = 2.0  # beyond its time, until a lease that still stands is free
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


@dataclass(slots=True)
class _Seen:
    """A lease of somebody else."""

    edge: str
    seq: int
    ttl_s: float
    since_s: float  # of the event loop's clock: it was not renewed since then, at least


class Leases:
    """The leases of one edge."""

    def __init__(self, inbox: Inbox, reader: Reader, region: str, edge: str, epoch: int) -> None:
        self._inbox = inbox
        self._reader = reader
        self._region = region
        self.edge = edge
        self._epoch = epoch
        self._duties: dict[str, Lease] = {}
        self._seen: dict[str, _Seen] = {}  # by subject

    async def _put(self, subject: str, expected: int, ttl_s: int = TTL_S) -> Lease | None:
        body = json.dumps({"edge": self.edge, "epoch": self._epoch}).encode()
        headers = {_EXPECTED: str(expected), _TTL: f"{ttl_s}s"}
        until_s = asyncio.get_running_loop().time() + ttl_s  # the server counts from later on
        ack = read_ack(*await self._inbox.request(subject, body, 2.0, headers))
        return None if ack.error is not None else Lease(subject, ack.seq, until_s)

    async def _holder(self, subject: str) -> tuple[str, int]:
        """The edge that holds a lease, and the sequence of it; "" when nobody does."""
        got = await self._reader.last_by_subject(LEASE_STREAM, subject)
        if got is None:
            self._seen.pop(subject, None)
            return "", 0
        return self._see(subject, *got)

    def _see(self, subject: str, headers: Headers, data: bytes) -> tuple[str, int]:
        """The holder by what is stored, and its sequence; "" where it was not renewed in time."""
        edge, seq = str(json.loads(data or b"{}").get("edge", "")), int(headers[SEQUENCE])
        now_s = asyncio.get_running_loop().time()
        known = self._seen.get(subject)
        if known is None or known.seq != seq:
            known = self._seen[subject] = _Seen(edge, seq, _ttl_s(headers), now_s)
        return "" if now_s - known.since_s > known.ttl_s + SLACK_S else edge, seq

    async def take_slot(self, slots: range) -> tuple[int, Lease]:
        """Lease a slot of `s`: the one this edge's name had before, else the first free one.

        Where all are taken, it looks for as long as a lease lasts whether they are renewed.

        Raises:
            UnavailableError: NATS did not answer.
            BusError: all slots are taken.
        """
        found = await self._find_slot(slots)
        if found is None:
            await asyncio.sleep(TTL_S + 2 * SLACK_S)
            found = await self._find_slot(slots)
        if found is None:
            raise BusError(f"no slot of {slots} is free")
        return found

    async def _find_slot(self, slots: range) -> tuple[int, Lease] | None:
        taken: dict[int, tuple[str, int]] = {}
        page = await self._reader.page(
            LEASE_STREAM, 1, batch=1024, subject=slot_subject(self._region, -1)[:-2] + "*"
        )
        for headers, data in page.messages:
            subject = headers[SUBJECT]
            taken[int(subject.rsplit(".", 1)[1])] = self._see(subject, headers, data)
        mine = [slot for slot, (edge, _) in taken.items() if edge == self.edge and slot in slots]
        free = [slot for slot in slots if not taken.get(slot, ("", 0))[0]]
        for slot in [*mine, *sorted(free, key=lambda slot: slot in taken)]:
            expected = taken[slot][1] if slot in taken else 0
            lease = await self._put(slot_subject(self._region, slot), expected)
            if lease is not None:
                return slot, lease
        return None

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


def _ttl_s(headers: Headers) -> float:
    """For how long a lease was given."""
    text = headers.get(_TTL, "").removesuffix("s")
    return float(text) if text.isdecimal() else float(TTL_S)
