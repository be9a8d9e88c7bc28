"""The live feed over a real nats-server: frames show, a killed server shows, and it recovers."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.errors import ErrStaleConnection
from nats.errors import UnexpectedEOF

from console.app import ConsoleApp
from console.clock import Clock
from console.errors import NoLinkError
from console.feed import FrameHeard, FrameRefused, LinkChanged, apply
from console.live import LiveFeed, describe
from console.model import Fleet, LinkState, observe
from console.once import look
from console.report import to_json, to_text
from console.svg import screen_text
from regions.doors import Door
from relay.config import NatsConfig
from relay.core.names import telemetry_subject
from relay.core.telemetry import encode_frame
from relay.tasks import Tasks
from tests.console.nats_process import NatsProcess, nats_processes
from tests.console.scenario import EDGES, frame


@asynccontextmanager
async def edge_user(server: NatsProcess) -> AsyncGenerator[Client, None]:
    client = Client()
    login = server.login("edge")

    async def ignore(_error: Exception) -> None:
        return

    await client.connect(
        login.servers,
        user=login.user,
        password=login.password,
        error_cb=ignore,
        reconnect_time_wait=0,
        max_reconnect_attempts=-1,
    )
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def fake_edges(server: NatsProcess) -> AsyncGenerator[None, None]:
    """Six edges that publish a frame 20 times a second."""

    async def publish(client: Client) -> None:
        number = 0
        while True:
            number += 1
            for region, edges in EDGES.items():
                for edge in edges:
                    heard = frame(
                        region, edge, 1, frame=number, at_ms=number * 50, events_out=number * 25
                    )
                    await client.publish(telemetry_subject(region, edge), encode_frame(heard))
            await client.flush()
            await asyncio.sleep(0.05)

    tasks = Tasks("fake-edges")
    async with edge_user(server) as client:
        tasks.spawn(publish(client), "publish")
        try:
            yield
        finally:
            await tasks.close()


async def until(what: Callable[[], bool], pause: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(60):
        while not what():
            await pause()
            await asyncio.sleep(0.05)


async def test_the_screen_follows_real_frames_and_outlives_the_server(tmp_path: Path) -> None:
    with nats_processes(tmp_path, 1) as (server,):
        await server.start()
        app = ConsoleApp(LiveFeed([Door("us", server.login("console"))]), EDGES)
        async with app.run_test(size=(120, 36)) as pilot:

            def shows(text: str) -> bool:
                return text in screen_text(app.screen)

            async with fake_edges(server):
                await until(lambda: shows("● link us") and shows("6 ready"), pilot.pause)
                await until(lambda: app.fleet.edges["ap", "ap-2"].rates is not None, pilot.pause)
                await until(lambda: not shows("in —"), pilot.pause)
            server.kill()
            await until(lambda: shows("✗ link lost"), pilot.pause)
            await until(lambda: shows("The console's own link is lost"), pilot.pause)
            await server.start()
            async with fake_edges(server):
                before = app.fleet.late
                await until(lambda: shows("● link us"), pilot.pause)
                await until(lambda: app.fleet.late > before, pilot.pause)
            await until(lambda: not shows("The console's own link is lost"), pilot.pause)
            await pilot.press("q")
        assert app.return_code == 0


async def test_if_one_regions_nats_is_down_the_next_is_used(tmp_path: Path) -> None:
    with nats_processes(tmp_path, 2) as (down, up):
        await up.start()
        feed = LiveFeed([Door("us", down.login("console")), Door("eu", up.login("console"))])
        async with asyncio.timeout(30), aclosing(feed.events()) as events:
            first = await anext(events)
            assert isinstance(first, LinkChanged)
            assert (first.state, first.via) == (LinkState.LOST, "us")
            assert first.reason
            assert await anext(events) == LinkChanged(LinkState.CONNECTED, "eu")


async def test_the_screen_goes_on_through_the_next_region(tmp_path: Path) -> None:
    with nats_processes(tmp_path, 2) as (us, eu):
        await us.start()
        await eu.start()
        doors = [Door("us", us.login("console")), Door("eu", eu.login("console"))]
        app = ConsoleApp(LiveFeed(doors), EDGES)
        async with app.run_test(size=(120, 36)) as pilot:

            def shows(text: str) -> bool:
                return text in screen_text(app.screen)

            async with fake_edges(us):
                await until(lambda: shows("● link us") and shows("6 ready"), pilot.pause)
            async with fake_edges(eu):
                us.kill()
                await until(lambda: shows("● link eu"), pilot.pause)
                await until(
                    lambda: all((e.age_ms or 0) < 1_000 for e in app.scene.live().edges),
                    pilot.pause,
                )
            assert {edge.state for edge in app.scene.live().edges} == {"ready"}


async def test_a_server_that_hangs_is_left_before_others_are_blamed(tmp_path: Path) -> None:
    """Silence is the console's own link's, and said to be: no region is ever dark."""
    with nats_processes(tmp_path, 2) as (hung, well):
        await hung.start()
        await well.start()
        feed = LiveFeed([Door("us", hung.login("console")), Door("eu", well.login("console"))])
        clock, fleet = Clock(), Fleet()
        links: list[tuple[LinkState, str, str]] = []
        async with asyncio.timeout(30), aclosing(feed.events()) as events, fake_edges(hung):
            async for event in events:
                fleet = apply(fleet, event, clock.steady_ms())
                assert {each.state for each in observe(fleet, clock.steady_ms()).edges} <= {"ready"}
                if isinstance(event, LinkChanged):
                    links.append((event.state, event.via, event.reason))
                if len(links) == 1 and len(fleet.edges) == 6:
                    hung.hang()
                if len(links) == 3:
                    break
    assert links == [
        (LinkState.CONNECTED, "us", ""),
        (LinkState.LOST, "us", "it does not answer any more"),
        (LinkState.CONNECTED, "eu", ""),
    ]


async def test_a_wrong_password_is_told_and_tried_again(tmp_path: Path) -> None:
    with nats_processes(tmp_path, 1) as (server,):
        await server.start()
        feed = LiveFeed([Door("us", server.login("nobody"))])
        async with asyncio.timeout(30), aclosing(feed.events()) as events:
            for _ in range(2):
                event = await anext(events)
                assert isinstance(event, LinkChanged)
                assert event.state is LinkState.LOST
                assert event.reason


async def test_a_user_who_may_not_listen_is_told(tmp_path: Path) -> None:
    with nats_processes(tmp_path, 1) as (server,):
        config = tmp_path / f"nats-{server.port}.conf"
        config.write_text(config.read_text().replace("tele.>", "other.>"))
        await server.start()
        feed = LiveFeed([Door("us", server.login("console"))])
        async with asyncio.timeout(30), aclosing(feed.events()) as events:
            async for event in events:
                if isinstance(event, LinkChanged) and event.state is LinkState.LOST:
                    assert "permissions violation" in event.reason.lower()
                    break


async def test_frames_that_lie_or_can_not_be_read_are_refused(tmp_path: Path) -> None:
    with nats_processes(tmp_path, 1) as (server,):
        await server.start()
        feed = LiveFeed([Door("us", server.login("console"))])
        async with asyncio.timeout(30), aclosing(feed.events()) as events:
            assert await anext(events) == LinkChanged(LinkState.CONNECTED, "us")
            async with edge_user(server) as client:
                honest = frame("us", "us-1", 1)
                await client.publish("tele.us.us-1", b"\xff{")
                await client.publish("tele.us.us-1", b'{"v": 1}')
                await client.publish("tele.eu.eu-1", encode_frame(honest))
                await client.publish("tele.us.us-1", encode_frame(honest))
                await client.flush()
            assert [await anext(events) for _ in range(3)] == [FrameRefused()] * 3
            assert await anext(events) == FrameHeard(honest)


async def test_one_look(tmp_path: Path) -> None:
    known = {**EDGES, "us": (*EDGES["us"], "us-3")}
    with nats_processes(tmp_path, 1) as (server,):
        await server.start()
        async with fake_edges(server):
            view = await look(LiveFeed([Door("us", server.login("console"))]), known, Clock())
    seen = json.loads(to_json(view, 0))
    assert [region["name"] for region in seen["regions"]] == ["us", "eu", "ap"]
    us = seen["regions"][0]
    assert [(edge["name"], edge["state"]) for edge in us["edges"]] == [
        ("us-1", "ready"),
        ("us-2", "ready"),
        ("us-3", "dark"),
    ]
    assert us["state"] == "degraded"
    assert us["edges"][0]["connections"] == 17_515
    assert us["edges"][2]["connections"] is None
    assert seen["lag_ms"]["us"]["ap"] == 93.0
    assert seen["lag_ms"]["ap"]["us"] == 96.0
    text = to_text(view, 0)
    assert "us-3  us      ○ dark" in text
    assert "from us" in text


async def test_of_what_comes_too_fast_the_new_goes_and_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of what waits, some says how the link is: that must not get lost."""
    monkeypatch.setattr("console.live.QUEUE_EVENTS", 3)
    feed = LiveFeed([Door("us", NatsConfig(["nats://127.0.0.1:9"]))])
    await feed._queue.put(LinkChanged(LinkState.CONNECTED, "us"))
    for number in range(5):
        feed._put(FrameHeard(frame("us", "us-1", number)))
    heard = []
    async with aclosing(feed.events()) as events:
        async for event in events:
            heard.append(event)
            if isinstance(event, LinkChanged) and event.state is LinkState.LOST:
                break
    assert heard[0] == LinkChanged(LinkState.CONNECTED, "us")
    assert heard[1:4] == [FrameRefused()] * 3
    assert sum(isinstance(event, FrameHeard) for event in heard) == 2


async def test_one_look_without_any_nats_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.once.LINK_WAIT_S", 0.5)
    with (
        nats_processes(tmp_path, 1) as (server,),
        pytest.raises(NoLinkError, match="no NATS answers: connection refused"),
    ):
        await look(LiveFeed([Door("us", server.login("console"))]), EDGES, Clock())


def test_why_a_link_ended_is_said_in_words() -> None:
    assert describe(UnexpectedEOF()) == "the server closed the connection"
    assert describe(ErrStaleConnection()) == "it does not answer any more"
    assert describe(ConnectionRefusedError(111, "x")) == "connection refused"
