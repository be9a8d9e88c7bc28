"""One world for all tests of bad input, and a look at its edge after each."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from regions.identity import Identity, is_alive
from regions.state import StateDir
from relay.core.codes import Op
from tests.raw import Raw, token
from tests.system.bad_input.small import TOPOLOGY, get
from tests.world import World, running


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One region with one edge, whose limits are short enough to meet them."""
    with running(tmp_path_factory.mktemp("small"), TOPOLOGY) as world:
        yield world


@pytest.fixture
def url(world: World) -> str:
    return world.edges["us-1"].url


@pytest.fixture(autouse=True)
async def unharmed(world: World) -> AsyncIterator[None]:
    """After every test: the same process serves, and nothing broke inside it."""
    before = world.found().edge("us-1")
    yield
    edge = world.found().edge("us-1")
    assert edge == before
    assert edge.pid is not None
    assert edge.started is not None
    assert is_alive(Identity(edge.pid, edge.started))
    for path in ("/healthz", "/readyz"):
        assert await asyncio.to_thread(get, edge.http + path) == 200
    async with Raw(edge.url, "msgpack") as good:
        await good.identify(token(world, "good"), "good:room")
        ack = await good.request(Op.PUBLISH, room="good:room", data={"n": 1})
        assert ack["op"] == Op.ACK
        (own,) = [p for p in good.seen if p["t"] == "MESSAGE"] or await good.messages(1)
        assert own["d"]["seq"] == ack["d"]["seq"]
    log = StateDir(world.state_dir).edge_log("us-1").read_text()
    assert "Traceback" not in log, log[-4000:]
    assert "eyJ" not in log, "a token stands in the log"
