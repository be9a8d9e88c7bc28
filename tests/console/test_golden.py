"""Screens that other tests ask about word by word, as a whole: at three sizes where they change."""

from pathlib import Path

import pytest

from cli.backing import recording
from console.backing import Backing
from console.commands import parse
from console.past.file import FilePast
from console.svg import screen_text
from relay.core.inquiry_answers import Traced
from tests.console.answers import handle, traced_frame
from tests.console.asked import NOW_MS, console
from tests.console.clerk import Clerk
from tests.console.conftest import Golden
from tests.console.scenario import EDGES, START_MS, quiet, troubled
from tests.console.stage import SIZES, Stage, settle, until
from tests.console.test_past import write


@pytest.mark.parametrize("size", SIZES)
async def test_edges_and_events_of_a_fleet_in_trouble(size: str, golden: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=SIZES[size]) as pilot:
        stage.connect()
        stage.play(troubled(80))
        for key, name in (("2", "edges"), ("8", "events")):
            await pilot.press(key)
            await settle(stage, pilot, NOW_MS)
            golden(stage.app, f"{name}-{size}")


@pytest.mark.parametrize("size", SIZES)
async def test_one_edge_in_detail(size: str, golden: Golden) -> None:
    async with console(Clerk(), SIZES[size]) as shown:
        await shown.tell("edge us-1")
        await shown.later(2_000)
        golden(shown.app, f"edge-{size}")


@pytest.mark.parametrize("size", SIZES)
async def test_a_moment_of_the_past(size: str, golden: Golden, tmp_path: Path) -> None:
    past = recording(FilePast(write(tmp_path / "r.gz", list(troubled(80))))).past
    stage = Stage(EDGES, backing=Backing(past=past))
    async with stage.app.run_test(size=SIZES[size]) as pilot:
        stage.connect()
        stage.play(quiet(80))
        await pilot.press("T")
        await until(pilot, lambda: stage.app.scene.place is not None)
        stage.app.tell(*parse("go 11:07:55"))
        await until(
            pilot,
            lambda: (
                (place := stage.app.scene.place) is not None
                and not place.busy
                and place.at_ms == START_MS + 75_000
            ),
        )
        await settle(stage, pilot, NOW_MS)
        golden(stage.app, f"past-{size}")


async def test_the_frames_of_one_client(golden: Golden) -> None:
    clerk = Clerk()
    async with console(clerk, (120, 36), backing=clerk.backing()) as shown:
        await shown.press("3", "r")
        await shown.shows("◉ traced   ends by itself in 59s")
        frames = [traced_frame(number) for number in range(4)]
        await clerk.parts.put(Traced(session=handle(0), frames=frames, skipped=7))
        await shown.shows("4 frames")
        golden(shown.app, "trace-120x36")


async def test_a_very_wide_terminal_is_filled_and_not_overrun() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(250, 50)) as pilot:
        stage.connect()
        stage.play(troubled(80))
        for key in "12345678":
            await pilot.press(key)
            await settle(stage, pilot, NOW_MS)
            lines = screen_text(stage.app.screen).splitlines()
            assert max(map(len, lines)) == 250, key
