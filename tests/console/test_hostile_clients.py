"""Text of clients and rooms, wherever edges tell of them: it is drawn, and does nothing else."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from console.commands import parse
from console.dialogs.kick import Kick, KickScreen
from console.svg import screen_text
from regions.inquiries.fleet import EndAt, FleetClient, FleetClients, FleetRooms
from regions.inquiries.gathering import Missing
from relay.core.inquiry_answers import Ended, Granted, OriginOfRoom, Seat, Traced
from tests.console.answers import (
    client,
    event,
    found,
    one_room,
    room_at,
    room_row,
    traced_frame,
)
from tests.console.clerk import Clerk
from tests.console.scenario import quiet
from tests.console.stage import Stage, settle, until
from tests.console.test_hostile import ANY_TEXT, EVIL, FUZZ, assert_harmless


def tell_evil(clerk: Clerk, evil: str) -> None:
    """Let edges say it wherever they say something of clients and rooms."""
    row = client(
        0, session=evil, tenant=evil, user=evil, region=evil, edge=evil, phase=evil, country=evil,
        device=evil, agent=evil, address=evil, transport=evil, encoding=evil,
    )  # fmt: skip
    missing = [Missing(evil, evil, evil)]
    at = found(
        row, grants=[Granted(evil, [evil])], watch=[evil], shown=evil, rooms=[Seat(evil)],
        positions={evil: (1, 2)}, ahead={evil: 2},
    )  # fmt: skip
    origin = OriginOfRoom(
        origin=evil, epoch=1, position=2, newest=2, lag_ms=None, repairing=True, holes=1,
        ring_events=1, ring_bytes=1, ring_base=1, oldest_ms=10**18,
    )  # fmt: skip
    here = room_at(evil, evil, encodings={evil: 1}, origins=[origin])
    clerk.data = clerk.unkicked = evil
    clerk.settings_ = {"us-1": {evil: evil, "geoip": evil}}
    clerk.clients_ = FleetClients(rows=[row], matched=1, of=1, missing=missing, cut=True)
    ends = [EndAt(region=evil, edge=evil, end=Ended(-(10**18), evil, 1))]
    clerk.client_ = FleetClient(found=[at], ends=ends, missing=missing)
    rooms = [room_row(evil, 0, tenant=evil, region=evil, edge=evil)]
    clerk.rooms_ = FleetRooms(rows=rooms, whole=False, missing=missing)
    clerk.room_ = one_room(here, missing=missing)
    clerk.events = [event(0, origin=evil, user=evil, id=evil, ts_ms=10**18)]
    traced = traced_frame(0, t=evil, room=evil, d=evil, op=10**6, at_ms=-(10**18))
    clerk.parts.put_nowait(Traced(session=evil, frames=[traced], skipped=1, ended=evil))


async def show_clients(evils: Sequence[str]) -> None:
    """Every screen for which edges are asked, and what is done there."""
    clerk = Clerk()
    stage = Stage({"us": ("us-1",)}, backing=clerk.backing(control=True))
    async with stage.app.run_test(size=(100, 30)) as pilot:
        stage.connect()
        stage.play(quiet(2))
        stage.app.tell(*parse("arm ticket 42"))
        await until(pilot, lambda: stage.app.acting.armed is not None)
        for round_, evil in enumerate(evils):
            tell_evil(clerk, evil)
            clerk.error = ""
            for number, line in enumerate(("edge us-1", "clients", "client 12345678", "rooms",
                                           "room lobby", "trace 12345678",
                                           "kick 12345678")):  # fmt: skip
                stage.app.tell(*parse(line))
                await settle(stage, pilot, 2_000 + 30_000 * round_ + 4_000 * number)
                assert_harmless(screen_text(stage.app.screen))
            kick = stage.app.screen
            assert isinstance(kick, KickScreen)
            assert kick.step == "confirm"
            kick.dismiss(Kick(evil, evil, 4000))
            clerk.error = evil
            stage.app.tell(*parse("clients"))
            await settle(stage, pilot, 29_000 + 30_000 * round_)
            assert_harmless(screen_text(stage.app.screen))
            for strip in stage.app.screen._compositor.render_strips():
                assert not any(s.style and s.style.meta.get("@click") for s in strip)
            await pilot.click(offset=(8, 6), times=2)
            assert stage.app.is_running
            assert stage.app.return_code is None
        for kind in ("settings", "clients", "client", "rooms", "room", "peek", "kick"):
            assert clerk.told(kind), kind
        assert clerk.traces


async def test_evil_texts_of_clients_and_rooms() -> None:
    await show_clients(["".join(EVIL[:5]), "".join(EVIL[5:])])


@FUZZ
@given(st.lists(ANY_TEXT, min_size=1, max_size=1))
async def test_any_text_of_clients_and_rooms(texts: list[str]) -> None:
    await show_clients(texts)
