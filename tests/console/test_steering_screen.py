"""Screen 6: how keepers see regions and edges, who is sent where, and what if a region died."""

from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from console.app import ConsoleApp
from console.backing import Backing
from console.commands import parse
from console.dialogs.text import TextScreen
from console.feed import BooksRead, NewsHeard
from console.svg import screen_text
from regions.topology_file import parse_topology
from tests.console import told
from tests.console.scenario import EDGES, quiet, troubled
from tests.console.stage import SIZES, Stage, settle
from tests.countries import write_countries
from tests.places import three

Golden = Callable[[ConsoleApp, str], None]
NOW_MS = 79_600


def play_quiet(stage: Stage) -> None:
    stage.connect()
    stage.play(told.heard(quiet(3, start=77)))
    stage.time.now_ms = 78_000
    for region in EDGES:
        stage.app.hear(NewsHeard(region, told.steering(region)))


def play_troubled(stage: Stage) -> None:
    """ap is cut off: its keeper sees the others dark, as theirs see it."""
    stage.connect()
    stage.play(told.heard(troubled(80)))
    stage.time.now_ms = 78_000
    alone = told.steering("ap", **{
        region: {"state": "dark", "admits": False, "reason": "no edge admits"}
        for region in ("us", "eu")
    })  # fmt: skip
    stage.app.hear(NewsHeard("us", told.troubled_steering("us")))
    stage.app.hear(NewsHeard("eu", told.troubled_steering("eu")))
    stage.app.hear(NewsHeard("ap", alone))
    stage.app.hear(BooksRead((), told.ORDERS, {}))


async def visit(stage: Stage, pilot: Pilot[None], *keys: str) -> str:
    for key in keys:
        await pilot.press(key)
        await pilot.pause()
    await settle(stage, pilot, NOW_MS)
    return screen_text(stage.app.screen)


async def dialog(stage: Stage, pilot: Pilot[None], line: str) -> str:
    """What a command answers in a dialog."""
    stage.app.tell(*parse(line))
    for _ in range(500):
        await pilot.pause(0.01)
        if isinstance(stage.app.screen, TextScreen):
            break
    await settle(stage, pilot, NOW_MS)
    return screen_text(stage.app.screen)


async def test_steering_of_a_fleet_in_trouble_at_three_sizes(golden: Golden) -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(80, 24)) as pilot:
        play_troubled(stage)
        await visit(stage, pilot, "6")
        for name, size in SIZES.items():
            await pilot.resize_terminal(*size)
            await visit(stage, pilot)
            golden(stage.app, f"steering-{name}")
        assert "eu-2 of eu" in await visit(stage, pilot, "tab", "down", "enter")
        await visit(stage, pilot, "escape", "tab", "tab", "tab", "tab")
        assert stage.app.focused is not None
        assert stage.app.focused.id == "answers"
        text = await visit(stage, pilot, "enter")
        assert "Explain US" in text
        assert "somewhere in US at 38.5, -92.0" in text


async def test_what_if_and_explain(golden: Golden, tmp_path: Path) -> None:
    geoip = write_countries(tmp_path / "countries.mmdb")
    text = f'{three(2, 2, 2)}\n[clients]\ngeoip = "{geoip}"\n'
    stage = Stage(EDGES, backing=Backing(topology=parse_topology(text, "topology")))
    async with stage.app.run_test(size=(109, 36)) as pilot:
        play_quiet(stage)
        narrow = await visit(stage, pilot, "6")
        assert "╭─ Where" not in narrow, "no room for the map"
        assert "╭─ Orders" in narrow
        await pilot.resize_terminal(120, 36)
        await visit(stage, pilot)
        golden(stage.app, "steering-quiet")
        await visit(stage, pilot, "down", "enter")
        golden(stage.app, "whatif")
        await visit(stage, pilot, "escape")
        assert "ap has 12,401 connections; if it died now:" in await dialog(
            stage, pilot, "whatif ap"
        )
        await visit(stage, pilot, "escape")
        shown = await dialog(stage, pilot, "explain 203.0.113.9")
        assert "as the keeper of us saw it 1s ago" in shown
        assert "203.0.113.0/24: somewhere in SG at 1.4, 103.8" in shown
        assert "this network: ap, then eu, then us" in shown
        await visit(stage, pilot, "escape")
        shown = await dialog(stage, pilot, "explain 203.0.113.9 rtt=eu:5,ap:50")
        assert "this network: eu, then ap, then us" in shown


async def test_what_can_not_be_explained_is_said() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        await settle(stage, pilot, 1_000)
        lines = ("explain DE", "whatif us", "explain", "explain elsewhere", "explain 203.0.113.9")
        for line in lines:
            stage.app.tell(*parse(line))
        play_quiet(stage)
        await visit(stage, pilot, "6")
        for line in ("whatif xx", "explain 203.0.113.9 rtt=us", "explain 203.0.113.9"):
            stage.app.tell(*parse(line))
        await pilot.pause()
        said = [toast.message for toast in stage.app._notifications]
        nobody = "nobody says how the regions are: see docs/alerts.md for a keeper"
        unknown = (
            "where addresses are is not known here: this console has no topology; a country will do"
        )
        assert said == [
            nobody, nobody,
            "explain what? :explain 203.0.113.9, or a country: :explain DE",
            "explain what? 'elsewhere' is no IP address and no country",
            unknown,
            "no region 'xx': there are us, eu, ap",
            unknown, unknown,
        ]  # fmt: skip


async def test_without_a_keeper_that_is_said_and_the_map_has_what_the_topology_knows() -> None:
    topology = parse_topology(three(2, 2, 2), "topology")
    stage = Stage(EDGES, backing=Backing(topology=topology))
    async with stage.app.run_test(size=(140, 40)) as pilot:
        stage.connect()
        stage.play(quiet(3, start=77))
        text = await visit(stage, pilot, "6")
        assert text.count("no keeper is heard: see docs/alerts.md") == 4
        assert "● eu " in text


async def test_a_keeper_that_fell_silent_is_named_with_its_age() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(120, 36)) as pilot:
        play_quiet(stage)
        stage.app.hear(NewsHeard("us", told.streams("us")))
        words = stage.app._words("command")
        assert {"explain", "whatif", "stream", "us", "us-1", "EV_us", "TELE"} <= set(words)
        await visit(stage, pilot, "6")
        await settle(stage, pilot, 110_000)
        text = screen_text(stage.app.screen)
        assert "no keeper is heard: as us's said 32s ago" in text
        text = await dialog(stage, pilot, "explain DE")
        assert "no keeper is heard now: as the keeper of us saw it" in text


async def test_what_was_ordered_in_the_past_is_not_said_to_be_nothing() -> None:
    stage = Stage(EDGES)
    async with stage.app.run_test(size=(200, 50)) as pilot:
        play_quiet(stage)
        stage.app.hear(BooksRead((), (), {}))
        assert "none stands" in await visit(stage, pilot, "6")
        stage.app.hear(BooksRead((), None, {}))
        stage.time.now_ms += 1_000
        await settle(stage, pilot, NOW_MS + 1_000)
        text = screen_text(stage.app.screen)
        assert "which stood then is not kept" in text
        assert "none stands" not in text
