"""A region whose nats-server has no room left: its clients go on hearing the other regions."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from regions.faults.client import Faults
from regions.faults.disks import why_not
from relay.client import Client, Message, connect
from relay.core.codes import Op
from tests.raw import Raw, token
from tests.ready import serving
from tests.world import World

LATE_S = 1.0  # a busy machine
TOPOLOGY = "\n".join(f'[[regions]]\nname = "{name}"\nedges = 1\n' for name in ("us", "eu"))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """Two regions whose stores lie on small disks."""
    if why := why_not():
        pytest.skip(why)
    world = World(tmp_path / "state", TOPOLOGY, "--small-disks", "64")
    try:
        yield world.launch()
        assert world.end() == 0
    finally:
        world.clean()
        for store in world.state_dir.glob("nats/*/store"):
            if store.is_mount():
                subprocess.run(["umount", store], check=True)


async def heard(client: Client, count: int) -> list[object]:
    """The data of the next messages."""
    found: list[object] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            event = await anext(client)
            if isinstance(event, Message):
                found.append(event.data)
    return found


async def refused_in_time(world: World) -> None:
    """A publish there is answered `unavailable` within 2 s: NATS itself says nothing."""
    await serving(world, "eu-1")  # a server without room may cut its edge off for a moment
    async with Raw(world.edges["eu-1"].url) as raw:
        await raw.identify(token(world, "writer"))
        for number in range(20):
            began_s = time.monotonic()
            answer = await raw.request(Op.PUBLISH, room="other", data="x" * 9_000, id=f"w{number}")
            waited_s = time.monotonic() - began_s
            assert waited_s < 2 + LATE_S
            if answer["op"] == Op.ERROR:
                assert answer["d"]["code"] == "unavailable"
                return
    raise AssertionError("the disk was never full")


async def test_its_clients_are_sent_what_other_regions_store(small: World) -> None:
    async with (
        connect(small.edges["eu-1"].url, token=token(small, "ear"), rooms=["full"]) as listener,
        connect(small.edges["us-1"].url, token=token(small, "mouth"), rooms=[]) as talker,
    ):
        await talker.publish("full", 0)
        assert await heard(listener, 1) == [0]
        async with Faults(small.state_dir) as faults:
            await faults.fill_disk("eu-n1")
            for number in range(1, 9):
                await talker.publish("full", number)
                await asyncio.sleep(0.5)  # the disk gets full with what is stored meanwhile
            # What the mirror here can't store comes from its origin, across the link.
            assert await heard(listener, 8) == list(range(1, 9))
            await refused_in_time(small)
            assert (await faults.overview())[1] != []
        await talker.publish("full", 9)
        assert await heard(listener, 1) == [9]
        assert listener.stats.resumes == 0
