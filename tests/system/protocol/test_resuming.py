"""RESUME, and the takeover of a session."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest

from relay.core.codes import Op
from relay.core.cursor import Cursor, CursorCodec
from tests.metrics import metrics
from tests.raw import Encoding, Raw, auto, token
from tests.system.protocol.talk import data, decoded, heard, places, say, url
from tests.world import World


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
            told = {"replayed", "behind", "rooms", "refused", "cursor", "resume_gateway_url"}
            assert set(d) == told
            assert d["resume_gateway_url"] not in {"", url(world, edge)}
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


async def test_resumes_that_never_came_through_do_not_count_as_takeovers(world: World) -> None:
    room, count = "starved:a", 300
    async with Raw(url(world)) as bo:
        await bo.identify(token(world, "bo"))
        async with Raw(url(world)) as ana:
            ready = (await ana.identify(token(world, "ana"), room))["d"]
        for number in range(count):
            await say(bo, room, [number, "x" * 30_000])
    before = (await metrics(world, "us-1"))["takeovers_total"]

    async def resume(raw: Raw) -> None:
        await raw.resume(
            token(world, "ana"), ready["session_id"], cursor=ready["cursor"], rooms=[room]
        )

    async with AsyncExitStack() as starved:
        for number in range(5):
            raw = await starved.enter_async_context(Raw(url(world)))
            starved.callback(raw.ws.transport.abort)
            raw.ws.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384
            )
            raw.ws.transport.pause_reading()
            await resume(raw)
            async with asyncio.timeout(20):  # the one before was closed for it
                while (await metrics(world, "us-1"))["takeovers_total"] < before + number:
                    await asyncio.sleep(0.05)
        async with Raw(url(world)) as again:
            await resume(again)
            answer = await again.until(
                lambda p: p["op"] == Op.INVALID_SESSION or p["t"] == "RESUMED"
            )
            assert answer["op"] == Op.DISPATCH, answer
            assert [number for number, _ in again.data()] == list(range(count))
