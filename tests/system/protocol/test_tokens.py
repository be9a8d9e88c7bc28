"""REFRESH."""

from relay.core.codes import Op
from relay.core.grants import Act, RoomGrant
from tests.raw import Encoding, Raw, token
from tests.system.protocol.talk import data, heard, say, url
from tests.world import World


async def test_a_token_is_refreshed_in_time(world: World, encoding: Encoding) -> None:
    async with Raw(url(world), encoding) as raw:
        await raw.identify(token(world, "ana", ttl_s=61), "fresh:a")
        warning = await raw.op(Op.ERROR)
        assert warning["d"]["code"] == "token_expiring"
        assert "nonce" not in warning["d"]
        ack = await raw.request(Op.REFRESH, token=token(world, "ana", ttl_s=61))
        assert ack["d"] == {"nonce": ack["d"]["nonce"]}
        assert (await raw.op(Op.ERROR))["d"]["code"] == "token_expiring"
        # Fewer grants: the room that is granted no more is left.
        less = RoomGrant("other:*", frozenset(Act))
        await raw.request(Op.REFRESH, token=token(world, "ana", less))
        told = raw.seen[-2]
        assert (told["op"], told["d"]["code"]) == (Op.ERROR, "not_permitted")
        refused = await raw.request(Op.PUBLISH, room="fresh:a", data=1)
        assert refused["d"]["code"] == "not_permitted"
        await say(raw, "other:a", 1)
        async with Raw(url(world), encoding) as bo:
            await bo.identify(token(world, "bo"), "fresh:a")
            await say(bo, "fresh:a", "unheard")
            await heard(bo, "fresh:a", "unheard")
        await raw.acked()
        assert data(raw.seen) == []
