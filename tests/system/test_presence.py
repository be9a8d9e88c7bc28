"""Who is here: seen in every region, in windows of 2 s, and without a flicker."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from relay.core.codes import Op
from relay.core.grants import Act, RoomGrant
from tests.raw import Payload, Raw, token
from tests.ready import serving
from tests.views import LEEWAY_S, SOON_S, View, looking
from tests.world import World


async def test_everybody_is_seen_in_every_region_once_a_window_and_goes_once(world: World) -> None:
    room = "presence:plain"
    async with (
        Raw(world.edges["us-1"].url) as ana,
        Raw(world.edges["eu-1"].url, "msgpack") as bo,
        Raw(world.edges["ap-2"].url) as cy,
    ):
        await ana.identify(token(world, "ana"), looking(room))
        mine = View(ana, room)
        await mine.until({"ana": "online"})
        await bo.identify(token(world, "bo"), looking(room))
        await cy.identify(token(world, "cy"), room)  # is there, and looks at nobody
        theirs = View(bo, room)
        everybody = {"ana": "online", "bo": "online", "cy": "online"}
        await asyncio.gather(mine.until(everybody), theirs.until(everybody))
        assert theirs.frames[0]["first"]
        assert theirs.frames[0]["pages"] == 1
        await bo.send(Op.PRESENCE_UPDATE, {"status": "dnd", "custom": {"doc": 7}})
        await mine.until(everybody | {"bo": "dnd"})
        assert mine.custom == {"bo": {"doc": 7}}
        await cy.ws.close(1000)
        await asyncio.gather(
            mine.until({"ana": "online", "bo": "dnd"}), theirs.until({"ana": "online", "bo": "dnd"})
        )
        windows = [frame["window"] for frame in mine.frames if not frame.get("first")]
        assert len(windows) == len(set(windows)), "at most one frame in 2 s"


async def test_who_resumes_in_another_region_never_flickers(world: World) -> None:
    room = "presence:moves"
    async with Raw(world.edges["us-1"].url) as ana:
        await ana.identify(token(world, "ana"), looking(room))
        view = View(ana, room)
        bo = await Raw(world.edges["eu-1"].url).__aenter__()
        ready = (await bo.identify(token(world, "bo"), room))["d"]
        both = {"ana": "online", "bo": "online"}
        await view.until(both)
        before = len(view.frames)
        await bo.drop()
        await view.read_for(3)
        async with Raw(world.edges["ap-1"].url) as again:
            await again.resume(
                token(world, "bo"), ready["session_id"], cursor=ready["cursor"], rooms=[room]
            )
            await again.dispatched("RESUMED")
            await view.read_for(13)  # the grace at the old edge is over
            assert view.online == both
            assert [f for f in view.frames[before:] if f["offline"]] == []
            await again.drop()
        went_s = await view.until({"ana": "online"}, 10 + SOON_S + LEEWAY_S)
        assert went_s > 8, "a connection that breaks keeps its user for the grace time"


async def test_who_moves_is_seen_everywhere_as_he_was_also_if_he_does_not_say_it_again(
    world: World,
) -> None:
    room = "presence:silent-move"
    shown = {"bo": {"status": "dnd", "custom": {"doc": 7}}, "cy": {"status": "invisible"}}
    async with AsyncExitStack() as stack:
        viewers: list[View] = []
        for edge in ("eu-1", "ap-1", "us-1"):  # that is left, that is entered, another
            raw = await stack.enter_async_context(Raw(world.edges[edge].url))
            await raw.identify(token(world, "ana"), looking(room))
            viewers.append(View(raw, room))
        watcher = await stack.enter_async_context(Raw(world.edges["us-2"].url))
        await watcher.identify(token(world, "eve", watch=["*"]))
        await watcher.request(Op.WATCH, users=["bo", "cy"])
        movers: dict[str, tuple[Raw, Payload]] = {}
        for user, presence in shown.items():
            raw = await Raw(world.edges["eu-1"].url).__aenter__()
            movers[user] = raw, (await raw.identify(token(world, user), room))["d"]
            await raw.send(Op.PRESENCE_UPDATE, presence)
        there = {"ana": "online", "bo": "dnd"}
        for view in viewers:
            await view.until(there)
            assert view.custom == {"bo": {"doc": 7}}
        await watcher.until(_says("cy", "offline"))
        before = [len(view.frames) for view in viewers]
        watcher.seen.clear()
        for user, (raw, ready) in movers.items():
            await raw.drop()
            again = await stack.enter_async_context(Raw(world.edges["ap-1"].url))
            resumed = {"cursor": ready["cursor"], "rooms": [room]}
            await again.resume(token(world, user), ready["session_id"], **resumed)
            await again.dispatched("RESUMED")
        await asyncio.gather(
            *(view.read_for(9) for view in viewers)
        )  # and twice as long as the old edge shows them
        for view, seen in zip(viewers, before, strict=True):
            assert (view.online, view.custom) == (there, {"bo": {"doc": 7}})
            told = view.frames[seen:]
            assert [frame for frame in told if frame["offline"] or "cy" in frame["online"]] == []
        await watcher.acked()
        said = {(p["d"]["user"], p["d"]["status"]) for p in watcher.seen if p["t"] == "PRESENCE"}
        assert said <= {("bo", "dnd")}


def _says(user: str, status: str) -> Callable[[Payload], bool]:
    return lambda p: p["t"] == "PRESENCE" and p["d"] == {"user": user, "status": status}


async def test_who_moves_and_comes_back_is_not_let_go_by_what_is_said_of_the_move(
    world: World,
) -> None:
    room = "presence:there-and-back"
    async with Raw(world.edges["us-1"].url) as ana:
        await ana.identify(token(world, "ana"), looking(room))
        view = View(ana, room)
        bo = await Raw(world.edges["eu-1"].url).__aenter__()
        ready = (await bo.identify(token(world, "bo"), room))["d"]
        both = {"ana": "online", "bo": "online"}
        await view.until(both)
        before, cursor = len(view.frames), ready["cursor"]
        for edge in ("ap-1", "eu-1"):  # ap-1 says for a minute, every 5 s, that it has the session
            await bo.drop()
            bo = await Raw(world.edges[edge].url).__aenter__()
            await bo.resume(token(world, "bo"), ready["session_id"], cursor=cursor, rooms=[room])
            cursor = (await bo.dispatched("RESUMED"))["d"]["cursor"]
        await view.read_for(14)
        assert view.online == both
        assert [frame for frame in view.frames[before:] if frame["offline"]] == []
        await bo.ws.close(1000)
        await view.until({"ana": "online"})


async def test_who_was_at_an_edge_that_died_goes_once_and_who_resumed_stays(world: World) -> None:
    room = "presence:edge-dies"
    await serving(world, "eu-2")
    async with AsyncExitStack() as stack:
        views = []
        for edge in ("eu-1", "us-1"):
            raw = await stack.enter_async_context(Raw(world.edges[edge].url))
            await raw.identify(token(world, "ana"), looking(room))
            views.append(View(raw, room))
        users: dict[str, Payload] = {}
        for user in ("bo", "cy"):
            raw = await Raw(world.edges["eu-2"].url).__aenter__()
            users[user] = (await raw.identify(token(world, user), room))["d"]
        for view in views:
            await view.until({"ana": "online", "bo": "online", "cy": "online"})
        before = [len(view.frames) for view in views]
        await world.ctl("hold", "eu-2")
        try:
            back = await stack.enter_async_context(Raw(world.edges["eu-1"].url))
            bo = users["bo"]
            await back.resume(
                token(world, "bo"), bo["session_id"], cursor=bo["cursor"], rooms=[room]
            )
            await back.dispatched("RESUMED")
            there = {"ana": "online", "bo": "online"}
            went_s = await asyncio.gather(*(view.until(there, 14 + LEEWAY_S) for view in views))
            assert min(went_s) > 6, "its edge may be heard again"
            await asyncio.gather(*(view.read_for(5) for view in views))
            for view, seen in zip(views, before, strict=True):
                assert view.online == there
                assert [f["offline"] for f in view.frames[seen:] if f["offline"]] == [["cy"]]
        finally:
            await world.ctl("start", "eu-2")


async def two_devices(world: World, room: str) -> tuple[Raw, Raw]:
    """A phone in eu and a laptop in us of one user, `bo`, in a room."""
    devices = [await Raw(world.edges[edge].url).__aenter__() for edge in ("eu-1", "us-2")]
    for device in devices:
        await device.identify(token(world, "bo"), room)
    return devices[0], devices[1]


async def test_a_user_with_two_devices_is_there_until_both_have_gone(world: World) -> None:
    room = "presence:devices"
    async with Raw(world.edges["us-1"].url) as ana:
        await ana.identify(token(world, "ana"), looking(room))
        view = View(ana, room)
        phone, laptop = await two_devices(world, room)
        await phone.send(Op.PRESENCE_UPDATE, {"status": "idle"})
        await view.until({"ana": "online", "bo": "online"})
        await laptop.ws.close(1000)
        await view.until({"ana": "online", "bo": "idle"})
        await phone.send(Op.PRESENCE_UPDATE, {"status": "invisible"})
        await view.until({"ana": "online"})
        await phone.ws.close(1000)
        offline = [frame for frame in view.frames if "bo" in frame["offline"]]
        assert len(offline) == 1


async def test_a_phone_and_a_laptop_in_two_regions_are_one_user_who_goes_once(world: World) -> None:
    room = "presence:both"
    async with Raw(world.edges["ap-1"].url) as ana:
        await ana.identify(token(world, "ana"), looking(room))
        view = View(ana, room)
        phone, laptop = await two_devices(world, room)
        await view.until({"ana": "online", "bo": "online"})
        await laptop.ws.close(1000)
        await view.read_for(6.0)
        assert view.online == {"ana": "online", "bo": "online"}
        assert not any("bo" in frame["offline"] for frame in view.frames)
        await phone.ws.close(1000)
        await view.until({"ana": "online"})
        await view.read_for(6.0)
        assert sum("bo" in frame["offline"] for frame in view.frames) == 1
        assert sum("bo" in frame["online"] for frame in view.frames) == 1


async def test_ten_thousand_users_can_not_be_watched_by_one_session(world: World) -> None:
    async with Raw(world.edges["us-1"].url) as ana, Raw(world.edges["us-1"].url) as eve:
        await ana.identify(token(world, "ana", watch=["team:*"]))
        codes: list[str | None] = []
        for start in range(0, 10_000, 100):
            users = [f"team:{n}" for n in range(start, start + 100)]
            answer = await ana.request(Op.WATCH, users=users)
            codes.append(answer["d"].get("code"))
        assert codes == [None] * 10 + ["too_many_users"] * 90
        told = [payload for payload in ana.seen if payload["t"] == "PRESENCE"]
        assert len(told) <= 1_000
        assert (await ana.request(Op.WATCH, users=["team:5"]))["d"].keys() == {"nonce"}
        # All at once is more than a frame may hold: the connection ends with the code for that.
        await eve.identify(token(world, "eve", watch=["team:*"]))
        await eve.send(Op.WATCH, {"users": [f"team:{n}" for n in range(10_000)]})
        assert await eve.close_code() == 1009


async def test_single_users_are_watched_wherever_they_are(world: World) -> None:
    async with Raw(world.edges["us-1"].url) as ana, Raw(world.edges["ap-1"].url) as bo:
        await ana.identify(token(world, "ana", watch=["team:*"]))
        ack = await ana.request(Op.WATCH, users=["team:bo", "team:cy"])
        assert ack["d"].keys() == {"nonce"}
        first = [(await ana.dispatched("PRESENCE"))["d"] for _ in range(2)]
        assert {d["user"]: d["status"] for d in first} == {
            "team:bo": "offline", "team:cy": "offline",
        }  # fmt: skip
        await bo.identify(token(world, "team:bo"))
        assert (await ana.dispatched("PRESENCE"))["d"] == {"user": "team:bo", "status": "online"}
        await bo.ws.close(1000)
        assert (await ana.dispatched("PRESENCE"))["d"] == {"user": "team:bo", "status": "offline"}
        refused = await ana.request(Op.WATCH, users=["boss"])
        assert refused["d"]["code"] == "not_permitted"
        many = await ana.request(Op.WATCH, users=[f"team:{n}" for n in range(1_200)])
        assert many["d"]["code"] == "too_many_users"


async def test_presence_without_the_grant_and_what_is_no_presence(world: World) -> None:
    grant = RoomGrant("presence:*", frozenset({Act.SUBSCRIBE}))
    async with Raw(world.edges["us-1"].url) as ana:
        await ana.identify(token(world, "ana", grant))
        ack = await ana.request(Op.SUBSCRIBE, rooms=[looking("presence:secret")])
        assert ack["d"]["refused"] == [{"room": "presence:secret", "code": "not_permitted"}]
        for d, code in (
            ({"status": "asleep"}, "invalid_data"),
            ({"status": "online", "custom": {"x": "y" * 300}}, "too_large"),
        ):
            await ana.send(Op.PRESENCE_UPDATE, d)
            assert (await ana.op(Op.ERROR))["d"]["code"] == code
        for _ in range(6):
            await ana.send(Op.PRESENCE_UPDATE, {"status": "idle"})
        limited = await ana.op(Op.ERROR)
        assert limited["d"]["code"] == "rate_limited"
        assert limited["d"]["retry_after"] > 0


async def test_typing_is_told_to_the_room_and_not_too_often(world: World) -> None:
    room = "presence:typing"
    async with Raw(world.edges["us-1"].url) as ana, Raw(world.edges["eu-2"].url) as bo:
        await ana.identify(token(world, "ana"), room)
        await bo.identify(token(world, "bo"), room)
        for _ in range(5):
            await bo.send(Op.TYPING, {"room": room})
        typing = (await ana.dispatched("TYPING"))["d"]
        assert (typing["room"], typing["user"]) == (room, "bo")
        await bo.request(Op.PUBLISH, room=room, data="done")
        await ana.messages(1)
        assert len([p for p in ana.seen if p["t"] == "TYPING"]) == 1
