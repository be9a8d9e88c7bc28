"""The screens as an operator sees them, at three sizes; frames and clock stand still."""

import pytest

from console.feed import BooksRead, LinkChanged, NewsHeard
from console.model import LinkState
from console.svg import screen_text
from regions.news import AlertNews, AlertsNews
from regions.operations.entry import Entry, Plan, Request, Run
from tests.console.conftest import Golden
from tests.console.scenario import EDGES, START_MS, frame, quiet, troubled
from tests.console.stage import SIZES, Stage, settle


@pytest.mark.parametrize("size", SIZES)
async def test_a_quiet_fleet(size: str, golden: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=SIZES[size]) as pilot:
        stage.connect()
        stage.play(quiet(80))
        await settle(stage, pilot, 79_600)
        golden(stage.app, f"quiet-{size}")


@pytest.mark.parametrize("size", SIZES)
async def test_a_region_cut_off_an_edge_silent_another_draining(
    size: str, golden: Golden, golden_picture: Golden
) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=SIZES[size]) as pilot:
        stage.connect()
        stage.play(troubled(80))
        await settle(stage, pilot, 79_600)
        golden(stage.app, f"troubled-{size}")
        golden_picture(stage.app, f"troubled-{size}")


ALERTS = (
    AlertNews(name="RegionDark", on="ap", severity="page", state="firing",
              since_ms=START_MS + 41_000, text="nothing is heard of ap"),
    AlertNews(name="EdgeSilent", on="us-1", severity="ticket", state="firing",
              since_ms=START_MS + 60_000, text="nothing is heard of us-1"),
    AlertNews(name="LoopLate", on="eu-2", severity="ticket", state="pending",
              since_ms=START_MS + 78_000, text="the event loop of eu-2 is late"),
)  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
async def test_alerts_stand_the_worst_first_and_who_is_at_work(size: str, golden: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=SIZES[size]) as pilot:
        stage.connect()
        stage.play(troubled(80))
        for region in ("us", "eu"):
            news = AlertsNews(at_ms=START_MS + 79_600, alerts=list(ALERTS), rules=9)
            stage.app.hear(NewsHeard(region, news))
        request = Request(verb="evacuate", region="eu", by="ops@host", why="new kernel")
        entry = Entry(run="r1", at_ms=START_MS + 70_000, by="ops@host", what="submitted",
                      request=request, plan=Plan([]))  # fmt: skip
        stage.app.hear(BooksRead((Run("r1", request, Plan([]), [entry]),), (), {}))
        await settle(stage, pilot, 79_600)
        golden(stage.app, f"alerts-{size}")


@pytest.mark.parametrize(
    ("others", "began_s", "told"),
    [
        ((), 60, False),
        (("eu",), 60, False),
        (("eu", "ap"), 60, True),
        (("eu", "ap"), 77, False),  # it may not have looked since
    ],
)
async def test_what_one_keeper_of_several_sees_is_said_to_be_so(
    others: tuple[str, ...], began_s: int, told: bool
) -> None:
    """Two regions may be parted, and a third one hears both."""
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(160, 36)) as pilot:
        stage.connect()
        stage.play(quiet(80))
        dark = AlertNews(name="RegionDark", on="eu", severity="page", state="firing",
                         since_ms=START_MS + began_s * 1000,
                         text="nothing is heard of eu")  # fmt: skip
        at_ms = START_MS + 79_600
        for region in ("us", *others):
            alerts = [] if region == "ap" else [dark]
            news = AlertsNews(at_ms=at_ms, alerts=alerts, rules=9)
            stage.app.hear(NewsHeard(region, news))
        await settle(stage, pilot, 79_600)
        text = screen_text(stage.app.screen)
        assert "✗ RegionDark eu: nothing is heard of eu" in text
        assert ("as seen from eu and us alone" in text) == told


async def test_an_edge_that_falls_silent_is_named_before_it_is_dark() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(arrival for arrival in quiet(80) if arrival.frame.edge != "us-1")
        stage.play(arrival for arrival in quiet(76) if arrival.frame.edge == "us-1")
        await settle(stage, pilot, 79_600)
        text = screen_text(stage.app.screen)
        assert "us-1 silent for 4 s" in text
        assert "degraded" in text


async def test_before_anything_is_heard(golden: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        await settle(stage, pilot, 2_000)
        golden(stage.app, "connecting")


async def test_the_consoles_own_link_is_lost(golden: Golden, golden_picture: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(quiet(80))
        stage.time.now_ms = 80_000
        stage.app.hear(LinkChanged(LinkState.LOST, "us", "connection refused"))
        await settle(stage, pilot, 84_000)
        dimmed = screen_text(stage.app.screen)
        assert "● ready" in dimmed
        assert "✗ link lost 4s" in dimmed
        await settle(stage, pilot, 95_000)
        golden(stage.app, "link-lost")
        golden_picture(stage.app, "link-lost")


async def test_help(golden: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 50)) as pilot:
        await settle(stage, pilot, 1_000)
        await pilot.press("question_mark")
        await pilot.pause()
        golden(stage.app, "help")
        await pilot.press("escape")
        await pilot.pause()
        assert "Edges (6)" in screen_text(stage.app.screen)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
async def test_quit(key: str) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test() as pilot:
        await pilot.press(key)
        await pilot.pause()
        assert stage.app.return_code == 0


async def test_help_does_not_stop_the_picture() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        await pilot.press("question_mark")
        stage.play(quiet(3))
        await settle(stage, pilot, 2_600)
        await pilot.press("escape")
        await pilot.pause()
        assert "17,515" in screen_text(stage.app.screen)


async def test_resizing_lays_out_anew() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(160, 40)) as pilot:
        stage.connect()
        stage.play(quiet(3))
        await settle(stage, pilot, 2_600)
        assert "╭─ ● us" in screen_text(stage.app.screen)
        await pilot.resize_terminal(80, 24)
        await settle(stage, pilot, 2_600)
        narrow = screen_text(stage.app.screen)
        assert "╭─ ● us" not in narrow
        assert "╭─ Regions" in narrow
        assert "╭─ Mirror lag" in narrow


async def test_many_edges_scroll_under_a_header_that_stays() -> None:
    names = tuple(f"us-{number}" for number in range(1, 301))
    stage = Stage({"us": names})
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        await settle(stage, pilot, 1_000)
        assert "us-300" not in screen_text(stage.app.screen)
        await pilot.press("end")
        await pilot.wait_for_animation()
        await pilot.pause()
        text = screen_text(stage.app.screen)
        assert "us-300" in text
        assert "edge       region  state" in text


async def test_twelve_regions_fit_as_lines() -> None:
    stage = Stage({f"r{number}": (f"r{number}-1",) for number in range(12)})
    async with stage.app.run_test(size=(200, 50)) as pilot:
        stage.connect()
        await settle(stage, pilot, 1_000)
        text = screen_text(stage.app.screen)
        assert "╭─ Regions" in text
        assert "r11" in text


@pytest.mark.parametrize("variable", ["NO_COLOR", "TEXTUAL_COLOR_SYSTEM"])
async def test_states_are_told_without_colour(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "standard")
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(troubled(80))
        await settle(stage, pilot, 79_600)
        text = screen_text(stage.app.screen)
        for sign in ("○ dark", "◑ draining", "● ready", "✗ 18", "▲ 2,4", "◐ us"):
            assert sign in text


async def test_a_restarted_edge_shows_its_new_figures_at_once() -> None:
    stage = Stage({"us": ("us-1",)})
    async with stage.app.run_test(size=(120, 36)) as pilot:
        stage.connect()
        stage.play(quiet(5))
        late = frame("us", "us-1", 0, epoch=1_795_000_009_000, connections=3, state="starting")
        stage.hear(late, 5_000)
        await settle(stage, pilot, 5_100)
        text = screen_text(stage.app.screen)
        assert "◔ starting" in text
