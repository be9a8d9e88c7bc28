"""What these tests say and look for."""

import asyncio
import urllib.error
import urllib.request

from relay.core.codes import Op
from relay.core.cursor import Cursor, CursorCodec
from tests.raw import Payload, Raw
from tests.world import World


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
