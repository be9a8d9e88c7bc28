"""The regions' NATS: mirrors, links, permissions, and the streams kept as declared."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from regions.jetstream import JetStream
from regions.permissions import User, inbox
from relay.core import names
from tests.world import World

REGIONS = ("us", "eu", "ap")
COUNT = 50


@asynccontextmanager
async def connected(
    world: World, region: str, user: User = "edge", server: int | None = None
) -> AsyncIterator[tuple[Client, list[str]]]:
    """A connection, and the errors that the server tells it."""
    errors: list[str] = []

    async def failed(error: Exception) -> None:
        errors.append(str(error))

    config = world.nats_config(region, user)
    client = await nats.connect(
        servers=config.servers if server is None else [config.servers[server]],
        user=config.user,
        password=config.password,
        inbox_prefix=inbox(user),
        error_cb=failed,
    )
    try:
        yield client, errors
    finally:
        await client.close()


async def until_equal(world: World, origin: str, regions: tuple[str, ...], last: int) -> None:
    """Wait until the copies of `origin`'s events in `regions` are at `last`."""
    for region in regions:
        admin = await JetStream.connect(region, world.nats_config(region, "control"))
        try:
            async with asyncio.timeout(20):
                while True:
                    info = await admin.info(names.events_stream(origin))
                    assert info is not None
                    if info["state"]["last_seq"] == last:
                        break
                    await asyncio.sleep(0.05)
        finally:
            await admin.close()


async def test_events_are_mirrored_and_republished_everywhere_with_their_sequence(
    bare_world: World,
) -> None:
    async with connected(bare_world, "eu") as (eu, _), connected(bare_world, "us") as (us, _):
        heard: list[Msg] = []

        async def hear(message: Msg) -> None:
            heard.append(message)

        await eu.subscribe(names.below("live", "eu"), cb=hear)
        await eu.flush()
        sequences = []
        for number in range(COUNT):
            subject = names.event_subject("us", "_", "0", f"room{number % 7}")
            ack = await us.jetstream().publish(subject, b"%d" % number)
            sequences.append(ack.seq)
        await until_equal(bare_world, "us", REGIONS, sequences[-1])
        async with asyncio.timeout(10):
            while len(heard) < COUNT:
                await asyncio.sleep(0.02)
    assert all(message.headers is not None for message in heard)
    assert sorted(int((m.headers or {})["Nats-Sequence"]) for m in heard) == sequences
    assert {names.room_of(message.subject)[0] for message in heard} == {"us"}


async def test_what_crosses_the_links_crosses_once(bare_world: World) -> None:
    heard: Counter[tuple[str, str]] = Counter()
    async with (
        connected(bare_world, "us") as (us, _),
        connected(bare_world, "eu") as (eu, _),
        connected(bare_world, "ap") as (ap, _),
        connected(bare_world, "ap", "console") as (console, _),
    ):

        async def subscribe(client: Client, region: str, subject: str) -> None:
            async def hear(message: Msg) -> None:
                heard[region, message.subject] += 1

            await client.subscribe(subject, cb=hear)
            await client.flush()

        for client, region in ((us, "us"), (eu, "eu"), (ap, "ap")):
            for kind in ("lease", "takeover", "head", "siglive"):
                await subscribe(client, region, names.below(kind))
        await subscribe(console, "ap", names.below("tele"))
        await asyncio.sleep(1.0)  # interest travels over the links
        sent = [
            names.lease_subject("us", "us-1"),
            names.takeover_subject("us"),
            names.head_subject("us"),
            names.telemetry_subject("us", "us-1"),
            names.signal_subject("us", "_", "0", "room"),
        ]
        for subject in sent:
            await us.publish(subject, b"x")
        await us.flush()
        await asyncio.sleep(1.5)
    signal = names.signal_live_subject("_", "0", "room", region="us")
    expected = {(region, subject): 1 for region in REGIONS for subject in (*sent[:3], signal)}
    assert heard == expected | {("ap", sent[3]): 1}


@pytest.mark.parametrize("stream", ["EV_eu", "EV_us"])
async def test_another_regions_copies_can_be_read_across_the_link(
    bare_world: World, stream: str
) -> None:
    origin = stream.removeprefix("EV_")
    async with connected(bare_world, origin) as (home, _):
        for number in range(10):
            subject = names.event_subject(origin, "_", "0", "read")
            ack = await home.jetstream().publish(subject, b"%d" % number)
    await until_equal(bare_world, origin, REGIONS, ack.seq)
    async with connected(bare_world, "us") as (us, _):
        subject = f"$JS.eu.API.DIRECT.GET.{stream}"
        one = await us.request(subject, msgspec.json.encode({"seq": ack.seq}), 5)
        assert (one.headers or {})["Nats-Sequence"] == str(ack.seq)
        reply = us.new_inbox()
        answers = await us.subscribe(reply)
        batch = {"seq": ack.seq - 9, "batch": 10, "max_bytes": 65_536}
        await us.publish(subject, msgspec.json.encode(batch), reply=reply)
        bodies = [(await answers.next_msg(5)).data for _ in range(10)]
        end = await answers.next_msg(5)
    assert bodies == [b"%d" % number for number in range(10)]
    assert (end.headers or {})["Status"] == "204"


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("edge", "ev.eu._.0.room"),
        ("edge", "$JS.API.STREAM.DELETE.EV_us"),
        ("edge", "$JS.eu.API.STREAM.INFO.EV_eu"),
        ("console", "ev.us._.0.room"),
        ("console", "$JS.API.STREAM.UPDATE.EV_us"),
        ("backend", "ev.us.-.0.mark"),
        ("control", "ev.us._.0.room"),
    ],
)
async def test_a_user_may_do_no_more_than_its_work(
    bare_world: World, user: User, subject: str
) -> None:
    async with connected(bare_world, "us", user) as (client, errors):
        await client.publish(subject, b"{}")
        await client.flush()
        await asyncio.sleep(0.1)
    assert [error for error in errors if "permissions violation" in error.lower()]


async def test_a_second_apply_changes_nothing_and_drift_is_put_right(bare_world: World) -> None:
    plan = await asyncio.to_thread(bare_world.run, "streams", "plan")
    assert (plan.returncode, plan.stdout) == (0, "everything is as declared\n")
    admin = await JetStream.connect("us", bare_world.nats_config("us", "control"))
    os.kill(bare_world.pid, signal.SIGSTOP)  # it looks every 3 s, and would put it right before
    try:
        config = await admin.config("EV_us")
        assert config is not None
        config["metadata"] = {"epoch": "7"}
        config["max_age"] = 60_000_000_000
        config["duplicate_window"] = 60_000_000_000
        await admin.put_stream(config, exists=True)
        plan = await asyncio.to_thread(bare_world.run, "streams", "plan")
        assert plan.returncode == 1
        assert "us: update EV_us (max_age 60000000000 -> 86400000000000" in plan.stdout
        applied = await asyncio.to_thread(bare_world.run, "streams", "apply")
        assert applied.returncode == 0
        config = await admin.config("EV_us")
        assert config is not None
        assert config["metadata"]["epoch"] == "7", "the epoch belongs to the edges"
        assert config["max_age"] == 86_400_000_000_000
    finally:
        os.kill(bare_world.pid, signal.SIGCONT)
        await admin.close()


async def test_the_doctor_finds_nothing_wrong(bare_world: World) -> None:
    done = await asyncio.to_thread(bare_world.run, "doctor", "--json")
    checks = msgspec.json.decode(done.stdout)
    assert [check for check in checks if check["level"] == "fail"] == []
    assert {"streams", "mirror us in eu", "clock ap"} <= {check["name"] for check in checks}


async def test_a_restarted_server_has_its_memory_stream_again(bare_world: World) -> None:
    since = len(bare_world.events)
    await bare_world.ctl("kill", "ap-n1")
    down = await bare_world.event("nats_down", server="ap-n1", since=since)
    assert (down.code, down.reason, down.retry_in_s) == (-9, "killed", 0.5)
    await bare_world.event("nats_up", server="ap-n1", since=since)
    await bare_world.event("streams_applied", changes=["ap: create SIGNAL"], since=since)
