"""Slow readers."""

import asyncio
import socket

from tests.raw import Encoding, Raw, token
from tests.system.protocol.talk import body, say, url
from tests.world import World


async def test_who_reads_too_slowly_is_closed_and_resumes(world: World, encoding: Encoding) -> None:
    room = f"slow:{encoding}"
    count = 300
    metrics = world.found().edge("us-1").admin + "/metrics"

    async def closed_as_too_slow() -> int:
        text = await asyncio.to_thread(body, metrics)
        return sum(
            round(float(line.split()[1]))
            for line in text.splitlines()
            if line.startswith("jetrelay_closes_total") and 'code="4020"' in line
        )

    before = await closed_as_too_slow()
    async with Raw(url(world), encoding) as slow, Raw(url(world, "us-2"), encoding) as bo:
        ready = (await slow.identify(token(world, "ana"), room))["d"]
        slow.ws.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384
        )
        slow.ws.transport.pause_reading()
        await bo.identify(token(world, "bo"))
        for number in range(count):
            await say(bo, room, [number, "x" * 30_000])
        slow.ws.transport.resume_reading()
        # The code, or nothing when it was cut off before it read so far.
        assert await slow.close_code() in (4020, None)
        async with asyncio.timeout(20):
            while await closed_as_too_slow() != before + 1:
                await asyncio.sleep(0.1)
        got = [p for p in slow.seen if p["t"] == "MESSAGE"]
        assert len(got) < count
        async with Raw(url(world, "us-2"), encoding) as again:
            cursor = got[-1]["c"] if got else ready["cursor"]
            await again.resume(
                token(world, "ana"), ready["session_id"], cursor=cursor, rooms=[room]
            )
            await again.dispatched("RESUMED")
            got += [p for p in again.seen if p["t"] == "MESSAGE"]
            assert [p["d"]["data"][0] for p in got] == list(range(count))
