"""Enter on the first screen: an edge in detail, a region's edges, all that is known of an alert."""

from console.feed import NewsHeard
from console.model.alerts import standing
from console.views.alerts import AlertTable, summary
from console.views.edges import EdgeTable
from console.views.regions import RegionLines
from regions.news import AlertNews, AlertsNews
from tests.console.asked import NOW_MS, console
from tests.console.clerk import Clerk
from tests.console.scenario import START_MS

ALERT = AlertNews(
    name="EdgeLoopLag", severity="page", state="firing", since_ms=START_MS + NOW_MS - 61_000,
    on="eu-1", text="its loop stood still for [b]300 ms[/b]", runbook="docs/runbooks.md#loop",
    acked_by="ops", acked_why="on it",
)  # fmt: skip


async def test_an_edge_opens_in_detail() -> None:
    async with console(Clerk()) as shown:
        await shown.press("enter")
        assert shown.app.navigation.shown == "pane-edge"
        await shown.press("escape")
        assert shown.app.navigation.shown == "pane-fleet"
        assert shown.app.focused is shown.app.query_one(EdgeTable)


async def test_a_region_opens_as_its_edges() -> None:
    async with console(Clerk()) as shown:
        await shown.pilot.resize_terminal(80, 24)
        await shown.later()
        shown.app.query_one(RegionLines).focus()
        await shown.press("enter")
        assert shown.app.navigation.shown == "pane-edges"
        region = shown.app.query_one(RegionLines).current
        assert region is not None
        assert shown.app.scene.region == region.name


async def test_an_alert_opens_with_its_runbook_and_who_looks_after_it() -> None:
    async with console(Clerk()) as shown:
        news = AlertsNews(at_ms=START_MS + NOW_MS, alerts=[ALERT], rules=9, by="us")
        shown.app.hear(NewsHeard("us", news))
        await shown.later()
        shown.app.query_one(AlertTable).focus()
        await shown.press("enter")
        for text in (
            "page, firing for 6", "on        eu-1", "its loop stood still for [b]300 ms[/b]",
            "seen by   the keepers of us", "runbook   docs/runbooks.md#loop",
            "✓ ops looks after it: on it",
        ):  # fmt: skip
            assert text in shown.text
        await shown.press("escape")
        assert "runbook" not in shown.text


def test_one_keeper_that_is_heard_everywhere_is_one() -> None:
    said = AlertsNews(at_ms=1_000, alerts=[ALERT], rules=9, by="us")
    own = AlertsNews(at_ms=1_000, alerts=[ALERT], rules=9, by="ap")
    alerts, ages = standing({"us": (0, said), "eu": (4_000, said), "ap": (2_000, own)}, 5_000)
    assert ages == {"us": 1_000, "ap": 3_000}
    assert [alert.said_by for alert in alerts] == [("ap", "us")]


async def test_a_keeper_that_fell_silent_is_named_beside_those_that_speak() -> None:
    async with console(Clerk()) as shown:
        for by in ("us", "ap"):
            news = AlertsNews(at_ms=START_MS + NOW_MS, alerts=[], rules=9, by=by)
            shown.app.hear(NewsHeard(by, news))
        await shown.later(60_000)
        news = AlertsNews(at_ms=START_MS + NOW_MS + 60_000, alerts=[], rules=9, by="us")
        shown.app.hear(NewsHeard("us", news))
        await shown.later()
        said = summary(shown.app.scene.look().view)
        assert said.startswith("by us; ▲ ap silent 60s")
