"""The client against a scripted gateway on real sockets."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Literal

import pytest
import uvloop

from relay.client import (
    Ack,
    AuthenticationFailed,
    Client,
    ClientError,
    Closed,
    ConnectFailed,
    Disconnected,
    Gap,
    Last,
    Lost,
    Message,
    NotSent,
    Reconnecting,
    Refused,
    Resumed,
    State,
    Unknown,
    connect,
)
from relay.core.codes import Op
from tests.unit.client_gateway import Gateway, Peer, gateway, refusal


async def take(client: Client, count: int) -> list[Any]:
    """The next `count` events."""
    async with asyncio.timeout(5):
        return [await anext(client) for _ in range(count)]


async def echo(peer: Peer) -> None:
    """A gateway that acknowledges everything."""
    await peer.welcome()
    seq = 0
    while True:
        frame = peer._codec.decode(await peer.socket.recv(decode=False))
        peer.gateway.heard.append((frame.op, frame.d))
        if frame.op == Op.PUBLISH:
            seq += 1
            place = {"origin": "eu", "epoch": 1, "seq": seq, "id": frame.d["id"]}
            await peer.say(Op.ACK, {"nonce": frame.d["nonce"], **place})
            await peer.message(seq, frame.d["room"])
        elif frame.op == Op.SUBSCRIBE:
            rooms = [wish["room"] for wish in frame.d["rooms"]]
            await peer.say(Op.ACK, {"nonce": frame.d["nonce"], "rooms": rooms, "refused": []})
        elif frame.op == Op.HISTORY:
            page = {"events": [], "before": "b", "after": "a", "more": True}
            await peer.say(Op.ACK, {"nonce": frame.d["nonce"], **page})
        elif frame.op == Op.UNSUBSCRIBE:
            await peer.say(Op.ACK, {"nonce": frame.d["nonce"]})


async def story(encoding: Literal["json", "msgpack"]) -> None:
    async with (
        gateway(echo) as edge,
        connect(edge.url, token="T", rooms=["chat:a"], encoding=encoding) as client,
    ):
        assert client.state is State.READY
        assert (client.region, client.edge, client.user) == ("eu", "eu-1", "ana")
        await client.subscribe("chat:b", since=Last(3))
        assert client.rooms == ("chat:a", "chat:b")
        ack = await client.publish("chat:a", {"text": "grüß dich"}, id="p-1")
        assert ack == Ack("p-1", "eu", 1, 1)
        (event,) = await take(client, 1)
        assert isinstance(event, Message)
        assert (event.room, event.seq, event.data) == ("chat:a", 1, {"n": 1})
        assert client.cursor == "c1"
        page = await client.history("chat:a", limit=5, before="x")
        assert (page.events, page.before, page.more) == ((), "b", True)
        await client.unsubscribe("chat:b")
        assert f"encoding={encoding}" in edge.queries[0]
        assert (int(Op.PUBLISH), "grüß dich") in [
            (op, d["data"]["text"]) for op, d in edge.heard if op == Op.PUBLISH
        ]


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_subscribe_publish_history_in_both_encodings(
    encoding: Literal["json", "msgpack"],
) -> None:
    await story(encoding)


def test_it_runs_on_uvloop() -> None:
    uvloop.run(story("json"))


async def test_leaving_closes_with_1000_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with gateway(echo) as edge:
        async with connect(edge.url, token="T") as client:
            pass
        assert client.state is State.CLOSED
        with pytest.raises(Closed):
            await client.publish("chat:a", 1)
        with pytest.raises(StopAsyncIteration):
            await anext(client)
        await asyncio.sleep(0.05)
        assert edge.closes == [1000]
    assert {t for t in asyncio.all_tasks() if t.get_name().startswith("client.")} <= before


async def test_a_cut_connection_is_resumed_and_the_application_sees_only_events() -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome()
        await peer.message(1)
        await asyncio.sleep(0.05)
        peer.cut()

    async def second(peer: Peer) -> None:
        resume = await peer.resume()
        assert resume["cursor"] == "c1"
        assert resume["rooms"] == ["chat:a"]
        assert resume["session_id"] == "S1"
        await peer.message(2)
        await peer.stay()

    async with (
        gateway(first, second) as edge,
        connect(edge.url, token="T", rooms=["chat:a"]) as client,
    ):
        assert [event.seq for event in await take(client, 2)] == [1, 2]
        assert "resume=1" in edge.queries[1]
        assert client.stats.resumes == 1


async def test_states_are_told_to_who_asks() -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome()
        await peer.say(Op.RECONNECT)
        await peer.stay()

    async def second(peer: Peer) -> None:
        await peer.resume()
        await peer.stay()

    async with gateway(first, second) as edge, connect(edge.url, token="T", states=True) as client:
        names = [type(event) for event in await take(client, 4)]
        assert names[1:] == [Disconnected, Reconnecting, Resumed]


async def test_a_publish_in_flight_survives_the_loss_of_its_edge_with_the_same_id() -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome()
        await peer.hear(Op.PUBLISH)
        peer.cut()

    async def second(peer: Peer) -> None:
        await peer.resume()
        publish = await peer.hear(Op.PUBLISH)
        await peer.say(Op.ERROR, {"nonce": publish["nonce"], "code": "unavailable", "message": ""})
        publish = await peer.hear(Op.PUBLISH)
        place = {"origin": "eu", "epoch": 1, "seq": 9, "id": publish["id"], "duplicate": True}
        await peer.say(Op.ACK, {"nonce": publish["nonce"], **place})
        await peer.stay()

    async with gateway(first, second) as edge, connect(edge.url, token="T") as client:
        ack = await client.publish("chat:a", 1)
        assert ack.duplicate
        ids = {d["id"] for op, d in edge.heard if op == Op.PUBLISH}
        assert ids == {ack.id}
        assert client.stats.retried == 2


async def test_closing_with_publishes_on_their_way_says_which_may_be_stored() -> None:
    async with gateway(silent) as edge:
        async with connect(edge.url, token="T") as client:
            calls = [asyncio.ensure_future(client.publish("chat:a", n)) for n in range(2)]  # noqa: TID251
            await asyncio.sleep(0.05)
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [Unknown, NotSent]


async def silent(peer: Peer) -> None:
    """A gateway that never answers a publish."""
    await peer.welcome()
    await peer.stay()


async def test_a_consumer_that_publishes_while_it_is_behind_does_not_block_itself() -> None:
    async def flood(peer: Peer) -> None:
        await peer.welcome()
        for seq in range(1, 31):
            await peer.message(seq)
        publish = await peer.hear(Op.PUBLISH)
        await peer.say(Op.ACK, {"nonce": publish["nonce"], "id": publish["id"]})
        await peer.stay()

    async with (
        gateway(flood) as edge,
        connect(edge.url, token="T", rooms=["chat:a"], queue=4) as client,
    ):
        (first,) = await take(client, 1)
        async with asyncio.timeout(5):
            await client.publish("chat:a", "reply")
        rest = await take(client, 29)
        assert [event.seq for event in [first, *rest]] == list(range(1, 31))


async def test_a_slow_application_stops_the_reading_and_loses_nothing() -> None:
    total = 3_000

    async def flood(peer: Peer) -> None:
        await peer.welcome()
        for seq in range(1, total + 1):
            await peer.message(seq)
        await peer.stay()

    async with (
        gateway(flood) as edge,
        connect(edge.url, token="T", rooms=["chat:a"], queue=10) as client,
    ):
        await asyncio.sleep(0.2)
        assert len(client._inbox) == 10
        assert client.stats.stalls == 1
        assert client.cursor == "c0"
        events = await take(client, total)
        assert [event.seq for event in events] == list(range(1, total + 1))
        assert client.cursor == f"c{total}"


async def test_a_lost_session_is_told_first() -> None:
    async def first(peer: Peer) -> None:
        await peer.welcome()
        await peer.message(1)
        await peer.say(Op.DISPATCH, {**GAP}, t="GAP")
        await asyncio.sleep(0.05)
        await peer.socket.close(4000)

    async def second(peer: Peer) -> None:
        await peer.hello()
        await peer.hear(Op.RESUME)
        await peer.say(Op.INVALID_SESSION, d=False, e={"reason": "epoch"})
        identify = await peer.hear(Op.IDENTIFY)
        ready = {"user": {"id": "ana"}, "session_id": "S2", "cursor": "d0"}
        rooms = {"rooms": identify["rooms"], "region": "eu", "edge": "eu-1"}
        await peer.say(Op.DISPATCH, {**ready, **rooms}, t="READY", s=3)
        await peer.message(50)
        await peer.stay()

    async with (
        gateway(first, second) as edge,
        connect(edge.url, token="T", rooms=["chat:a"]) as client,
    ):
        events = await take(client, 4)
        assert [type(event) for event in events] == [Message, Gap, Lost, Message]
        assert events[2] == Lost("epoch", {}, "c1")
        assert client.session_id == "S2"


GAP = {"origin": "eu", "epoch": 1, "first": 3, "last": 9, "reason": "retention"}


async def test_the_next_region_takes_over_when_the_first_one_is_gone() -> None:
    async def resumes(peer: Peer) -> None:
        await peer.resume()
        await peer.message(2)
        await peer.stay()

    async with gateway(resumes, region="us") as away:

        async def dies(peer: Peer) -> None:
            await peer.welcome()
            await peer.message(1)
            assert peer.gateway.server is not None
            peer.gateway.server.close(close_connections=False)
            await asyncio.sleep(0.05)
            peer.cut()

        async with gateway(dies) as home:
            home.regions["us"] = away.url
            async with connect(home.url, token="T", rooms=["chat:a"]) as client:
                assert [event.seq for event in await take(client, 2)] == [1, 2]
                assert client.region == "us"


async def test_home_again_when_it_is_back() -> None:
    came_home = asyncio.Event()

    async def home_first(peer: Peer) -> None:
        await peer.welcome()
        home.refusals += [refusal(HTTPStatus.SERVICE_UNAVAILABLE, Retry_After="0")] * 2
        peer.cut()

    async def probe(peer: Peer) -> None:
        await peer.hello()
        await peer.stay()

    async def home_again(peer: Peer) -> None:
        await peer.resume()
        came_home.set()
        await peer.stay()

    async def away_serves(peer: Peer) -> None:
        await peer.resume()
        await peer.stay()

    async with (
        gateway(away_serves, region="us") as away,
        gateway(home_first, probe, home_again) as home,
    ):
        home.regions["us"] = away.url
        away.regions = home.regions
        async with connect(home.url, token="T", home_after_s=0.1) as client:
            async with asyncio.timeout(5):
                await came_home.wait()
                while client.state is not State.READY:
                    await asyncio.sleep(0.01)
            assert client.region == "eu"
            assert away.closes in ([], [4000])


# --- what cannot work ----------------------------------------------------------------------------


async def test_addresses_that_do_not_work_are_named_with_their_reasons(
    unused_tcp_port: int,
) -> None:
    nobody = f"ws://127.0.0.1:{unused_tcp_port}/gateway"
    async with gateway(echo) as edge:
        edge.refusals = [refusal(HTTPStatus.NOT_FOUND)]
        with pytest.raises(ConnectFailed) as failed:
            async with connect([nobody, edge.url], token="T"):
                pass
    (first, second) = failed.value.reasons
    assert first[0] == nobody
    assert second == (edge.url, "HTTP 404")


async def test_a_full_edge_is_waited_for() -> None:
    async with gateway(echo) as edge:
        edge.refusals = [refusal(HTTPStatus.SERVICE_UNAVAILABLE, Retry_After="0")]
        async with connect(edge.url, token="T") as client:
            assert client.state is State.READY
    assert len(edge.queries) == 2


async def test_a_bad_token_is_an_error_that_says_so() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.hello()
        await peer.hear(Op.IDENTIFY)
        await peer.socket.close(4004, "token expired")

    async with gateway(refuse) as edge:
        with pytest.raises(AuthenticationFailed, match="token expired"):
            async with connect(edge.url, token="T"):
                pass


async def test_a_token_function_may_be_async_and_is_asked_again_after_4004() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.hello()
        await peer.hear(Op.IDENTIFY)
        await peer.socket.close(4004)

    async def accept(peer: Peer) -> None:
        identify = await peer.welcome()
        assert identify["token"] == "T2"
        await peer.stay()

    tokens = iter(["T1", "T2"])

    async def fresh() -> str:
        return next(tokens)

    async with gateway(refuse, accept) as edge, connect(edge.url, token=fresh) as client:
        assert client.state is State.READY


async def test_a_final_close_reaches_the_iterator_and_the_calls() -> None:
    async def replaced(peer: Peer) -> None:
        await peer.welcome()
        await peer.message(1)
        await peer.hear(Op.PUBLISH)
        await peer.socket.close(4022)

    async with gateway(replaced) as edge, connect(edge.url, token="T", rooms=["chat:a"]) as client:
        with pytest.raises(Unknown):
            await client.publish("chat:a", 1)
        assert len(await take(client, 1)) == 1
        with pytest.raises(ClientError, match="4022"):
            await anext(client)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda client: client.publish("a b", 1), "invalid_room"),
        (lambda client: client.subscribe("a.b"), "invalid_room"),
        (lambda client: client.publish("a", float("nan")), "invalid_data"),
        (lambda client: client.publish("a", {1, 2}), "invalid_data"),
        (lambda client: client.publish("a", 1, id="a b"), "invalid_id"),
        (lambda client: client.publish("a", "x" * 40_000), "too_large"),
    ],
)
async def test_what_the_edge_would_refuse_is_not_sent(
    call: Callable[[Client], Awaitable[object]], code: str
) -> None:
    async with gateway(echo) as edge, connect(edge.url, token="T") as client:
        with pytest.raises(Refused) as refused:
            await call(client)
        assert refused.value.code == code


async def test_the_observer_sees_frames_and_states() -> None:
    seen: list[str] = []
    async with (
        gateway(echo) as edge,
        connect(edge.url, token="T", observer=lambda kind, value: seen.append(kind)) as client,
    ):
        await client.publish("chat:a", 1)
    assert {"received", "sent", "state"} <= set(seen)
    assert isinstance(edge, Gateway)


async def hasty(peer: Peer) -> None:
    """A gateway that wants heartbeats all the time, and talks meanwhile."""
    hello = peer.say

    async def say(op: Op, d: object = None, **keys: object) -> None:
        changed = {**d, "heartbeat_interval": 200} if isinstance(d, dict) and op == Op.HELLO else d
        await hello(op, changed, **keys)

    peer.say = say  # type: ignore[method-assign]
    await peer.welcome()
    for seq in range(1, 501):
        if seq % 10 == 0:
            await peer.say(Op.HEARTBEAT_ACK)
        await peer.message(seq)
    while True:
        await peer.socket.recv()
        await peer.say(Op.HEARTBEAT_ACK)


def test_on_uvloop_what_is_due_already_does_not_end_the_reading() -> None:
    """There a call that is due at once has no time of its own."""

    async def listen() -> None:
        async with (
            gateway(hasty, hasty) as edge,
            connect(edge.url, token="T", rooms=["chat:a"], states=True) as client,
        ):
            assert len(await take(client, 1)) == 1
            time.sleep(0.25)  # the next heartbeat is due before anything else is read
            assert [type(event) for event in await take(client, 500)] == [Message] * 500
            assert client.stats.connects == 1

    uvloop.run(listen())
