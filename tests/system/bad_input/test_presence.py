"""Presence, typing and watching that are asked for wrongly."""

import pytest

from relay.core.codes import Op
from relay.core.grants import Act, RoomGrant
from tests.raw import Encoding
from tests.system.bad_input.small import live
from tests.world import World


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize(
    ("op", "d", "code"),
    [
        (Op.PRESENCE_UPDATE, {}, "invalid_data"),
        (Op.PRESENCE_UPDATE, {"status": "asleep"}, "invalid_data"),
        (Op.PRESENCE_UPDATE, {"status": ["online"]}, "invalid_data"),
        (Op.PRESENCE_UPDATE, {"status": "idle", "custom": "x"}, "invalid_data"),
        (Op.PRESENCE_UPDATE, {"status": "idle", "custom": {"x": "é" * 200}}, "too_large"),
        (Op.TYPING, {"room": "a b"}, "invalid_room"),
        (Op.TYPING, {"room": "elsewhere:a"}, "not_permitted"),
        (Op.WATCH, {"users": ["ben", "a b"]}, "invalid_data"),
        (Op.WATCH, {"users": ["ben"]}, "not_permitted"),
    ],
)
async def test_what_is_wrong_is_named(
    world: World, op: Op, d: object, code: str, encoding: Encoding
) -> None:
    chat = RoomGrant("chat:*", frozenset(Act))
    async with live(world, chat, encoding=encoding) as raw:
        await raw.send(op, d)
        answer = await raw.receive()
        assert (answer["op"], answer["d"]["code"]) == (Op.ERROR, code)
        await raw.acked()


@pytest.mark.parametrize(
    ("op", "d"),
    [
        (Op.PRESENCE_UPDATE, ["idle"]),
        (Op.TYPING, {}),
        (Op.TYPING, {"room": 7}),
        (Op.WATCH, {"users": "ben"}),
        (Op.WATCH, {"users": ["ben", 7]}),
        (Op.UNWATCH, {}),
    ],
)
async def test_what_has_not_the_shape_of_the_request_closes(
    world: World, op: Op, d: object
) -> None:
    async with live(world) as raw:
        await raw.send(op, d)
        assert await raw.close_code() == 4002
