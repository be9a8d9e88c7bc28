"""A listening post: what it hears, and that it comes back when its connection ended for good."""

import asyncio
from typing import Any

import pytest

from regions.doors import Door
from regions.steering import observing
from regions.steering.health import EdgeKey
from regions.steering.keepers import Keepers
from regions.steering.observing import Post
from relay.config import NatsConfig
from relay.core.orders import Orders
from relay.core.telemetry import EdgeFrame, encode_frame
from relay.errors import UnavailableError


class _Connection:
    """As far as a post uses one."""

    def __init__(self) -> None:
        self.is_closed = False
        self.hears = True
        self.handler: Any = None

    async def listen(self, subject: str, handler: Any) -> None:
        if subject.startswith("tele."):
            self.handler = handler

    async def close(self) -> None:
        self.is_closed = True

    def new_inbox(self) -> str:
        return "_INBOX"

    async def publish(self, *_: object, **__: object) -> None:
        raise UnavailableError("no answer")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[_Connection]:
    """The connections that were made."""
    made: list[_Connection] = []

    async def open_connection(*_: object) -> _Connection:
        made.append(_Connection())
        return made[-1]

    async def look_back(_post: Post, _connection: object) -> None:
        return None

    monkeypatch.setattr(observing, "open_connection", open_connection)
    monkeypatch.setattr(observing, "RETRY_S", 0.01)
    monkeypatch.setattr(Post, "_look_back", look_back)
    return made


def frame(edge: str = "us-1", number: int = 1, epoch: int = 1) -> bytes:
    return encode_frame(
        EdgeFrame(
            region="us", edge=edge, epoch=epoch, frame=number, at_ms=0, url="ws://x", version="0",
            state="ready", nats_connected=True, connections=3, sessions=3, rooms=1,
        )
    )  # fmt: skip


async def test_it_connects_again_where_its_connection_ended_for_good(
    opened: list[_Connection],
) -> None:
    post = Post(Door("us", NatsConfig(["nats://x"])), ["us"], Orders(), Keepers(lambda: 7.0))
    post.start()
    async with asyncio.timeout(5):
        while not post.connected:
            await asyncio.sleep(0)
        opened[0].is_closed = True
        while len(opened) < 2 or not post.connected:
            await asyncio.sleep(0.005)
    await post.close()
    assert opened[1].is_closed
    assert not post.connected


async def test_it_hears_the_newest_of_each_edge_from_its_own_subject(
    opened: list[_Connection],
) -> None:
    post = Post(
        Door("us", NatsConfig(["nats://x"])), ["us"], Orders(), Keepers(lambda: 7.0), lambda: 7.0
    )
    post.start()
    async with asyncio.timeout(5):
        while not post.connected:
            await asyncio.sleep(0)
    hear = opened[0].handler
    hear("tele.us.us-1", "", {}, frame(number=5))
    hear("tele.us.us-1", "", {}, frame(number=4))  # late
    hear("tele.us.us-2", "", {}, frame("us-1", 9))  # it speaks for another
    hear("tele.us.us-1", "", {}, b"{")
    hear("tele.us.us-1", "", {}, frame(number=1, epoch=2))
    await post.close()
    assert {key: (at_s, one.epoch) for key, (at_s, one) in post.frames.items()} == {
        EdgeKey("us", "us-1"): (7.0, 2)
    }
    assert post.refused == 3
