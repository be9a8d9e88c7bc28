"""Rooms and publishing."""

import time

from relay.core.codes import Op
from tests.raw import Encoding, Raw, token
from tests.system.protocol.talk import data, decoded, heard, say, url
from tests.world import World

PIPELINED = 40  # a disk syncs each one; after 2 s in the queue it would be `unavailable`


async def test_an_event_from_publish_to_message(world: World, encoding: Encoding) -> None:
    room = f"event:{encoding}"
    value = {"text": "grüß dich 漢 \U0001f30d", "n": [1, -2.5, None, True, 2**63, -(2**63)], "": {}}
    async with Raw(url(world), encoding) as ana, Raw(url(world, "eu-1")) as bo:
        await ana.identify(token(world, "ana"))
        await bo.identify(token(world, "bo"), room)
        subscribed = await ana.request(Op.SUBSCRIBE, rooms=[room, {"room": "event:b"}, "a.b"])
        assert set(subscribed["d"]) == {"nonce", "rooms", "refused"}
        assert subscribed["d"]["rooms"] == [room, "event:b"]
        assert subscribed["d"]["refused"] == [{"room": "a.b", "code": "invalid_room"}]

        before_ms = int(time.time() * 1000)
        ack = await ana.request(Op.PUBLISH, room=room, data=value, id="first:1.x")
        assert set(ack["d"]) == {"nonce", "origin", "epoch", "seq", "id"}
        assert (ack["d"]["origin"], ack["d"]["id"]) == ("us", "first:1.x")
        assert "c" not in ack
        assert ack["d"]["seq"] > decoded(world, subscribed["c"]).positions["us"].seq

        await heard(ana, room, value)
        await heard(bo, room, value)
        (own,) = [p for p in ana.seen if p["t"] == "MESSAGE"]
        assert set(own) == {"op", "t", "s", "d", "c"}
        assert own["op"] == Op.DISPATCH
        d = own["d"]
        assert set(d) == {"room", "data", "user", "id", "origin", "epoch", "seq", "ts"}
        assert (d["room"], d["data"], d["user"], d["id"]) == (room, value, "ana", "first:1.x")
        assert (d["origin"], d["epoch"], d["seq"]) == tuple(
            ack["d"][key] for key in ("origin", "epoch", "seq")
        )
        assert before_ms - 1000 <= d["ts"] <= time.time() * 1000 + 1000
        assert decoded(world, own["c"]).positions["us"] >= (d["epoch"], d["seq"])
        (there,) = [p for p in bo.seen if p["t"] == "MESSAGE"]
        assert there["d"] == d


async def test_a_publish_without_id_or_nonce(world: World, encoding: Encoding) -> None:
    async with Raw(url(world), encoding) as raw:
        await raw.identify(token(world, "ana"), "bare:a")
        ack = await raw.request(Op.PUBLISH, room="bare:a", data=None)
        made = ack["d"]["id"]
        assert isinstance(made, str)
        assert 1 <= len(made) <= 64
        await raw.send(Op.PUBLISH, {"room": "bare:a", "data": "quiet"})
        await raw.send(Op.UNSUBSCRIBE, {"rooms": ["nowhere:a"]})
        await heard(raw, "bare:a", "quiet")
        await raw.acked()
        assert [p for p in raw.seen if p["op"] == Op.ACK] == [ack]
        for nonce in ("n" * 64, "é漢", 0, -1, 2**63):
            await raw.send(Op.PUBLISH, {"room": "bare:a", "data": 1, "nonce": nonce})
            assert (await raw.op(Op.ACK))["d"]["nonce"] == nonce


async def test_the_same_id_is_stored_once(world: World, encoding: Encoding) -> None:
    room = f"same:{encoding}"
    async with Raw(url(world), encoding) as ana, Raw(url(world, "us-2"), encoding) as again:
        await ana.identify(token(world, "ana"), room)
        await again.identify(token(world, "ana"))
        first = await ana.request(Op.PUBLISH, room=room, data=1, id="i")
        assert "duplicate" not in first["d"]
        for raw in (ana, again):  # another edge of the region knows it too
            second = await raw.request(Op.PUBLISH, room=room, data=2, id="i")
            assert second["d"] == first["d"] | {"nonce": second["d"]["nonce"], "duplicate": True}
        # The scope is (user, room, id).
        other = await ana.request(Op.PUBLISH, room=f"{room}:b", data=3, id="i")
        assert "duplicate" not in other["d"]
        async with Raw(url(world), encoding) as bo:
            await bo.identify(token(world, "bo"))
            assert "duplicate" not in (await bo.request(Op.PUBLISH, room=room, data=4, id="i"))["d"]
        await heard(ana, room, 4)
        assert data(ana.seen) == [1, 4]


async def test_pipelined_publishes_keep_their_order(world: World, encoding: Encoding) -> None:
    room = f"pipe:{encoding}"
    async with Raw(url(world), encoding) as raw:
        await raw.identify(token(world, "ana"), room)
        for number in range(PIPELINED):
            await raw.send(Op.PUBLISH, {"room": room, "data": number, "nonce": number})
        await heard(raw, room, PIPELINED - 1)
        await raw.acked()
        acks = [p["d"] for p in raw.seen if p["op"] == Op.ACK]
        if len(acks) < PIPELINED:
            acks.append((await raw.op(Op.ACK))["d"])
        assert [ack["nonce"] for ack in acks] == list(range(PIPELINED))
        messages = [p for p in raw.seen if p["t"] == "MESSAGE"]
        assert data(messages) == list(range(PIPELINED))
        assert [ack["seq"] for ack in acks] == [p["d"]["seq"] for p in messages]
        numbers = [p["s"] for p in messages]
        assert numbers == sorted(numbers)
        reached = [decoded(world, p["c"]).positions["us"] for p in messages]
        assert reached == sorted(reached)


async def test_an_ephemeral_event_leaves_no_trace(world: World, encoding: Encoding) -> None:
    room = f"signal:{encoding}"
    async with Raw(url(world), encoding) as ana, Raw(url(world, "eu-1"), encoding) as bo:
        for raw, user in ((ana, "ana"), (bo, "bo")):
            await raw.identify(token(world, user), room)
        ack = await ana.request(Op.PUBLISH, room=room, data={"x": 1}, ephemeral=True, id="e")
        assert ack["d"] == {"nonce": ack["d"]["nonce"], "id": "e"}
        for raw in (ana, bo):
            found = [p for p in raw.seen if p["t"] == "SIGNAL"]
            signalled = found[0] if found else await raw.dispatched("SIGNAL")
            assert set(signalled) == {"op", "t", "s", "d"}
            d = signalled["d"]
            assert set(d) == {"room", "data", "user", "id", "origin", "ts"}
            assert (d["room"], d["data"], d["user"], d["id"]) == (room, {"x": 1}, "ana", "e")
            assert d["origin"] == "us"
        page = await ana.request(Op.HISTORY, room=room, limit=10)
        assert page["d"]["events"] == []


async def test_unsubscribe_ends_the_delivery(world: World, encoding: Encoding) -> None:
    async with Raw(url(world), encoding) as raw:
        await raw.identify(token(world, "ana"), "leave:a", "leave:b")
        await say(raw, "leave:a", 1)
        await heard(raw, "leave:a", 1)
        ack = await raw.request(Op.UNSUBSCRIBE, rooms=["leave:a", "leave:a", "never:a"])
        assert ack["d"] == {"nonce": ack["d"]["nonce"]}
        await say(raw, "leave:a", 2)
        await say(raw, "leave:b", 3)
        await heard(raw, "leave:b", 3)
        assert data(raw.seen) == [1, 3]
        await raw.request(Op.SUBSCRIBE, rooms=["leave:a"])
        await say(raw, "leave:a", 4)
        await heard(raw, "leave:a", 4)
        assert data(raw.seen) == [1, 3, 4]
