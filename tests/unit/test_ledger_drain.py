"""Draining a crowd: everybody is waited for until nothing more is acknowledged."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from regions.issuer import Issuer
from regions.ledger.crowd_process import LOOK_S, Troupe
from regions.ledger.member import Member
from regions.ledger.orders import Drain, DrainedAll
from regions.ledger.spec import CrowdSpec
from relay.client import State
from relay.config import TokenKey
from relay.tasks import Tasks

if TYPE_CHECKING:
    from regions.world import World

ROOM = "d:0"


def troupe(directory: Path) -> Troupe:
    """Two clients in one room, who never connect."""
    edge = SimpleNamespace(url="ws://nowhere")
    world = SimpleNamespace(
        issuer=lambda: Issuer(TokenKey("k", "HS256", "0" * 64)),
        regions=[SimpleNamespace(name="us", edges=[edge])],
    )
    spec = CrowdSpec(run="d", clients=2, rooms=1, rooms_each=1)
    return Troupe(spec, cast("World", world), directory, 0)


class _Client:
    """As far as a drain looks at one."""

    def __init__(self, state: State) -> None:
        self.state, self.cursor = state, None

    async def close(self) -> None:
        pass


def connected(crowd: Troupe) -> list[Member]:
    """The clients, as if they were."""
    for member in crowd._members:
        member._client = cast("Any", _Client(State.READY))
    return crowd._members


async def test_who_had_everything_waits_for_what_is_acknowledged_later(tmp_path: Path) -> None:
    crowd = troupe(tmp_path)
    ann, bob = connected(crowd)
    for one in (ann, bob):
        one.recorder.reached = {ROOM: {"us": (1, 1)}}
    bob.open = 1  # a publish without an answer, also after the hush
    tasks = Tasks("test")
    heads = {ROOM: {"us": (1, 1)}}
    draining = tasks.spawn(crowd.drain(Drain(heads, 60)), "drain")
    await asyncio.sleep(LOOK_S * 3)
    assert not draining.done()

    # The answer comes, and the event has reached bob alone.
    bob.open = 0
    crowd._heads = {ROOM: {"us": (1, 2)}}
    bob.recorder.reached = {ROOM: {"us": (1, 2)}}
    await asyncio.sleep(LOOK_S * 3)
    assert not draining.done()

    ann.recorder.reached = {ROOM: {"us": (1, 2)}}
    async with asyncio.timeout(10):
        answer = await draining
    assert answer == DrainedAll({}, {ROOM: {"us": (1, 2)}})
    await tasks.close()
    await crowd.end()


async def test_who_never_gets_there_is_named(tmp_path: Path) -> None:
    crowd = troupe(tmp_path)
    ann, _ = connected(crowd)
    ann.recorder.reached = {ROOM: {"us": (1, 1)}}
    answer = await crowd.drain(Drain({ROOM: {"us": (1, 1)}}, 0.0))
    assert answer.short == {"d-1": f"{ROOM} us/1/1"}
    await crowd.end()


async def test_who_has_everything_is_waited_for_until_he_is_told_that_he_is_back(
    tmp_path: Path,
) -> None:
    crowd = troupe(tmp_path)
    ann, bob = connected(crowd)
    ann._client = cast("Any", _Client(State.RECONNECTING))
    bob.ended = True  # for good, which is found elsewhere
    draining = Tasks("test").spawn(crowd.drain(Drain({}, 60)), "drain")
    await asyncio.sleep(LOOK_S * 3)
    assert not draining.done()
    connected(crowd)
    async with asyncio.timeout(10):
        assert await draining == DrainedAll({}, {})
    await crowd.end()
