"""Publishes that no stream could carry, and clients that send too much."""

import math

import msgpack
import pytest

from relay.core.codes import Op
from tests.raw import Raw, pack, token
from tests.system.bad_input.small import live
from tests.world import World


@pytest.mark.parametrize("publish_id", ["", "i" * 65, "a b", "a\n", "é", "a/b", "\x00", 5, 0])
async def test_ids_that_are_none(world: World, publish_id: object) -> None:
    async with live(world) as raw:
        answer = await raw.request(Op.PUBLISH, room="a", data=1, id=publish_id)
        assert (answer["op"], answer["d"]["code"]) == (Op.ERROR, "invalid_id")
        assert (await raw.request(Op.PUBLISH, room="a", data=1, id="i" * 64))["op"] == Op.ACK


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "data",
    [
        b"bytes",
        {"a": [b""]},
        msgpack.ExtType(5, b"x"),
        [msgpack.ExtType(127, b"x" * 300)],
        msgpack.Timestamp(0, 0),
        {1: "a"},
        {None: "a"},
        {True: "a"},
        {1.5: "a"},
        {(1, 2): "a"},
        {b"a": 1},
        {"ok": {2: 3}},
        math.nan,
        [math.inf],
        {"a": -math.inf},
        nested(65),
        nested(200),
    ],
    ids=repr,
)
async def test_msgpack_data_that_json_cannot_carry(world: World, data: object) -> None:
    async with live(world, encoding="msgpack") as raw:
        answer = await raw.request(Op.PUBLISH, room="a", data=data)
        assert (answer["op"], answer["d"]["code"]) == (Op.ERROR, "invalid_data")
        assert (await raw.request(Op.PUBLISH, room="a", data=nested(63)))["op"] == Op.ACK


@pytest.mark.parametrize(
    "data", [b"\x81\x81\x01\x02\x03", b"\x81\xd4\x05\x01\x01", b"\xd7\xff" + b"\xff" * 8]
)
async def test_msgpack_data_that_is_no_value_at_all(world: World, data: bytes) -> None:
    async with live(world, encoding="msgpack") as raw:
        publish = pack("msgpack", {"op": 22, "d": {"room": "a", "nonce": 1, "data": "@@@"}})
        await raw.send_bytes(publish.replace(b"\xa3@@@", data))
        assert await raw.close_code() == 4002


async def test_numbers_that_nobody_can_hold(world: World) -> None:
    digits = int("7" * 4000)
    async with live(world) as raw:
        for data in (digits, -digits, [2**64], {"a": -(2**63) - 1}, nested(65)):
            answer = await raw.request(Op.PUBLISH, room="a", data=data)
            assert (answer["op"], answer["d"]["code"]) == (Op.ERROR, "invalid_data")
        for data in (2**64 - 1, -(2**63), 0.1, 1e300):
            assert (await raw.request(Op.PUBLISH, room="a", data=data))["op"] == Op.ACK
        answer = await raw.request(Op.PUBLISH, room="a", data=1, id=digits)
        assert answer["d"]["code"] == "invalid_id"
        for limit in (digits, -digits, 0, -1, 1001):
            answer = await raw.request(Op.HISTORY, room="a", limit=limit)
            assert (answer["op"], answer["d"]["code"]) == (Op.ERROR, "invalid_data")
        for last in (digits, -1, 1001):
            ack = await raw.request(Op.SUBSCRIBE, rooms=[{"room": "a", "since": {"last": last}}])
            assert ack["d"]["refused"] == [{"room": "a", "code": "invalid_data"}]
        await raw.send(Op.HEARTBEAT, digits)
        await raw.op(Op.HEARTBEAT_ACK)


async def test_data_that_grows_too_large_for_a_stream(world: World) -> None:
    async with live(world, encoding="msgpack") as raw:
        await raw.request(Op.SUBSCRIBE, rooms=["large:a"])
        answer = await raw.request(Op.PUBLISH, room="large:a", data="\x01" * 12_000)
        assert (answer["op"], answer["d"]["code"]) == (Op.ERROR, "too_large")
        answer = await raw.request(Op.PUBLISH, room="large:a", data="\x01" * 9_000)
        assert answer["op"] == Op.ACK
        own = [p for p in raw.seen if p["t"] == "MESSAGE"] or await raw.messages(1)
        assert own[0]["d"]["data"] == "\x01" * 9_000


@pytest.mark.parametrize("nonce", ["n" * 65, int("9" * 65), int("9" * 4000), "é" * 65])
async def test_a_nonce_that_is_too_long(world: World, nonce: object) -> None:
    async with live(world) as raw:
        d = {"room": "a", "rooms": ["a"], "limit": 1, "token": "x", "data": 1, "users": ["b"]}
        rooms, presence = (Op.SUBSCRIBE, Op.UNSUBSCRIBE, Op.HISTORY), (Op.WATCH, Op.UNWATCH)
        for op in (Op.PUBLISH, *rooms, Op.REFRESH, *presence):
            await raw.send(op, {"nonce": nonce, **d})
            answer = await raw.receive()
            assert (answer["op"], answer["d"]["code"]) == (Op.ERROR, "invalid_data")
            assert "nonce" not in answer["d"]


async def test_a_client_that_sends_too_much(world: World) -> None:
    async with live(world) as raw:  # IDENTIFY was the first of 120
        for _ in range(130):
            await raw.send(Op.HEARTBEAT, None)
        for _ in range(119):
            assert (await raw.request(Op.UNSUBSCRIBE, rooms=[]))["op"] == Op.ACK
        await raw.send(Op.UNSUBSCRIBE, {"rooms": []})
        assert await raw.close_code() == 4008


async def test_a_client_that_says_too_much_before_it_is_in(world: World, url: str) -> None:
    async with Raw(url) as raw:
        await raw.send(Op.IDENTIFY, {"token": token(world, "ana"), "rooms": ["a"]})
        for _ in range(400):
            await raw.send(Op.UNSUBSCRIBE, {"rooms": []})
        assert await raw.close_code() == 4008


async def test_a_client_that_publishes_too_much(world: World) -> None:
    async with live(world) as raw:
        answers = [
            await raw.request(Op.PUBLISH, room="rate:a", data=1, ephemeral=True) for _ in range(80)
        ]
        refused = [answer for answer in answers if answer["op"] == Op.ERROR]
        assert 0 < len(refused) <= 40
        assert all(answer["op"] == Op.ACK for answer in answers[:40])
        assert {answer["d"]["code"] for answer in refused} == {"rate_limited"}
        assert all(0 < answer["d"]["retry_after"] <= 0.05 for answer in refused)
        await raw.acked()
