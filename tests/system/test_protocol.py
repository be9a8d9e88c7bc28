"""Every op of the protocol as it is meant to go, payload by payload, in both encodings."""

import asyncio
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from relay.core.codes import Op
from relay.core.cursor import Cursor, CursorCodec
from relay.core.grants import Act, RoomGrant
from relay.core.numbering import unix_ms_of
from tests.raw import Encoding, Payload, Raw, acquainted, auto, token
from tests.world import World

TOPOLOGY = """
[[regions]]
name = "us"
edges = 2

[[regions]]
name = "eu"
edges = 1

[limits]
drain_s = 2.0
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two edges in one region and one in another, with a short drain."""
    running = World(tmp_path_factory.mktemp("protocol") / "state", TOPOLOGY)
    running.launch()
    yield running
    running.clean()
    assert not running.leftovers()


@pytest.fixture(params=["json", "msgpack"])
def encoding(request: pytest.FixtureRequest) -> Encoding:
    return "json" if request.param == "json" else "msgpack"


def url(world: World, edge: str = "us-1") -> str:
    return world.edges[edge].url


def decoded(world: World, cursor: str) -> Cursor:
    return CursorCodec(bytes.fromhex(world.found().secrets.cursor_key)).decode(cursor)


def places(payloads: list[Payload]) -> list[tuple[str, int, int]]:
    """`(origin, epoch, seq)` of MESSAGEs."""
    return [(p["d"]["origin"], p["d"]["epoch"], p["d"]["seq"]) for p in payloads]


def data(payloads: list[Payload]) -> list[object]:
    return [p["d"]["data"] for p in payloads if p["t"] == "MESSAGE"]


async def say(raw: Raw, room: str, *values: object) -> list[Payload]:
    """Publish these one after the other; returns the ACKs."""
    acks = [await raw.request(Op.PUBLISH, room=room, data=value) for value in values]
    assert all(ack["op"] == Op.ACK for ack in acks), acks
    return acks


async def heard(raw: Raw, room: str, value: object) -> None:
    """Wait until an event of the room with this data was received, or was before."""

    def fits(p: Payload) -> bool:
        return p["t"] == "MESSAGE" and (p["d"]["room"], p["d"]["data"]) == (room, value)

    if not any(map(fits, raw.seen)):
        await raw.until(fits)


async def reached(world: World, raw: Raw, cursor: str) -> None:
    """Wait until the edge of this connection stands at `cursor`."""
    wanted = decoded(world, cursor).positions
    async with asyncio.timeout(20):
        while True:
            here = decoded(world, (await raw.acked())["c"]).positions
            if all(here[origin] >= place for origin, place in wanted.items()):
                return
            await asyncio.sleep(0.05)


# --- a session ---------------------------------------------------------------------------------


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


# --- rooms and publishing ----------------------------------------------------------------------


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
        for number in range(100):
            await raw.send(Op.PUBLISH, {"room": room, "data": number, "nonce": number})
        await heard(raw, room, 99)
        await raw.acked()
        acks = [p["d"] for p in raw.seen if p["op"] == Op.ACK]
        if len(acks) < 100:
            acks.append((await raw.op(Op.ACK))["d"])
        assert [ack["nonce"] for ack in acks] == list(range(100))
        messages = [p for p in raw.seen if p["t"] == "MESSAGE"]
        assert data(messages) == list(range(100))
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


# --- the past ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "count"), [(1, 10), (7, 24), (100, 250), (1000, 24)])
async def test_history_walks_the_whole_room_both_ways(
    world: World, encoding: Encoding, limit: int, count: int
) -> None:
    room = f"walk:{encoding}:{limit}"
    async with Raw(url(world), encoding) as us, Raw(url(world, "eu-1"), encoding) as eu:
        await us.identify(token(world, "ana"), room)
        await eu.identify(token(world, "bo"))
        for number in range(count):
            await say(us if number % 3 else eu, room, number)
        for number in range(count):
            await heard(us, room, number)
        stored = set(places([p for p in us.seen if p["t"] == "MESSAGE"]))
        assert len(stored) == count

        def check(events: list[Payload]) -> None:
            named = [(e["origin"], e["epoch"], e["seq"]) for e in events]
            assert len(named) == len(set(named)), "an event came twice"
            assert set(named) == stored, "an event is missing"
            order: dict[str, list[int]] = defaultdict(list)
            for event in events:
                order[event["origin"]].append(event["seq"])
            assert all(seqs == sorted(seqs) for seqs in order.values())

        backwards: list[Payload] = []
        page = await us.request(Op.HISTORY, room=room, limit=limit)
        while True:
            assert page["op"] == Op.ACK
            assert set(page["d"]) == {"nonce", "events", "before", "after", "more"}
            assert 1 <= len(page["d"]["events"]) <= limit
            backwards = page["d"]["events"] + backwards
            if not page["d"]["more"]:
                break
            page = await us.request(Op.HISTORY, room=room, limit=limit, before=page["d"]["before"])
        check(backwards)

        forwards: list[Payload] = []
        after = page["d"]["before"]
        while True:
            page = await us.request(Op.HISTORY, room=room, limit=limit, after=after)
            forwards += page["d"]["events"]
            after = page["d"]["after"]
            if not page["d"]["more"]:
                break
        check(forwards)
        # What comes later is found from there.
        await say(us, room, "later")
        page = await us.request(Op.HISTORY, room=room, limit=limit, after=after)
        assert [event["data"] for event in page["d"]["events"]] == ["later"]
        assert not page["d"]["more"]
        own = await us.request(Op.HISTORY, room=f"{room}:empty", limit=limit)
        assert (own["d"]["events"], own["d"]["more"]) == ([], False)


async def test_history_stays_within_its_bytes(world: World, encoding: Encoding) -> None:
    room = f"bytes:{encoding}"
    async with Raw(url(world), encoding) as raw:
        await raw.identify(token(world, "ana"))
        for number in range(16):
            await say(raw, room, f"{number:02}" + "x" * 30_000)
        got: list[Payload] = []
        d: Payload = {"limit": 1000}
        while True:
            page = (await raw.request(Op.HISTORY, room=room, **d))["d"]
            assert sum(len(event["data"]) for event in page["events"]) <= 256 * 1024
            got = page["events"] + got
            if not page["more"]:
                break
            d["before"] = page["before"]
        assert [event["data"][:2] for event in got] == [f"{number:02}" for number in range(16)]


async def test_a_room_from_its_last_events_on(world: World, encoding: Encoding) -> None:
    room = f"last:{encoding}"
    async with Raw(url(world), encoding) as ana, Raw(url(world), encoding) as bo:
        await ana.identify(token(world, "ana"))
        await say(ana, room, *range(6))
        ready = await bo.identify(token(world, "bo"), {"room": room, "since": {"last": 2}})
        assert ready["d"]["rooms"] == [room]
        assert data(bo.seen) == [4, 5]
        assert all("c" not in p and p["s"] is None for p in bo.seen if p["t"] == "MESSAGE")
        await say(ana, room, 6)
        await heard(bo, room, 6)
        await bo.request(Op.UNSUBSCRIBE, rooms=[room])
        ack = await bo.request(Op.SUBSCRIBE, rooms=[{"room": room, "since": {"last": 100}}])
        assert ack["d"]["rooms"] == [room]
        assert data(bo.seen) == [4, 5, 6, *range(7)]


async def test_a_room_from_a_cursor_on(world: World, encoding: Encoding) -> None:
    room = f"since:{encoding}"
    async with Raw(url(world), encoding) as ana, Raw(url(world, "eu-1"), encoding) as bo:
        await ana.identify(token(world, "ana"), room)
        await say(ana, room, 0, 1)
        await heard(ana, room, 1)
        cursor = ana.seen[-1]["c"] if ana.seen[-1]["t"] == "MESSAGE" else (await ana.acked())["c"]
        await say(ana, room, 2, 3)
        await bo.identify(token(world, "bo"))
        await reached(world, bo, cursor)
        ack = await bo.request(Op.SUBSCRIBE, rooms=[{"room": room, "since": cursor}])
        assert ack["d"]["rooms"] == [room]
        for number in (2, 3):  # what the mirror did not have yet comes live
            await heard(bo, room, number)
        await say(ana, room, 4)
        await heard(bo, room, 4)
        assert data(bo.seen) == [2, 3, 4]
        replayed = bo.seen[: bo.seen.index(ack)]
        assert all("c" not in p and p["s"] is None for p in replayed if p["t"] == "MESSAGE")


# --- tokens ------------------------------------------------------------------------------------


async def test_a_token_is_refreshed_in_time(world: World, encoding: Encoding) -> None:
    async with Raw(url(world), encoding) as raw:
        await raw.identify(token(world, "ana", ttl_s=61), "fresh:a")
        warning = await raw.op(Op.ERROR)
        assert warning["d"]["code"] == "token_expiring"
        assert "nonce" not in warning["d"]
        ack = await raw.request(Op.REFRESH, token=token(world, "ana", ttl_s=61))
        assert ack["d"] == {"nonce": ack["d"]["nonce"]}
        assert (await raw.op(Op.ERROR))["d"]["code"] == "token_expiring"
        # Fewer grants: the room that is granted no more is left.
        less = RoomGrant("other:*", frozenset(Act))
        await raw.request(Op.REFRESH, token=token(world, "ana", less))
        told = raw.seen[-2]
        assert (told["op"], told["d"]["code"]) == (Op.ERROR, "not_permitted")
        refused = await raw.request(Op.PUBLISH, room="fresh:a", data=1)
        assert refused["d"]["code"] == "not_permitted"
        await say(raw, "other:a", 1)
        async with Raw(url(world), encoding) as bo:
            await bo.identify(token(world, "bo"), "fresh:a")
            await say(bo, "fresh:a", "unheard")
            await heard(bo, "fresh:a", "unheard")
        await raw.acked()
        assert data(raw.seen) == []


# --- resuming ----------------------------------------------------------------------------------


@pytest.mark.parametrize("edge", ["us-1", "us-2", "eu-1"])
async def test_a_resume_by_cursor_is_exact(world: World, encoding: Encoding, edge: str) -> None:
    room = f"exact:{encoding}:{edge}"
    async with Raw(url(world), encoding) as ana, Raw(url(world, "eu-1"), encoding) as bo:
        ready = await ana.identify(token(world, "ana"), room, "exact:quiet")
        await bo.identify(token(world, "bo"))
        await say(bo, room, 0, 1)
        await heard(ana, room, 1)
        before = [p for p in ana.seen if p["t"] == "MESSAGE"]
        await ana.drop()
        await say(bo, room, 2, 3, 4)
        async with Raw(url(world, edge), encoding) as again:
            await again.resume(
                token(world, "ana"),
                ready["d"]["session_id"],
                cursor=before[-1]["c"],
                rooms=[room, "exact:quiet", "a.b"],
            )
            resumed = await again.dispatched("RESUMED")
            d = resumed["d"]
            assert set(d) == {"replayed", "behind", "rooms", "refused", "cursor"}
            assert d["rooms"] == [room, "exact:quiet"]
            assert d["refused"] == [{"room": "a.b", "code": "invalid_room"}]
            assert isinstance(d["behind"], dict)
            replayed = [p for p in again.seen if p["t"] == "MESSAGE"]
            assert d["replayed"] == len(replayed)
            assert all(p["s"] is None for p in replayed)
            reached = [decoded(world, p["c"]).positions["eu"] for p in replayed]
            assert reached == sorted(reached)
            assert resumed["s"] > 0
            await say(bo, room, 5)
            await heard(again, room, 5)
            got = [p for p in again.seen if p["t"] == "MESSAGE"]
            assert data(before) + data(got) == list(range(6))
            # Nothing of the cursor steps back on the way.
            way = [decoded(world, p["c"]).positions for p in (*before, *got)]
            for origin in ("us", "eu"):
                seqs = [positions[origin] for positions in way]
                assert seqs == sorted(seqs)


@pytest.mark.parametrize("edge", ["us-1", "us-2", "eu-1"])
async def test_a_resume_by_seq_misses_nothing(world: World, encoding: Encoding, edge: str) -> None:
    room = f"seq:{encoding}:{edge}"
    grants = auto(room)
    async with Raw(url(world), encoding) as ana, Raw(url(world, "eu-1"), encoding) as bo:
        ready = await ana.identify(token(world, "ana", *grants))
        await bo.identify(token(world, "bo"))
        await say(bo, room, 0, 1)
        await heard(ana, room, 1)
        before = [p for p in ana.seen if p["t"] == "MESSAGE"]
        seq = max(p["s"] for p in before)
        await ana.drop()
        await say(bo, room, 2, 3, 4)
        async with Raw(url(world, edge), encoding) as again:
            await again.resume(token(world, "ana", *grants), ready["d"]["session_id"], seq=seq)
            resumed = await again.dispatched("RESUMED")
            assert resumed["d"]["rooms"] == [room]
            assert resumed["s"] > seq
            await say(bo, room, 5)
            await heard(again, room, 5)
            got = [p for p in again.seen if p["t"] == "MESSAGE"]
            assert len(places(got)) == len(set(places(got))), "no event twice in one resume"
            assert data(got) == list(range(6))[-len(got) :]
            assert len(got) >= 4


async def test_an_origin_that_the_cursor_does_not_know_comes_from_its_start(
    world: World, encoding: Encoding
) -> None:
    room = f"added:{encoding}"
    async with Raw(url(world), encoding) as raw, Raw(url(world, "eu-1"), encoding) as eu:
        ready = await raw.identify(token(world, "ana"), room)
        await eu.identify(token(world, "bo"))
        await say(eu, room, *range(3))
        for number in range(3):
            await heard(raw, room, number)
        here = decoded(world, (await raw.acked())["c"])
        del eu
    codec = CursorCodec(bytes.fromhex(world.found().secrets.cursor_key))
    less = codec.encode(Cursor("us", {"us": here.positions["us"]}))
    async with Raw(url(world), encoding) as again:
        await again.resume(token(world, "ana"), ready["d"]["session_id"], cursor=less, rooms=[room])
        resumed = await again.dispatched("RESUMED")
        assert resumed["d"]["replayed"] == 3
        assert data(again.seen) == [0, 1, 2]


async def test_an_invalid_session_may_identify_on_the_same_connection(
    world: World, encoding: Encoding
) -> None:
    async with Raw(url(world), encoding) as raw:
        await raw.resume(token(world, "ana"), "gone", seq=1)
        invalid = await raw.op(Op.INVALID_SESSION)
        assert invalid == {
            "op": 9, "d": False, "s": None, "t": None, "e": {"reason": "session"},
        }  # fmt: skip
        await raw.identify(token(world, "ana"), "anew:a")
        await say(raw, "anew:a", 1)
        await heard(raw, "anew:a", 1)


@pytest.mark.parametrize("edge", ["us-1", "us-2", "eu-1"])
async def test_who_resumes_takes_the_session_over(
    world: World, encoding: Encoding, edge: str
) -> None:
    room = f"over:{encoding}:{edge}"
    async with Raw(url(world), encoding) as old:
        ready = (await old.identify(token(world, "ana"), room))["d"]
        async with Raw(url(world, edge), encoding) as new:
            await new.resume(
                token(world, "ana"), ready["session_id"], cursor=ready["cursor"], rooms=[room]
            )
            await new.dispatched("RESUMED")
            assert await old.close_code() == 4022
            await say(new, room, 1)
            await heard(new, room, 1)


async def test_a_session_that_is_fought_over_ends(world: World) -> None:
    async with Raw(url(world)) as first:
        ready = (await first.identify(token(world, "ana"), "fight:a"))["d"]
        holders = [first]
        try:
            for _ in range(8):
                raw = await Raw(url(world)).__aenter__()
                holders.append(raw)
                await raw.resume(
                    token(world, "ana"), ready["session_id"], cursor=ready["cursor"], rooms=[]
                )
                answer = await raw.until(
                    lambda p: p["op"] == Op.INVALID_SESSION or p["t"] == "RESUMED"
                )
                if answer["op"] == Op.INVALID_SESSION:
                    break
        finally:
            for raw in holders[1:]:
                await raw.__aexit__()
        assert (answer["d"], answer["e"]) == (False, {"reason": "session"})
        assert len(holders) == 1 + 3 + 1, "three takeovers a minute, and not a fourth"


# --- slow readers ---


async def test_who_reads_too_slowly_is_closed_and_resumes(world: World, encoding: Encoding) -> None:
    room = f"slow:{encoding}"
    count = 300
    metrics = world.found().edge("us-1").admin + "/metrics"

    async def closed_as_too_slow() -> int:
        text = await asyncio.to_thread(body, metrics)
        return sum(
            round(float(line.split()[1]))
            for line in text.splitlines()
            if line.startswith("jetrelay_closes_total") and 'code="4020"' in line
        )

    before = await closed_as_too_slow()
    async with Raw(url(world), encoding) as slow, Raw(url(world, "us-2"), encoding) as bo:
        ready = (await slow.identify(token(world, "ana"), room))["d"]
        slow.ws.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384
        )
        slow.ws.transport.pause_reading()
        await bo.identify(token(world, "bo"))
        for number in range(count):
            await say(bo, room, [number, "x" * 30_000])
        slow.ws.transport.resume_reading()
        # The code, or nothing when it was cut off before it read so far.
        assert await slow.close_code() in (4020, None)
        async with asyncio.timeout(20):
            while await closed_as_too_slow() != before + 1:
                await asyncio.sleep(0.1)
        got = [p for p in slow.seen if p["t"] == "MESSAGE"]
        assert len(got) < count
        async with Raw(url(world, "us-2"), encoding) as again:
            cursor = got[-1]["c"] if got else ready["cursor"]
            await again.resume(
                token(world, "ana"), ready["session_id"], cursor=cursor, rooms=[room]
            )
            await again.dispatched("RESUMED")
            got += [p for p in again.seen if p["t"] == "MESSAGE"]
            assert [p["d"]["data"][0] for p in got] == list(range(count))


# --- draining ----------------------------------------------------------------------------------


async def test_a_drain_sends_everybody_elsewhere(world: World) -> None:
    await acquainted(world, "us-1", "us-2")
    await acquainted(world, "us-2", "us-1")
    since = len(world.events)
    async with Raw(url(world, "eu-1")) as far:
        named = far.hello["d"]["regions"][1]["url"]  # the edge that eu tells its clients of
    edge = next(edge for edge in world.found().edges if edge.url == named)
    (other,) = {"us-1", "us-2"} - {edge.name}
    assert edge.pid is not None
    async with (
        Raw(edge.url) as obeys,
        Raw(edge.url, "msgpack") as stays,
        Raw(url(world, "eu-1")) as far,
    ):
        ready = (await obeys.identify(token(world, "ana"), "drain:a"))["d"]
        await stays.identify(token(world, "bo"), "drain:a")
        await far.identify(token(world, "cy"))
        os.kill(edge.pid, signal.SIGTERM)
        for raw in (obeys, stays):
            reconnect = await raw.op(Op.RECONNECT)
            assert reconnect == {"op": 7, "d": None, "s": None, "t": None}

        with pytest.raises(InvalidStatus) as refused:
            async with connect(edge.url, proxy=None):
                pass
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) >= 1
        assert await asyncio.to_thread(status, edge.http + "/readyz") == 503
        assert await asyncio.to_thread(status, edge.http + "/healthz") == 200

        # Whoever is still there is served until the end.
        await say(stays, "drain:a", "still here")
        await heard(obeys, "drain:a", "still here")
        async with Raw(ready["resume_gateway_url"]) as again:
            cursor = (await obeys.acked())["c"]
            await obeys.ws.close(4200)
            await again.resume(
                token(world, "ana"), ready["session_id"], cursor=cursor, rooms=["drain:a"]
            )
            resumed = await again.dispatched("RESUMED")
            assert resumed["d"]["replayed"] == 0
            regions = await far.op(Op.REGIONS)
            assert {"name": "us", "url": url(world, other)} in regions["d"]
            assert await stays.close_code() == 4021
            await say(again, "drain:a", "elsewhere")
            await heard(again, "drain:a", "elsewhere")
    back = await world.event("edge_up", since=since, edge=edge.name)
    assert back.pid != edge.pid
    async with Raw(edge.url) as raw:  # under its old address
        await raw.identify(token(world, "ana"))


def status(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def body(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as response:
        read: bytes = response.read()
        return read.decode()
