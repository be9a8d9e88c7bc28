"""What would mislead an operator in the worst minute, or take the console away in it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from textual import events
from textual.pilot import Pilot

from console.commands import BY_NAME, parse
from console.doing.tables import _harmless
from console.feed import FrameHeard, LinkChanged, NewsHeard, apply
from console.model import Fleet, LinkState, expect, observe
from console.panes.edges import WideEdgeTable
from console.svg import screen_text
from console.views.keybar import KeyBar
from console.views.prompt import Prompt
from regions.news import AlertNews, AlertsNews
from tests.console.office import Desk
from tests.console.scenario import EDGES, START_MS, frame, quiet
from tests.console.stage import Stage, settle, typed, until

NOW_MS = 79_600
PAGE = AlertNews(name="RegionDark", on="ap", severity="page", state="firing",
                 since_ms=START_MS + 41_000, text="nothing is heard of ap")  # fmt: skip


@dataclass
class Seen:
    """A console over a quiet fleet, and how often it rang."""

    stage: Stage
    pilot: Pilot[None]
    bells: list[int] = field(default_factory=list)

    @property
    def text(self) -> str:
        return screen_text(self.stage.app.screen)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.draw()

    async def draw(self, now_ms: int = NOW_MS) -> None:
        await settle(self.stage, self.pilot, now_ms)

    async def arm(self) -> None:
        self.stage.app.tell(*parse("arm ticket 42"))
        await until(self.pilot, lambda: self.stage.app.acting.armed is not None)
        await self.draw()


@asynccontextmanager
async def console(
    desk: Desk | None = None, size: tuple[int, int] = (120, 36)
) -> AsyncIterator[Seen]:
    stage = Stage(EDGES, backing=None if desk is None else desk.backing())
    async with stage.app.run_test(size=size) as pilot:
        seen = Seen(stage, pilot)
        stage.app.bell = lambda: seen.bells.append(1)  # type: ignore[method-assign]
        stage.connect()
        stage.play(quiet(80))
        await seen.draw()
        yield seen


async def test_another_screen_is_shown_also_while_a_table_stands_alone() -> None:
    async with console() as seen:
        await seen.press("z")
        assert "Mirror lag" not in seen.text
        await seen.press("8")
        assert "Edges (6)" not in seen.text
        assert seen.stage.app.screen.maximized is None
        await seen.press("1")
        assert "Mirror lag" in seen.text


async def test_a_table_that_stands_alone_hides_no_warning_and_no_prompt() -> None:
    async with console() as seen:
        await seen.press("z")
        assert "connections" in seen.text.splitlines()[0]
        assert "12345678 screens" in seen.text
        seen.stage.app.hear(LinkChanged(LinkState.LOST, "us", "connection refused"))
        await seen.draw()
        assert "link lost" in seen.text
        assert "connection refused" in seen.text
        await seen.pilot.press("colon")
        await seen.pilot.press("e", "d")
        await seen.draw()
        assert "\nedges\n" in seen.text  # with what would complete it


async def test_a_page_rings_and_stands_above_also_while_the_picture_is_held() -> None:
    async with console() as seen:
        await seen.press("f")
        assert "FROZEN" in seen.text
        news = AlertsNews(at_ms=START_MS + NOW_MS, alerts=[PAGE], rules=9)
        seen.stage.app.hear(NewsHeard("us", news))
        await seen.draw()
        assert seen.bells == [1]
        assert "now 1 paging" in seen.text
        seen.stage.app.hear(LinkChanged(LinkState.LOST, "us", "gone"))
        await seen.draw()
        assert "now ✗ link lost" in seen.text


@pytest.mark.parametrize(
    "changes",
    [
        {"closes": {"4" * 5_000: 1}},
        {"positions": {"us": 10**400}},
        {"heads": {"us": -1}},
        {"countries": {"US": (1, 2, 2**70)}},
        {"url": "x" * 500_000},
        {"version": "x" * 500_000},
        {"state": "x" * 500},
        {"refused": {"x" * 5_000: 1}},
    ],
)
async def test_a_frame_out_of_bounds_is_counted_and_harms_nothing(
    changes: dict[str, object],
) -> None:
    fleet = apply(Fleet(), FrameHeard(frame("us", "us-1", 1, **changes)), 1_000)
    assert (fleet.refused, len(fleet.edges)) == (1, 0)


def test_regions_beyond_the_limit_are_left_out() -> None:
    fleet = Fleet()
    for at in range(40):
        fleet = expect(fleet, f"r{at}", ["one"])
    view = observe(fleet, 1_000)
    assert len(view.regions) == 32
    assert view.over_limit == 8


async def test_a_line_that_is_typed_outlives_a_look_into_another_window() -> None:
    async with console() as seen:
        await seen.pilot.press("colon", "d", "r")
        prompt = seen.stage.app.query_one(Prompt)
        seen.stage.app.post_message(events.AppBlur())
        await seen.draw()
        seen.stage.app.post_message(events.AppFocus())
        await seen.draw()
        await seen.pilot.press("a")
        assert prompt.display
        assert prompt.value == "dra"


async def test_the_followed_row_stays_in_sight_where_others_come_before_it() -> None:
    async with console() as seen:
        await seen.press("2", "end", "F")
        table = seen.stage.app.query_one(WideEdgeTable)
        followed = table.current
        assert followed is not None
        for number in range(10, 47):
            seen.stage.hear(frame("us", f"us-{number}", 79), NOW_MS)
        await seen.draw()
        await seen.draw()
        assert table.count == 43
        assert table.current is not None
        assert table.current.name == followed.name
        assert f"{followed.name} " in seen.text


async def test_arming_again_at_once_leaves_a_console_that_can_act() -> None:
    desk = Desk()
    async with console(desk) as seen:
        await seen.arm()
        await seen.press("W")
        assert seen.stage.app.acting.armed is None
        await seen.arm()
        for _ in range(5):
            await asyncio.sleep(0)
        office = await asyncio.wait_for(seen.stage.app.acting.office(), 5)
        assert office is not None


async def test_an_act_that_is_confirmed_too_late_says_that_nothing_was_done() -> None:
    desk = Desk()
    async with console(desk) as seen:
        await seen.arm()
        seen.stage.app.tell(*parse("drain us-1"))
        await until(seen.pilot, lambda: getattr(seen.stage.app.screen, "step", "") == "confirm")
        seen.stage.app.acting.armed = None
        await typed(seen.pilot, "us-1")
        await seen.draw()
        notes = [note.message for note in seen.stage.app._notifications]
        assert "nothing was done: the console is read-only again" in notes
        assert desk.submitted_ == []


async def test_an_edge_that_is_not_known_has_no_figures() -> None:
    async with console() as seen:
        seen.stage.app.tell(*parse("edge eu-1"))
        await seen.draw()
        assert "What it reads" in seen.text
        seen.stage.app.fleet = Fleet()
        await seen.draw()
        assert "no such edge is known" in seen.text
        assert "What it reads" not in seen.text


async def test_what_can_be_done_stands_first_in_the_keys_of_an_armed_console() -> None:
    async with console(Desk(), size=(80, 24)) as seen:
        await seen.arm()
        foot = str(seen.stage.app.query_one(KeyBar).visual)
        for word in ("cordon", "drain"):
            assert word in foot
        assert foot.rstrip().endswith("…")
        await seen.pilot.resize_terminal(200, 50)
        await seen.draw()
        assert "quit" in str(seen.stage.app.query_one(KeyBar).visual)


async def test_what_has_to_follow_a_commands_name_is_typed_after_the_palette() -> None:
    async with console() as seen:
        seen.stage.app.choose(BY_NAME["edge"])
        await seen.draw()
        prompt = seen.stage.app.query_one(Prompt)
        assert (prompt.display, prompt.value) == (True, "edge ")
        await typed(seen.pilot, "eu-2")
        await seen.draw()
        assert "eu-2 of eu" in seen.text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("-12.5", "-12.5"),
        ("-1,204", "-1,204"),
        ("=1", "'=1"),
        ("—", "—"),
    ],
)
def test_no_cell_is_a_formula(text: str, kept: str) -> None:
    assert _harmless(text) == kept
