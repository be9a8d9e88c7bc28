"""Clients and rooms, for which edges are asked: what is asked when, and what comes of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from textual.pilot import Pilot

from cli.backing import recording
from console.app import ConsoleApp
from console.backing import Backing
from console.commands import parse
from console.dialogs.kick import KickScreen
from console.doing.acting import ARMED_MS
from console.past.file import FilePast
from console.svg import screen_text
from console.views.clients import ClientTable
from regions.inquiries.fleet import FleetClient, FleetClients
from regions.inquiries.gathering import Missing
from regions.steering.health import EdgeKey
from relay.core.inquiry_answers import Traced
from tests.console.clerk import (
    PLACES,
    Clerk,
    client,
    handle,
    one,
    one_room,
    room_at,
    traced_frame,
)
from tests.console.scenario import EDGES, frame, quiet
from tests.console.stage import Stage, settle, until
from tests.console.test_past import write

Golden = Callable[[ConsoleApp, str], None]
NOW_MS = 79_600
SECRET = "a secret"


class Console:
    """A console over a quiet fleet whose edges are played by a clerk."""

    def __init__(self, stage: Stage, pilot: Pilot[None], clerk: Clerk) -> None:
        self.stage, self.pilot, self.app, self.clerk = stage, pilot, stage.app, clerk
        self.now_ms = NOW_MS

    @property
    def text(self) -> str:
        return screen_text(self.app.screen)

    @property
    def said(self) -> str:
        return "\n".join(note.message for note in self.app._notifications)

    async def later(self, ms: int = 400) -> None:
        """Time goes on; what is asked is answered, unless the clerk lets wait, and drawn."""
        self.now_ms += ms
        asked = -1
        while asked != len(self.clerk.asked):
            asked = len(self.clerk.asked)
            await settle(self.stage, self.pilot, self.now_ms)
            await until(self.pilot, lambda: not self.clerk.gate.is_set() or not is_asking())

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.later()

    async def typed(self, text: str) -> None:
        await self.pilot.press(*("space" if char == " " else char for char in text), "enter")
        await self.later()

    async def tell(self, *lines: str) -> None:
        """A `:` line."""
        for line in lines:
            self.app.tell(*parse(line))
            await self.later()

    async def arm(self) -> None:
        await self.tell("arm ticket 42")
        await until(self.pilot, lambda: self.app.acting.armed is not None)

    async def shows(self, text: str) -> None:
        """Wait until it stands on the screen."""

        def there() -> bool:
            self.app.repaint()
            return text in self.text

        await until(self.pilot, there)

    async def confirming(self) -> None:
        """Wait until the name of a client is to be typed."""
        await until(self.pilot, lambda: step(self) == "confirm")


def is_asking() -> bool:
    """Whether a question waits for its answer."""
    return any(task.get_name() == "console.ask" for task in asyncio.all_tasks())


def step(shown: Console) -> str:
    """How far closing a connection is."""
    screen = shown.app.screen
    return screen.step if isinstance(screen, KickScreen) else ""


@asynccontextmanager
async def console(
    clerk: Clerk, size: tuple[int, int] = (120, 36), backing: Backing | None = None
) -> AsyncIterator[Console]:
    stage = Stage(EDGES, backing=backing or clerk.backing(control=True))
    async with stage.app.run_test(size=size) as pilot:
        stage.connect()
        stage.play(quiet(4, start=76))
        await settle(stage, pilot, NOW_MS)
        yield Console(stage, pilot, clerk)


async def test_the_screens_that_edges_are_asked_for(golden: Golden) -> None:
    clerk = Clerk()
    clerk.room_ = one_room(*(room_at(*place, behind=6 * (place[1] == "eu-2")) for place in PLACES))
    async with console(clerk) as shown:
        for width, height in ((80, 24), (120, 36), (200, 50)):
            await shown.pilot.resize_terminal(width, height)
            shown.now_ms = NOW_MS
            for lines in (("clients",), (f"client {handle(0)}",), ("rooms",)):
                await shown.tell(*lines)
                golden(shown.app, f"{lines[0].split()[0]}-{width}x{height}")
            await shown.tell("room chat:lobby")
            await shown.later(2_000)
            golden(shown.app, f"room-{width}x{height}")


# --- questions -----------------------------------------------------------------------------------


async def test_the_query_and_the_order_are_the_edges_to_answer() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.press("3")
        everywhere = [EdgeKey(*place) for place in PLACES]
        assert clerk.told("clients") == [("", "queue", 29, everywhere)]
        await shown.press("slash")
        await shown.typed("region=ap and rtt>200")
        assert clerk.told("clients")[-1] == ("region=ap and rtt>200", "queue", 29, everywhere)
        assert "60 match, of 5,402 connections" in shown.text
        assert "· /region=ap and rtt>200 · queue ▼" in shown.text
        await shown.press("o")
        assert clerk.told("clients")[-1][1] == "-queue"
        await shown.press("s")
        assert clerk.told("clients")[-1][1] == "rooms"
        await shown.tell("sort user")
        assert clerk.told("clients")[-1][1] == "user"
        before = list(clerk.asked)  # what is no query is said before anybody is asked
        for line, why in (
            ("filter rttt=1", "no field 'rttt': did you mean rtt?"),
            ("clients queue>many", "'many' is no number"),
            ("sort age2", "no field 'age2'"),
        ):
            shown.app.tell(*parse(line))
            await shown.pilot.pause()
            assert why in shown.said
        assert clerk.asked == before
        await shown.tell("region eu", "clients user~ana")
        assert clerk.told("clients")[-1][0] == "user~ana"
        assert clerk.told("clients")[-1][3] == [EdgeKey("eu", "eu-1"), EdgeKey("eu", "eu-2")]
        await shown.press("end")  # the last row: a page more
        assert clerk.told("clients")[-1][2] == 58
        assert "Clients (58)" in shown.text
        shown.app.query_one("#clients", ClientTable).cursor = 250
        assert shown.app.query_one("#clients", ClientTable).wanted == 200


async def test_edges_are_asked_again_while_it_is_shown_and_only_then(tmp_path: Path) -> None:
    clerk = Clerk()
    past = recording(FilePast(write(tmp_path / "r.gz", list(quiet(20, start=60))))).past
    async with console(clerk, backing=clerk.backing(past=past)) as shown:
        assert clerk.asked == []
        await shown.press("3")
        await shown.later(1_000)
        assert len(clerk.asked) == 1
        await shown.later(2_000)
        assert len(clerk.asked) == 2
        await shown.press("f")
        await shown.later(10_000)  # the picture is held
        assert len(clerk.asked) == 2
        await shown.press("f")
        assert len(clerk.asked) == 3
        await shown.press("1")
        await shown.later(10_000)
        assert len(clerk.asked) == 3
        await shown.press("3", "T")
        await until(shown.pilot, lambda: shown.app.scene.player is not None)
        asked = len(clerk.asked)
        await shown.later(10_000)
        assert len(clerk.asked) == asked
        assert "clients and rooms are not kept: this is the past" in shown.text
        assert "bo1" not in shown.text
        await shown.press("r", "K")
        assert clerk.traces == []


async def test_what_edges_do_not_answer_is_said_and_stops_nothing() -> None:
    clerk = Clerk()
    clerk.clients_ = FleetClients(
        rows=[client(1)], matched=1, of=40, cut=True, missing=[Missing("us", "us-2", "no answer")]
    )
    async with console(clerk, (200, 50)) as shown:
        for second in range(80, 95):  # all but ap-1 go on
            for region, edge in PLACES:
                if edge != "ap-1":
                    shown.stage.hear(frame(region, edge, second), second * 1000)
        shown.now_ms = 95_000
        await shown.press("3")
        assert EdgeKey("ap", "ap-1") not in clerk.told("clients")[-1][3]
        assert "1 match, of 40 connections, cut: too many bytes" in shown.text
        assert "▲ no answer of us-2 (no answer), ap-1 (not heard for 1" in shown.text
        clerk.gate.clear()
        await shown.later(3_000)
        await shown.later(8_000)
        assert len(clerk.asked) == 2
        assert "▲ answered 1" in shown.text
        assert "s ago, asking again for 8s" in shown.text
        assert "bo1" in shown.text
        await shown.press("2")  # the console goes on
        assert "Edges (6)" in shown.text
        await shown.tell("clients user=bo1")  # what is not wanted any more is not waited for
        assert clerk.told("clients")[-1][0] == "user=bo1"
        assert clerk.most_at_once == 1
        assert "asking …" in shown.text
        clerk.gate.set()
        await shown.later()
        assert "answered 0s ago" in shown.text
        clerk.error = "no edge answers: us-1: no answer"
        await shown.later(3_000)
        assert "✗ no edge answers: us-1: no answer" in shown.text
        assert "bo1" in shown.text  # with its age
        clerk.error, clerk.refusal = "", "no region answers"
        await shown.later(3_000)
        assert "✗ no region answers" in shown.text
        clerk.refusal = ""
        await shown.later(3_000)
        assert clerk.opened == 2  # through another region, if need be
        assert "✗" not in shown.text


async def test_a_console_that_can_not_ask_says_so() -> None:
    async with console(Clerk(), backing=Backing()) as shown:
        for line in ("clients", "rooms", "client wWHCZXU8", "room chat:lobby"):
            await shown.tell(line)
            assert "✗ this console has no way to ask edges" in shown.text
        await shown.tell("trace wWHCZXU8")
        assert "no way to ask edges" in shown.said


# --- one client ----------------------------------------------------------------------------------


async def test_a_client_is_opened_and_followed_until_it_is_gone() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.press("3", "down", "enter")
        assert clerk.told("client")[-1][0] == handle(1)
        assert "● bo1 at us-2 of us" in shown.text
        assert "edge drain" in shown.text  # how a connection of it ended
        await shown.later(2_000)
        assert len(clerk.told("client")) == 2
        await shown.press("enter")
        assert clerk.told("room")[-1][:2] == ("chat:lobby", "_")
        await shown.press("escape")
        clerk.client_ = FleetClient(found=[], ends=one(client(1)).ends, missing=[])
        await shown.later(2_000)
        assert f"✗ no edge that answered has session {handle(1)}" in shown.text
        assert "broke off" in shown.text
        await shown.tell("client abc")
        assert "8 characters of it at least" in shown.said
        nobody = client(0, session="", user="", phase="new")
        clerk.clients_ = FleetClients(rows=[nobody], matched=1, of=1, missing=[], cut=False)
        await shown.tell("clients user!=x")
        await shown.press("enter")
        assert "this client has not said who it is" in shown.said
        await shown.press("r")
        assert clerk.traces == []


async def test_names_are_hidden_on_every_screen_while_they_are_to_be() -> None:
    clerk = Clerk()
    row = client(1)
    hidden = (row.user, row.session[:8], "203.0", "chat:lobby", "chat:ops", "team-", "m-1", SECRET)
    async with console(clerk) as shown:
        await shown.arm()
        await shown.press("p")
        shown.app.clear_notifications()
        traced = Traced(session=row.session, frames=[traced_frame(0, d=f'"{SECRET}"')])
        await clerk.parts.put(traced)
        for line in ("clients", f"client {row.session}", "rooms", "room chat:lobby",
                     f"trace {row.session}"):  # fmt: skip
            await shown.tell(line)
            await shown.later(2_000)
            for name in hidden:
                assert name not in shown.text, (line, name)
        assert "(hidden)" in shown.text
        await shown.tell("clients user=bo1")
        assert "bo1" not in shown.text
        clerk.error = f"no edge has session {row.session}"
        await shown.tell(f"client {row.session}")
        assert "✗ no edge has session ·" in shown.text


# --- kick ----------------------------------------------------------------------------------------


async def test_a_connection_is_closed_by_who_is_armed_and_typed_its_user() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.press("3", "K")
        assert step(shown) == ""
        await shown.tell("kick")
        assert "read-only until it is armed" in shown.said
        await shown.arm()
        await shown.press("K")
        await shown.confirming()
        assert "ana, session s00ZCXU8RBFXYHCP, at us-1 of us" in shown.text
        assert "it misses nothing" in shown.text
        await shown.typed("bo1")
        assert "That is not ana" in shown.text
        assert clerk.kicked == []
        await shown.typed("ana")
        await until(shown.pilot, lambda: bool(clerk.kicked))
        assert clerk.kicked == [(handle(0), "ticket 42", 4000)]
        await shown.shows("kick ana  ✓ its connection at us-1 was closed with 4000")
        await shown.press("O")
        assert "✓ its connection" not in shown.text
        await shown.press("down", "K")
        await shown.confirming()
        await shown.press("escape")
        await shown.press("K")
        await shown.confirming()
        await shown.later(ARMED_MS)
        await shown.typed("bo1")
        assert "nothing was done: the console is read-only again" in shown.said
        assert len(clerk.kicked) == 1


async def test_how_it_is_closed_can_be_said_and_why_it_was_not_is() -> None:
    clerk = Clerk(unkicked="us-1: no answer: it may be closed, or not")
    async with console(clerk) as shown:
        await shown.arm()
        for line, why in (
            ("kick", "kick which client?"),
            ("kick short", "8 characters at least"),
            (f"kick {handle(0)} code=1000", "one of 4000, 4021, 4004"),
            (f"kick {handle(0)} now", "what is 'now'?"),
        ):
            shown.app.tell(*parse(line))
            await shown.pilot.pause()
            assert why in shown.said, line
        for number, why in ((0, "no edge that answered"), (2, "2 sessions begin so")):
            clerk.client_ = FleetClient(
                found=one(client(0)).found * number, ends=[],
                missing=[Missing("ap", "ap-1", "no answer")],
            )  # fmt: skip
            await shown.tell("kick s00ZCXU8")
            await until(shown.pilot, lambda: step(shown) == "over")
            assert why in shown.text
            assert "ap-1 (no answer)" in shown.text
            await shown.press("enter")
        clerk.client_ = one(client(0, user="an\u202ea"))  # nobody can type that
        await shown.tell(f"kick {handle(0)} code=4004")
        await shown.confirming()
        assert "It is told to stay away" in shown.text
        await shown.typed(handle(0)[:8])
        await shown.press("3")
        await shown.shows("✗ us-1: no answer: it may be closed, or not")
    assert clerk.kicked == []


# --- trace ---------------------------------------------------------------------------------------


async def test_a_trace_is_masked_and_ends_by_itself_or_by_its_key() -> None:
    clerk = Clerk()
    async with console(clerk, backing=clerk.backing()) as shown:
        await shown.press("3", "r")
        await shown.shows("◉ traced   ends by itself in 59s; r or esc ends it")
        assert clerk.traces == [(handle(0), False)]
        assert "payloads are masked: this login may not see them" in shown.text
        frames = [traced_frame(number) for number in range(4)]
        await clerk.parts.put(Traced(session=handle(0), frames=frames, skipped=7))
        await shown.later(20_000)
        assert "ends by itself in 39s" in shown.text
        assert "4 frames · 7 passed too fast to be shown" in shown.text
        assert "← client" in shown.text
        assert "PUBLISH" in shown.text
        await clerk.parts.put(Traced(session=handle(0), ended="its time is over"))
        await shown.shows("□ ended: its time is over")
        assert "4 frames" in shown.text
        await shown.press("r")
        await shown.shows("◉ traced")
        await shown.press("r")
        await shown.shows("□ ended: stopped")
        assert len(clerk.traces) == 2
        await shown.press("r")
        await until(shown.pilot, lambda: len(clerk.traces) == 3)
        await shown.press("escape")
        await until(shown.pilot, lambda: clerk.stopped == 3)
        assert shown.app.navigation.shown == "pane-clients"
        clerk.refusal = "no region answers"
        await shown.press("r")
        await shown.shows("□ ended: no region answers")


async def test_payloads_are_seen_by_who_may_while_the_console_is_armed() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.tell("room chat:lobby")
        await shown.later()
        assert clerk.told("peek") == [("chat:lobby", "_", 30, False)]
        assert "without payloads: W shows them" in shown.text
        await shown.tell(f"trace {handle(0)}")
        await shown.shows("payloads are masked: they are shown when armed (W)")
        await shown.press("r")
        await shown.arm()
        await shown.press("r")
        await shown.shows("✎ payloads are shown; the edge logs who looks")
        assert clerk.traces == [(handle(0), False), (handle(0), True)]
        await clerk.parts.put(Traced(session=handle(0), frames=[traced_frame(0, d=f'"{SECRET}"')]))
        await shown.shows(SECRET)
        await shown.press("W")
        await until(shown.pilot, lambda: clerk.stopped == 2)
        assert "□ ended: the console is armed no more" in shown.text
        assert SECRET not in shown.text
        await shown.arm()
        assert SECRET not in shown.text  # it was forgotten
        await shown.press("escape")
        await shown.later()
        assert clerk.told("peek")[-1] == ("chat:lobby", "_", 30, True)
        await shown.shows(SECRET)
        await shown.press("W")
        assert SECRET not in shown.text
        await shown.later()
        assert clerk.told("peek")[-1] == ("chat:lobby", "_", 30, False)


# --- rooms ---------------------------------------------------------------------------------------


async def test_an_edge_that_stays_behind_stands_out_and_one_that_catches_up_does_not() -> None:
    clerk = Clerk()

    def told(behind: int) -> None:
        places = [room_at(*place, behind=behind * (place[1] == "eu-1")) for place in PLACES[:3]]
        clerk.room_ = one_room(*places)

    told(6)
    async with console(clerk) as shown:
        await shown.tell("rooms", "sort rate", "filter rate>10")
        assert clerk.told("rooms")[-1][:2] == ("rate>10", "rate")
        assert "chat:lobby  last of  ap 1:47,913  eu 1:48,013  us 1:48,113" in shown.text
        await shown.press("down")
        assert clerk.told("room")[-1][:2] == ("chat:ops", "_")
        await shown.press("enter")
        assert clerk.most_at_once == 1
        assert "48,107 -6" in shown.text
        assert "▲ 48,107 -6" not in shown.text  # it may be on its way
        await shown.later(2_000)
        assert "▲ 48,107 -6" in shown.text
        told(0)
        assert clerk.room_ is not None
        opened = room_at("ap", "ap-1")  # only now: none of its events came since
        origins = [msgspec.structs.replace(each, newest=50_000) for each in opened.room.origins]
        clerk.room_.edges.append(room_at("ap", "ap-1", origins=origins))
        for _ in range(2):
            await shown.later(2_000)
            assert "▲ 4" not in shown.text
        assert "50,000" in shown.text
        await shown.press("escape")
        await shown.later(3_000)
        assert "last of  ap 1:47,913  eu 1:48,013  us 1:48,113" in shown.text
        await shown.tell("room no spaces please!")
        assert "no room can be called so" in shown.said


async def test_an_edge_shows_its_first_clients_where_there_is_room() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.tell("edge us-1")
        assert clerk.told("clients") == [("", "queue", 5, [EdgeKey("us", "us-1")])]
        assert "Top clients (5)" in shown.text
        shown.app.screen.set_focus(shown.app.query_one("#edge-clients"))
        await shown.press("down", "enter")
        assert "● bo1 at" in shown.text
        await shown.press("escape")
        asked = len(clerk.told("clients"))
        await shown.pilot.resize_terminal(120, 35)
        await shown.later(6_000)
        assert len(clerk.told("clients")) == asked
        assert "Top clients" not in shown.text
