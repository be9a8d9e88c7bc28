"""The ordered dispatch point: 50 rooms, three origins, one edge, one order per origin."""

import asyncio
from typing import Any

from relay.client import connect
from relay.core.cursor import CursorCodec
from tests.raw import Raw, token
from tests.world import World

ROOMS = [f"order:{number}" for number in range(50)]
EACH = 1_500  # events of each origin


async def publish(world: World, region: str) -> list[tuple[str, int]]:
    """Publish to all rooms in turn, as fast as acknowledged; the rooms and sequences."""
    stored: list[tuple[str, int]] = []
    url = world.regions[region].edges[-1].url
    async with connect(url, token=token(world, f"p-{region}"), listen=False) as client:

        async def one(number: int) -> None:
            room = ROOMS[number % len(ROOMS)]
            ack = await client.publish(room, number, id=f"{region}-{number}")
            stored.append((room, ack.seq or 0))

        for start in range(0, EACH, 250):
            await asyncio.gather(*(one(number) for number in range(start, start + 250)))
    return stored


async def test_fifty_rooms_keep_one_order_and_the_position_never_lies(world: World) -> None:
    cursors = CursorCodec(bytes.fromhex(world.found().secrets.cursor_key))
    async with Raw(world.regions["eu"].edges[0].url) as raw:
        await raw.identify(token(world, "reader"), *ROOMS)
        publishing = [
            asyncio.get_running_loop().create_task(publish(world, region))
            for region in world.regions
        ]
        await raw.messages(EACH * len(world.regions))
        stored = [await task for task in publishing]
        await raw.acked()
        messages = [p for p in raw.seen if p["t"] == "MESSAGE"]

    due: dict[str, list[int]] = {}
    for region, acknowledged in zip(world.regions, stored, strict=True):
        due[region] = sorted(seq for _, seq in acknowledged)
    got: dict[str, list[int]] = {region: [] for region in world.regions}
    for message in messages:
        d: dict[str, Any] = message["d"]
        got[d["origin"]].append(d["seq"])
        assert_true_cursor(cursors, message["c"], due, got)
    assert got == due, "each event once, in the order of its origin, no inversion"


def assert_true_cursor(
    cursors: CursorCodec, text: str, due: dict[str, list[int]], got: dict[str, list[int]]
) -> None:
    """The cursor in a frame: everything up to it came with this frame or before."""
    for origin, position in cursors.decode(text).positions.items():
        arrived = got[origin][-1] if got[origin] else 0
        index = len(got[origin])
        following = due[origin][index] if index < len(due[origin]) else None
        assert position.seq >= arrived
        assert following is None or position.seq < following, "past an undelivered event"
