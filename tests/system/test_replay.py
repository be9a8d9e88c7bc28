"""Replays that are larger than a ring, or than what one request may have."""

import asyncio
from collections.abc import Iterator

import pytest

from relay.core.codes import Op
from relay.core.cursor import Cursor, CursorCodec
from tests.metrics import metrics
from tests.raw import Payload, Raw, token
from tests.world import World, running

RING, BUDGET = 64, 400
TOPOLOGY = f"""
[[regions]]
name = "us"
edges = 2

[[regions]]
name = "eu"
edges = 1

[limits]
ring_events = {RING}
replay_events = {BUDGET}
replay_streams = 1
replay_stall_s = 5.0
publishes_per_s = 100000.0
publish_burst = 100000
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("replay"), TOPOLOGY) as world:
        yield world


async def say(
    world: World, edge: str, room: str, first: int, count: int, *, pad: str | None = None
) -> list[int]:
    """Publish numbers, or numbers and `pad`; returns their sequences, in order."""
    acks: dict[int, int] = {}
    async with Raw(world.edges[edge].url) as raw:
        await raw.identify(token(world, "talker"))
        for start in range(first, first + count, 50):  # the edge reads on when some are stored
            for number in range(start, min(start + 50, first + count)):
                value = number if pad is None else [number, pad]
                await raw.send(Op.PUBLISH, {"room": room, "data": value, "nonce": number})
            while len(acks) < min(start + 50, first + count) - first:
                ack = await raw.op(Op.ACK)
                acks[ack["d"]["nonce"]] = ack["d"]["seq"]
    assert sorted(acks) == list(range(first, first + count))
    return sorted(acks.values())


def decoded(world: World, cursor: str) -> Cursor:
    return CursorCodec(bytes.fromhex(world.found().secrets.cursor_key)).decode(cursor)


async def left(world: World, room: str, edge: str = "us-1") -> tuple[str, str]:
    """A session that was in a room: its id and its cursor."""
    async with Raw(world.edges[edge].url) as raw:
        ready = await raw.identify(token(world, "ana"), room)
        session_id, cursor = ready["d"]["session_id"], ready["d"]["cursor"]
        await raw.drop()
    return session_id, cursor


def gaps(raw: Raw) -> list[Payload]:
    return [p["d"] for p in raw.seen if p["t"] == "GAP"]


@pytest.mark.parametrize("edge", ["us-1", "us-2", "eu-1"])
async def test_what_is_larger_than_a_ring_comes_page_by_page(world: World, edge: str) -> None:
    """On us-1 the room is open still, and its ring has the end; elsewhere nothing is there."""
    room, count = f"large:{edge}", RING * 5
    session_id, cursor = await left(world, room)
    await say(world, "us-2", room, 0, count)
    await say(world, "eu-1", room, count, 1)
    before = await metrics(world, edge)
    async with Raw(world.edges[edge].url) as raw:
        await raw.resume(token(world, "ana"), session_id, cursor=cursor, rooms=[room])
        await raw.dispatched("RESUMED")
        await say(world, "us-1", room, count + 1, 1)
        await raw.until(lambda p: p["t"] == "MESSAGE" and p["d"]["data"] == count + 1)
        of_us = [
            p["d"]["data"] for p in raw.seen if p["t"] == "MESSAGE" and p["d"]["origin"] == "us"
        ]
        assert of_us == [*range(count), count + 1]
        assert raw.data().count(count) <= 1, "what eu has not sent yet comes live"
        assert gaps(raw) == []
    after = await metrics(world, edge)
    if edge != "eu-1":  # where the mirror is behind, the rest is read for each session alone
        assert after["replays_streamed_total"] > before["replays_streamed_total"]
    assert after["ring_events"] <= after["rooms"] * RING * 2 + after["lingering_rooms"] * RING * 2


async def test_what_is_past_the_budget_is_declared_and_the_cursor_passes_it(world: World) -> None:
    room = "budget:resume"
    session_id, cursor = await left(world, room)
    seqs = await say(world, "us-2", room, 0, BUDGET + 100)
    async with Raw(world.edges["us-1"].url) as raw:
        await raw.resume(token(world, "ana"), session_id, cursor=cursor, rooms=[room])
        resumed = await raw.dispatched("RESUMED")
        assert raw.data() == list(range(BUDGET)), "the oldest come"
        (gap,) = gaps(raw)
        assert set(gap) == {"origin", "epoch", "first", "last", "reason"}
        assert (gap["origin"], gap["epoch"], gap["reason"]) == ("us", 1, "budget")
        assert gap["first"] == seqs[BUDGET]
        assert gap["last"] >= seqs[-1]
        assert raw.seen.index(resumed) == len(raw.seen) - 1, "said before any later event"
        assert decoded(world, resumed["d"]["cursor"]).positions["us"].seq >= gap["last"]
        (later,) = await say(world, "us-2", room, BUDGET + 100, 1)
        message = await raw.dispatched("MESSAGE")
        assert (message["d"]["seq"], message["d"]["data"]) == (later, BUDGET + 100)
    async with Raw(world.edges["us-2"].url) as raw:
        passed = resumed["d"]["cursor"]
        await raw.resume(token(world, "ana"), session_id, cursor=passed, rooms=[room])
        await raw.dispatched("RESUMED")
        assert set(raw.data()) <= {BUDGET + 100}
        assert gaps(raw) == []


async def test_a_since_has_a_budget_too(world: World) -> None:
    room = "budget:since"
    _, cursor = await left(world, room)
    seqs = await say(world, "us-2", room, 0, BUDGET + 1)
    async with Raw(world.edges["us-1"].url) as raw:
        await raw.identify(token(world, "bo"))
        ack = await raw.request(Op.SUBSCRIBE, rooms=[{"room": room, "since": cursor}])
        assert ack["d"]["rooms"] == [room]
        assert raw.data() == list(range(BUDGET))
        (gap,) = gaps(raw)
        assert (gap["room"], gap["first"], gap["reason"]) == (room, seqs[-1], "budget")
        await say(world, "us-2", room, BUDGET + 1, 1)
        await raw.until(lambda p: p["t"] == "MESSAGE" and p["d"]["data"] == BUDGET + 1)


async def test_the_newest_events_come_from_the_ring_and_are_what_the_stream_holds(
    world: World,
) -> None:
    room = "history"
    async with Raw(world.edges["us-1"].url) as raw, Raw(world.edges["us-2"].url) as cold:
        await raw.identify(token(world, "ana"), room)
        await cold.identify(token(world, "bo"))
        await say(world, "us-2", room, 0, 40)
        await raw.until(lambda p: p["t"] == "MESSAGE" and p["d"]["data"] == 39)
        before = await metrics(world, "us-1")
        here = await raw.request(Op.HISTORY, room=room, limit=10)
        after = await metrics(world, "us-1")
        assert after["history_from_rings_total"] > before["history_from_rings_total"]
        there = await cold.request(Op.HISTORY, room=room, limit=10)
        assert [event["data"] for event in here["d"]["events"]] == list(range(30, 40))
        assert here["d"]["events"] == there["d"]["events"]
        assert here["d"]["more"] is there["d"]["more"] is True
        ack = await raw.request(Op.PUBLISH, room=room, data="newest")
        newest = await raw.request(Op.HISTORY, room=room, limit=2)
        assert [event["data"] for event in newest["d"]["events"]] == [39, "newest"]
        assert newest["d"]["events"][-1]["seq"] == ack["d"]["seq"]
        more = await raw.request(Op.HISTORY, room=room, limit=100)
        assert [event["data"] for event in more["d"]["events"]] == [*range(40), "newest"]
        assert more["d"]["more"] is False


async def test_who_takes_nothing_of_a_replay_is_closed_and_holds_nobody_up_for_long(
    world: World,
) -> None:
    """One session at a time may read what is too large for a ring: here the slow one came first."""
    room, count = "slow", RING * 4
    slow_session, good_session = await left(world, room), await left(world, room)
    await say(world, "us-2", room, 0, count, pad="x" * 30_000)
    before = await metrics(world, "us-1")
    async with Raw(world.edges["us-1"].url) as slow, Raw(world.edges["us-1"].url) as good:
        slow.ws.transport.pause_reading()
        session_id, cursor = slow_session
        await slow.resume(token(world, "ana"), session_id, cursor=cursor, rooms=[room])
        async with asyncio.timeout(15):
            while (await metrics(world, "us-1"))["replayed_total"] == before["replayed_total"]:
                await asyncio.sleep(0.05)
        session_id, cursor = good_session
        await good.resume(token(world, "ana"), session_id, cursor=cursor, rooms=[room])
        resumed = await good.until(lambda p: p["t"] == "RESUMED", 30)
        assert [value[0] for value in good.data()] == list(range(count))
        assert resumed["d"]["replayed"] == count
        slow.ws.transport.resume_reading()
        assert await slow.close_code() == 4020
        got = [value[0] for value in slow.data()]
        assert got == list(range(len(got))), "what came is whole, and its last cursor goes on"
        assert len(got) < count
