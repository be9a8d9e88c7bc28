"""What is cut off, dies or has a wrong clock: the screen says what it knows, and how old that is.

The link of the console's own is in `test_live.py`, by real servers.
"""

from collections.abc import Callable, Iterator, Mapping

import pytest

from console.app import ConsoleApp
from console.clock import Clock
from console.feed import NewsHeard
from console.model import FleetView
from console.svg import screen_text
from regions.news import AlertNews, AlertsNews
from tests.console.scenario import EDGES, START_MS, Arrival, frame, quiet
from tests.console.stage import Stage, settle

Golden = Callable[[ConsoleApp, str], None]
CUT_S = 60
SIZE = (120, 36)


def cut_off(region: str, heard_in: str, seconds: int) -> Iterator[Arrival]:
    """A quiet minute, then all links of a region are cut; what is heard in one region of it."""
    for arrival in quiet(seconds):
        second, at = arrival.at_ms // 1000, arrival.frame
        if second < CUT_S:
            yield arrival
        elif (at.region == region) == (heard_in == region):
            lost = [name for name in EDGES if (name == region) != (at.region == region)]
            grown = dict.fromkeys(lost, 1000.0 * (second - CUT_S))
            mirrors = dict.fromkeys(lost, "cut") if second - CUT_S > 3 else {}
            yield Arrival(
                arrival.at_ms,
                frame(at.region, at.edge, second, lag_ms=at.lag_ms | grown, mirrors=mirrors),
            )


def states(view: FleetView) -> Mapping[str, tuple[str, str]]:
    return {region.name: (region.state, region.reason) for region in view.regions}


async def test_a_region_that_is_cut_off_as_seen_from_another_one(golden: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=SIZE) as pilot:
        stage.connect()
        stage.play(cut_off("ap", "us", CUT_S + 4))
        await settle(stage, pilot, (CUT_S + 3) * 1000)
        assert states(stage.app.scene.live())["ap"] == ("degraded", "ap-1 silent for 3 s (+1)")
        assert "17,515" in screen_text(stage.app.screen)
        stage.play(each for each in cut_off("ap", "us", CUT_S + 15) if each.at_ms > 64_000)
        await settle(stage, pilot, (CUT_S + 14) * 1000 + 600)
        assert states(stage.app.scene.live()) == {
            "us": ("degraded", "nothing comes from ap"),
            "eu": ("degraded", "nothing comes from ap"),
            "ap": ("dark", "nothing heard"),
        }
        golden(stage.app, "cut-seen-from-us")


async def test_a_region_that_is_cut_off_as_seen_from_inside(golden: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=SIZE) as pilot:
        stage.connect()
        stage.play(cut_off("ap", "ap", CUT_S + 15))
        await settle(stage, pilot, (CUT_S + 14) * 1000 + 600)
        found = states(stage.app.scene.live())
        assert found["us"] == found["eu"] == ("dark", "nothing heard")
        assert found["ap"][0] == "degraded", "it serves, and knows that it is alone"
        assert found["ap"][1].startswith("nothing comes from ")
        golden(stage.app, "cut-seen-from-inside")


ALERT = AlertNews(
    name="RegionDark", on="ap", severity="page", state="firing", since_ms=START_MS + 41_000,
    text="nothing is heard of ap",
)  # fmt: skip


async def test_a_keeper_that_dies_is_said_with_the_age_of_its_last_word(golden: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=SIZE) as pilot:
        stage.connect()
        stage.play(quiet(80))
        stage.time.now_ms = 79_000
        news = AlertsNews(at_ms=START_MS + 79_000, alerts=[ALERT], rules=9, by="us")
        stage.app.hear(NewsHeard("us", news))
        await settle(stage, pilot, 79_900)
        assert "by us ─╯" in screen_text(stage.app.screen)
        stage.play(each for each in quiet(88) if each.at_ms > 80_000)
        await settle(stage, pilot, 87_900)
        aged = screen_text(stage.app.screen)
        assert "by us, 8s ago" in aged
        assert "✗ RegionDark" in aged, "what it said last"
        stage.play(each for each in quiet(125) if each.at_ms > 88_000)
        await settle(stage, pilot, 124_600)
        gone = screen_text(stage.app.screen)
        assert "no keeper is heard for 45s" in gone
        assert "No keeper is heard for 45s: which alerts there would be is not known." in gone
        assert "RegionDark" not in gone, "nobody knows whether that still stands"
        golden(stage.app, "keeper-gone")


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000])
async def test_the_clock_of_the_console_steps_and_ages_and_states_stay(step_ms: int) -> None:
    def played(stage: Stage) -> None:
        stage.connect()
        stage.play(quiet(80))
        stage.play(each for each in quiet(86) if each.at_ms > 80_000 and each.frame.edge != "eu-2")
        news = AlertsNews(at_ms=START_MS + 85_000, alerts=[ALERT], rules=9, by="us")
        stage.app.hear(NewsHeard("us", news))

    async def drawn(wall_ms: int) -> str:
        stage = Stage(EDGES)
        clock = Clock(lambda: stage.time.now_ms, lambda: wall_ms + stage.time.now_ms)
        stage.app.scene._clock = clock
        async with stage.app.run_test(size=SIZE) as pilot:
            played(stage)
            await settle(stage, pilot, 86_000)
            return screen_text(stage.app.screen)

    right, wrong = await drawn(START_MS), await drawn(START_MS + step_ms)
    assert "eu-2 silent for 6 s" in right
    differ = [
        number
        for number, (one, other) in enumerate(
            zip(right.splitlines(), wrong.splitlines(), strict=True)
        )
        if one != other
    ]
    assert differ == [0], "the time in the top bar, and nothing else"


async def test_the_clock_of_an_edge_steps_and_is_named(golden: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=SIZE) as pilot:
        stage.connect()
        for each in quiet(80):
            second = each.at_ms // 1000
            if each.frame.edge == "eu-2" and second > CUT_S:
                ahead = dict.fromkeys(EDGES, 300000.0)  # it compares stamps with its own time
                odd = frame(
                    "eu", "eu-2", second, at_ms=START_MS + second * 1000 + 300_000, lag_ms=ahead
                )
                stage.hear(odd, each.at_ms)
            else:
                stage.hear(each.frame, each.at_ms)
        await settle(stage, pilot, 79_600)
        text = screen_text(stage.app.screen)
        assert "eu-2 has a clock 300 s ahead" in text
        assert "5m00s" not in text, "no lag is measured with a clock that is wrong"
        view = stage.app.scene.live()
        assert states(view)["us"] == states(view)["ap"] == ("ok", "")
        assert {edge.state for edge in view.edges} == {"ready"}
        assert max(edge.age_ms or 0 for edge in view.edges) < 1_000
        golden(stage.app, "edge-clock")
