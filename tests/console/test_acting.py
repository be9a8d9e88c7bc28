"""Acts: armed first, planned, confirmed, followed; and every way in which they are refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from console.commands import parse
from console.dialogs.act import ActScreen
from console.feed import BooksRead, NewsHeard
from console.svg import screen_text
from regions.news import AlertNews, AlertsNews
from regions.operations.entry import Coming, Entry, Objection, Plan, Request, Run, What
from tests.console.conftest import Golden
from tests.console.office import STAGE, Desk
from tests.console.scenario import EDGES, START_MS, quiet
from tests.console.stage import Stage, settle, typed, until

NOW_MS = 79_600


@asynccontextmanager
async def console(desk: Desk | None) -> AsyncIterator[tuple[Stage, Pilot[None]]]:
    """A console over a quiet fleet; the cursor stands on us-1."""
    stage = Stage(EDGES, backing=None if desk is None else desk.backing())
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(quiet(80))
        await settle(stage, pilot, NOW_MS)
        yield stage, pilot


async def arm(stage: Stage, pilot: Pilot[None], why: str = "ticket 42") -> None:
    await pilot.press("W")
    await typed(pilot, why)
    await until(pilot, lambda: is_armed(stage))


def is_armed(stage: Stage) -> bool:
    return stage.app.acting.armed is not None


def said(stage: Stage) -> str:
    """What the console told its operator."""
    return "\n".join(note.message for note in stage.app._notifications)


def step(stage: Stage) -> str:
    screen = stage.app.screen
    return screen.step if isinstance(screen, ActScreen) else ""


async def test_the_console_is_read_only_until_it_is_armed() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        for key in ("c", "u", "D", "M", "R", "E", "B", "A", "a"):
            await pilot.press(key)
            assert len(stage.app.screen_stack) == 1, key
        await pilot.press("colon")
        await typed(pilot, "drain us-1")
        assert "read-only until it is armed" in said(stage)
        assert desk.opened == 0


async def test_without_a_login_that_may_change_anything_there_is_nothing_to_arm() -> None:
    async with console(None) as (stage, pilot):
        await pilot.press("W")
        assert len(stage.app.screen_stack) == 1
        await pilot.press("colon")
        await typed(pilot, "arm why not")
        assert "no login that may change anything" in said(stage)


async def test_arming_wants_a_reason() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        await pilot.press("W")
        await typed(pilot, "")
        assert len(stage.app.screen_stack) == 2
        await typed(pilot, "ticket 42")
        await until(pilot, lambda: desk.opened == 1)
        assert "ARMED" in screen_text(stage.app.screen)
        await pilot.press("W")  # and disarmed
        await until(pilot, lambda: desk.closed == 1)
        assert not is_armed(stage)


async def test_who_is_armed_and_does_nothing_is_disarmed() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        await settle(stage, pilot, NOW_MS + 14 * 60_000)
        assert is_armed(stage)
        await settle(stage, pilot, NOW_MS + 15 * 60_000)
        assert not is_armed(stage)
        await until(pilot, lambda: desk.closed == 1)


async def test_a_control_plane_that_is_not_reached_is_said_so() -> None:
    desk = Desk(refusal="us: its NATS is not reached")
    async with console(desk) as (stage, pilot):
        await pilot.press("W")
        await typed(pilot, "ticket 42")
        await until(pilot, lambda: "its NATS is not reached" in said(stage))
        assert not is_armed(stage)


async def test_a_reversible_act_is_done_after_a_key() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        await pilot.press("c")
        await until(pilot, lambda: step(stage) == "confirm")
        assert "its clients go elsewhere" in screen_text(stage.app.screen)
        await pilot.press("n")
        assert desk.submitted_ == []
        await pilot.press("y")
        await until(pilot, lambda: bool(desk.executions))
        request, override = desk.submitted_[0]
        assert (request.verb, request.region, request.edge) == ("cordon", "us", "us-1")
        assert (request.by, request.why, override) == ("ops@host", "ticket 42", "")


async def test_a_disruptive_act_is_done_after_its_name_was_typed(golden: Golden) -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        await pilot.press("down", "down", "D")
        await until(pilot, lambda: step(stage) == "options")
        await settle(stage, pilot, NOW_MS)
        golden(stage.app, "act-options")
        await typed(pilot, "60")
        await until(pilot, lambda: step(stage) == "confirm")
        await settle(stage, pilot, NOW_MS)
        golden(stage.app, "act-confirm")
        await pilot.press("y")
        await pilot.press("backspace")
        await typed(pilot, "eu-2")
        assert "That is not eu-1" in screen_text(stage.app.screen)
        assert desk.submitted_ == []
        await typed(pilot, "eu-1")
        await until(pilot, lambda: bool(desk.executions))
        assert desk.submitted_[0][0].within_s == 60.0
        await settle(stage, pilot, NOW_MS)
        assert "goes on drain eu-1" in screen_text(stage.app.screen)
        golden(stage.app, "act-goes-on")
        desk.executions[0].end.set_result("done")
        await until(pilot, lambda: not stage.app.acting.carrier.busy)
        await settle(stage, pilot, NOW_MS)
        assert "✓ done drain eu-1" in screen_text(stage.app.screen)
        golden(stage.app, "act-done")
        await pilot.press("O")  # seen
        await settle(stage, pilot, NOW_MS)
        assert "drain eu-1" not in screen_text(stage.app.screen)


async def test_what_would_hurt_wants_a_reason_of_its_own(golden: Golden) -> None:
    desk = Desk(Plan([STAGE], objections=[Objection("last", "us", "us is the last open region")]))
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        await pilot.press("colon")
        await typed(pilot, "evacuate us within=30")
        await until(pilot, lambda: step(stage) == "override")
        assert "us is the last open region" in screen_text(stage.app.screen)
        golden(stage.app, "act-objection")
        await typed(pilot, "")  # no reason
        assert step(stage) == "override"
        await typed(pilot, "it burns")
        await until(pilot, lambda: step(stage) == "confirm")
        await typed(pilot, "us")
        await until(pilot, lambda: bool(desk.executions))
        request, override = desk.submitted_[0]
        assert (request.verb, request.within_s, override) == ("evacuate", 30.0, "it burns")


async def test_nothing_is_done_where_nothing_is_to_be_done() -> None:
    desk = Desk(Plan([]))
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        await pilot.press("u")
        await until(pilot, lambda: step(stage) == "over")
        assert "nothing is to be done" in screen_text(stage.app.screen)
        await pilot.press("enter")
        assert len(stage.app.screen_stack) == 1


async def test_escape_leaves_at_every_step() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        await pilot.press("D")
        await until(pilot, lambda: step(stage) == "options")
        await pilot.press("escape")
        assert len(stage.app.screen_stack) == 1
        await pilot.press("c")
        await until(pilot, lambda: step(stage) == "confirm")
        await pilot.press("escape")
        assert desk.submitted_ == []


NONSENSE = (
    ("drain nowhere", "no region and no edge is called 'nowhere'"),
    ("drain us-1 within=soon", "'soon' is no number of seconds"),
    ("drain us-1 over=3", "there is no 'over'"),
    ("weight us 101", "0 to 100, or topology"),
    ("evacuate us-1", "for region, not for edge"),
    ("cordon us-1 now", "what is 'now'?"),
    ("abort nothing", "no operation 'nothing' goes on"),
    ("operation", "nothing has ended that was not seen"),
)


async def test_lines_that_make_no_sense_are_refused() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        for said_line, why in NONSENSE:
            stage.app.tell(*parse(said_line))
            await pilot.pause()
            assert why in said(stage), said_line
            assert len(stage.app.screen_stack) == 1, said_line
        assert desk.asked == []


async def test_one_operation_at_a_time_and_it_can_be_aborted() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        await pilot.press("c")
        await until(pilot, lambda: step(stage) == "confirm")
        await pilot.press("y")
        await until(pilot, lambda: bool(desk.executions))
        await pilot.press("c")
        await until(pilot, lambda: step(stage) == "confirm")
        await pilot.press("y")
        await until(pilot, lambda: "carried out from here already" in said(stage))
        assert len(desk.submitted_) == 1
        await pilot.press("W")  # stays armed while something is carried out
        assert is_armed(stage)
        await pilot.press("A")
        await typed(pilot, "wrong edge")
        await until(pilot, lambda: not stage.app.acting.carrier.busy)
        assert desk.executions[0].aborting == "ops@host: wrong edge"
        await settle(stage, pilot, NOW_MS)
        assert "▲ aborted cordon us-1" in screen_text(stage.app.screen)
        await pilot.press("c")  # another one does not hide that
        await until(pilot, lambda: step(stage) == "confirm")
        await pilot.press("y")
        await until(pilot, lambda: len(desk.executions) == 2)
        desk.executions[1].end.set_result("done")
        await until(pilot, lambda: not stage.app.acting.carrier.busy)
        for sign in ("✓ done", "▲ aborted"):
            await settle(stage, pilot, NOW_MS)
            assert f"{sign} cordon us-1" in screen_text(stage.app.screen)
            await pilot.press("O")
        await settle(stage, pilot, NOW_MS)
        assert "cordon us-1" not in screen_text(stage.app.screen)


async def test_who_carries_an_operation_out_is_asked_before_the_console_ends() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        await pilot.press("c")
        await until(pilot, lambda: step(stage) == "confirm")
        await pilot.press("y")
        await until(pilot, lambda: bool(desk.executions))
        await pilot.press("q")
        assert "ctl resume" in screen_text(stage.app.screen)
        await pilot.press("escape")
        assert stage.app.is_running
        await pilot.press("q", "enter")
        await until(pilot, lambda: not stage.app.is_running)


async def test_an_alert_is_acknowledged() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        alert = AlertNews(name="EdgeSilent", on="us-1", severity="page", state="firing",
                          since_ms=START_MS, text="nothing is heard of us-1")  # fmt: skip
        stage.app.hear(NewsHeard("us", AlertsNews(at_ms=START_MS, alerts=[alert], rules=1)))
        await settle(stage, pilot, NOW_MS - 70_000)
        await arm(stage, pilot)
        await pilot.press("a")
        assert "which alert?" in said(stage)
        await pilot.press("tab", "tab")
        await pilot.press("a")
        await typed(pilot, "on my way")
        await until(pilot, lambda: bool(desk.acked))
        assert desk.acked == [("EdgeSilent", "us-1", "ops@host", "on my way")]


async def test_an_operation_of_somebody_else_stays_until_it_was_seen() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        request = Request(verb="evacuate", region="eu", by="night@host", why="new kernel")
        begun = Entry(run="r1", at_ms=START_MS + 90_000, by="night@host", what="submitted",
                      request=request, plan=Plan([]))  # fmt: skip
        ended = Entry(run="r1", at_ms=START_MS + 95_000, by="night@host", what="failed",
                      text="eu-1 is not heard")  # fmt: skip
        stage.app.hear(BooksRead((Run("r1", request, Plan([]), [begun]),), (), {}))
        await settle(stage, pilot, NOW_MS)
        assert "goes on evacuate eu: new kernel" in screen_text(stage.app.screen)
        stage.app.hear(BooksRead((Run("r1", request, Plan([]), [begun, ended]),), (), {}))
        await settle(stage, pilot, NOW_MS)
        assert "✗ failed evacuate eu" in screen_text(stage.app.screen)
        assert "eu-1 is not heard" in screen_text(stage.app.screen)
        await pilot.press("O")
        await settle(stage, pilot, NOW_MS)
        assert "evacuate" not in screen_text(stage.app.screen)


async def test_what_failed_is_seen_before_what_goes_on_and_nothing_unseen_is_acknowledged() -> None:
    def run(name: str, scope: str, *ends: tuple[int, What, str]) -> Run:
        request = Request(verb="drain", region="eu", edge=scope, by="night@host")
        begun = Entry(run=name, at_ms=START_MS + 90_000, by="night@host", what="submitted",
                      request=request, plan=Plan([]))  # fmt: skip
        rest = [
            Entry(run=name, at_ms=START_MS + at_ms, by="night@host", what=what, text=text)
            for at_ms, what, text in ends
        ]
        return Run(name, request, Plan([]), [begun, *rest])

    failed: tuple[int, What, str] = (95_000, "failed", "eu-1 is not heard")
    async with console(Desk()) as (stage, pilot):
        one, two = run("r1", "eu-1", failed), run("r2", "eu-2")
        stage.app.hear(BooksRead((one, two), (), {}))
        await settle(stage, pilot, NOW_MS)
        assert "✗ failed drain eu-1" in screen_text(stage.app.screen)
        assert "1 more" in screen_text(stage.app.screen)
        await pilot.press("O")
        await settle(stage, pilot, NOW_MS)
        assert "goes on drain eu-2" in screen_text(stage.app.screen)
        await pilot.press("O")
        assert "r2 goes on; A aborts it" in said(stage)
        # It is taken up, and fails once more: that is another end.
        again = run("r1", "eu-1", failed, (96_000, "resumed", ""))
        stage.app.hear(BooksRead((again,), (), {}))
        await settle(stage, pilot, NOW_MS)
        assert "goes on drain eu-1" in screen_text(stage.app.screen)
        more: tuple[int, What, str] = (97_000, "failed", "once more")
        stage.app.hear(BooksRead((run("r1", "eu-1", failed, more),), (), {}))
        await settle(stage, pilot, NOW_MS)
        assert "once more" in screen_text(stage.app.screen)
        await pilot.press("O")
        await settle(stage, pilot, NOW_MS)
        assert "drain" not in screen_text(stage.app.screen)


async def test_an_alert_that_does_not_stand_is_not_acknowledged() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        alerts = [
            AlertNews(name="EdgeSilent", on=on, severity="page", state="firing",
                      since_ms=START_MS, text="silent")
            for on in ("us-1", "us-2")
        ]  # fmt: skip
        stage.app.hear(NewsHeard("us", AlertsNews(at_ms=START_MS, alerts=alerts, rules=1)))
        await settle(stage, pilot, NOW_MS - 70_000)
        await arm(stage, pilot)
        for wrong, why in (
            ("RegionDark", "'RegionDark' does not stand: EdgeSilent us-1, EdgeSilent us-2"),
            ("EdgeSilent", "EdgeSilent stands on us-1, us-2: say on which"),
            ("EdgeSilent eu-1", "'EdgeSilent eu-1' does not stand"),
        ):
            await pilot.press("colon")
            await typed(pilot, f"ack {wrong}")
            await until(pilot, lambda why=why: why in said(stage))  # type: ignore[misc]
            await pilot.press("escape")
        await pilot.press("colon")
        await typed(pilot, "ack EdgeSilent us-2")
        await typed(pilot, "mine")
        await until(pilot, lambda: bool(desk.acked))
        assert desk.acked == [("EdgeSilent", "us-2", "ops@host", "mine")]


async def test_a_plan_shows_who_gets_whom() -> None:
    coming = Coming("eu", 8_000, 17_000, 18_000, 200.0, 500.0)
    desk = Desk(Plan([STAGE], moves=8_000, coming=[coming], takes_s=40, notes=["eu takes most"]))
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        await pilot.press("colon")
        await typed(pilot, "drain us-1 within=40")
        await until(pilot, lambda: step(stage) == "confirm")
        text = screen_text(stage.app.screen)
        assert "8,000 clients go elsewhere within 40 s" in text
        assert "94%" in text
        assert "eu takes most" in text


@pytest.mark.parametrize(
    ("said_", "typed_name", "wanted"),
    [
        ("cordon us-1", "", {"verb": "cordon", "edge": "us-1"}),
        ("uncordon us", "", {"verb": "uncordon", "edge": ""}),
        ("drain us-1 within=30", "us-1", {"verb": "drain", "edge": "us-1", "within_s": 30.0}),
        ("weight us 40", "", {"verb": "weight", "weight": 40}),
        ("weight us topology", "", {"verb": "weight", "weight": None}),
        ("ramp us over=60", "", {"verb": "ramp", "over_s": 60.0}),
        ("evacuate us", "us", {"verb": "evacuate", "within_s": None}),
        ("return us over=90", "", {"verb": "return", "over_s": 90.0}),
    ],
)
async def test_every_operation_is_submitted_as_it_was_said(
    said_: str, typed_name: str, wanted: dict[str, object]
) -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        stage.app.tell(*parse(said_))
        await until(pilot, lambda: step(stage) == "confirm")
        if typed_name:
            await typed(pilot, typed_name)
        else:
            await pilot.press("y")
        await until(pilot, lambda: bool(desk.executions))
        request, override = desk.submitted_[0]
        assert {name: getattr(request, name) for name in wanted} == wanted
        assert (request.region, request.by, request.why) == ("us", "ops@host", "ticket 42")
        assert override == ""


@pytest.mark.parametrize("key", ["c", "u", "D", "M", "R", "E", "B"])
async def test_every_operation_has_a_key(key: str) -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        await pilot.press(key)
        await until(pilot, lambda: isinstance(stage.app.screen, ActScreen))
        await pilot.press("escape")
        assert desk.submitted_ == []


def begun_elsewhere(stage: Stage) -> None:
    """An operation that another console had begun, and that goes on."""
    request = Request(verb="evacuate", region="eu", by="night@host", why="new kernel")
    entry = Entry(run="r1", at_ms=START_MS + 70_000, by="night@host", what="submitted",
                  request=request, plan=Plan([STAGE]))  # fmt: skip
    stage.app.hear(BooksRead((Run("r1", request, Plan([STAGE]), [entry]),), (), {}))


async def test_an_operation_of_somebody_else_is_gone_on_with() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        begun_elsewhere(stage)
        await settle(stage, pilot, NOW_MS)
        await arm(stage, pilot)
        stage.app.tell(*parse("resume"))
        await until(pilot, lambda: isinstance(stage.app.focused, Input))
        await typed(pilot, "")
        await until(pilot, lambda: bool(desk.executions))
        assert desk.resumed_ == [("r1", "ops@host")]
        desk.executions[0].end.set_result("done")
        await until(pilot, lambda: not stage.app.acting.carrier.busy)
        await settle(stage, pilot, NOW_MS)
        assert "✓ done resume r1" in screen_text(stage.app.screen)


async def test_an_operation_of_somebody_else_is_aborted() -> None:
    desk = Desk()
    async with console(desk) as (stage, pilot):
        begun_elsewhere(stage)
        await settle(stage, pilot, NOW_MS)
        await arm(stage, pilot)
        await pilot.press("A")
        await typed(pilot, "the wrong region")
        await until(pilot, lambda: bool(desk.aborted_))
        assert desk.aborted_ == [("r1", "ops@host", "the wrong region")]
        await until(pilot, lambda: not stage.app.acting.carrier.busy)
        await settle(stage, pilot, NOW_MS)
        assert "▲ aborted abort r1" in screen_text(stage.app.screen)


@pytest.mark.parametrize("line", ["resume", "abort"])
async def test_why_it_is_neither_gone_on_with_nor_aborted_is_said(line: str) -> None:
    desk = Desk(gone="r1 has ended: done")
    async with console(desk) as (stage, pilot):
        await arm(stage, pilot)
        stage.app.tell(*parse(line))
        await until(pilot, lambda: "no operation goes on" in said(stage))
        begun_elsewhere(stage)
        await settle(stage, pilot, NOW_MS)
        stage.app.tell(*parse(f"{line} r2"))
        await until(pilot, lambda: "no operation 'r2' goes on" in said(stage))
        stage.app.tell(*parse(line))
        await until(pilot, lambda: isinstance(stage.app.focused, Input))
        await typed(pilot, "")
        await until(
            pilot,
            lambda: (
                (carried := stage.app.acting.carrier.current) is not None
                and carried.error == "r1 has ended: done"
            ),
        )
        await settle(stage, pilot, NOW_MS)
        assert "r1 has ended: done" in screen_text(stage.app.screen)
