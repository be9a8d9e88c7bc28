"""Everything at once, beside a client that behaves."""

import asyncio

import pytest

from relay.core.codes import Op
from tests.raw import EVERYTHING, ClosedError, Raw, token
from tests.system.bad_input.test_frames import UNDECODABLE
from tests.world import World


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
