"""Screen 7, and the act `drill`: shown, refused, confirmed by name, aborted, seen to its end."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from textual.pilot import Pilot
from textual.widgets import Input

from cli.backing import recording
from console.app import ConsoleApp
from console.commands import parse
from console.dialogs.drill import DrillScreen
from console.doing.drill_child import DrillChild
from console.feed import NewsHeard
from console.look import Mode
from console.past.file import FilePast
from console.svg import screen_text
from regions.news import encode_news
from relay.core.names import news_subject
from tests.console.drill_site import (
    BAD,
    CUT,
    HEALS,
    PASSES,
    WAITS,
    GoneSite,
    LostSite,
    PlayedSite,
    told,
)
from tests.console.office import Desk
from tests.console.scenario import EDGES, START_MS, quiet
from tests.console.stage import SIZES, Stage, settle, typed, until
from tests.console.test_past import recorder

Golden = Callable[[ConsoleApp, str], None]
NOW_MS = 79_600


def hear(stage: Stage, run: str, drill: str, began_s: float, rows: int, word: str = "") -> None:
    for region in ("us", "eu"):  # each stage is told in every region
        for news in told(run, drill, began_s, rows, word):
            stage.app.hear(NewsHeard(region, news))


def two_drills(stage: Stage) -> None:
    """One that missed an objective, and one that goes on."""
    hear(stage, "edge-kill-0a1b2c", "edge-kill", 10, 10, "missed")
    hear(stage, "pair-partition-77", "pair-partition", 60, 5)


@asynccontextmanager
async def console(
    site: PlayedSite | None, size: str = "120x36"
) -> AsyncIterator[tuple[Stage, Pilot[None]]]:
    """A console on screen 7 over a quiet fleet; the cursor stands on `herd`."""
    stage = Stage(EDGES, backing=Desk().backing(drills=site))
    async with stage.app.run_test(size=SIZES[size]) as pilot:
        stage.connect()
        stage.time.now_ms = NOW_MS
        await pilot.press("7", "end", "up")
        yield stage, pilot


async def tell(stage: Stage, pilot: Pilot[None], text: str) -> None:
    """As from the `:` line."""
    stage.app.tell(*parse(text))
    await pilot.pause()


async def arm(stage: Stage, pilot: Pilot[None]) -> None:
    await tell(stage, pilot, "arm OPS-7")
    await until(pilot, lambda: stage.app.acting.armed is not None)


async def asked(stage: Stage, pilot: Pilot[None]) -> str:
    """The dialog, when it has looked at the world."""

    def done() -> bool:
        screen = stage.app.screen
        return isinstance(screen, DrillScreen) and (screen.over or screen.query_one(Input).display)

    await until(pilot, done)
    await pilot.pause()
    return screen_text(stage.app.screen)


def said(stage: Stage) -> str:
    return "\n".join(note.message for note in stage.app._notifications)


def child_of(stage: Stage) -> DrillChild | None:
    return stage.app.acting.drilling.child


def has_ended(stage: Stage) -> bool:
    child = child_of(stage)
    return child is not None and child.ended


def drawn(stage: Stage) -> str:
    stage.app.repaint()
    return screen_text(stage.app.screen)


@asynccontextmanager
async def running(site: PlayedSite) -> AsyncIterator[tuple[Stage, Pilot[None]]]:
    """A console from which a drill was started that can be interrupted by now."""
    log = site.state / "drills" / "herd-1.log"
    async with console(site) as (stage, pilot):
        await arm(stage, pilot)
        await pilot.press("X")
        await asked(stage, pilot)
        await typed(pilot, "herd")
        await until(pilot, lambda: log.exists() and b"ready" in log.read_bytes())
        child = child_of(stage)
        assert child is not None
        yield stage, pilot
    await child.followed()


# --- what is shown -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_the_catalogue_a_drill_that_goes_on_and_one_that_ended(
    size: str, golden: Golden, tmp_path: Path
) -> None:
    site = PlayedSite(tmp_path, (), why_not={"region-isolate": CUT, "herd": CUT})
    async with console(site, size) as (stage, pilot):
        stage.play(quiet(80))
        two_drills(stage)
        await until(pilot, lambda: bool(stage.app.acting.drilling.hindrances))
        await settle(stage, pilot, NOW_MS)
        golden(stage.app, f"drills-live-{size}")
        stage.app.query_one("#drill-history").focus()
        await pilot.press("down", "enter")
        await settle(stage, pilot, NOW_MS)
        golden(stage.app, f"drills-ended-{size}")
        await pilot.press("escape")
        assert "goes on pair-partition" in drawn(stage)


async def test_a_drill_that_was_started_elsewhere_is_seen_on_every_screen() -> None:
    async with console(None) as (stage, pilot):
        two_drills(stage)
        assert "drills break a world that a supervisor runs" in drawn(stage)
        await pilot.press("1")
        text = drawn(stage)
        assert "goes on drill pair-partition by ann@ops-1" in text
        assert "detect  10 clients lost the connection" in text
        await arm(stage, pilot)
        await pilot.press("A")
        assert "no operation goes on" in said(stage)
        await tell(stage, pilot, "drill herd")
        assert "drills break a world that a supervisor runs" in said(stage)
        await settle(stage, pilot, 60_000 + 11_100 + 180_001)
        assert "goes on drill" not in screen_text(stage.app.screen)
        await pilot.press("7")
        assert "? silent" in drawn(stage)


async def test_it_is_seen_in_the_past_also_if_it_began_long_before(tmp_path: Path) -> None:
    made = recorder(tmp_path / "r.gz")
    for news in told("edge-kill-1", "edge-kill", 0, 10, "pass"):
        made.message(news.at_ms, news_subject("us", "drill"), encode_news(news))
    for news in told("herd-2", "herd", 900, 5):
        made.message(news.at_ms, news_subject("us", "drill"), encode_news(news))
    made.close()
    backing = recording(FilePast(tmp_path / "r.gz"))
    desk = Desk()
    stage = Stage(EDGES, backing=replace(desk.backing(), past=backing.past))
    async with stage.app.run_test(size=(120, 36)) as pilot:
        await arm(stage, pilot)
        await pilot.press("7")
        await until(pilot, lambda: desk.opened == 1)
        stage.app.travel(START_MS + 908_000)
        await until(pilot, lambda: len(stage.app.scene.look().view.drills) == 2)
        assert stage.app.scene.mode is Mode.PAST
        text = drawn(stage)
        assert "✓ pass" in text
        assert "◑ goes on herd" in text
        assert "lost the connection" not in text, "that was told later"
        assert "what could be run then is not known" in text
        await pilot.press("X")
        assert not isinstance(stage.app.screen, DrillScreen)
        await tell(stage, pilot, "drill herd")
        assert "not in the past" in said(stage)


# --- what is refused -----------------------------------------------------------------------------


async def test_what_the_world_can_not_have_now_is_not_asked_for(tmp_path: Path) -> None:
    site = PlayedSite(tmp_path, (), prospect=BAD)
    async with console(site) as (stage, pilot):
        two_drills(stage)
        await pilot.press("X")
        assert len(stage.app.screen_stack) == 1
        await tell(stage, pilot, "drill herd")
        assert "read-only until it is armed" in said(stage)
        await arm(stage, pilot)
        await pilot.press("X")
        text = await asked(stage, pilot)
        assert "✗ something is broken already: kill x" in text
        assert "▲ pair-partition by ann@ops-1 goes on, as was told 8s ago" in text
        assert not stage.app.screen.query_one(Input).display
        await pilot.press("enter")
        assert len(stage.app.screen_stack) == 1
        assert child_of(stage) is None


# --- what is run ---------------------------------------------------------------------------------


async def test_it_is_confirmed_by_its_name_and_its_outcome_stays_until_seen(tmp_path: Path) -> None:
    async with console(PlayedSite(tmp_path, (), script=PASSES)) as (stage, pilot):
        await arm(stage, pilot)
        await tell(stage, pilot, "drill one-way clients=24 rate=30.5 for=8 region=eu")
        text = await asked(stage, pilot)
        for part in ("kill eu-1", "24 clients of its own, 30.5 events/s, seed 1", "Report: "):
            assert part in text
        await typed(pilot, "herd")
        assert "That is not one-way" in screen_text(stage.app.screen)
        assert child_of(stage) is None
        await typed(pilot, "one-way")
        await until(pilot, lambda: has_ended(stage))
        child = child_of(stage)
        assert child is not None
        assert (child.order.hold_s, child.order.region) == (8.0, "eu")
        assert (child.order.by, child.order.why) == ("ops@host", "OPS-7")
        await pilot.press("1")
        text = drawn(stage)
        assert "✓ pass drill one-way: OPS-7" in text
        assert "exit code 0 · O: seen" in text
        await pilot.press("O")
        assert "exit code 0" not in drawn(stage)


async def test_its_stages_are_shown_and_it_is_aborted(tmp_path: Path) -> None:
    async with running(PlayedSite(tmp_path, (), script=WAITS)) as (stage, pilot):
        assert "looks at the world first" in drawn(stage)
        for news in told("herd-1", "herd", 70, 4):
            of_it = structs.replace(news, report=str(tmp_path / "drills" / "herd-1"))
            stage.app.hear(NewsHeard("us", of_it))
        await pilot.press("1")
        assert "fault  kill eu-1" in drawn(stage)
        await tell(stage, pilot, "drill one-way")
        assert "a drill runs from here already" in said(stage)
        await tell(stage, pilot, "arm")
        assert "a drill runs from here: follow it, or abort it" in said(stage)
        await pilot.press("A")
        assert "Abort the drill herd" in screen_text(stage.app.screen)
        await pilot.press("escape")
        assert stage.app.acting.drilling.busy
        await pilot.press("A", "enter")
        await until(pilot, lambda: has_ended(stage))
        text = drawn(stage)
        assert "▲ interrupted drill herd" in text
        assert "what was broken is healed" in text
        assert "exit code 130" in text


async def test_whoever_quits_meanwhile_is_asked_and_it_heals_first(tmp_path: Path) -> None:
    async with running(PlayedSite(tmp_path, (), script=WAITS)) as (stage, pilot):
        await pilot.press("q")
        assert "A drill runs from here" in screen_text(stage.app.screen)
        await pilot.press("escape")
        assert stage.app.acting.drilling.busy
        await pilot.press("q", "enter")
        await until(pilot, lambda: stage.app.return_code is not None)
        child = child_of(stage)
        assert child is not None
        assert (child.word, child.code) == ("interrupted", 130)


async def test_one_that_heals_already_is_not_interrupted_again(tmp_path: Path) -> None:
    async with running(PlayedSite(tmp_path, (), script=HEALS)) as (stage, pilot):
        await pilot.press("A", "enter")
        child = child_of(stage)
        assert child is not None
        await until(pilot, lambda: child.interrupted)
        await tell(stage, pilot, "abort")
        assert "it is interrupted already, and heals what it broke" in said(stage)
        await until(pilot, lambda: has_ended(stage))


async def test_where_no_world_runs_any_more_and_what_can_not_be_run_is_said(
    tmp_path: Path,
) -> None:
    async with console(GoneSite(tmp_path, ())) as (stage, pilot):
        await arm(stage, pilot)
        await tell(stage, pilot, "drill one-way")
        await asked(stage, pilot)
        await typed(pilot, "one-way")
        assert f"no world runs in {tmp_path} any more" in said(stage)
        assert child_of(stage) is None
    async with console(LostSite(tmp_path, ())) as (stage, pilot):
        await arm(stage, pilot)
        await tell(stage, pilot, "drill one-way")
        await asked(stage, pilot)
        await typed(pilot, "one-way")
        assert "the drill does not start: No such file or directory" in said(stage)
        assert child_of(stage) is None


async def test_a_console_that_ends_takes_its_drill_with_it(tmp_path: Path) -> None:
    async with running(PlayedSite(tmp_path, (), script=WAITS)) as (stage, _):
        child = child_of(stage)
        stage.app.exit()
    assert child is not None
    assert (child.word, child.interrupted) == ("interrupted", True)
