"""What keepers tell of doors, where somebody plans."""

import time
from dataclasses import dataclass
from typing import Any, cast

import pytest

from regions.news import AckNews, EdgeNews, SteeringNews, encode_news
from regions.steering.health import FRESH_S, EdgeKey, Heard, Load, Observer, Try, judge_edge
from regions.steering.keepers import KEEPERS, Keepers
from regions.steering.steerer import Steerer
from regions.topology_file import parse_topology
from relay.core.orders import Orders
from relay.core.steering import State
from relay.geo.atlas import Atlas
from tests.places import three

US, EU, AP = EdgeKey("us", "us-1"), EdgeKey("eu", "eu-1"), EdgeKey("ap", "ap-1")
EDGES = (US, EU, AP)


def news(*edges: EdgeNews, at_ms: int = 5, tried: int = 3, by: str = "us") -> bytes:
    return encode_news(SteeringNews(at_ms=at_ms, regions=[], edges=list(edges), tried=tried, by=by))


def shut(key: EdgeKey, state: str = "degraded", door: str | None = "connect: refused") -> EdgeNews:
    return EdgeNews(region=key.region, name=key.edge, state=state, door=door)


def test_what_a_keeper_does_not_name_it_has_passed() -> None:
    now_s = [100.0]
    keepers = Keepers(lambda: now_s[0])
    keepers.hear("us", news(shut(EU), shut(AP, "ok"), shut(US, "dark", None)))
    (seen,) = keepers.observers(EDGES)
    assert seen.tries == {
        EU: Try(100.0, "connect: refused", times=2), AP: Try(100.0, "connect: refused", times=1),
    }  # fmt: skip
    keepers.hear("us", news(shut(EU), at_ms=6))
    (seen,) = keepers.observers(EDGES)
    assert (seen.tries[US].passed, seen.tries[EU].failed) == (True, "connect: refused")
    now_s[0] += FRESH_S + 1
    assert keepers.observers(EDGES) == []


def test_the_newest_of_each_keeper_counts_whereever_it_is_heard() -> None:
    keepers = Keepers(lambda: 1.0)
    for region in ("us", "eu"):
        keepers.hear(region, news(shut(EU), at_ms=9, by="ap"))
    keepers.hear("us", news(at_ms=8, by="ap"))  # late
    keepers.hear("us", news(by=""))
    assert [each.region for each in keepers.observers(EDGES)] == [
        "the keeper of ap", "the keeper of us",
    ]  # fmt: skip
    assert keepers.observers(EDGES)[0].tries[EU].failed


def test_who_tries_no_doors_and_what_is_no_news_says_nothing() -> None:
    keepers = Keepers(lambda: 1.0)
    keepers.hear("us", news(shut(EU), tried=0))
    for noise in (b"", b"{}", b"\xff", encode_news(AckNews(at_ms=1, name="a", on="b", by="c"))):
        keepers.hear("us", noise)
    assert keepers.observers(EDGES) == []
    for number in range(KEEPERS * 2):
        keepers.hear("us", news(by=f"r{number}"))
    assert len(keepers.observers(EDGES)) < KEEPERS


def test_a_door_that_keepers_do_not_get_through_takes_nobody() -> None:
    keepers = Keepers(lambda: 10.0)
    keepers.hear("us", news(shut(EU)))
    hears = Observer("us", True, dict.fromkeys(EDGES, Heard(9.0, "ready")))
    verdict = judge_edge(EU, [hears, *keepers.observers(EDGES)], 10.0)
    assert (verdict.state, verdict.admits) == (State.DEGRADED, False)
    assert verdict.reason == "its door fails from the keeper of us: connect: refused"
    keepers.hear("ap", news(by="ap"))
    assert judge_edge(EU, [hears, *keepers.observers(EDGES)], 10.0).admits, "others get in"


@dataclass
class _Posts:
    """Listening posts of a name server that hears every edge."""

    keepers: Keepers
    observers: list[Observer]
    newest: dict[EdgeKey, object]
    loads: dict[EdgeKey, Load]
    orders: Orders


@pytest.mark.parametrize(("keeper", "admits"), [("ap", True), ("us", False)])
def test_a_way_that_is_cut_takes_no_region_out_where_a_keeper_passes_its_door(
    keeper: str, admits: bool
) -> None:
    """Of the keeper of us itself, its own word of before is no witness."""
    now_s = time.monotonic()
    keepers = Keepers(lambda: now_s)
    keepers.hear(keeper, news(by=keeper))
    topology = parse_topology(three(1, 1, 1), "w.toml")
    steerer = Steerer(topology, [], Atlas(), {}, keeper="us")
    heard = {key: Heard(now_s, "ready") for key in EDGES}
    observers = [Observer(name, connected=True, heard=heard) for name in ("us", "eu", "ap")]
    loads = dict.fromkeys(EDGES, Load(1, 100))
    posts = _Posts(keepers, observers, dict.fromkeys(EDGES, None), loads, Orders())
    steerer._posts = cast("Any", posts)
    steerer.tries = {US: Try(now_s), EU: Try(now_s, "connect: timed out", times=2), AP: Try(now_s)}
    steerer._look()
    (eu,) = [each for each in steerer.regions if each.name == "eu"]
    assert (eu.verdict.state, eu.verdict.admits) == (State.DEGRADED, admits)
