"""Canaries and keepers in the console's verdict: none fails unsaid, and silence is no good news."""

from console.judgement import Level, judge, summary
from console.model import Fleet, Link, LinkState, change_link, fold, fold_news, observe
from regions.news import AlertsNews, EdgeNews, FlightNews, SteeringNews
from tests.unit.test_console_fold import frame


def fleet(*edges: EdgeNews, flight_ms: int = 3_000, us: str = "ready") -> Fleet:
    """Two regions with an edge each, and a keeper that tells of doors and of a flight."""
    found = change_link(Fleet(), Link(LinkState.CONNECTED, 0, "us"))
    for region, state in (("us", us), ("eu", "ready")):
        found = fold(found, frame(1, region=region, edge=f"{region}-1", state=state), 0)
    flight = FlightNews(origin="us", region="eu", took_ms=80.0, age_ms=flight_ms)
    told = SteeringNews(at_ms=1, regions=[], edges=list(edges), flights=[flight])
    found = fold_news(found, "us", told, 0)
    return fold_news(found, "us", AlertsNews(at_ms=1, alerts=[], rules=9), 0)


def shut(reason: str = "ready") -> EdgeNews:
    return EdgeNews(
        region="us", name="us-1", state="ok", reason=reason, door="publish: no answer within 5 s"
    )


def test_a_door_that_fails_is_said_at_once_before_any_alert() -> None:
    view = observe(fleet(shut()), 500)
    assert [region.state for region in view.regions] == ["ok", "ok"]
    judgement = judge(view)
    assert judgement.level is Level.WARNING
    assert judgement.text == "the door of us-1: publish: no answer within 5 s"
    (canary,) = view.canaries
    assert (canary.on, canary.by, canary.age_ms) == ("us-1", "us", 500)


def test_a_flight_that_does_not_arrive_is_said() -> None:
    assert judge(observe(fleet(flight_ms=12_000), 0)).level is Level.OK
    judgement = judge(observe(fleet(flight_ms=13_000), 0))
    assert judgement.text == "canaries us>eu: nothing arrives, since 13 s"


def test_what_explains_it_is_said_once() -> None:
    judgement = judge(observe(fleet(shut(), us="starting"), 0))
    assert judgement.text == "us degraded: us-1 starting"


def test_a_door_that_is_shut_as_ordered_is_no_failure() -> None:
    view = observe(fleet(shut(reason="it is drained")), 0)
    assert view.canaries == ()


def test_what_a_keeper_said_long_ago_counts_no_more_and_its_silence_is_said() -> None:
    heard = fleet(shut())
    for region in ("us", "eu"):
        heard = fold(heard, frame(2, region=region, edge=f"{region}-1"), 16_000)
    view = observe(heard, 16_000)
    assert view.canaries == ()
    judgement = judge(view)
    assert judgement.level is Level.WARNING
    assert judgement.text.startswith("no keeper is heard for 16 s")
    assert summary(view) == "2 regions ok, 2 of 2 edges ready, no keeper is heard"


def test_a_world_that_never_had_a_keeper_is_ok_and_that_is_said() -> None:
    bare = change_link(Fleet(), Link(LinkState.CONNECTED, 0, "us"))
    view = observe(fold(bare, frame(1), 0), 0)
    assert judge(view).level is Level.OK
    assert summary(view) == "1 regions ok, 1 of 1 edges ready, no keeper is heard"
