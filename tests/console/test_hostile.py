"""Text from outside can't crash the console, reach the terminal's escape codes or run an action."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from console.feed import BooksRead, LinkChanged, NewsHeard
from console.model import LinkState, observe
from console.report import to_json, to_text
from console.svg import screen_text
from regions.news import AlertNews, AlertsNews
from regions.operations.entry import Entry, Plan, Request, Run
from tests.console.scenario import frame, quiet
from tests.console.stage import Stage, settle

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


async def show(names: list[str]) -> None:
    edge, region, origin, state, url, version, reason = names
    stage = Stage({region: (edge,), origin: ()})
    async with stage.app.run_test(size=(160, 40)) as pilot:
        stage.connect()
        stage.play(quiet(2))
        for second in (2, 3):
            heard = frame(
                region, edge, second, state=state, url=url, version=version, lag_ms={origin: 5000.0}
            )
            stage.hear(heard, second * 1000)
        alert = AlertNews(name=edge, on=state, severity="page", state="firing", since_ms=1,
                          text=reason, runbook=url)  # fmt: skip
        news = AlertsNews(at_ms=1, alerts=[alert], rules=1, by=region)
        stage.app.hear(NewsHeard(region, news))
        request = Request(verb="drain", region=region, edge=edge, by=url, why=reason)
        entry = Entry(
            run=version, at_ms=1, by=url, what="submitted", request=request, plan=Plan([])
        )
        stage.app.hear(BooksRead((Run(version, request, Plan([]), [entry]),), (), {}))
        stage.app.hear(LinkChanged(LinkState.LOST, region, reason))
        for width, height in ((160, 40), (90, 24)):
            await pilot.resize_terminal(width, height)
            await settle(stage, pilot, 3_500)
            assert_harmless(screen_text(stage.app.screen))
            for strip in stage.app.screen._compositor.render_strips():
                assert "\x1b" not in strip.text
                assert not any(s.style and s.style.meta.get("@click") for s in strip)
        for x, y in ((4, 2), (4, 9), (60, 2), (80, 12)):
            await pilot.click(offset=(x, min(y, 20)))
        assert stage.app.is_running
        assert stage.app.return_code is None
    view = observe(stage.app.fleet, 3_500)
    assert_harmless(to_text(view, 0))
    assert to_json(view, 0).isprintable()


@pytest.mark.parametrize("evil", EVIL)
async def test_one_evil_text_everywhere(evil: str) -> None:
    await show([evil[:60]] * 7)


# Not shrunk: an example is a whole screen, and the failing text is readable as it is.
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(ANY_TEXT, min_size=7, max_size=7))
async def test_any_text_anywhere(names: list[str]) -> None:
    await show(names)
