"""Edges are asked about their clients and rooms, through another region's NATS."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager

import msgspec
import pytest

from regions.errors import InquiryError
from regions.inquiries.asker import Asker
from regions.inquiries.opening import open_asker
from regions.inquiries.unlike import compare
from regions.state import StateDir
from regions.steering.health import EdgeKey
from relay.client import Message, Resumed, connect
from relay.config import load_config, save_config
from relay.core.masking import TracedFrame
from relay.tasks import Tasks
from tests.operators import ctl
from tests.places import three
from tests.raw import Raw, token
from tests.ready import serving
from tests.world import World, running

ROOM, KICKED, TRACED = "asked:room", "asked:kicked", "asked:traced"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three regions; eu has an edge to resume at."""
    with running(tmp_path_factory.mktemp("asked"), three(1, 2, 1), orderly=True) as started:
        yield started


@asynccontextmanager
async def asking(
    world: World, via: str, *, control: bool = False, answer_s: float = 15.0
) -> AsyncIterator[Asker]:
    """An operator in a region."""
    doors = world.found().doors("control" if control else "console")
    first = [door for door in doors if door.region == via]
    async with open_asker(first, "the test", control=control, answer_s=answer_s) as asker:
        yield asker


async def test_clients_and_rooms_of_all_regions_are_seen_from_any(world: World) -> None:
    async with (
        Raw(world.edges["us-1"].url, "msgpack") as ana,
        Raw(world.edges["eu-1"].url) as bo,
        Raw(world.edges["ap-1"].url) as cy,
        asking(world, "ap") as asker,
    ):
        ready = await ana.identify(token(world, "ana"), ROOM, properties={"os": "\x1b[31mplan9"})
        await bo.identify(token(world, "bo"), {"room": ROOM, "presence": True}, "asked:other")
        await cy.identify(token(world, "cy"), "asked:other")
        await ana.request(22, room=ROOM, data={"secret": 1})
        await bo.dispatched("MESSAGE")
        found = await asker.clients("rooms>0 and age<5m", "user")
        assert [(row.user, row.edge, row.rooms) for row in found.rows] == [
            ("ana", "us-1", 1), ("bo", "eu-1", 2), ("cy", "ap-1", 1),
        ]  # fmt: skip
        assert (found.matched, found.of, found.missing) == (3, 3, [])
        first = found.rows[0]
        assert (first.encoding, first.address, first.phase) == ("msgpack", "127.0.0.0/24", "live")
        assert first.device == "[31mplan9"
        assert first.session == ready["d"]["session_id"][:16]
        assert first.rtt_ms is not None
        assert 0 < first.rtt_ms < 5_000
        assert first.out_bytes is not None
        assert first.out_bytes > 0
        in_room = await asker.clients("region=eu", room=ROOM)
        assert ([row.user for row in in_room.rows], in_room.of) == (["bo"], 2)

        (at,) = (await asker.client(first.session)).found
        assert (at.edge, at.client.grants[0].match, at.client.rooms[0].room) == ("us-1", "*", ROOM)
        assert at.client.allowance.frames < 120
        assert "token" not in str(at)

        (asked,) = (await asker.rooms("room=asked:room")).rows
        assert (asked.members, asked.edges, asked.present is None) == (2, 2, False)
        assert asked.rate > 0
        seen = await asker.room(ROOM)
        assert {each.edge for each in seen.edges} == {"us-1", "eu-1"}
        for each in seen.edges:
            (us,) = [origin for origin in each.room.origins if origin.origin == "us"]
            assert (us.newest > 0, us.ring_events) == (True, 1)

        peeked = await asker.peek(ROOM, limit=5)
        (event,) = peeked.events
        assert (event.user, event.origin, event.size, event.data) == ("ana", "us", 12, None)
        assert peeked.region == "ap"
        with pytest.raises(InquiryError, match="may not ask"):
            await asker.peek(ROOM, payloads=True)
    async with asking(world, "us", control=True) as asker:
        peeked = await asker.peek(ROOM, payloads=True, region="eu")
        assert (peeked.region, peeked.events[0].data) == ("eu", '{"secret":1}')


async def test_a_client_that_is_kicked_resumes_and_misses_nothing(world: World) -> None:
    async with (
        Raw(world.edges["us-1"].url) as talker,
        connect(
            [world.edges["eu-1"].url], token=token(world, "kicked"), rooms=[KICKED], states=True
        ) as client,
        asking(world, "us", control=True) as asker,
    ):
        await talker.identify(token(world, "talker"))
        got: list[int] = []
        resumed = asyncio.Event()

        async def listen() -> None:
            async for event in client:
                if isinstance(event, Message):
                    got.append(event.data)
                elif isinstance(event, Resumed):
                    resumed.set()

        tasks = Tasks("test")
        tasks.spawn(listen(), "listen")
        (row,) = (await asker.clients("user=kicked")).rows
        for number in range(5):
            await talker.request(22, room=KICKED, data=number)
        where, kicked = await asker.kick(row.session[:10], "it looks stuck")
        assert (where, kicked.user, kicked.code) == (EdgeKey("eu", "eu-1"), "kicked", 4000)
        for number in range(5, 10):
            await talker.request(22, room=KICKED, data=number)
        async with asyncio.timeout(20):
            await resumed.wait()
            while len(got) < 10:
                await asyncio.sleep(0.05)
        assert got == list(range(10))
        seen = await asker.client(row.session)
        (at,) = seen.found
        assert at.client.row.resumed
        assert [(each.edge, each.end.code) for each in seen.ends] == [("eu-1", 4000)]
        with pytest.raises(InquiryError, match="no edge has session"):
            await asker.kick("nobody-at-all", "why not")
        await tasks.close()
    log = (world.state_dir / "edges" / "eu-1.log").read_text()
    assert f"'the test' closes session {row.session} of user kicked" in log
    assert "'it looks stuck'" in log


async def traced(
    asker: Asker, session: str, raw: Raw, secret: str, *, payloads: bool
) -> list[TracedFrame]:
    """What a trace shows of a publish that carries `secret`."""
    frames: list[TracedFrame] = []
    parts = asker.trace(session, 30.0, payloads=payloads)
    async with aclosing(parts):
        assert (await anext(parts)).frames == [], "it begins"
        await raw.request(22, room=TRACED, data=secret)
        async with asyncio.timeout(15):
            async for part in parts:
                frames += part.frames
                if any(frame.t == "MESSAGE" for frame in frames) and any(
                    frame.op == 30 for frame in frames
                ):
                    break
    return frames


async def test_a_trace_shows_payloads_to_who_may_see_them(world: World) -> None:
    async with Raw(world.edges["ap-1"].url) as raw:
        ready = await raw.identify(token(world, "traced"), TRACED)
        session = ready["d"]["session_id"]
        async with asking(world, "eu") as reader:
            masked = await traced(reader, session, raw, "first secret", payloads=False)
            with pytest.raises(InquiryError, match="may not ask"):
                await traced(reader, session, raw, "never sent", payloads=True)
        async with asking(world, "eu", control=True) as controller:
            shown = await traced(controller, session, raw, "second secret", payloads=True)
            await raw.acked()
            assert raw.data() == ["first secret", "second secret"], "nothing is lost by it"
            parts = [part async for part in controller.trace(session[:12], 0.5)]
            assert parts[-1].ended == "the time is over"
    publish = [frame for frame in masked if frame.op == 22]
    assert [(frame.sent, frame.room, frame.size > 20) for frame in publish] == [
        (False, TRACED, True)
    ]
    assert {frame.op for frame in masked if frame.sent} >= {0, 30}
    assert all(frame.d is None for frame in masked)
    assert "secret" not in str(masked)
    assert any("second secret" in (frame.d or "") for frame in shown if frame.op == 22)
    assert any("second secret" in (frame.d or "") for frame in shown if frame.t == "MESSAGE")


async def test_an_edge_that_does_not_answer_is_named(world: World) -> None:
    async with (
        Raw(world.edges["us-1"].url) as raw,
        asking(world, "ap", answer_s=3.0) as asker,
    ):
        await raw.identify(token(world, "dora"), ROOM)
        await world.ctl("pause", "eu-2")
        try:
            found = await asker.clients("user=dora")
            said = await ctl(world, 1, "clients", "user=dora", "--region", "ap")
        finally:
            await world.ctl("continue", "eu-2")
        assert [row.edge for row in found.rows] == ["us-1"]
        assert [(each.edge, each.why) for each in found.missing] == [("eu-2", "no answer")]
        assert "eu-2 of eu: no answer" in said
        assert "dora" in said
        assert "us-1" in await ctl(world, 0, "room", ROOM, "--peek", "2")


async def test_an_edge_that_is_set_up_otherwise_is_named(world: World) -> None:
    assert "alike at all 4 edges, 0 are not" in await ctl(world, 0, "settings")
    path = StateDir(world.state_dir).edge_config("eu-2")
    config = load_config(path)
    changed = msgspec.structs.replace(config.limits, linger_s=7.5)
    save_config(msgspec.structs.replace(config, limits=changed, cursor_key="ab" * 32), path)
    await world.ctl("restart", "eu-2")
    await serving(world, "eu-2")
    async with asking(world, "ap") as asker:
        found = await asker.settings()
        unlike = {each.name: each for each in compare(found.edges) if each.differs}
        assert unlike.keys() == {"cursor key", "linger_s"}
        assert unlike["linger_s"].values[1] == ("7.5", (EdgeKey("eu", "eu-2"),))
        assert config.cursor_key not in str(found)
    said = await ctl(world, 1, "settings", "--region", "us")
    assert "linger_s" in said
    assert "eu-2" in said
    assert "resume_window_s" not in said
    assert "86400" in await ctl(world, 0, "settings", "us-1", "eu-1", "--all")
