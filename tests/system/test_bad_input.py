"""Bad input over the real socket: each with the protocol's code, and the edge unharmed."""

import asyncio
import base64
import hashlib
import hmac
import json
import math
import re
import struct
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding as KeyEncoding
from cryptography.hazmat.primitives.serialization import PublicFormat
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from regions.identity import Identity, is_alive
from regions.jetstream import JetStream
from regions.state import StateDir
from relay.core import numbering
from relay.core.codes import Op
from relay.core.cursor import Cursor, CursorCodec, Position
from relay.core.grants import Act, RoomGrant
from tests.raw import EVERYTHING, ClosedError, Encoding, Payload, Raw, pack, token
from tests.world import World

ED_KEY = Ed25519PrivateKey.generate()
ED_PEM = ED_KEY.public_key().public_bytes(KeyEncoding.PEM, PublicFormat.SubjectPublicKeyInfo)
TOPOLOGY = f"""
[[regions]]
name = "us"
edges = 1

[limits]
identify_timeout_s = 3.0
resume_timeout_s = 1.0
heartbeat_interval_ms = 4000
publishes_per_s = 20.0
publish_burst = 40

[[tokens.keys]]
kid = "ed"
alg = "EdDSA"
key = '''{ED_PEM.decode()}'''
"""
BAD_ROOMS = [
    "a.b", "*", ">", "chat.*", "chat.>", "a b", " ", "a\r\nPUB ev.us._.0.x 1\r\n1", "a\n", "\n",
    "a\x00b", "", "r" * 129, "é", "室", "a/b", "a\u2028", "\ufeffa", "-.-",
    "$JS.API.STREAM.DELETE.EV_us",
]  # fmt: skip
PLAIN_SUBJECT = re.compile(
    r"(ev\.us|sig\.us|live\.us\.(us|\*)|siglive\.(us|\*))\.[_-]\.0\.[A-Za-z0-9_:-]{1,128}\Z"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One region with one edge, whose limits are short enough to meet them."""
    running = World(tmp_path_factory.mktemp("small") / "state", TOPOLOGY)
    running.launch()
    yield running
    running.clean()
    assert not running.leftovers()


@pytest.fixture
def url(world: World) -> str:
    return world.edges["us-1"].url


@pytest.fixture(autouse=True)
async def unharmed(world: World) -> AsyncIterator[None]:
    """After every test: the same process serves, and nothing broke inside it."""
    before = world.found().edge("us-1")
    yield
    edge = world.found().edge("us-1")
    assert edge == before
    assert edge.pid is not None
    assert edge.started is not None
    assert is_alive(Identity(edge.pid, edge.started))
    for path in ("/healthz", "/readyz"):
        assert await asyncio.to_thread(get, edge.http + path) == 200
    async with Raw(edge.url, "msgpack") as good:
        await good.identify(token(world, "good"), "good:room")
        ack = await good.request(Op.PUBLISH, room="good:room", data={"n": 1})
        assert ack["op"] == Op.ACK
        (own,) = [p for p in good.seen if p["t"] == "MESSAGE"] or await good.messages(1)
        assert own["d"]["seq"] == ack["d"]["seq"]
    log = StateDir(world.state_dir).edge_log("us-1").read_text()
    assert "Traceback" not in log, log[-4000:]
    assert "eyJ" not in log, "a token stands in the log"


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@asynccontextmanager
async def live(
    world: World, *grants: RoomGrant, encoding: Encoding = "json", user: str = "ana"
) -> AsyncIterator[Raw]:
    """A connection after its READY."""
    async with Raw(world.edges["us-1"].url, encoding) as raw:
        await raw.identify(token(world, user, *grants))
        yield raw


def cursors(world: World) -> CursorCodec:
    return CursorCodec(bytes.fromhex(world.found().secrets.cursor_key))


def place(world: World, ready: Payload) -> Position:
    """Where the home stream stands, from a READY."""
    return cursors(world).decode(ready["d"]["cursor"]).positions["us"]


def now_s(slot: int = 0, ahead_ms: int = 0) -> int:
    """`s` of this moment."""
    return numbering.s_at(int(time.time() * 1000) + ahead_ms, slot)


# --- the handshake -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("/gateway?encoding=etf", 400, "'etf'"),
        ("/gateway?encoding=", 400, "''"),
        ("/gateway?encoding=JSON", 400, "'JSON'"),
        ("/gateway?encoding=%0d%0aSet-Cookie:%20a", 400, "Set-Cookie"),
        ("/gateway?compress=zlib-stream", 400, "'zlib-stream'"),
        ("/gateway?compress=zstd-stream&encoding=msgpack", 400, "'zstd-stream'"),
        ("/gateway?compress=nonsense", 400, "'nonsense'"),
        ("/nowhere", 404, "/nowhere"),
        ("/gateway/", 404, "/gateway/"),
        ("/" + "x" * 5000, 404, "xxx"),
    ],
)
async def test_a_handshake_that_asks_for_what_is_not_there(
    world: World, path: str, status: int, named: str
) -> None:
    base = world.edges["us-1"].url.removesuffix("/gateway")
    with pytest.raises(InvalidStatus) as refused:
        async with connect(base + path, proxy=None):
            pass
    response = refused.value.response
    assert response.status_code == status
    assert named in bytes(response.body or b"").decode()
    assert len(response.body or b"") < 300
    assert "Set-Cookie" not in response.headers


async def test_a_plain_get_is_told_to_upgrade(world: World) -> None:
    http = world.edges["us-1"].http
    assert await asyncio.to_thread(get, http + "/gateway") == 426
    assert await asyncio.to_thread(get, http + "/") == 426
    assert await asyncio.to_thread(get, http + "/nowhere") == 404
    assert await asyncio.to_thread(get, http + "/metrics") == 404


@pytest.mark.parametrize("version", ["9", "11", "", "10%20", "x" * 100, "-1"])
async def test_an_unknown_version_is_closed(url: str, version: str) -> None:
    async with connect(f"{url}?v={version}", proxy=None) as ws:
        await ws.wait_closed()
        assert ws.close_code == 4012


@pytest.mark.parametrize("query", ["v=1", "v=10", "unknown=1"])
async def test_known_versions_are_served_at_both_paths(world: World, url: str, query: str) -> None:
    for address in (url, url.removesuffix("gateway")):
        async with Raw(address, query=query) as raw:
            await raw.identify(token(world, "ana"))


# --- frames ------------------------------------------------------------------------------------

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


# --- the order of things -----------------------------------------------------------------------


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


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize("op", [Op.PRESENCE_UPDATE, Op.TYPING, Op.WATCH, Op.UNWATCH])
async def test_what_is_not_served_yet_says_so(world: World, op: Op, encoding: Encoding) -> None:
    async with live(world, encoding=encoding) as raw:
        answer = await raw.request(op, room="a", users=["b"], status="online")
        assert (answer["op"], answer["d"]["code"]) == (Op.ERROR, "unavailable")
        await raw.acked()


# --- rooms -------------------------------------------------------------------------------------


async def test_room_names_that_are_none_come_nowhere_near_a_subject(world: World, url: str) -> None:
    for encoding in ("json", "msgpack"):
        async with Raw(url, encoding) as raw:
            ready = await raw.identify(token(world, "ana"), *BAD_ROOMS, "plain:a")
            assert ready["d"]["rooms"] == ["plain:a"]
            told = [(refusal["room"], refusal["code"]) for refusal in ready["d"]["refused"]]
            assert told == [(room[:128], "invalid_room") for room in BAD_ROOMS]

            wanted = [*({"room": room, "since": {"last": 5}} for room in BAD_ROOMS), "plain:b"]
            ack = await raw.request(Op.SUBSCRIBE, rooms=wanted)
            assert ack["d"]["rooms"] == ["plain:b"]
            assert {refusal["code"] for refusal in ack["d"]["refused"]} == {"invalid_room"}
            assert len(ack["d"]["refused"]) == len(BAD_ROOMS)

            for number, room in enumerate(BAD_ROOMS):
                answer = await raw.request(Op.PUBLISH, room=room, data=1, ephemeral=number % 2 == 1)
                assert answer["d"]["code"] in ("invalid_room", "rate_limited"), answer
                answer = await raw.request(Op.HISTORY, room=room, limit=5)
                assert (answer["op"], answer["d"]["code"]) == (Op.ERROR, "invalid_room")
            assert (await raw.request(Op.UNSUBSCRIBE, rooms=BAD_ROOMS))["op"] == Op.ACK

        async with Raw(url, encoding) as raw:
            first = await raw.identify(token(world, "ana"))
        async with Raw(url, encoding) as raw:
            await raw.resume(
                token(world, "ana"),
                first["d"]["session_id"],
                cursor=first["d"]["cursor"],
                rooms=BAD_ROOMS,
            )
            resumed = await raw.dispatched("RESUMED")
            assert resumed["d"]["rooms"] == []
            assert {refusal["code"] for refusal in resumed["d"]["refused"]} == {"invalid_room"}
    await only_plain_subjects(world)


async def only_plain_subjects(world: World) -> None:
    """Whatever the region's NATS stores or is subscribed to has the form that we give it."""
    js = await JetStream.connect("us", world.nats_config("us", "control"))
    try:
        for stream in ("EV_us", "SIGNAL"):
            info = await js._ask(f"STREAM.INFO.{stream}", {"subjects_filter": ">"})
            assert info is not None
            subjects = info["state"].get("subjects", {})
            assert stream == "SIGNAL" or subjects
            assert [s for s in subjects if not PLAIN_SUBJECT.match(s)] == []
    finally:
        await js.close()
    monitor = world.found().region("us").nats[0].monitor_url

    def subscriptions() -> list[str]:
        with urllib.request.urlopen(f"{monitor}/subsz?subs=1&limit=10000", timeout=10) as got:
            return [one["subject"] for one in json.load(got)["subscriptions_list"]]

    listened = [
        subject
        for subject in await asyncio.to_thread(subscriptions)
        if subject.startswith(("live.", "siglive.")) and subject != "live.us.>"  # the watcher's
    ]
    assert listened
    assert [subject for subject in listened if not PLAIN_SUBJECT.match(subject)] == []


async def test_rooms_that_are_not_granted(world: World, url: str) -> None:
    grants = (
        RoomGrant("read:*", frozenset({Act.SUBSCRIBE})),
        RoomGrant("write:a", frozenset({Act.PUBLISH})),
    )
    async with Raw(url) as raw:
        ready = await raw.identify(
            token(world, "ana", *grants),
            "read:a",
            "write:a",
            "else:a",
            {"room": "read:b", "since": {"last": 1}},
            {"room": "read:c", "presence": True},
        )
        assert ready["d"]["rooms"] == ["read:a"]
        refused = {"write:a", "else:a", "read:b", "read:c"}
        assert {one["room"] for one in ready["d"]["refused"]} == refused
        assert {one["code"] for one in ready["d"]["refused"]} == {"not_permitted"}
        ack = await raw.request(Op.SUBSCRIBE, rooms=["write:a", "read:d"])
        assert ack["d"]["rooms"] == ["read:d"]
        assert ack["d"]["refused"] == [{"room": "write:a", "code": "not_permitted"}]
        for d in (
            {"op": Op.PUBLISH, "room": "read:a", "data": 1},
            {"op": Op.PUBLISH, "room": "write:ab", "data": 1},
            {"op": Op.PUBLISH, "room": "read:a", "data": 1, "ephemeral": True},
            {"op": Op.HISTORY, "room": "read:a", "limit": 1},
        ):
            answer = await raw.request(**d)  # type: ignore[arg-type]
            assert (answer["op"], answer["d"]["code"]) == (Op.ERROR, "not_permitted")
        assert (await raw.request(Op.PUBLISH, room="write:a", data=1))["op"] == Op.ACK


async def test_more_rooms_than_a_session_has(world: World, url: str) -> None:
    rooms = [f"many:{number}" for number in range(130)]
    async with Raw(url) as raw:
        ready = await raw.identify(token(world, "ana"), *rooms)
        assert ready["d"]["rooms"] == rooms[:128]
        too_many = [{"room": room, "code": "too_many_rooms"} for room in rooms[128:]]
        assert ready["d"]["refused"] == too_many
        ack = await raw.request(Op.SUBSCRIBE, rooms=["many:129", "many:5"])
        assert (ack["d"]["rooms"], ack["d"]["refused"]) == (["many:5"], too_many[1:])
        await raw.request(Op.UNSUBSCRIBE, rooms=["many:5"])
        ack = await raw.request(Op.SUBSCRIBE, rooms=["many:129"])
        assert ack["d"]["rooms"] == ["many:129"]


# --- publishing --------------------------------------------------------------------------------


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
        for op in (Op.PUBLISH, Op.SUBSCRIBE, Op.UNSUBSCRIBE, Op.HISTORY, Op.REFRESH, Op.TYPING):
            await raw.send(
                op,
                {"nonce": nonce, "room": "a", "rooms": ["a"], "limit": 1, "token": "x", "data": 1},
            )
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


# --- tokens ------------------------------------------------------------------------------------


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(
    header: object,
    claims: object,
    secret: bytes,
    digest: Callable[..., Any] = hashlib.sha256,
) -> str:
    """A token signed by hand, since libraries refuse to make these."""
    parts = [
        b64(part if isinstance(part, bytes) else json.dumps(part).encode())
        for part in (header, claims)
    ]
    text = ".".join(parts)
    return f"{text}.{b64(hmac.new(secret, text.encode(), digest).digest())}"


def bad_tokens(world: World) -> dict[str, str]:
    secret = bytes.fromhex(world.token_key().key)
    head = {"alg": "HS256", "typ": "JWT", "kid": "local"}
    now = int(time.time())
    rooms = [{"match": "*", "can": ["subscribe"]}]
    good: dict[str, object] = {"sub": "ana", "iat": now, "exp": now + 600, "rooms": rooms}

    def without(key: str) -> dict[str, object]:
        return {k: v for k, v in good.items() if k != key}

    def claims(**changed: object) -> str:
        return signed(head, good | changed, secret)

    def header(**changed: object) -> str:
        return signed(head | changed, good, secret)

    unsigned = signed({"alg": "none", "kid": "local"}, good, secret).rpartition(".")[0] + "."
    fine = claims()
    first, middle, last = fine.split(".")
    other = b64(json.dumps(good | {"sub": "root"}).encode())
    return {
        "expired": claims(iat=now - 700, exp=now - 1),
        "expires now": claims(exp=now),
        "alg none": unsigned,
        "alg None with a signature": header(alg="None"),
        "alg none, signed": header(alg="none"),
        "unknown kid": header(kid="other"),
        "no kid": signed({"alg": "HS256"}, good, secret),
        "kid is a list": header(kid=["local"]),
        "kid is a number": header(kid=1),
        "kid is a path": header(kid="../../dev/null"),
        "HS512 for the key of HS256": signed(head | {"alg": "HS512"}, good, secret, hashlib.sha512),
        "EdDSA for the key of HS256": jwt.encode(
            good, ED_KEY, algorithm="EdDSA", headers={"kid": "local"}
        ),
        "HS256 with the public key as secret": signed(head | {"kid": "ed"}, good, ED_PEM),
        "EdDSA said, HMAC signed": signed({"alg": "EdDSA", "kid": "ed"}, good, ED_PEM),
        "another EdDSA key": jwt.encode(
            good, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "ed"}
        ),
        "another secret": signed(head, good, b"x" * 32),
        "an empty secret": signed(head, good, b""),
        "claims changed": f"{first}.{other}.{last}",
        "no signature": f"{first}.{middle}.",
        "two parts": f"{first}.{middle}",
        "four parts": f"{fine}.x",
        "lives too long": claims(exp=now + 86_401),
        "no exp": signed(head, without("exp"), secret),
        "no iat": signed(head, without("iat"), secret),
        "no sub": signed(head, without("sub"), secret),
        "exp is text": claims(exp="never"),
        "exp of 4,000 digits": claims(exp=int("9" * 4000)),
        "exp is infinite": claims(exp=math.inf),
        "iat in the future": claims(iat=now + 60, exp=now + 600),
        "not yet valid": claims(nbf=now + 60),
        "sub is empty": claims(sub=""),
        "sub with a dot": claims(sub="a.b"),
        "sub with a wildcard": claims(sub=">"),
        "sub with a space": claims(sub="a b"),
        "sub with a newline": claims(sub="ana\n"),
        "sub with NUL": claims(sub="a\x00"),
        "sub is long": claims(sub="u" * 129),
        "sub is a number": claims(sub=7),
        "sub has a lone surrogate": claims(sub="\ud800"),
        "rooms is a map": claims(rooms={"match": "*"}),
        "a star in the middle": claims(rooms=[{"match": "a*b", "can": ["subscribe"]}]),
        "two stars": claims(rooms=[{"match": "**", "can": ["subscribe"]}]),
        "a pattern with a dot": claims(rooms=[{"match": "a.*", "can": ["subscribe"]}]),
        "an empty pattern": claims(rooms=[{"match": "", "can": ["subscribe"]}]),
        "an act that is none": claims(rooms=[{"match": "*", "can": ["rule"]}]),
        "300 grants": claims(rooms=[{"match": "a", "can": []}] * 300),
        "claims are a list": signed(head, [good], secret),
        "claims are no JSON": signed(head, b"{", secret),
        "claims are no UTF-8": signed(head, b'{"sub": "\xff"}', secret),
        "claims nested deep": signed(head, b"[" * 5000, secret),
        "header nested deep": signed(b"[" * 5000, good, secret),
        "header is a list": signed([head], good, secret),
        "a critical extension": header(crit=["exp2"], exp2=1),
        "a detached payload": header(b64=False, crit=["b64"]),
        "empty": "",
        "dots": "..",
        "no base64": "!.?.*",
        "text": "let me in",
        "Unicode": "é.室.\x00",
        "9,000 characters": "a" * 9000,
    }


async def test_tokens_that_authenticate_nobody(world: World, url: str) -> None:
    bad = bad_tokens(world)
    codes: dict[str, int | None] = {}

    async def identify(name: str, text: str) -> None:
        async with Raw(url) as raw:
            await raw.send(Op.IDENTIFY, {"token": text, "rooms": ["a"]})
            codes[name] = await raw.close_code()
            assert len(raw.seen) == 1

    names = list(bad)
    for start in range(0, len(names), 8):
        await asyncio.gather(*(identify(name, bad[name]) for name in names[start : start + 8]))
    assert codes == dict.fromkeys(bad, 4004)


async def test_tokens_that_resume_or_refresh_nothing(world: World, url: str) -> None:
    bad = bad_tokens(world)
    for name in ("expired", "alg none", "another secret", "text"):
        async with live(world) as raw:
            ready = raw.seen[-1]["d"]
            await raw.send(Op.REFRESH, {"token": bad[name], "nonce": 1})
            assert await raw.close_code() == 4004
        async with Raw(url) as raw:
            await raw.resume(bad[name], ready["session_id"], cursor=ready["cursor"], rooms=[])
            assert await raw.close_code() == 4004
    async with live(world) as raw:
        await raw.send(Op.REFRESH, {"token": token(world, "bo"), "nonce": 1})
        assert await raw.close_code() == 4004


async def test_the_good_tokens_beside_the_bad_ones(world: World, url: str) -> None:
    now = int(time.time())
    claims = {"sub": "ed", "iat": now, "exp": now + 60}
    claims |= {"rooms": [{"match": "*", "can": ["subscribe"]}]}
    for good in (
        jwt.encode(claims, ED_KEY, algorithm="EdDSA", headers={"kid": "ed"}),
        jwt.encode(
            claims | {"exp": now + 86_400, "custom": [1]},
            bytes.fromhex(world.token_key().key),
            headers={"kid": "local"},
        ),
    ):
        async with Raw(url) as raw:
            assert (await raw.identify(good))["d"]["user"] == {"id": "ed"}


async def test_a_token_that_grants_nothing(world: World, url: str) -> None:
    secret = bytes.fromhex(world.token_key().key)
    now = int(time.time())
    for rooms in ([], [{"match": "*", "can": []}]):
        claims = {"sub": "ana", "iat": now, "exp": now + 60, "rooms": rooms}
        async with Raw(url) as raw:
            await raw.send(
                Op.IDENTIFY, {"token": signed({"alg": "HS256", "kid": "local"}, claims, secret)}
            )
            assert await raw.close_code() == 4014


async def test_a_token_that_runs_out_ends_the_connection(world: World, url: str) -> None:
    async with Raw(url) as raw:
        await raw.identify(token(world, "ana", ttl_s=4), "a")
        warning = await raw.op(Op.ERROR)
        assert warning["d"]["code"] == "token_expiring"
        assert await raw.close_code() == 4004


# --- resuming ----------------------------------------------------------------------------------


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
        assert [name for name, _ in told] == ["GAP", "MESSAGE"]
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


@pytest.mark.parametrize("seq", [lambda: now_s(200), lambda: now_s(4095), lambda: 0, lambda: 4095])
async def test_numbers_of_which_there_is_no_record(
    world: World, url: str, seq: Callable[[], int]
) -> None:
    async with live(world) as raw:
        session_id = raw.seen[-1]["d"]["session_id"]
    async with Raw(url) as raw:
        await raw.resume(token(world, "ana"), session_id, seq=seq())
        again, e = await refusal(raw)
        assert (again, e["reason"]) == (False, "expired")
        await raw.identify(token(world, "ana"), "a")


# --- everything at once ------------------------------------------------------------------------


async def test_a_crowd_of_the_ill_behaved_beside_a_good_client(world: World, url: str) -> None:
    async def misbehave(number: int) -> int | None:
        encoding, data = UNDECODABLE[number % len(UNDECODABLE)]
        async with Raw(url, encoding) as raw:
            await raw.identify(token(world, f"bad-{number}"), "crowd:a")
            await raw.send_bytes(data)
            return await raw.close_code()

    async def drop(number: int) -> None:
        async with Raw(url) as raw:
            await raw.send(Op.IDENTIFY, {"token": token(world, f"gone-{number}"), "rooms": ["a"]})
            raw.ws.transport.write(b"\x81\xfe")
            await raw.drop()

    async with Raw(url) as good:
        await good.identify(token(world, "ana", EVERYTHING), "crowd:a")
        crowd = asyncio.gather(*map(misbehave, range(40)), *map(drop, range(20)))
        for number in range(30):
            assert (await good.request(Op.PUBLISH, room="crowd:a", data=number))["op"] == Op.ACK
        codes = await crowd
        assert set(codes) == {4002, None}
        while len(good.data()) < 30:  # the last may come after its ACK
            await good.receive()
        await good.acked()
        assert good.data() == list(range(30))
        with pytest.raises(ClosedError):
            await good.send(99)
            await good.op(Op.ACK)
