"""Clients that mean harm, or die at a bad moment: nobody else notices, and nothing stays behind."""

import asyncio
import socket
import struct
import urllib.request
from urllib.parse import urlsplit

from relay.core.codes import Op
from tests.raw import ClosedError, Raw, token
from tests.world import World


async def metric(world: World, edge: str, name: str) -> float:
    """A metric of an edge, from its admin listener."""
    admin = world.found().edge(edge).admin

    def read() -> str:
        with urllib.request.urlopen(f"{admin}/metrics", timeout=5) as answer:
            text: bytes = answer.read()
            return text.decode()

    for line in (await asyncio.to_thread(read)).splitlines():
        if line.startswith(f"jetrelay_{name}{{"):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no metric {name}")


async def settles(world: World, edge: str, name: str, value: float) -> None:
    """Wait until a metric has this value."""
    async with asyncio.timeout(10):
        while await metric(world, edge, name) != value:
            await asyncio.sleep(0.1)


def messages(raw: Raw) -> list[int]:
    """The sequences of the MESSAGEs seen."""
    return [p["d"]["seq"] for p in raw.seen if p["t"] == "MESSAGE"]


async def test_a_client_that_half_closes_with_a_full_buffer_costs_the_others_nothing(
    world: World,
) -> None:
    url, room, size = world.edges["us-1"].url, "hostile:half", 20_000
    async with Raw(url) as publisher, Raw(url) as bad:
        await publisher.identify(token(world, "publisher"))
        await bad.identify(token(world, "bad"), room)
        good = [await Raw(url).__aenter__() for _ in range(6)]
        for one in good:
            await one.identify(token(world, "good"), room)
        bad.ws.transport.pause_reading()
        for number in range(60):  # more than the kernel's buffers take
            await publisher.request(Op.PUBLISH, room=room, data=[number, "x" * size])
        raw = bad.ws.transport.get_extra_info("socket")
        raw.shutdown(socket.SHUT_WR)
        for number in range(60, 80):
            await publisher.request(Op.PUBLISH, room=room, data=[number, ""])
        for one in good:
            got = await one.messages(80)
            assert [message["d"]["data"][0] for message in got] == list(range(80))
            await one.ws.close()
        await bad.drop()


async def test_floods_end_their_own_connection_only(world: World) -> None:
    url = world.edges["us-1"].url
    async with Raw(url) as victim:
        await victim.identify(token(world, "victim"), "hostile:flood")
        for kind in ("ping", "heartbeat"):
            async with Raw(url) as flooder:
                frame = b"\x89\x80\0\0\0\0" if kind == "ping" else None
                if frame is not None:
                    flooder.ws.transport.write(frame * 5_000)
                else:
                    for _ in range(1_000):
                        await flooder.send(Op.HEARTBEAT, None)
                assert await flooder.close_code() == 4008
            await victim.acked()
        assert not [p for p in victim.seen if p["op"] == Op.RECONNECT]


async def test_rooms_and_sessions_are_let_go_whatever_the_client_does(world: World) -> None:
    edge, user = "ap-1", token(world, "careless")
    url = world.edges[edge].url
    rooms = [f"hostile:{number}" for number in range(50)]
    async with Raw(url) as twice:
        await twice.identify(user)
        for nonce in (1, 2):
            await twice.send(Op.SUBSCRIBE, {"rooms": rooms, "nonce": nonce})
        await twice.until(lambda p: p["op"] == Op.ACK and p["d"]["nonce"] == 2)
        ack = await twice.request(Op.PUBLISH, room=rooms[0], data=1)
        while not messages(twice):  # it may come before the ACK, or after it
            await twice.receive()
        await twice.acked()
        seqs = messages(twice)
        assert seqs == [ack["d"]["seq"]], "once, though subscribed twice"
        for start in (0, 25):
            part = [f"hostile:brief:{number}" for number in range(start, start + 25)]
            await twice.send(Op.SUBSCRIBE, {"rooms": part, "nonce": f"s{start}"})
            await twice.send(Op.UNSUBSCRIBE, {"rooms": part, "nonce": f"u{start}"})
        await twice.until(lambda p: p["op"] == Op.ACK and p["d"]["nonce"] == "s25")
        await settles(world, edge, "rooms", 50)
    await settles(world, edge, "rooms", 0)
    for number in range(10):
        async with Raw(url) as first:
            ready = await first.identify(user)
        async with Raw(url) as gone:
            d = {"session_id": ready["d"]["session_id"], "cursor": ready["d"]["cursor"]}
            await gone.resume(user, **d, rooms=[f"hostile:gone:{number}"])
            raw = gone.ws.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gone.ws.transport.abort()
    await settles(world, edge, "sessions", 0)
    await settles(world, edge, "rooms", 0)


async def test_half_a_request_is_not_waited_for(world: World) -> None:
    parts = urlsplit(world.edges["us-1"].http)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"GET /healthz HT")
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_request_target_that_is_no_url_is_refused(world: World) -> None:
    parts = urlsplit(world.edges["us-1"].http)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        b"GET //[ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    async with asyncio.timeout(10):
        status = await reader.readline()
    assert status.split()[1] in {b"400", b"404"}
    writer.close()
    await writer.wait_closed()


async def test_the_edges_say_nothing_of_failures(world: World) -> None:
    """After all of the above."""
    for edge in world.edges:
        assert await metric(world, edge, "errors_total") == 0
        log = (world.state_dir / "edges" / f"{edge}.log").read_text()
        assert "Traceback" not in log
    try:
        async with Raw(world.edges["us-1"].url) as after:
            await after.identify(token(world, "after"))
    except ClosedError as error:
        raise AssertionError("an edge was harmed") from error


async def test_half_a_request_is_not_waited_for_be_it_the_first_or_a_later_one(
    world: World,
) -> None:
    parts = urlsplit(world.edges["us-1"].url)
    whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

    async def ended_after(before: bytes) -> float:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            if before:
                writer.write(before)
                assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
            writer.write(whole[:-4])
            began = asyncio.get_running_loop().time()
            async with asyncio.timeout(30):
                while await reader.read(1024):
                    pass
            return asyncio.get_running_loop().time() - began
        finally:
            writer.close()

    assert all(
        seconds > 5 for seconds in await asyncio.gather(ended_after(b""), ended_after(whole))
    )
