"""Room names that are none, rooms that are not granted, and too many of them."""

import asyncio
import json
import urllib.error
import urllib.request

from regions.jetstream import JetStream
from relay.core.codes import Op
from relay.core.grants import Act, RoomGrant
from tests.raw import Raw, token
from tests.system.bad_input.small import BAD_ROOMS, PLAIN_SUBJECT
from tests.world import World


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
            subjects: dict[str, int] = {}
            async with asyncio.timeout(10):
                while not subjects:  # the first marker comes a second after the edge
                    info = await js._ask(f"STREAM.INFO.{stream}", {"subjects_filter": ">"})
                    assert info is not None
                    subjects = info["state"].get("subjects", {})
                    if stream == "SIGNAL":
                        break
                    await asyncio.sleep(0.1)
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
