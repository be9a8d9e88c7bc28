"""News of keepers and drills fold into the fleet; alerts of several keepers become one."""

from typing import Any

import msgspec
import pytest

from console.model import (
    Fleet,
    Freshness,
    Link,
    LinkState,
    change_link,
    expect,
    fold_news,
    observe,
)
from console.model.drills import SILENT_MS, drills_of, going
from console.model.fields import FIELDS, rows
from regions.news import (
    AckNews,
    AlertChange,
    AlertNews,
    AlertsNews,
    BoundNews,
    CertificatesNews,
    DrillNews,
    FlightNews,
    FoundNews,
    News,
    RegionNews,
    SteeringNews,
    StreamNews,
    StreamsNews,
    decode_news,
    encode_news,
)


def alert(name: str = "RegionDark", **changes: Any) -> AlertNews:
    values: dict[str, Any] = {
        "on": "eu", "severity": "page", "state": "firing", "since_ms": 5_000, "text": "x",
    }  # fmt: skip
    return AlertNews(name=name, **(values | changes))


def stands(at_ms: int, *alerts: AlertNews) -> AlertsNews:
    return AlertsNews(at_ms=at_ms, alerts=list(alerts), rules=9)


def drill(number: int, **changes: Any) -> DrillNews:
    values: dict[str, Any] = {
        "at_ms": 1_000 * number, "run": "r1", "drill": "edge-kill", "by": "ops",
        "stage": "calm", "at_s": float(number), "text": "nothing is broken",
    }  # fmt: skip
    return DrillNews(number=number, **(values | changes))


STREAM = StreamNews(name="EV_us", first=1, last=9, messages=9, bytes=900, max_bytes=1_000)
BOUND = BoundNews("gap of a client", "1.2 s", "at most 5 s", met=True)
EVERY: tuple[News, ...] = (
    StreamsNews(at_ms=1, streams=[STREAM], stored_bytes=5, store_bytes=10),
    SteeringNews(
        at_ms=1,
        regions=[RegionNews(name="us", state="ok", lat=39.0, lon=-77.5)],
        edges=[],
        flights=[FlightNews(origin="us", region="eu", took_ms=None, age_ms=7)],
    ),
    stands(1, alert()),
    AlertChange(at_ms=1, alert=alert(state="resolved")),
    CertificatesNews(at_ms=1, ends={"us-n1": 99.0}),
    AckNews(at_ms=1, name="RegionDark", on="eu", by="ops", why="on my way"),
    drill(1, word="pass", found=FoundNews(clients=1, lost=0, repeated=0, bounds=[BOUND])),
)


@pytest.mark.parametrize("news", EVERY, ids=lambda news: type(news).__name__)
def test_what_is_told_is_heard(news: News) -> None:
    assert decode_news(encode_news(news)) == news


@pytest.mark.parametrize("data", [b"", b"{}", b'{"about":"moon"}', b'{"about":"alerts"}', b"[1]"])
def test_what_is_no_news_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_news(data)


def test_alerts_of_all_keepers_become_one_each_the_worst_first() -> None:
    fleet = fold_news(Fleet(), "us", stands(1, alert(state="pending"), alert("Slow", on="x")), 0)
    fleet = fold_news(fleet, "eu", stands(1, alert(since_ms=7_000)), 500)
    view = observe(fleet, 1_000)
    assert [(each.name, each.state, each.said_by) for each in view.alerts] == [
        ("RegionDark", "firing", ("eu", "us")),
        ("Slow", "firing", ("us",)),
    ]
    assert (view.alerts[0].since_ms, view.alerts[0].age_ms) == (7_000, 500)
    assert view.alerts_age_ms == {"us": 1_000, "eu": 500}
    later = observe(fleet, 15_400)
    assert [each.said_by for each in later.alerts] == [("eu",)], "us said so long ago"
    assert later.alerts_age_ms["us"] == 15_400


def test_how_long_an_alert_stands_is_no_matter_of_whose_clock_is_right() -> None:
    for ahead_ms in (0, 300_000, 3_600_000):  # of us, or of the other keeper: nobody compares them
        told = stands(ahead_ms + 60_000, alert(since_ms=ahead_ms + 18_000))
        (view,) = observe(fold_news(Fleet(), "us", told, 1_000), 4_000).alerts
        assert (view.lasted_ms, view.age_ms) == (45_000, 3_000)


def test_an_alert_is_looked_after_as_soon_as_one_keeper_knows() -> None:
    fleet = fold_news(Fleet(), "us", stands(1_000, alert()), 1_000)
    acked = alert(acked_by="ops", acked_why="on my way")
    fleet = fold_news(fleet, "eu", stands(1_000, acked), 1_000)
    ack = AckNews(at_ms=1_500, name="RegionDark", on="eu", by="ops", why="on my way")
    view = observe(fold_news(fold_news(fleet, "us", ack, 1_500), "eu", ack, 1_500), 1_500)
    assert (view.alerts[0].acked_by, view.alerts[0].acked_why) == ("ops", "on my way")
    assert [each.text for each in view.timeline] == ["ops looks after RegionDark: on my way"]


def test_a_region_that_is_dark_is_down_where_others_confirm_it() -> None:
    fleet = expect(change_link(Fleet(), Link(LinkState.CONNECTED, 0)), "eu", ("eu-1",))
    assert observe(fleet, 20_000).regions[0].state == "dark"

    def seen(keeper: str, state: str) -> str:
        regions = [RegionNews(name="eu", state=state)]
        news = SteeringNews(at_ms=1, regions=regions, edges=[])
        region = observe(fold_news(fleet, keeper, news, 19_000), 20_000).regions[0]
        return f"{region.state}: {region.reason}"

    assert seen("us", "down") == "down: nothing heard; confirmed by us"
    assert seen("us", "dark") == "dark: nothing heard"
    assert seen("eu", "down") == "dark: nothing heard"  # of itself nobody confirms anything
    # A local world's one keeper tells in all regions.
    down = [RegionNews(name="eu", state="down")]
    everywhere = fleet
    for region in ("us", "eu", "ap"):
        news = SteeringNews(at_ms=1, regions=down, edges=[], by="us")
        everywhere = fold_news(everywhere, region, news, 19_000)
    (eu,) = [each for each in observe(everywhere, 20_000).regions if each.name == "eu"]
    assert (eu.state, eu.reason) == ("down", "nothing heard; confirmed by us")
    own = SteeringNews(at_ms=1, regions=down, edges=[], by="eu")
    by_itself = observe(fold_news(fleet, "us", own, 19_000), 20_000).regions
    assert [each.state for each in by_itself if each.name == "eu"] == ["dark"]


def test_what_comes_late_changes_nothing() -> None:
    fleet = fold_news(Fleet(), "us", stands(9_000, alert()), 1_000)
    fleet = fold_news(fleet, "us", stands(8_000), 1_100)
    assert len(observe(fleet, 2_000).alerts) == 1
    back = fold_news(fleet, "us", stands(8_000), 60_000)  # its clock was set back
    assert observe(back, 60_000).alerts == ()


def test_what_is_told_has_an_age() -> None:
    fleet = fold_news(Fleet(), "us", EVERY[0], 0)
    for now_ms, freshness in (
        (8_000, Freshness.LIVE), (9_000, Freshness.STALE), (21_000, Freshness.GONE),
    ):  # fmt: skip
        assert observe(fleet, now_ms).streams["us"].freshness is freshness
    assert len(rows(observe(fleet, 9_000), 0, "us")["stream"]) == 1
    assert rows(observe(fleet, 21_000), 0, "us")["stream"] == [], "too old to count"


def test_alerts_and_drills_stand_in_the_timeline_once() -> None:
    fleet = Fleet()
    for region in ("us", "eu"):  # a change is told in every region
        fleet = fold_news(fleet, region, AlertChange(at_ms=3_000, alert=alert()), 0)
        for number in (2, 1, 3):
            fleet = fold_news(fleet, region, drill(number, word="pass" if number == 3 else ""), 0)
    texts = [(each.kind, each.text, each.weight) for each in fleet.timeline]
    assert texts == [
        ("drill", "ops began the drill edge-kill", "plain"),
        ("alert", "RegionDark: x", "bad"),
        ("drill", "drill edge-kill: pass", "good"),
    ]
    assert [stage.number for stage in observe(fleet, 0).drills["r1"]] == [1, 2, 3]


@pytest.mark.parametrize(
    "news",
    [
        StreamsNews(at_ms=1, streams=[STREAM] * 500),
        StreamsNews(at_ms=-1, streams=[]),
        StreamsNews(at_ms=1, streams=[msgspec.structs.replace(STREAM, bytes=2**64)]),
        SteeringNews(at_ms=1, regions=[RegionNews(name="x" * 99, state="ok")], edges=[]),
        SteeringNews(at_ms=1, regions=[RegionNews(name="x", state="ok", lat=91.0)], edges=[]),
        stands(1, *[alert()] * 501),
        stands(1, alert(text="x" * 3_000)),
        AlertChange(at_ms=1, alert=alert(name="")),
        CertificatesNews(at_ms=1, ends={"x": float("nan")}),
        drill(1, run=""),
        drill(1, why="x" * 3_000),
        drill(1, word="pass", found=FoundNews(clients=1, lost=-1, repeated=0)),
        drill(1, word="pass", found=FoundNews(clients=1, lost=0, repeated=0, bounds=[BOUND] * 65)),
    ],
    ids=lambda news: type(news).__name__,
)
def test_news_that_are_out_of_bounds_are_refused(news: News) -> None:
    fleet = fold_news(Fleet(), "us", news, 0)
    assert (fleet.refused, fleet.told) == (1, Fleet().told)


def test_a_drill_goes_on_until_its_end_is_told_or_nothing_is_for_long() -> None:
    fleet = Fleet()
    for number, stage, took_s in ((1, "calm", None), (2, "detect", 0.5), (3, "detect", 2.0)):
        fleet = fold_news(fleet, "us", drill(number, stage=stage, took_s=took_s), 0)
    fleet = fold_news(fleet, "us", drill(1, run="r0", at_ms=500, at_s=0.6, word="missed"), 0)
    [newest, before] = drills_of(observe(fleet, 0).drills)
    assert (newest.run, newest.began_ms, newest.worst_s("detect")) == ("r1", 0, 2.0)
    assert newest.worst_s("reconnect") is None
    assert (newest.state(5_000), newest.lasted_ms(5_000)) == ("goes on", 5_000)
    assert (newest.state(3_000 + SILENT_MS + 1), going([newest], 3_001 + SILENT_MS)) == (
        "silent", None,
    )  # fmt: skip
    assert newest.lasted_ms(9_000_000) == 3_000
    assert (before.state(9_000_000), before.lasted_ms(9_000_000)) == ("missed", 600)
    assert going([before, newest], 5_000) is newest


def test_drills_and_their_stages_are_bounded() -> None:
    fleet = Fleet()
    for run in range(30):
        fleet = fold_news(fleet, "us", drill(1, run=f"r{run}"), 0)
    for number in range(600):
        fleet = fold_news(fleet, "us", drill(number + 2, run="r29"), 0)
    fleet = fold_news(fleet, "us", drill(700, run="r29", word="pass"), 0)
    fleet = fold_news(fleet, "us", drill(1, run="late", at_ms=0), 0)
    drills = observe(fleet, 0).drills
    assert (len(drills), len(drills["r29"])) == (20, 400)
    assert (drills["r29"][0].number, drills["r29"][-1].word) == (1, "pass")
    assert "late" not in drills, "it began before all that are kept"


def test_every_figure_can_be_had_of_everything_that_is_told() -> None:
    fleet = Fleet()
    for news in EVERY:
        fleet = fold_news(fleet, "us", news, 0)
    found = rows(observe(fleet, 1_000), 50_000, "us")
    assert {kind for kind, things in found.items() if things} >= {
        "region", "stream", "store", "flight", "certificate", "fleet",
    }  # fmt: skip
    for kind, things in found.items():
        for thing in things:
            for field in FIELDS[kind]:
                value = field.get(thing)
                assert value is None or isinstance(value, str) is (field.unit == "text"), field.name
    (certificate,) = found["certificate"]
    assert certificate.left_ms == 49_000
