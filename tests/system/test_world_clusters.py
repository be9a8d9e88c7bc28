"""Three nats-servers a region: the same world, and it outlives one of them."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from nats.aio.msg import Msg

from regions.jetstream import JetStream
from relay.core import names
from tests.system.test_world_nats import connected, until_equal
from tests.world import World

TOPOLOGY = "\n".join(
    f'[[regions]]\nname = "{name}"\nnats = {{ servers = 3 }}\n' for name in ("us", "eu")
)


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two regions of three servers."""
    world = World(tmp_path_factory.mktemp("clusters") / "state", TOPOLOGY)
    world.launch()
    try:
        yield world
        assert world.end() == 0
        assert world.leftovers() == []
    finally:
        world.clean()


async def test_streams_have_three_copies_and_differ_in_nothing(clusters: World) -> None:
    plan = await asyncio.to_thread(clusters.run, "streams", "plan")
    assert plan.returncode == 0, plan.stdout + plan.stderr
    admin = await JetStream.connect("eu", clusters.nats_config("eu", "control"))
    info = await admin.info(names.events_stream("us"))
    await admin.close()
    assert info is not None
    assert len(info["cluster"]["replicas"]) == 2


async def test_whichever_servers_are_used_a_message_crosses_once(clusters: World) -> None:
    heard: Counter[tuple[str, int, str]] = Counter()
    async with AsyncExitStack() as stack:

        async def listen(region: str, server: int) -> None:
            client, _ = await stack.enter_async_context(connected(clusters, region, "edge", server))

            async def hear(message: Msg) -> None:
                heard[region, server, message.subject] += 1

            await client.subscribe(names.below("lease"), cb=hear)
            await client.subscribe(names.below("live", region), cb=hear)
            await client.flush()

        for region in ("us", "eu"):
            for server in range(3):
                await listen(region, server)
        await asyncio.sleep(1.0)
        for server in range(3):
            async with connected(clusters, "us", "edge", server) as (client, _):
                await client.publish(names.lease_subject("us", f"from-{server}"), b"x")
                room = names.event_subject("us", "_", "0", f"from-{server}")
                ack = await client.jetstream().publish(room, b"x")
        await until_equal(clusters, "us", ("us", "eu"), ack.seq)
        await asyncio.sleep(1.0)
    subjects = {
        region: [
            subject
            for sender in range(3)
            for subject in (
                names.lease_subject("us", f"from-{sender}"),
                names.live_subject(region, "us", "_", "0", f"from-{sender}"),
            )
        ]
        for region in ("us", "eu")
    }
    assert heard == {
        (region, server, subject): 1
        for region in ("us", "eu")
        for server in range(3)
        for subject in subjects[region]
    }


async def test_a_region_acknowledges_while_one_of_its_servers_is_held(clusters: World) -> None:
    await clusters.ctl("hold", "us-n1")
    try:
        async with connected(clusters, "us", "edge", 1) as (client, _):
            async with asyncio.timeout(30):
                while True:
                    try:
                        subject = names.event_subject("us", "_", "0", "held")
                        ack = await client.jetstream().publish(subject, b"x", timeout=2)
                        break
                    except Exception:  # an election takes some seconds
                        await asyncio.sleep(0.2)
        await until_equal(clusters, "us", ("eu",), ack.seq)
    finally:
        await clusters.ctl("start", "us-n1")
        await clusters.event("nats_up", server="us-n1")
