"""The client in a real world: what a user sees of it, also when edges and regions go."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest

from relay.client import (
    AuthenticationFailed,
    Client,
    Disconnected,
    Event,
    Last,
    Message,
    Refused,
    Resumed,
    Signal,
    State,
    connect,
)
from relay.core.grants import Act, RoomGrant
from relay.core.tokens import mint
from tests.world import World

EVERYTHING = RoomGrant("*", frozenset(Act))


def token(world: World, user: str, *grants: RoomGrant, ttl_s: int = 3600) -> str:
    now_s = int(time.time())
    return mint(world.token_key(), user, grants or (EVERYTHING,), now_s, ttl_s)


def urls(world: World, region: str) -> list[str]:
    return [edge.url for edge in world.regions[region].edges]


async def events_of(client: Client, count: int, timeout_s: float = 20) -> list[Message]:
    """The next `count` messages; anything else that is about data is a failure."""
    got: list[Message] = []
    async with asyncio.timeout(timeout_s):
        while len(got) < count:
            event = await anext(client)
            if isinstance(event, Disconnected | Resumed) or event.__class__.__name__ in {
                "Connected",
                "Reconnecting",
            }:
                continue
            assert isinstance(event, Message), event
            got.append(event)
    return got


async def state_of(client: Client, kind: type[Event], timeout_s: float = 20) -> Event:
    """The next event of this kind."""
    async with asyncio.timeout(timeout_s):
        while not isinstance(event := await anext(client), kind):
            pass
        return event


@asynccontextmanager
async def talking(world: World, region: str, room: str) -> AsyncIterator[list[int]]:
    """Somebody in `region` says numbers in `room`; yields what is acknowledged so far."""
    said: list[int] = []

    async def talk(client: Client) -> None:
        while True:
            await client.publish(room, len(said))
            said.append(len(said))
            await asyncio.sleep(0.005)

    async with (
        connect(urls(world, region), token=token(world, "talker"), listen=False) as client,
        asyncio.TaskGroup() as group,
    ):
        task = group.create_task(talk(client))
        try:
            yield said
        finally:
            task.cancel()


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_a_first_session(world: World, encoding: Literal["json", "msgpack"]) -> None:
    room = f"first:{encoding}"
    async with (
        connect(urls(world, "us"), token=token(world, "ana"), encoding=encoding) as ana,
        connect(urls(world, "ap"), token=token(world, "bo"), rooms=[room]) as bo,
    ):
        assert (ana.user, ana.region, ana.state) == ("ana", "us", State.READY)
        await ana.subscribe(room)
        data = {"text": "grüß dich 漢", "n": [1, -2.5, None, True]}
        ack = await ana.publish(room, data, id="hello-1")
        for client in (ana, bo):
            (event,) = await events_of(client, 1)
            assert (event.room, event.user, event.id, event.data) == (room, "ana", "hello-1", data)
            assert (event.origin, event.epoch, event.seq) == (ack.origin, ack.epoch, ack.seq)
        again = await ana.publish(room, data, id="hello-1")
        assert again.duplicate
        assert again.seq == ack.seq
        await bo.publish(room, "psst", ephemeral=True)
        async with asyncio.timeout(10):
            signal = await anext(ana)
        assert isinstance(signal, Signal)
        assert (signal.user, signal.data) == ("bo", "psst")


async def test_the_past_of_a_room(world: World) -> None:
    async with connect(urls(world, "eu"), token=token(world, "ana"), rooms=["past:a"]) as ana:
        for number in range(10):
            await ana.publish("past:a", number)
        await events_of(ana, 10)
        page = await ana.history("past:a", limit=4)
        assert [event.data for event in page.events] == [6, 7, 8, 9]
        assert page.more
        older = await ana.history("past:a", limit=4, before=page.before)
        assert [event.data for event in older.events] == [2, 3, 4, 5]
        newer = await ana.history("past:a", limit=4, after=older.after)
        assert [event.data for event in newer.events] == [6, 7, 8, 9]

    async with connect(urls(world, "us"), token=token(world, "bo")) as bo:
        start = bo.cursor
        await bo.subscribe("past:a", since=Last(3))
        assert [event.data for event in await events_of(bo, 3)] == [7, 8, 9]
        await bo.publish("past:a", 10)
        assert [event.data for event in await events_of(bo, 1)] == [10]

    async with connect(urls(world, "ap"), token=token(world, "cy")) as cy:
        await cy.subscribe("past:a", since=start)
        assert [event.data for event in await events_of(cy, 1)] == [10]


async def test_what_is_not_granted_is_refused(world: World) -> None:
    reader = RoomGrant("news:*", frozenset({Act.SUBSCRIBE}))
    auto = RoomGrant("news:all", frozenset({Act.SUBSCRIBE}), auto=True)
    address = urls(world, "us")
    async with connect(address, token=token(world, "bo", reader, auto)) as bo:
        assert bo.rooms == ("news:all",)
        for call in (
            bo.publish("news:all", 1),
            bo.subscribe("chat:a"),
            bo.subscribe("news:b", since=Last(1)),
            bo.history("news:all"),
        ):
            with pytest.raises(Refused) as refused:
                await call
            assert refused.value.code == "not_permitted"
    with pytest.raises(Refused, match="chat:a"):
        async with connect(address, token=token(world, "bo", reader), rooms=["chat:a"]):
            pass
    with pytest.raises(AuthenticationFailed):
        async with connect(address, token=token(world, "bo", ttl_s=-10)):
            pass


async def test_a_token_function_outlives_its_tokens(world: World) -> None:
    made = 0

    def fresh() -> str:
        nonlocal made
        made += 1
        return token(world, "ana", ttl_s=-10 if made == 1 else 61)

    async with connect(urls(world, "us"), token=fresh, rooms=["t:a"]) as ana:
        async with asyncio.timeout(20):
            while made < 3:  # 60 s before the end the edge asks for another one
                await asyncio.sleep(0.1)
        await ana.publish("t:a", 1)
        assert len(await events_of(ana, 1)) == 1
        assert ana.stats.disconnects == 0


async def test_a_socket_that_is_cut_again_and_again_loses_and_repeats_nothing(world: World) -> None:
    async with (
        talking(world, "us", "cut:a"),
        connect(urls(world, "eu"), token=token(world, "ana"), rooms=["cut:a"]) as ana,
    ):
        got = await events_of(ana, 20)
        for _ in range(6):  # also in the middle of a replay
            if ana._connection is not None:
                ana._connection._socket.transport.abort()
            got += await events_of(ana, 40)
        first = got[0].data
        assert [event.data for event in got] == list(range(first, first + len(got)))
        assert ana.stats.disconnects >= 1
        assert ana.stats.duplicates == 0
        assert ana.region == "eu"


async def test_a_killed_edge_and_then_a_lost_region_lose_nothing_and_home_is_found_again(
    world: World,
) -> None:
    async with (
        talking(world, "us", "kill:a"),
        connect(
            urls(world, "eu"), token=token(world, "ana"), rooms=["kill:a"], states=True,
            home_after_s=0.5,
        ) as ana,
    ):  # fmt: skip
        got = await events_of(ana, 10)
        assert ana.edge is not None
        since = len(world.events)
        await world.ctl("kill", ana.edge)
        got += await events_of(ana, 200)
        assert ana.region == "eu"
        await world.event("edge_up", since=since)
        for edge in ("eu-1", "eu-2"):
            await world.ctl("hold", edge)
        try:
            async with asyncio.timeout(40):
                while ana.region == "eu":  # so it is until all is replayed
                    got += await events_of(ana, 1)
            assert ana.region in {"us", "ap"}
            got += await events_of(ana, 20)
        finally:
            for edge in ("eu-1", "eu-2"):
                await world.ctl("start", edge)
        async with asyncio.timeout(40):
            while ana.region != "eu" or ana.state is not State.READY:
                got += await events_of(ana, 1)
        got += await events_of(ana, 20)
        first = got[0].data
        assert [event.data for event in got] == list(range(first, first + len(got)))
        assert ana.stats.duplicates == 0
        assert ana.stats.lost == 0


async def test_publishes_survive_the_death_of_their_edge_in_order(world: World) -> None:
    async with (
        connect(urls(world, "ap"), token=token(world, "ana")) as ana,
        connect(urls(world, "us"), token=token(world, "bo"), rooms=["order:a"]) as bo,
        asyncio.TaskGroup() as group,
    ):
        calls = [group.create_task(ana.publish("order:a", n)) for n in range(300)]
        await calls[30]
        assert ana.edge is not None
        await world.ctl("kill", ana.edge)
        acks = await asyncio.gather(*calls)
        assert len({(ack.origin, ack.seq) for ack in acks}) == 300
        got = await events_of(bo, 300)
        assert [event.data for event in got] == list(range(300))


async def test_a_frozen_edge_is_left_within_eleven_seconds(world: World) -> None:
    async with connect(
        urls(world, "us"), token=token(world, "ana"), rooms=["frozen:a"], states=True
    ) as ana:
        edge = ana.edge
        assert edge is not None
        await world.ctl("pause", edge)
        try:
            frozen = time.monotonic()
            await state_of(ana, Disconnected)
            assert time.monotonic() - frozen <= 11.5
            await state_of(ana, Resumed)
            assert ana.edge != edge
            await ana.publish("frozen:a", 1)
            assert len(await events_of(ana, 1)) == 1
        finally:
            await world.ctl("continue", edge)
