"""Leases of others: free when nobody renews them, whatever the store says of their end."""

import asyncio
import json
from typing import Any, cast

import pytest

from relay.bus import leases as module
from relay.bus.leases import Leases
from relay.bus.reader import Page
from relay.core.names import duty_subject
from relay.errors import BusError
from relay.tasks import Tasks

Headers = dict[str, str]


class Store:
    """A LEASE stream whose messages never end, as after a crash."""

    def __init__(self) -> None:
        self.last = 0
        self.held: dict[str, tuple[int, str, bytes]] = {}  # subject -> sequence, TTL, body

    def hold(self, subject: str, edge: str, ttl: str = "1s") -> None:
        self.last += 1
        self.held[subject] = (self.last, ttl, json.dumps({"edge": edge}).encode())

    def _headers(self, subject: str) -> Headers:
        seq, ttl, _ = self.held[subject]
        return {"Nats-Sequence": str(seq), "Nats-TTL": ttl, "Nats-Subject": subject}

    # As an inbox and as a reader.

    async def request(
        self, subject: str, data: bytes, _timeout_s: float, headers: Headers
    ) -> tuple[Headers, bytes]:
        known = self.held.get(subject, (0, "", b""))[0]
        if int(headers["Nats-Expected-Last-Subject-Sequence"]) != known:
            error = {"code": 400, "err_code": 10071, "description": "wrong last sequence"}
            return {}, json.dumps({"error": error}).encode()
        self.last += 1
        self.held[subject] = (self.last, headers["Nats-TTL"], data)
        return {}, json.dumps({"stream": "LEASE", "seq": self.last}).encode()

    async def last_by_subject(self, _stream: str, subject: str) -> tuple[Headers, bytes] | None:
        if subject not in self.held:
            return None
        return self._headers(subject), self.held[subject][2]

    async def page(self, _stream: str, _seq: int, *, batch: int, subject: str) -> Page:
        del batch
        names = [each for each in self.held if each.startswith(subject[:-1])]
        return Page(tuple((self._headers(name), self.held[name][2]) for name in names), 0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases end soon."""
    monkeypatch.setattr(module, "SLACK_S", 0.1)
    monkeypatch.setattr(module, "TTL_S", 1)


def leases_of(store: Store, edge: str = "us-1") -> Leases:
    return Leases(cast("Any", store), cast("Any", store), "us", edge, 1)


async def test_a_duty_whose_holder_renews_it_is_not_taken() -> None:
    store, subject = Store(), duty_subject("us", "marker")
    mine = leases_of(store)
    for _ in range(4):
        store.hold(subject, "us-2")
        assert not await mine.take_duty("marker")
        await asyncio.sleep(0.4)


async def test_a_duty_that_nobody_renews_is_taken_after_its_time() -> None:
    store, subject = Store(), duty_subject("us", "marker")
    store.hold(subject, "us-9")  # it died; the store has forgotten when this was to end
    mine, other = leases_of(store), leases_of(store, "us-2")
    assert not await mine.take_duty("marker")
    await asyncio.sleep(0.9)
    assert not await mine.take_duty("marker")
    await asyncio.sleep(0.4)
    assert await mine.take_duty("marker")
    assert json.loads(store.held[subject][2])["edge"] == "us-1"
    assert not await other.take_duty("marker")


async def test_who_comes_back_before_still_has_it() -> None:
    store, subject = Store(), duty_subject("us", "marker")
    store.hold(subject, "us-2")
    mine, other = leases_of(store), leases_of(store, "us-2")
    assert not await mine.take_duty("marker")
    assert await other.take_duty("marker")  # of its life before
    await asyncio.sleep(1.2)
    assert not await mine.take_duty("marker")  # it was renewed: another sequence


async def test_slots_of_the_dead_are_taken_where_no_other_is_free() -> None:
    store = Store()
    for slot in range(3):
        store.hold(f"slot.us.{slot}", f"us-{slot + 7}")
    slot, lease = await leases_of(store).take_slot(range(3))
    assert (slot, lease.subject) == (0, "slot.us.0")


async def test_a_free_slot_comes_first_and_a_living_edge_keeps_its_own() -> None:
    tasks = Tasks("test")
    store = Store()
    store.hold("slot.us.0", "us-7")
    assert (await leases_of(store).take_slot(range(3)))[0] == 1
    alive = [leases_of(store, name) for name in ("us-7", "us-2")]
    held = [(await one.take_slot(range(3)))[1] for one in alive]
    assert [lease.subject for lease in held] == ["slot.us.0", "slot.us.2"]
    newcomer = tasks.spawn(leases_of(store, "us-3").take_slot(range(3)), "newcomer")
    own = leases_of(store)
    mine = (await own.take_slot(range(3)))[1]
    while not newcomer.done():
        for one, lease in zip((*alive, own), (*held, mine), strict=True):
            assert await one.renew(lease)
        await asyncio.sleep(0.2)
    with pytest.raises(BusError, match="no slot of"):
        await newcomer
