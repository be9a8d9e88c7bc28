"""HELLO, READY, heartbeats, and what is sent before READY."""

import asyncio
import time

from relay.core.codes import Op
from relay.core.grants import Act, RoomGrant
from relay.core.numbering import unix_ms_of
from tests.raw import Encoding, Raw, acquainted, auto, token
from tests.system.protocol.talk import decoded, url
from tests.world import World


async def test_hello_and_ready(world: World, encoding: Encoding) -> None:
    await acquainted(world, "us-1", "us-2")
    async with Raw(url(world), encoding) as raw:
        assert set(raw.hello) == {"op", "d", "s", "t"}
        assert (raw.hello["s"], raw.hello["t"]) == (None, None)
        hello = raw.hello["d"]
        assert hello["heartbeat_interval"] == 20_000
        assert (hello["region"], hello["edge"]) == ("us", "us-1")
        assert [region["name"] for region in hello["regions"]] == ["us", "eu"]
        assert hello["regions"][1]["url"] == url(world, "eu-1")
        assert hello["reconnect"] == {"base_ms": 100, "jitter_ms": 1000, "max_ms": 30_000}
        assert hello["resume_window_s"] == 86_400

        grants = (*auto("ready:auto"), RoomGrant("ready:*", frozenset({Act.SUBSCRIBE}), auto=True))
        ready = await raw.identify(token(world, "ana", *grants), "ready:a", "other:a")
        assert set(ready) == {"op", "d", "s", "t"}
        d = ready["d"]
        assert set(d) >= {
            "v", "user", "session_id", "resume_gateway_url", "cursor", "rooms", "region", "edge",
            "regions",
        }  # fmt: skip
        assert d["v"] == 10
        assert d["user"] == {"id": "ana"}
        assert d["rooms"] == ["ready:a", "ready:auto"]  # a pattern is no room to join
        assert d["refused"] == [{"room": "other:a", "code": "not_permitted"}]
        assert d["resume_gateway_url"] == url(world, "us-2")
        assert (d["region"], d["edge"], d["regions"]) == ("us", "us-1", hello["regions"])
        cursor = decoded(world, d["cursor"])
        assert (cursor.region, set(cursor.positions)) == ("us", {"us", "eu"})
        assert abs(unix_ms_of(ready["s"]) - time.time() * 1000) < 60_000
        assert ready["s"] < 2**53


async def test_the_resume_address_is_in_the_region_or_else_in_the_next(world: World) -> None:
    await acquainted(world, "us-1", "us-2")
    await acquainted(world, "us-2", "us-1")
    for edge, other in (("us-1", {"us-2"}), ("us-2", {"us-1"}), ("eu-1", {"us-1", "us-2"})):
        async with Raw(url(world, edge)) as raw:
            ready = await raw.identify(token(world, "ana"))
            assert ready["d"]["resume_gateway_url"] in {url(world, name) for name in other}


async def test_heartbeats_carry_the_cursor(world: World, encoding: Encoding) -> None:
    async with Raw(url(world), encoding) as raw:
        ack = await raw.acked()
        assert ack == {"op": 11, "d": None, "s": None, "t": None}  # no session, no cursor
        ready = await raw.identify(token(world, "ana"), "beat:a")
        before = decoded(world, ready["d"]["cursor"]).positions
        async with asyncio.timeout(20):
            while True:  # markers move it on in a quiet room
                await raw.send(Op.HEARTBEAT, ready["s"])
                ack = await raw.op(Op.HEARTBEAT_ACK)
                now = decoded(world, ack["c"]).positions
                if all(now[origin].seq > before[origin].seq for origin in before):
                    break
                await asyncio.sleep(0.1)
        assert "MESSAGE" not in {p["t"] for p in raw.seen}


async def test_what_is_sent_before_ready_is_answered_after_it(
    world: World, encoding: Encoding
) -> None:
    async with Raw(url(world), encoding) as raw:
        await raw.send(Op.IDENTIFY, {"token": token(world, "ana"), "rooms": ["early:a"]})
        await raw.send(Op.SUBSCRIBE, {"rooms": ["early:b"], "nonce": "s"})
        await raw.send(Op.PUBLISH, {"room": "early:b", "data": 1, "nonce": "p"})
        acks = [(await raw.op(Op.ACK))["d"]["nonce"] for _ in range(2)]
        assert raw.seen[1]["t"] == "READY"
        assert set(acks) == {"s", "p"}
