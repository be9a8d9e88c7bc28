"""Frames and payloads that are none."""

import asyncio
import struct

import pytest

from relay.core.codes import Op
from tests.raw import Encoding, Raw, pack, token
from tests.system.bad_input.small import live
from tests.world import World

DEEP = 30_000
UNDECODABLE: list[tuple[Encoding, bytes]] = [
    ("json", b""),
    ("json", b"{"),
    ("json", b"null"),
    ("json", b"[1, null]"),
    ("json", b'"text"'),
    ("json", b"{}"),
    ("json", b'{"op": "1"}'),
    ("json", b'{"op": 1.5}'),
    ("json", b'{"op": null}'),
    ("json", b'{"op": true}'),
    ("json", b'{"op": 1, "d": NaN}'),
    ("json", b'{"op": 1, "d": 1e400}'),
    ("json", b'{"op": 1, "d": "one"}'),
    ("json", b'{"op": 1, "d": null} {"op": 1}'),
    ("json", b'{"op": 1, "d": null\x00}'),
    ("json", b'\xef\xbb\xbf{"op": 1}'),
    ("json", b'{"op": 1, "d": "\xff\xfe"}'),
    ("json", b"\xff\xfe\xfd"),
    ("json", b'{"op": 1, "d": ' + b"1" * DEEP + b"}"),
    ("json", b'{"op": 1, "d": ' + b"[" * DEEP + b"}"),
    ("json", b'{"op": 1, "d": ' + b"[" * 15_000 + b"]" * 15_000 + b"}"),
    ("json", b'{"op": 1, "d": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}"),
    ("json", b"[" * DEEP),
    ("msgpack", b""),
    ("msgpack", b"\xc1"),
    ("msgpack", b"\x01"),
    ("msgpack", b"\x80"),
    ("msgpack", b"\x81\xa2op"),
    ("msgpack", b"\x81\xa2op\xc0"),
    ("msgpack", b"\x81\xa2op\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
    ("msgpack", b"\x81\xa2op\x01\x01"),
    ("msgpack", b"\x81\xa2\xff\xff\x01"),
    ("msgpack", b"\x81\xc4\x02op\x01"),
    ("msgpack", b"\xdf\xff\xff\xff\xff"),
    ("msgpack", b"\xdd\xff\xff\xff\xff"),
    ("msgpack", b"\xdb\xff\xff\xff\xff"),
    ("msgpack", b"\xc6\xff\xff\xff\xff"),
    ("msgpack", b"\xc9\xff\xff\xff\xff\x01"),
    ("msgpack", b"\x82\xa2op\x01\xa1d\xdd\xff\xff\xff\xff"),
    ("msgpack", b"\x82\xa2op\x01\xa1d\xdf\xff\xff\xff\xff\x01\x01"),
    ("msgpack", b"\x82\xa2op\x01\xa1d\xc1"),
    ("msgpack", b"\x82\xa2op\x01\xa1d" + b"\x91" * DEEP + b"\x01"),
    ("msgpack", b"\x82\xa2op\x01\xa1d" + b"\x81\xa1a" * 10_000 + b"\x01"),
    ("msgpack", b"\x91" * DEEP),
    ("msgpack", b'{"op": 1}'),
]


@pytest.mark.parametrize("before", [True, False], ids=["identified", "new"])
async def test_payloads_that_cannot_be_decoded_are_closed(world: World, *, before: bool) -> None:
    async def send(encoding: Encoding, data: bytes) -> tuple[bytes, int | None]:
        async with Raw(world.edges["us-1"].url, encoding) as raw:
            if before:
                await raw.identify(token(world, "ana"))
            await raw.send_bytes(data)
            return data[:40], await raw.close_code()

    for start in range(0, len(UNDECODABLE), 8):
        some = UNDECODABLE[start : start + 8]
        got = await asyncio.gather(*(send(*one) for one in some))
        assert got == [(data[:40], 4002) for _, data in some]


@pytest.mark.parametrize(
    ("op", "d"),
    [
        (Op.SUBSCRIBE, None),
        (Op.SUBSCRIBE, []),
        (Op.SUBSCRIBE, {}),
        (Op.SUBSCRIBE, {"rooms": "a"}),
        (Op.SUBSCRIBE, {"rooms": [1]}),
        (Op.SUBSCRIBE, {"rooms": [{"room": None}]}),
        (Op.SUBSCRIBE, {"rooms": [{"room": "a", "since": 5}]}),
        (Op.SUBSCRIBE, {"rooms": [{"room": "a", "since": {"last": 1, "first": 2}}]}),
        (Op.SUBSCRIBE, {"rooms": ["a"], "nonce": [1]}),
        (Op.UNSUBSCRIBE, {"rooms": [None]}),
        (Op.PUBLISH, {"data": 1}),
        (Op.PUBLISH, {"room": 7, "data": 1}),
        (Op.PUBLISH, {"room": "a", "ephemeral": "yes"}),
        (Op.HISTORY, {"room": "a"}),
        (Op.HISTORY, {"room": "a", "limit": "9"}),
        (Op.REFRESH, {"token": None}),
    ],
)
async def test_requests_of_a_wrong_shape_are_closed(world: World, op: Op, d: object) -> None:
    async with live(world) as raw:
        await raw.send(op, d)
        assert await raw.close_code() == 4002


async def test_lone_surrogates_are_no_text(world: World) -> None:
    for text in (rb'"\ud800"', rb'"\udc00"', rb'{"\ud800": 1}', b'"\xed\xa0\x80"'):
        async with live(world) as raw:
            await raw.send_bytes(b'{"op":22,"d":{"room":"a","nonce":1,"data":' + text + b"}}")
            assert await raw.close_code() == 4002
    async with live(world, encoding="msgpack") as raw:
        await raw.send_bytes(
            pack("msgpack", {"op": 22, "d": {"room": "a", "data": "@@@"}}).replace(
                b"@@@", b"\xed\xa0\x80"
            )
        )
        assert await raw.close_code() == 4002


async def test_frames_up_to_the_limit_and_no_larger(world: World) -> None:
    heartbeat = pack("json", {"op": 1, "d": None})
    async with live(world) as raw:
        await raw.send_bytes(heartbeat.ljust(32 * 1024))
        await raw.op(Op.HEARTBEAT_ACK)
        await raw.send_bytes(heartbeat.ljust(32 * 1024 + 1))
        assert await raw.close_code() == 1009
    async with live(world) as raw:  # in fragments, each of them small enough
        await raw.send_parts([heartbeat.ljust(16 * 1024), b" " * 16 * 1024, b" "])
        assert await raw.close_code() == 1009
    async with live(world) as raw:  # the code is read though there is more to be sent
        raw.ws.transport.write(b"\x81\xff" + struct.pack("!Q", 2**22) + b"mask" + b" " * 2**22)
        assert await raw.close_code() == 1009
    async with live(world) as raw:  # declared only, and never sent
        raw.ws.transport.write(b"\x81\xff" + struct.pack("!Q", 2**62) + b"mask")
        assert await raw.close_code() == 1009


async def test_fragments_up_to_the_limit_and_no_more(world: World) -> None:
    heartbeat = pack("json", {"op": 1, "d": None}).ljust(64)
    async with live(world) as raw:
        await raw.send_parts(bytes([byte]) for byte in heartbeat[:63])
        await raw.op(Op.HEARTBEAT_ACK)
        await raw.send_parts([b"", b"", heartbeat, b"", b""])  # fragments may be empty
        await raw.op(Op.HEARTBEAT_ACK)
        await raw.send_parts(bytes([byte]) for byte in heartbeat)
        assert await raw.close_code() == 1009
    async with live(world) as raw:
        await raw.send_parts([b""] * 100)
        assert await raw.close_code() == 1009
    async with live(world) as raw:  # a message that never ends
        raw.ws.transport.write(b"\x01\x80mask" + b"\x00\x80mask" * 20_000)
        assert await raw.close_code() == 1009


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x02{}",  # not masked
        b"\xf1\x80mask",  # reserved bits
        b"\x83\x80mask",  # an opcode that is none
        b"\x09\x80mask",  # a ping in fragments
        b"\x89\xfe\x01\x00mask" + b"x" * 256,  # a long ping
        b"\x80\x80mask",  # a continuation of nothing
        b"\x88\x81mask\x00",  # half a close code
    ],
)
async def test_broken_framing_is_a_protocol_error(world: World, frame: bytes) -> None:
    async with live(world) as raw:
        raw.ws.transport.write(frame)
        assert await raw.close_code() == 1002
