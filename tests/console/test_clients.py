"""Clients, for which edges are asked: what is asked when, and how what comes is shown."""

from collections.abc import Callable
from pathlib import Path

from cli.backing import recording
from console.app import ConsoleApp
from console.backing import Backing
from console.commands import parse
from console.past.file import FilePast
from console.views.clients import ClientTable
from regions.inquiries.fleet import FleetClient, FleetClients
from regions.inquiries.gathering import Missing
from regions.steering.health import EdgeKey
from relay.core.inquiry_answers import Traced
from tests.console.answers import PLACES, client, handle, one, one_room, room_at, traced_frame
from tests.console.asked import NOW_MS, console
from tests.console.clerk import Clerk
from tests.console.scenario import frame, quiet
from tests.console.stage import until
from tests.console.test_past import write

Golden = Callable[[ConsoleApp, str], None]
SECRET = "a secret"


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


async def test_the_query_and_the_order_are_the_edges_to_answer() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.press("3")
        everywhere = [EdgeKey(*place) for place in PLACES]
        assert clerk.told("clients") == [("", "queue", 17, everywhere)]
        await shown.press("slash")
        await shown.typed("rtt>200")
        assert clerk.told("clients")[-1] == ("rtt>200", "queue", 17, everywhere)
        assert "60 match, of 5,402 connections" in shown.text
        assert "· /rtt>200 · queue ▼" in shown.text
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
        assert clerk.told("clients")[-1][2] == 34
        assert "Clients (34)" in shown.text
        shown.app.query_one("#clients", ClientTable).cursor = 250
        assert shown.app.query_one("#clients", ClientTable).wanted == 200


async def test_edges_are_asked_again_while_it_is_shown_and_only_then(tmp_path: Path) -> None:
    clerk = Clerk()
    past = recording(FilePast(write(tmp_path / "r.gz", list(quiet(20, start=60))))).past
    async with console(clerk, backing=clerk.backing(past=past)) as shown:
        assert clerk.asked == []
        await shown.press("3")
        await shown.later(1_000)
        first = len(clerk.asked)
        assert first == 1
        await shown.later(2_000)
        assert len(clerk.asked) == first + 1
        await shown.press("f")
        await shown.later(10_000)  # the picture is held
        assert len(clerk.asked) == first + 1
        await shown.press("f")
        assert len(clerk.asked) == first + 2
        await shown.press("1")
        await shown.later(10_000)
        assert len(clerk.asked) == first + 2
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
        await shown.later(0)  # or it is asked at 94 s, or at 95
        await shown.press("3")
        assert EdgeKey("ap", "ap-1") not in clerk.told("clients")[-1][3]
        assert "1 match, of 40 connections, cut: too many bytes" in shown.text
        assert "▲ no answer of us-2 (no answer), ap-1 (not heard for 1" in shown.text
        clerk.gate.clear()
        before = len(clerk.asked)  # once more, where the table got its size after the first time
        await shown.later(3_000)
        await shown.later(8_000)
        assert len(clerk.asked) == before + 1, "who has not answered yet is not asked again"
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


async def test_a_client_is_opened_and_followed_until_it_is_gone() -> None:
    clerk = Clerk()
    async with console(clerk) as shown:
        await shown.press("3", "down", "enter")
        assert clerk.told("client")[-1][0] == handle(1)
        assert "● bo1 at us-2 of us" in shown.text
        assert "4021" in shown.text  # how a connection of it ended
        await shown.later(2_000)
        assert len(clerk.told("client")) == 2
        await shown.press("enter")
        assert clerk.told("room")[-1][:2] == ("chat:lobby", "_")
        await shown.press("escape")
        clerk.client_ = FleetClient(found=[], ends=one(client(1)).ends, missing=[])
        await shown.later(2_000)
        assert f"✗ no edge that answered has session {handle(1)}" in shown.text
        assert "1006" in shown.text
        await shown.tell("client abc")
        assert "8 characters of it at least" in shown.said
        nobody = client(0, session="", user="", phase="new")
        clerk.clients_ = FleetClients(rows=[nobody], matched=1, of=1, missing=[], cut=False)
        await shown.tell("clients", "filter user!=x")
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
