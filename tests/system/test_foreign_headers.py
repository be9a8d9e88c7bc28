"""What a backend writes into an event's headers harms nobody: it may say anything there."""

import asyncio

from nats.aio.client import Client

from relay.client import Message, connect
from relay.core.names import event_subject
from tests.raw import Raw, token
from tests.world import World

ROOM = "foreign:headers"
HEADERS = [
    {},
    {"Status": "204"},
    {"Status": "busy"},
    {"Jr-Epoch": "999"},
    {"Nats-Sequence": "1", "Nats-Subject": "ev.us._.0.elsewhere", "Nats-Last-Sequence": "7"},
    {"Jr-Epoch": "x", "Jr-Ts": "-5", "Jr-User": "a b", "Jr-Id": "*.>"},
    {},
]


async def test_every_event_of_a_backend_is_delivered_and_replayed_whatever_it_is_headed_with(
    world: World,
) -> None:
    config = world.nats_config("us", "backend")
    backend = Client()
    await backend.connect(
        config.servers, user=config.user, password=config.password, inbox_prefix="_INBOX_backend"
    )
    wanted = list(range(len(HEADERS)))
    async with Raw(world.edges["us-1"].url) as early, Raw(world.edges["eu-1"].url) as far:
        ready = (await early.identify(token(world, "ana"), ROOM))["d"]
        await far.identify(token(world, "bo"), ROOM)
        for number, headers in enumerate(HEADERS):
            subject = event_subject("us", "_", "0", ROOM)
            await backend.request(subject, b"%d" % number, 5, headers=headers or None)
        for raw in (early, far):
            got = await raw.messages(len(HEADERS))
            assert [message["d"]["data"] for message in got] == wanted
            assert {message["d"]["epoch"] for message in got} == {1}
            assert not [p for p in raw.seen if p["t"] == "GAP"]
        live = [p["d"]["seq"] for p in early.seen if p["t"] == "MESSAGE"]
        for edge in ("us-2", "eu-1"):  # from a ring, and from the streams
            async with Raw(world.edges[edge].url) as late:
                await late.resume(
                    token(world, "ana"), ready["session_id"], cursor=ready["cursor"], rooms=[ROOM]
                )
                resumed = await late.dispatched("RESUMED")
                again = [p["d"] for p in late.seen if p["t"] == "MESSAGE"]
                assert [d["data"] for d in again] == wanted
                assert [d["seq"] for d in again] == live
                assert {d["epoch"] for d in again} == {1}
                assert resumed["d"]["replayed"] == len(HEADERS)
    async with connect(world.edges["us-1"].url, token=token(world, "cy")) as client:
        page = await client.history(ROOM, limit=100)
        assert [event.data for event in page.events if isinstance(event, Message)] == wanted
    await backend.close()
    async with asyncio.timeout(10):  # and the world goes on: markers are written, rooms open
        async with Raw(world.edges["us-1"].url) as raw:
            await raw.identify(token(world, "dan"), "foreign:after")
