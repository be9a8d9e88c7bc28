"""The simulation's NATS answers as nats-server does: the same seeded calls are put to both."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from regions.permissions import inbox
from relay.bus.connection import STATUS, Connection, Headers, open_connection
from relay.bus.inbox import Inbox
from tests.simulation.conformance import (
    Call,
    Heard,
    Model,
    Told,
    ended,
    event,
    steps,
    told,
)
from tests.simulation.jetstream import Answer
from tests.world import World

TOPOLOGY = """
[[regions]]
name = "us"

[[regions]]
name = "eu"
"""
SEEDS = (1, 2, 3)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[World]:
    """Two regions of NATS alone, for one test."""
    running = World(tmp_path / "state", TOPOLOGY)
    running.launch()
    yield running
    running.clean()


class Real:
    """The real side: a connection to each region."""

    def __init__(self) -> None:
        self.connections: dict[str, Connection] = {}
        self._inboxes: dict[str, Inbox] = {}
        self.heard: dict[str, Heard] = {}
        self._moved = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, world: World) -> "AsyncIterator[Real]":
        """Connected, and listening to the live feeds."""
        real = cls()
        for region in ("us", "eu"):
            connection = await open_connection(world.nats_config(region), "test", inbox("edge"))
            real.connections[region] = connection
            real._inboxes[region] = replies = Inbox(connection)
            await replies.start()
            heard = real.heard[region] = []
            await connection.listen(f"live.{region}.>", real._ear(heard))
            await connection.flush()
        try:
            yield real
        finally:
            for connection in real.connections.values():
                await connection.close()

    def _ear(self, heard: Heard):  # type: ignore[no-untyped-def]
        def hear(subject: str, _reply: str, headers: Headers, data: bytes) -> None:
            heard.append((subject, headers, data))
            self._moved.set()

        return hear

    async def ask(self, call: Call) -> list[Answer]:
        """The answers to a call."""
        answers: list[Answer] = []
        done = asyncio.Event()

        def sink(headers: Headers, data: bytes) -> None:
            answers.append((headers, data))
            if ended(answers, call):
                done.set()

        replies = self._inboxes[call.region]
        reply = replies.open(sink)
        await replies.send(call.subject, call.data, reply, call.headers or None)
        async with asyncio.timeout(5):
            await done.wait()
        replies.close(reply)
        return answers

    async def until(self, region: str, count: int) -> Heard:
        """The live feed of a region, once it has brought so much."""
        async with asyncio.timeout(20):
            while len(self.heard[region]) < count:
                self._moved.clear()
                await self._moved.wait()
        return self.heard[region]


def _fed(heard: Heard) -> list[tuple[str, Headers, bytes]]:
    return [
        (subject, {k: v for k, v in headers.items() if k != "Nats-Time-Stamp"}, data)
        for subject, headers, data in heard
    ]


async def _both(real: Real, model: Model, a: Call, b: Call) -> tuple[Told, Told]:
    return told(await real.ask(a)), told(await model.ask(b))


@pytest.mark.parametrize("seed", SEEDS)
async def test_publishes_reads_leases_and_information_are_answered_alike(
    servers: World, seed: int
) -> None:
    model = Model()
    async with Real.open(servers) as real:
        stamps: tuple[dict[int, str], dict[int, str]] = ({}, {})
        for number, (ours, theirs) in enumerate(
            zip(steps(seed, 150, stamps[0]), steps(seed, 150, stamps[1]), strict=True)
        ):
            call = ours("us")
            got, modelled = await _both(real, model, call, theirs("us"))
            assert modelled == got, f"step {number}: {call}"
            _learn(stamps, real.heard["us"], model.heard("us"))
        # What was stored came out again at home and, in the same order, behind the link.
        stored = len(model.heard("us"))
        assert stored > 20
        model.wait(5.0)
        for region in ("us", "eu"):
            assert _fed(model.heard(region)) == _fed(await real.until(region, stored))
        # And the copies are read alike, here and across the link.
        for subject in ("$JS.API.DIRECT.GET.EV_us", "$JS.us.API.DIRECT.GET.EV_us"):
            whole = json.dumps({"seq": 1, "batch": 500}).encode()
            call = Call("eu", subject, whole, {})
            got, modelled = await _both(real, model, call, call)
            assert modelled == got
            assert len(got) == stored + 1


def _learn(stamps: tuple[dict[int, str], dict[int, str]], *heard: Heard) -> None:
    for known, feed in zip(stamps, heard, strict=True):
        for _, headers, _data in feed[len(known) :]:
            known[int(headers["Nats-Sequence"])] = headers["Nats-Time-Stamp"]


async def test_a_killed_server_keeps_what_it_acknowledged_and_its_mirror_goes_on(
    servers: World,
) -> None:
    model = Model()
    async with Real.open(servers) as real:
        before = [Call("us", event("a"), b"%d" % n, {"Nats-Msg-Id": str(n)}) for n in range(10)]
        for call in before:
            got, modelled = await _both(real, model, call, call)
            assert modelled == got
        model.wait(2.0)
        await real.until("eu", 10)
        back = asyncio.Event()

        async def on_back() -> None:
            back.set()

        real.connections["us"].on_back = on_back
        status = await servers.ctl("status")
        (process,) = [p.name for p in status if (p.kind, p.region) == ("nats", "us")]
        await servers.ctl("kill", process)
        system = model.world.systems["us"]
        system.kill(0)
        system.start(0)
        model.ears["us"].server = 0
        system.subscribe(model.ears["us"], 1, "_INBOX.us.*")  # type: ignore[arg-type]
        system.subscribe(model.ears["us"], 2, "live.us.>")  # type: ignore[arg-type]
        model.wait(10.0)
        async with asyncio.timeout(30):
            await back.wait()
        await _until_stored(real)
        # A duplicate is still known, sequences go on, and so does the mirror.
        for call in (*before[-2:], Call("us", event("a"), b"10", {"Nats-Msg-Id": "10"})):
            got, modelled = await _both(real, model, call, call)
            assert modelled == got
        model.wait(10.0)
        await real.until("eu", 11)
        assert _fed(model.heard("eu")) == _fed(real.heard["eu"])


async def _until_stored(real: Real) -> None:
    """JetStream answers again."""
    call = Call("us", "$JS.API.STREAM.INFO.EV_us", b"", {})
    async with asyncio.timeout(20):
        while "503" in [headers.get(STATUS) for headers, _ in await real.ask(call)]:
            await asyncio.sleep(0.05)
