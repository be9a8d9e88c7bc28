"""Text from outside can't crash the console, reach the terminal's escape codes or run an action."""

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from textual.pilot import Pilot

from console.commands import parse
from console.feed import BooksRead, LinkChanged, NewsHeard
from console.look import Subject
from console.model import LinkState, observe
from console.report import to_json, to_text
from console.svg import screen_text
from console.views.listing import Listing
from regions.drills.catalogue import DRILLS
from regions.drills.prospect import Check, Prospect
from regions.news import AlertNews, AlertsNews, BoundNews, DrillNews, FoundNews
from regions.operations.entry import Coming, Entry, Objection, Plan, Request, Run
from regions.operations.entry import Stage as PlanStage
from tests.console.drill_site import PlayedSite
from tests.console.office import Desk
from tests.console.scenario import EDGES, START_MS, frame, quiet
from tests.console.stage import Stage, settle, until

EVIL = (
    "[@click=app.quit]us[/]",
    "[/foo]",
    "[red",
    "\x1b]52;c;QUFB\x07",
    "\x9b31m",
    "\u202egnp",
    "a\u200bb",
    "x\nqueen\r\ttab",
    "\ud800",
    "$background",
    "東京" * 20,
    "e" + "\u0301" * 30,
    "\x00",
    "{}%s\\",
)
ANY_TEXT = st.one_of(
    st.sampled_from(EVIL), st.text(st.characters(exclude_categories=()), min_size=1, max_size=60)
)


def assert_harmless(text: str) -> None:
    text.encode()
    for char in text:
        assert char == "\n" or char.isprintable(), repr(char)


def assert_drawn_harmless(stage: Stage) -> None:
    """What is drawn, and what the terminal is sent for it: of escape codes, colours alone."""
    assert_harmless(screen_text(stage.app.screen))
    for strip in stage.app.screen._compositor.render_strips():
        assert "\x1b" not in strip.text
        assert not any(s.style and s.style.meta.get("@click") for s in strip)
        assert_harmless(COLOURS.sub("", strip.render(stage.app.console)))


# A screen takes a second: `make fuzz` tries more of them.
FUZZ = settings(
    max_examples=int(os.environ.get("JETRELAY_FUZZ", "3")),
    deadline=None,
    # Not shrunk: an example is a whole screen, and the failing text is readable as it is.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


# One after the other: screens, a row in detail, and an act as far as its confirmation.
OPENED = (
    ("7",),
    ("8",),
    ("2",),
    ("enter",),
    ("W", "x", "enter"),
    ("c",),
    ("escape",),
    ("D", "enter"),
)


async def show(rows: list[list[str]]) -> None:
    """Edges, alerts and operations with such names; every screen that draws them."""
    desk = desk_of(rows[0])
    known = {region: (edge,) for edge, region, *_ in rows} | {
        origin: () for _, _, origin, *_ in rows
    }
    stage = Stage(known, backing=desk.backing())
    async with stage.app.run_test(size=(160, 40)) as pilot:
        stage.connect()
        stage.play(quiet(2))
        for second in (2, 3):
            for edge, region, origin, state, url, version, _ in rows:
                lag_ms = {origin: 5000.0}
                heard = frame(
                    region, edge, second, state=state, url=url, version=version, lag_ms=lag_ms
                )
                stage.hear(heard, second * 1000)
        alerts = [alert_of(row) for row in rows]
        stage.app.hear(NewsHeard(rows[0][1], AlertsNews(at_ms=1, alerts=alerts, rules=1)))
        stage.app.hear(BooksRead(tuple(run_of(row) for row in rows), (), {}))
        for row, word in zip(rows, ("", *EVIL), strict=False):
            stage.app.hear(NewsHeard(row[1], drill_of(row, word)))
        stage.app.hear(LinkChanged(LinkState.LOST, rows[0][1], rows[0][6]))
        for width, height in ((160, 40), (90, 24)):
            await pilot.resize_terminal(width, height)
            await settle(stage, pilot, 3_500)
            assert_drawn_harmless(stage)
        for x, y in ((4, 2), (4, 9), (60, 2), (80, 12)):
            await pilot.click(offset=(x, min(y, 20)))
        for keys in OPENED:
            await pilot.press(*keys)
            await settle(stage, pilot, 3_500)
            assert_drawn_harmless(stage)
        with TemporaryDirectory() as directory:
            await take_away(stage, pilot, Path(directory))
        assert desk.submitted_ == []
        assert stage.app.is_running
        assert stage.app.return_code is None
    view = observe(stage.app.fleet, 3_500)
    assert_harmless(to_text(view, 0))
    assert to_json(view, 0).isprintable()


async def take_away(stage: Stage, pilot: Pilot[None], directory: Path) -> None:
    """Copy a row, write a table and the screen, and let the command line complete a name."""
    await pilot.press("escape", "escape", "1")
    stage.app.query_one("#edges", Listing).focus()
    await pilot.press("y")
    await settle(stage, pilot, 3_500)
    assert_harmless(stage.app.clipboard)
    for name, line in (("table.csv", "export"), ("screen.svg", "screenshot")):
        stage.app.tell(*parse(f"{line} {directory / name}"))
        await until(pilot, lambda name=name: (directory / name).exists())  # type: ignore[misc]
        assert_harmless((directory / name).read_text(encoding="utf-8").replace("\r\n", "\n"))
    await pilot.press("colon", *"edge ", "right", "tab")
    await settle(stage, pilot, 3_500)
    assert_drawn_harmless(stage)
    await pilot.press("escape")


def desk_of(row: list[str]) -> Desk:
    _, region, _, state, url, _, reason = row
    coming = Coming(region, 1, 2, 3, 1.0, 1.0)
    stages = [PlanStage(state, [], "gone", 1.0)]
    return Desk(
        Plan(
            stages,
            moves=1,
            coming=[coming],
            notes=[url],
            objections=[Objection("last", "us", reason)],
        )
    )


def alert_of(row: list[str]) -> AlertNews:
    edge, _, _, state, url, _, reason = row
    return AlertNews(name=edge, on=state, severity="page", state="firing", since_ms=1, text=reason,
                     runbook=url, acked_by=url)  # fmt: skip


def run_of(row: list[str]) -> Run:
    edge, region, _, _, url, version, reason = row
    request = Request(verb="drain", region=region, edge=edge, by=url, why=reason)
    entry = Entry(run=version, at_ms=1, by=url, what="submitted", request=request, plan=Plan([]))
    return Run(version, request, Plan([]), [entry])


def drill_of(row: list[str], word: str) -> DrillNews:
    edge, _, _, state, url, run, reason = row
    bound = BoundNews(reason, url, state, met=False)
    found = FoundNews(clients=1, lost=2**60, repeated=0, detect_s=1e9, bounds=[bound])
    return DrillNews(
        at_ms=START_MS, run=run, drill=edge, by=url, number=1, stage=state, at_s=2.0**62,
        text=reason, took_s=1e9, why=reason, word=word, report=url, found=found if word else None,
    )  # fmt: skip


async def test_drills_that_say_evil_things(tmp_path: Path) -> None:
    checks = tuple(Check("text", evil) for evil in EVIL)
    site = PlayedSite(tmp_path, (), prospect=Prospect(checks, "".join(EVIL), 1.0, 1.0, True))
    stage = Stage(EDGES, backing=Desk().backing(drills=site))
    async with stage.app.run_test(size=(160, 40)) as pilot:
        stage.app.tell(*parse("arm because"))
        stage.app.navigation.go("drills")
        for evil in EVIL:
            stage.app.hear(NewsHeard("us", drill_of([evil] * 7, evil)))
            stage.app.acting.drilling.hindrances = {drill.name: evil for drill in DRILLS}
            stage.app.navigation.go("drills", Subject("drill", evil, evil))
            stage.app.repaint()
            await pilot.pause()
            assert_drawn_harmless(stage)
        stage.app.tell(*parse(f"drill {EVIL[0]}"))  # there is none of that name, it says
        stage.app.tell(*parse("drill herd"))
        await until(pilot, lambda: getattr(stage.app.screen, "over", False))
        await pilot.pause()
        assert_drawn_harmless(stage)
        assert stage.app.is_running


async def test_evil_texts_everywhere() -> None:
    evil = [text[:60] for text in EVIL]
    await show([[evil[(at + place) % len(evil)] for place in range(7)] for at in range(len(evil))])


@FUZZ
@given(st.lists(st.lists(ANY_TEXT, min_size=7, max_size=7), min_size=1, max_size=8))
async def test_any_text_anywhere(rows: list[list[str]]) -> None:
    await show(rows)
