"""Faults of stores: a full disk, a limit, a lost tail, a mirror that is not fed."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client

from regions.errors import WorldError
from regions.faults.client import Faults
from regions.faults.disks import why_not
from regions.jetstream import JetStream
from regions.permissions import inbox
from relay.core import names
from tests.world import World

TOPOLOGY = "\n".join(f'[[regions]]\nname = "{name}"\n' for name in ("us", "eu"))
EV_US = names.events_stream("us")
FULL = 10_000  # publishes; a store with no room takes far less


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two regions without edges; their stores lie on small disks where that can be."""
    small = () if why_not() else ("--small-disks", "32")
    world = World(tmp_path_factory.mktemp("stored") / "state", TOPOLOGY, "--links", "relay", *small)
    try:
        yield world.launch()
        assert world.end() == 0
        assert world.leftovers() == []
        assert not any(path.is_mount() for path in world.state_dir.glob("nats/*/store"))
    finally:
        world.clean()
        sweep(world)


class Backend:
    """Publishes events of us, and looks at its stream and at eu's mirror of it."""

    def __init__(self, client: Client, us: JetStream, eu: JetStream) -> None:
        self._client, self._us, self._eu = client, us, eu

    async def publish(self, timeout_s: float = 2.0) -> str:
        """What the stream answers."""
        reply = await self._client.request("ev.us._.0.room", b'"' + b"x" * 200 + b'"', timeout_s)
        return reply.data.decode()

    async def until_refused(self) -> str | None:
        """Publish until it is not stored: the answer, or None where none comes."""
        for _ in range(FULL):
            try:
                answer = await self.publish(1.0)
            except TimeoutError:
                return None
            if "error" in answer:
                return answer
        raise AssertionError("everything was stored")

    async def until_stored(self, timeout_s: float) -> None:
        """Publish until it is stored."""
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    if "error" not in await self.publish(1.0):
                        return
                except Exception:  # while the server restarts
                    await asyncio.sleep(0.05)

    async def last(self) -> int:
        """The newest sequence at the origin."""
        info = await self._us.info(EV_US)
        assert info is not None
        return int(info["state"]["last_seq"])

    async def mirror(self) -> tuple[int, dict[str, object]]:
        """The newest sequence in the mirror, and what it says of itself."""
        info = await self._eu.info(EV_US)
        assert info is not None
        return int(info["state"]["last_seq"]), info["mirror"]

    async def until_mirrored(self, timeout_s: float) -> None:
        """Wait until the mirror has what the origin has now."""
        wanted = await self.last()
        async with asyncio.timeout(timeout_s):
            while (await self.mirror())[0] < wanted:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def backend(world: World) -> AsyncIterator[Backend]:
    """A backend of us."""
    config, client = world.nats_config("us", "backend"), Client()
    await client.connect(
        servers=config.servers, user=config.user, password=config.password,
        inbox_prefix=inbox("backend"), reconnect_time_wait=1, max_reconnect_attempts=-1,
    )  # fmt: skip
    us = await JetStream.connect("us", world.nats_config("us", "control"))
    eu = await JetStream.connect("eu", world.nats_config("eu", "control"))
    try:
        yield Backend(client, us, eu)
    finally:
        for connection in (client, us, eu):
            await connection.close()


async def test_a_full_disk_lets_publishes_wait_for_ever_and_heals(stored: World) -> None:
    if why := why_not():
        pytest.skip(f"{why}; JetStream's own limit is tested without")
    async with backend(stored) as us, Faults(stored.state_dir) as faults:
        await us.until_stored(5)
        since = len(stored.events)
        await faults.fill_disk("us-n1")
        assert await us.until_refused() is None
        healing = time.monotonic()
        await faults.heal()
        await us.until_stored(10)
        print(f"\nstored again {time.monotonic() - healing:.1f} s after healing began")
        down = await stored.event("nats_down", server="us-n1", since=since)
        assert down.reason == "restarted"


async def test_at_its_own_limit_jetstream_refuses_at_once_and_heals_without_a_restart(
    stored: World,
) -> None:
    async with backend(stored) as us, Faults(stored.state_dir) as faults:
        await us.until_stored(5)
        before = {one.name: one.starts for one in await faults.processes()}
        await faults.fill_disk("us-n1", "limit")
        answer = await us.until_refused()
        assert answer is not None
        assert "10002" in answer
        await faults.heal()
        await us.until_stored(5)
        assert {one.name: one.starts for one in await faults.processes()} == before


async def test_a_rewind_takes_back_what_was_stored_since_the_snapshot(stored: World) -> None:
    async with backend(stored) as us, Faults(stored.state_dir) as faults:
        await us.until_stored(10)
        await us.until_mirrored(20)
        with pytest.raises(WorldError, match="no snapshot of eu: take one before the rewind"):
            await faults.rewind("eu")
        at = await us.last()
        await faults.snapshot("us")
        for _ in range(20):
            await us.publish()
        await us.until_mirrored(10)
        await faults.rewind("us", mirrors=False)
    async with backend(stored) as us:
        assert await us.last() == at
        assert (await us.mirror())[0] == at + 20  # nobody wrote it back: there are no edges here


async def test_a_wedged_mirror_stands_still_and_says_that_all_is_well(stored: World) -> None:
    async with backend(stored) as us, Faults(stored.state_dir) as faults:
        # The test before left the origin shorter than its mirror.
        while await us.last() <= (await us.mirror())[0]:
            await us.publish()
        await us.until_mirrored(20)
        before, _ = await us.mirror()
        wedge = await faults.wedge("eu", origin="us")
        for _ in range(10):
            await us.publish()
        await asyncio.sleep(6)  # longer than the pause is renewed, and than a heartbeat is late
        seq, says = await us.mirror()
        assert seq == before
        assert (says["lag"], says.get("error")) == (0, None)
        assert float(str(says["active"])) < 2e9  # ns: heard of its origin a moment ago
        await faults.heal(wedge)
        await us.until_mirrored(5)


async def test_without_a_small_disk_it_is_not_filled(stored: World) -> None:
    async with Faults(stored.state_dir) as faults:
        with pytest.raises(WorldError, match="'us-n9'"):
            await faults.fill_disk("us-n9", "limit")
        with pytest.raises(WorldError, match="wan is not a nats-server"):
            await faults.fill_disk("wan", "limit")
        if "--small-disks" not in stored.arguments:
            with pytest.raises(WorldError, match="--limit"):
                await faults.fill_disk("us-n1")


async def test_after_a_killed_supervisor_no_store_is_full(tmp_path: Path) -> None:
    if why := why_not():
        pytest.skip(f"{why}; JetStream's own limit is written anew at each start")
    world = World(tmp_path / "state", TOPOLOGY, "--small-disks", "32")
    try:
        await world.start()
        async with Faults(world.state_dir) as faults:
            await faults.snapshot("us")
            await faults.fill_disk("us-n1")
            world.kill_supervisor()
        await world.start()
        async with backend(world) as us, Faults(world.state_dir) as faults:
            await us.until_stored(10)
            with pytest.raises(WorldError, match="no snapshot of us"):
                await faults.rewind("us")
        assert await world.stop() == 0
        assert world.leftovers() == []
    finally:
        world.clean()
        sweep(world)


def sweep(world: World) -> None:
    """Take away file systems that are left where a test failed."""
    for store in world.state_dir.glob("nats/*/store"):
        if store.is_mount():
            subprocess.run(["umount", store], check=True)
