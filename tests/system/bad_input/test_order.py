"""Requests that come too early, too late or twice, and opcodes that no client sends."""

import asyncio
import time

import pytest

from relay.core.codes import Op
from tests.raw import Raw, token
from tests.system.bad_input.small import live
from tests.world import World


async def test_who_says_nothing_is_closed_in_time(world: World, url: str) -> None:
    async def silent() -> tuple[int | None, float]:
        async with Raw(url) as raw:
            started = time.monotonic()
            return await raw.close_code(), time.monotonic() - started

    async def heartbeats_only() -> tuple[int | None, float]:
        async with Raw(url) as raw:
            started = time.monotonic()
            await raw.acked()
            return await raw.close_code(), time.monotonic() - started

    async def resume_promised() -> tuple[int | None, float]:
        async with Raw(url, query="resume=1") as raw:
            started = time.monotonic()
            return await raw.close_code(), time.monotonic() - started

    async def without_a_heartbeat() -> tuple[int | None, float]:
        async with live(world) as raw:
            started = time.monotonic()
            return await raw.close_code(), time.monotonic() - started

    got = await asyncio.gather(
        silent(), heartbeats_only(), resume_promised(), without_a_heartbeat()
    )
    assert [code for code, _ in got] == [4003, 4003, 4003, 4009]
    least = (2.5, 2.5, 0.5, 6.5)
    assert all(waited > bound for (_, waited), bound in zip(got, least, strict=True)), got


@pytest.mark.parametrize(
    "op", [op for op in Op if op >= 20 and op < 30 and op != Op.REGIONS] + [Op.PRESENCE_UPDATE]
)
async def test_nothing_goes_before_identify(url: str, op: Op) -> None:
    async with Raw(url) as raw:
        await raw.send(op, {"rooms": ["a"], "room": "a", "data": 1, "nonce": 1})
        assert await raw.close_code() == 4003
        assert len(raw.seen) == 1


async def test_a_promised_resume_has_to_come(world: World, url: str) -> None:
    async with live(world, user="bo") as bo:
        strange = bo.seen[-1]["d"]
    for op, d in (
        (Op.IDENTIFY, {"token": token(world, "ana")}),
        (Op.SUBSCRIBE, {"rooms": ["a"]}),
        (Op.RESUME, {"token": token(world, "ana"), "session_id": "x" * 43, "seq": 1}),
        (
            Op.RESUME,
            {
                "token": token(world, "ana"),
                "session_id": strange["session_id"],
                "cursor": strange["cursor"],
            },
        ),
    ):
        async with Raw(url, query="resume=1") as raw:
            await raw.send(op, d)
            assert await raw.close_code() == 4003
    async with Raw(url, query="resume=1") as raw:
        await raw.resume(token(world, "bo"), strange["session_id"], cursor=strange["cursor"])
        assert (await raw.dispatched("RESUMED"))["d"]["replayed"] >= 0


async def test_identified_twice(world: World, url: str) -> None:
    fresh = token(world, "ana")
    async with live(world) as raw:
        await raw.send(Op.IDENTIFY, {"token": fresh})
        assert await raw.close_code() == 4005
    async with live(world) as raw:
        ready = raw.seen[-1]["d"]
        await raw.resume(fresh, ready["session_id"], cursor=ready["cursor"], rooms=[])
        assert await raw.close_code() == 4005
    async with Raw(url) as raw:  # the second before the first is answered
        await raw.send(Op.IDENTIFY, {"token": fresh})
        await raw.send(Op.IDENTIFY, {"token": fresh})
        assert await raw.close_code() == 4005


@pytest.mark.parametrize(
    "op",
    [-1, 4, 5, 8, 12, 99, 2**63, 2**70, *(op for op in Op if op in (0, 7, 9, 10, 11, 27, 30, 31))],
)
async def test_opcodes_that_no_client_sends(world: World, op: int) -> None:
    async with live(world) as raw:
        await raw.send(op)
        assert await raw.close_code() == 4001


async def test_an_opcode_of_4000_digits(world: World) -> None:
    async with live(world) as raw:
        await raw.send_bytes(b'{"op":' + b"9" * 4000 + b"}")
        assert await raw.close_code() == 4001
