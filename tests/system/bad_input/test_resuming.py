"""Sessions of others, cursors and numbers that no edge gave."""

import asyncio
import time
from collections.abc import Callable

import pytest

from regions.jetstream import JetStream
from relay.core.codes import Op
from relay.core.cursor import Cursor, CursorCodec, Position
from relay.edge.feeds import BROUGHT_S
from tests.raw import Encoding, Payload, Raw, token
from tests.system.bad_input.small import b64, cursors, live, now_s, place
from tests.world import World


async def refusal(raw: Raw) -> tuple[object, Payload]:
    """The INVALID_SESSION: `d`, and `e`."""
    refused = await raw.op(Op.INVALID_SESSION)
    return refused["d"], refused["e"]


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_the_session_of_another_user(world: World, url: str, encoding: Encoding) -> None:
    async with live(world, user="bo", encoding=encoding) as bo:
        ready = bo.seen[-1]["d"]
        for session_id in (ready["session_id"], "", "x", "A" * 43, "é" * 43, "A" * 42 + "=", "\n"):
            async with Raw(url, encoding) as raw:
                await raw.resume(
                    token(world, "ana"), session_id, cursor=ready["cursor"], rooms=["a"]
                )
                assert await refusal(raw) == (False, {"reason": "session"})
                await raw.identify(token(world, "ana"), "a")
        await bo.acked()  # its own connection was not taken over


async def test_cursors_that_are_none(world: World, url: str) -> None:
    async with live(world) as raw:
        ready = raw.seen[-1]["d"]
        good = ready["cursor"]
        flipped = good[:24] + ("A" if good[24] != "A" else "B") + good[25:]
        forged = CursorCodec(b"k" * 32).encode(cursors(world).decode(good))
        bad = [
            "",
            "garbage",
            good[:-4],
            good[:16],
            good + "AAAA",
            flipped,
            forged,
            "é",
            "=",
            "\x00",
        ]
        bad += ["A" * 600, good + " ", good + "\n", b64(b"\x00" * 16), forged[:22] + good[22:]]
        for text in bad:
            for d in (
                {"op": Op.HISTORY, "room": "a", "limit": 1, "before": text},
                {"op": Op.HISTORY, "room": "a", "limit": 1, "after": text},
            ):
                answer = await raw.request(**d)
                assert (answer["op"], answer["d"]["code"]) == (Op.ERROR, "invalid_data")
            ack = await raw.request(Op.SUBSCRIBE, rooms=[{"room": "a", "since": text}])
            assert ack["d"]["refused"] == [{"room": "a", "code": "invalid_data"}]
    for text in bad:
        async with Raw(url) as raw:
            await raw.resume(token(world, "ana"), ready["session_id"], cursor=text, rooms=["a"])
            assert await raw.close_code() == 4007


async def test_a_cursor_beyond_the_head_of_the_home_stream(world: World, url: str) -> None:
    async with live(world) as raw:
        ready = raw.seen[-1]
    epoch, seq = place(world, ready)
    future = cursors(world).encode(Cursor("us", {"us": Position(epoch, seq + 10_000)}))
    async with Raw(url) as raw:
        await raw.resume(token(world, "ana"), ready["d"]["session_id"], cursor=future, rooms=["a"])
        assert await refusal(raw) == (False, {"reason": "ahead"})
        again = await raw.identify(token(world, "ana"), "a")
        assert again["d"]["session_id"] != ready["d"]["session_id"]


async def test_a_cursor_of_an_older_epoch(world: World, url: str) -> None:
    async with live(world) as raw:
        ready = raw.seen[-1]
    epoch, seq = place(world, ready)
    older = cursors(world).encode(Cursor("us", {"us": Position(epoch - 1, seq)}))
    async with Raw(url) as raw:
        await raw.resume(token(world, "ana"), ready["d"]["session_id"], cursor=older, rooms=["a"])
        assert await refusal(raw) == (False, {"reason": "epoch"})
        await raw.identify(token(world, "ana"), "a")


async def test_a_cursor_of_a_newer_epoch_may_be_tried_again_three_times(
    world: World, url: str
) -> None:
    async with live(world) as raw:
        ready = raw.seen[-1]
    epoch, seq = place(world, ready)
    newer = cursors(world).encode(Cursor("us", {"us": Position(epoch + 1, seq)}))
    async with Raw(url) as raw:
        for _ in range(3):
            await raw.acked()
            asked = time.monotonic()
            await raw.resume(
                token(world, "ana"), ready["d"]["session_id"], cursor=newer, rooms=["a"]
            )
            assert await refusal(raw) == (True, {"reason": "behind"})
            assert 0.9 < time.monotonic() - asked < 6
        await raw.resume(token(world, "ana"), ready["d"]["session_id"], cursor=newer, rooms=["a"])
        assert await raw.close_code() == 4000


async def test_a_cursor_that_is_older_than_the_stream(world: World, url: str) -> None:
    async with live(world) as raw:
        ready = raw.seen[-1]
        for number in range(5):
            ack = await raw.request(Op.PUBLISH, room="old:a", data=number)
        first_kept = ack["d"]["seq"]
    js = await JetStream.connect("us", world.nats_config("us", "control"))
    try:
        await js._ask("STREAM.PURGE.EV_us", {"seq": first_kept})
    finally:
        await js.close()
    missing = [place(world, ready).seq + 1, first_kept - 1]
    async with Raw(url) as raw:
        await raw.resume(
            token(world, "ana"),
            ready["d"]["session_id"],
            cursor=ready["d"]["cursor"],
            rooms=["old:a"],
        )
        assert await refusal(raw) == (False, {"reason": "expired", "missing": {"us": missing}})
        await raw.identify(token(world, "ana"))
        # A `since` says what is gone, and goes on with what is left.
        since = {"room": "old:a", "since": ready["d"]["cursor"]}
        assert (await raw.request(Op.SUBSCRIBE, rooms=[since]))["d"]["rooms"] == ["old:a"]
        told = [(p["t"], p["d"]) for p in raw.seen if p["t"] in ("GAP", "MESSAGE")]
        assert [name for name, _ in told] == ["GAP", "MESSAGE"], told
        gap = {"room": "old:a", "origin": "us", "epoch": ack["d"]["epoch"], "reason": "expired"}
        assert told[0][1] == gap | {"first": missing[0], "last": missing[1]}
        assert told[1][1]["data"] == 4


async def test_a_cursor_with_a_region_that_is_gone(world: World, url: str) -> None:
    async with live(world) as raw:
        ready = raw.seen[-1]
    here = place(world, ready)
    more = cursors(world).encode(Cursor("xx", {"us": here, "xx": Position(3, 40)}))
    async with Raw(url) as raw:
        await raw.resume(token(world, "ana"), ready["d"]["session_id"], cursor=more, rooms=["a"])
        gap = await raw.dispatched("GAP")
        assert (gap["d"]["origin"], gap["d"]["epoch"], gap["d"]["first"]) == ("xx", 3, 41)
        assert (await raw.dispatched("RESUMED"))["d"]["rooms"] == ["a"]


@pytest.mark.parametrize(
    ("seq", "code"),
    [
        (lambda: now_s(ahead_ms=65_000), 4007),
        (lambda: 2**53, 4007),
        (lambda: int("9" * 4000), 4007),
        (lambda: -1, 4007),
        (lambda: -(2**70), 4007),
        (lambda: None, 4007),
        (lambda: "5", 4002),
        (lambda: 1.5, 4002),
        (lambda: True, 4002),
    ],
)
async def test_numbers_that_no_edge_gave(
    world: World, url: str, seq: Callable[[], object], code: int
) -> None:
    async with live(world) as raw:
        session_id = raw.seen[-1]["d"]["session_id"]
    async with Raw(url) as raw:
        await raw.resume(token(world, "ana"), session_id, seq=seq())
        assert await raw.close_code() == code


@pytest.mark.parametrize("seq", [lambda: now_s(200), lambda: now_s(4095)])
async def test_numbers_of_which_a_record_may_still_come(
    world: World, url: str, seq: Callable[[], int]
) -> None:
    async with live(world) as raw:
        session_id = raw.seen[-1]["d"]["session_id"]
    async with Raw(url) as raw:
        await raw.resume(token(world, "ana"), session_id, seq=seq())
        again, e = await refusal(raw)
        assert (again, e["reason"]) == (True, "unavailable")


@pytest.mark.parametrize("seq", [0, 4095])
async def test_numbers_of_which_there_is_no_record(world: World, url: str, seq: int) -> None:
    async with live(world) as raw:
        session_id = raw.seen[-1]["d"]["session_id"]
    again: object = True
    async with asyncio.timeout(3 * BROUGHT_S):
        while again:  # what its region has may not be here yet, where the edge has just begun
            async with Raw(url) as raw:
                await raw.resume(token(world, "ana"), session_id, seq=seq)
                again, e = await refusal(raw)
                assert e["reason"] == ("unavailable" if again else "expired")
                if not again:
                    await raw.identify(token(world, "ana"), "a")
