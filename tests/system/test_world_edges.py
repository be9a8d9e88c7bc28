"""Edges under the supervisor: restarted where they were, drained, cleaned up, on foreign NATS."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from regions import http
from regions.state import StateDir
from relay.core.codes import Op
from tests.raw import Raw, token
from tests.world import World

ONE = '[[regions]]\nname = "us"\nedges = 1\n'


@pytest.fixture
def worlds() -> Iterator[list[World]]:
    """Worlds that a test makes: cleaned up whatever happens."""
    made: list[World] = []
    yield made
    for world in reversed(made):
        world.clean()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One region with one edge."""
    world = World(tmp_path_factory.mktemp("one") / "state", ONE)
    world.launch()
    try:
        yield world
        assert world.end() == 0
        assert world.leftovers() == []
    finally:
        world.clean()


async def test_ready_means_that_everything_serves(one: World) -> None:
    ready = one.events[0]
    assert ready.event == "ready"
    edge = one.edges["us-1"]
    assert edge.url == edge.http.replace("http://", "ws://") + "/gateway"
    answer = await http.get(f"{edge.http}/readyz")
    assert answer is not None
    assert answer.status == 200
    assert one.found().edge("us-1").pid == edge.pid


async def test_a_killed_edge_comes_back_under_its_name_and_port(one: World) -> None:
    before, since = one.edges["us-1"], len(one.events)
    await one.ctl("kill", "us-1")
    down = await one.event("edge_down", edge="us-1", since=since)
    assert (down.region, down.code, down.reason) == ("us", -9, "killed")
    up = await one.event("edge_up", edge="us-1", since=since)
    assert up.url == before.url
    assert up.pid not in (None, before.pid)


async def test_a_restart_by_hand_is_gentle(one: World) -> None:
    since = len(one.events)
    await one.ctl("restart", "us-1")
    down = await one.event("edge_down", edge="us-1", since=since)
    assert (down.code, down.reason, down.retry_in_s) == (0, "restarted", 0.0)
    await one.event("edge_up", edge="us-1", since=since)


async def test_a_second_sigterm_ends_an_edge_before_its_drain_is_over(one: World) -> None:
    edge = one.found().edge("us-1")
    assert edge.pid is not None
    since = len(one.events)
    async with Raw(edge.url) as stays:
        await stays.identify(token(one, "stays"))
        os.kill(edge.pid, signal.SIGTERM)
        await stays.op(Op.RECONNECT)
        answer = await http.get(f"{edge.http}/readyz")
        assert answer is not None
        assert answer.status == 503, "it drains: nobody new"
        os.kill(edge.pid, signal.SIGTERM)
        assert await stays.close_code() == 4021, "at once, for who is still here"
    down = await one.event("edge_down", since=since, edge="us-1", timeout_s=15)
    assert down.code == 0
    await one.event("edge_up", since=since, edge="us-1")


async def test_edges_of_a_dead_supervisor_are_ended_by_the_next_start(
    tmp_path: Path, worlds: list[World]
) -> None:
    world = World(tmp_path / "state", ONE)
    worlds.append(world)
    await world.start()
    before = world.edges["us-1"]
    orphans = world.processes()
    assert len(orphans) == 2
    world.kill_supervisor()
    await world.start()
    assert not set(orphans) & set(world.leftovers())
    assert world.edges["us-1"].url == before.url
    assert await world.stop() == 0
    assert world.leftovers() == []


async def test_with_drain_it_ends_as_well(tmp_path: Path, worlds: list[World]) -> None:
    world = World(tmp_path / "state", ONE, "--drain")
    worlds.append(world)
    await world.start()
    assert await world.stop() == 0
    assert world.leftovers() == []


async def test_edges_run_on_a_deployment_that_is_not_ours(
    tmp_path: Path, worlds: list[World]
) -> None:
    deployment = World(tmp_path / "theirs", ONE.replace("edges = 1", "edges = 0"))
    worlds.append(deployment)
    await deployment.start()
    url = deployment.regions["us"].nats[0].url
    login = StateDir(deployment.state_dir).secrets().nats["us/edge"]
    creds = tmp_path / "edge.creds"
    creds.write_text(f"edge:{login}\n")
    creds.chmod(0o600)
    ours = World(tmp_path / "ours", ONE, "--nats", f"us={url}", "--creds", f"us={creds}")
    worlds.append(ours)
    await ours.start()
    assert ours.regions["us"].nats[0].url == url
    assert ours.regions["us"].nats[0].pid is None
    assert [status.name for status in await ours.ctl("status")] == ["us-1"]
    assert await ours.stop() == 0
    denied = await asyncio.to_thread(
        ours.run, "streams", "plan", "--nats", f"us={url}", "--creds", f"us={creds}",
        "--topology", str(tmp_path / "ours.toml"),
    )  # fmt: skip
    assert denied.returncode == 1
    assert "permissions violation" in denied.stderr


async def test_an_edge_that_can_not_have_its_port_says_so_and_is_tried_again(one: World) -> None:
    since = len(one.events)
    await one.ctl("hold", "us-1")
    await one.event("edge_down", edge="us-1", reason="held", since=since)
    port = int(one.edges["us-1"].http.rpartition(":")[2])
    since = len(one.events)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        await one.ctl("start", "us-1")
        down = await one.event("edge_down", edge="us-1", since=since)
        assert down.retry_in_s is not None
        assert "address already in use" in (down.reason or "").lower()
    await one.event("edge_up", edge="us-1", since=since)
