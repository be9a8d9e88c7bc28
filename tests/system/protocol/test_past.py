"""The past: `since` and HISTORY."""

from collections import defaultdict

import pytest

from relay.core.codes import Op
from tests.raw import Encoding, Payload, Raw, token
from tests.system.protocol.talk import data, heard, places, reached, say, url
from tests.world import World


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
