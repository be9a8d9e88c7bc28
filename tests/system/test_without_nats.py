"""An edge without its NATS keeps its clients for a while, then sends them to the next region."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from regions import http
from relay.client import Message, Resumed, connect
from relay.core.codes import Op
from tests.raw import Raw, token
from tests.ready import serving
from tests.world import World, running

LATE_S = 1.0  # a busy machine
TOPOLOGY = """
[limits]
nats_patience_s = 4.0

[[regions]]
name = "us"
edges = 2

[[regions]]
name = "eu"
edges = 1
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two regions whose edges lose patience after 4 s instead of 10."""
    with running(tmp_path_factory.mktemp("alone"), TOPOLOGY) as world:
        yield world


async def test_a_short_outage_moves_nobody_and_loses_nothing(pair: World) -> None:
    async with Raw(pair.edges["us-1"].url) as raw:
        await raw.identify(token(pair, "stays"), "alone:short")
        await pair.ctl("stop", "us-n1")
        refused = await raw.request(Op.PUBLISH, room="alone:short", data="lost", id="x1")
        assert refused["d"]["code"] == "unavailable"
        answer = await http.get(f"{pair.edges['us-1'].http}/readyz")
        assert answer is not None
        assert answer.status == 503
        await pair.ctl("start", "us-n1")
        await serving(pair, "us-1")
        ack = await raw.request(Op.PUBLISH, room="alone:short", data="kept", id="x2")
        assert ack["op"] == Op.ACK
        while not raw.data():
            await raw.receive()
        assert raw.data() == ["kept"], "what was refused was not stored"
        assert not [p for p in raw.seen if p["op"] in (Op.RECONNECT, Op.REGIONS)]


async def test_every_publish_is_answered_while_the_server_says_nothing(pair: World) -> None:
    await serving(pair, "us-1")
    url = pair.edges["us-1"].url
    async with Raw(url) as raw:
        await raw.identify(token(pair, "waits"), "alone:paused", "alone:other")
        await pair.ctl("pause", "us-n1")
        try:
            rooms = ["alone:paused"] * 3 + ["alone:other"]
            began_s = time.monotonic()
            for nonce, room in enumerate(rooms):
                d = {"room": room, "data": nonce, "id": f"p{nonce}", "nonce": nonce}
                await raw.send(Op.PUBLISH, d)
            refused = [(await raw.op(Op.ERROR))["d"] for _ in rooms]
            waited_s = time.monotonic() - began_s
        finally:
            await pair.ctl("continue", "us-n1")
        assert waited_s < 2 + LATE_S
        assert sorted(d["nonce"] for d in refused) == [0, 1, 2, 3]
        assert {d["code"] for d in refused} == {"unavailable"}
        await serving(pair, "us-1")
        # Those that were sent may have been stored: a retry with the id says which.
        for nonce, room in enumerate(rooms):
            ack = await raw.request(Op.PUBLISH, room=room, data=nonce, id=f"p{nonce}")
            assert ack["op"] == Op.ACK
        while len(raw.data()) < len(rooms):
            await raw.receive()
        assert sorted(raw.data()) == [0, 1, 2, 3], "each of them once"


async def test_a_long_outage_sends_clients_to_the_next_region(pair: World) -> None:
    await serving(pair, "us-1")
    await serving(pair, "eu-1")
    async with (
        Raw(pair.edges["us-1"].url) as raw,
        connect(
            pair.edges["us-2"].url, token=token(pair, "moves"), rooms=["alone:long"], states=True
        ) as client,
        connect(pair.edges["eu-1"].url, token=token(pair, "writer")) as writer,
    ):
        await raw.identify(token(pair, "told"), "alone:long")
        assert client.region == "us"
        await pair.ctl("stop", "us-n1")
        try:
            told = await raw.op(Op.REGIONS)
            assert [region["name"] for region in told["d"]] == ["eu"]
            await raw.op(Op.RECONNECT)
            for query in ("v=10", "v=10&resume=1"):
                with pytest.raises(InvalidStatus) as refused:  # it takes nobody new
                    async with Raw(pair.edges["us-1"].url, query=query):
                        pass
                assert refused.value.response.status_code == 503
                assert int(refused.value.response.headers["Retry-After"]) >= 1
            await writer.publish("alone:long", "meanwhile", id="m1")
            heard: list[object] = []
            regions: list[str] = []
            async with asyncio.timeout(15):
                while not (heard and regions):
                    match await anext(client):
                        case Message(data=data):
                            heard.append(data)
                        case Resumed(region=region):
                            regions.append(region)
                        case _:
                            pass
            assert (heard, regions) == (["meanwhile"], ["eu"])
            assert client.stats.lost == 0
        finally:
            await pair.ctl("start", "us-n1")
        await serving(pair, "us-1")
