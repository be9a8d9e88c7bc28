"""How keepers see the regions, and what the console makes of that: who agrees, who goes where."""

from ipaddress import ip_address
from typing import Any

import msgspec
import pytest

from console.model import Fleet, FleetView, Link, LinkState, change_link, fold, fold_news, observe
from console.model.opinions import edge_opinions, keepers, nearest, opinions
from console.model.outlook import answers, candidates, clients_by_country, if_died, unplaced
from regions.news import EdgeNews, SteeringNews
from regions.steering.fleet import Fleet as SteeredFleet
from regions.steering.health import EdgeKey, Heard, Load, Observer
from regions.steering.telling import steering_news
from regions.steering.wording import explain_lines, what_if_lines
from regions.topology_file import parse_topology
from relay.core.orders import Orders
from relay.core.steering import choose, shares
from relay.geo.atlas import Atlas
from tests.console import told
from tests.console.scenario import EDGES, quiet
from tests.places import three


def view_of(news: dict[str, tuple[int, SteeringNews]], now_ms: int = 79_600) -> FleetView:
    """A quiet fleet, and what was told in each region, with the time when."""
    fleet = change_link(Fleet(), Link(LinkState.CONNECTED, 0, "eu"))
    for arrival in told.heard(quiet(3, start=77)):
        fleet = fold(fleet, arrival.frame, arrival.at_ms)
    for region, (at_ms, said) in news.items():
        fleet = fold_news(fleet, region, said, at_ms)
    return observe(fleet, now_ms)


def test_a_keeper_that_tells_in_all_regions_counts_once() -> None:
    view = view_of({region: (78_000 + at, told.steering("us")) for at, region in enumerate(EDGES)})
    assert [(each.name, each.age_ms) for each in keepers(view)] == [("us", 1_598)]
    assert [(each.region.name, each.by, each.agreed) for each in opinions(view)] == [
        ("us", ("us",), True), ("eu", ("us",), True), ("ap", ("us",), True),
    ]  # fmt: skip


def test_one_that_does_not_say_who_it_is_is_of_where_it_tells() -> None:
    view = view_of({"ap": (78_000, told.steering(""))})
    assert [each.name for each in keepers(view)] == ["ap"]


def test_where_keepers_disagree_each_view_is_a_row_that_of_most_first() -> None:
    apart = told.steering("ap", us={"state": "dark", "admits": False})
    view = view_of(
        {
            "us": (78_000, told.steering("us", us={"reason": "1 of 2 edges ok", "ramp": 0.52})),
            "eu": (78_500, told.steering("eu", us={"reason": "2 of 2 edges ok", "ramp": 0.54})),
            "ap": (78_000, apart),
        }
    )
    found = [(each.region.name, each.region.state, each.by, each.agreed) for each in opinions(view)]
    assert found == [
        ("us", "ok", ("us", "eu"), False),
        ("us", "dark", ("ap",), False),
        ("eu", "ok", ("us", "eu", "ap"), True),
        ("ap", "ok", ("us", "eu", "ap"), True),
    ]
    assert opinions(view)[0].region.reason == "2 of 2 edges ok", "the youngest says why"


@pytest.mark.parametrize(
    "change", [{"weight": 40}, {"cordoned": "work"}, {"admits": False}, {"ramp": 0.3}]
)
def test_weight_cordon_and_ramp_are_disagreed_about_as_well(change: dict[str, Any]) -> None:
    view = view_of(
        {"us": (78_000, told.steering("us", eu=change)), "eu": (78_000, told.steering("eu"))}
    )
    assert [each.agreed for each in opinions(view) if each.region.name == "eu"] == [False, False]


def test_an_edge_that_one_keeper_finds_wrong_and_another_right() -> None:
    edge = EdgeNews(region="us", name="us-1", state="degraded", door="connect: refused")
    news = msgspec.structs.replace(told.steering("us"), edges=[edge])
    view = view_of({"us": (78_000, news)})
    assert [(each.edge.name, each.by, each.agreed) for each in edge_opinions(view)] == [
        ("us-1", ("us",), True)
    ]
    both = view_of({"us": (78_000, news), "eu": (78_000, told.steering("eu"))})
    assert [(each.by, each.agreed) for each in edge_opinions(both)] == [(("us",), False)]


def test_a_keeper_that_fell_silent_is_asked_only_where_none_speaks() -> None:
    old = told.steering("us", us={"state": "down"})
    view = view_of({"us": (50_000, old), "ap": (78_000, told.steering("ap"))})
    assert [each.name for each in keepers(view)] == ["ap", "us"]
    assert {each.by for each in opinions(view)} == {("ap",)}
    alone = view_of({"us": (50_000, old)})
    assert opinions(alone)[0].region.state == "down"


def test_the_keeper_of_the_region_that_is_listened_in_counts() -> None:
    both = {"us": (78_000, told.steering("us")), "eu": (77_000, told.steering("eu"))}
    found = nearest(view_of(both))
    assert found is not None
    assert found.name == "eu"
    later = nearest(view_of(both | {"eu": (60_000, told.steering("eu"))}))
    assert later is not None
    assert later.name == "us", "its own is not heard"
    assert nearest(view_of({})) is None


# --- answers ------------------------------------------------------------------------------------


def test_clients_are_counted_by_country_over_all_edges() -> None:
    clients = clients_by_country(view_of({}))
    assert (clients["US"], clients["DE"], clients["ZZ"]) == (9_120, 4_020, 40)
    assert unplaced(clients) == 40


def test_countries_with_most_clients_are_answered_first_then_the_usual_ones() -> None:
    found = answers(
        candidates(told.steering("us", ap={"weight": 30})), {"JP": 7, "ZZ": 99, "NG": 9}
    )
    assert [each.country for each in found[:3]] == ["NG", "JP", "US"]
    nigeria, japan = found[0], found[1]
    assert nigeria.first is not None
    assert (nigeria.first.region, nigeria.first.share) == ("eu", 1.0)
    assert {each.region: round(each.share, 2) for each in japan.shares if each.share} == {
        "ap": 0.3, "eu": 0.7,
    }  # fmt: skip
    assert sum(each.share for each in japan.shares) == pytest.approx(1)


def test_an_answer_is_that_of_the_steering_itself() -> None:
    outlook, news = steered()
    assert candidates(news) == list(outlook.regions)


# --- explain, what if: the same as `jetrelay steer` says ----------------------------------------

TOPOLOGY = parse_topology(three(2, 2, 2), "topology")
NOW_S = 1_000.0


def steered() -> tuple[Any, SteeringNews]:
    """A fleet as a steerer sees it, us-1 draining, and the news of that."""
    loads = {
        EdgeKey(region, name): Load(9_000 - 2_000 * at, 18_000)
        for at, (region, names) in enumerate(EDGES.items())
        for name in names
    }
    heard = {key: Heard(NOW_S, "draining" if key.edge == "us-1" else "ready") for key in loads}
    observers = [Observer(region, connected=True, heard=heard) for region in EDGES]
    outlook = SteeredFleet(TOPOLOGY).look(observers, loads, NOW_S, Orders(), 0)
    return outlook, steering_news(outlook, {}, NOW_S, 0, "us")


def test_what_if_is_what_the_command_says() -> None:
    outlook, news = steered()
    fleet = Fleet()
    for arrival in quiet(3, start=77):
        key = EdgeKey(arrival.frame.region, arrival.frame.edge)
        connections = outlook.loads[key].connections
        frame = msgspec.structs.replace(arrival.frame, connections=connections)
        fleet = fold(fleet, frame, arrival.at_ms)
    view = observe(fold_news(fleet, "us", news, 79_000), 79_600)
    for region in EDGES:
        expected = what_if_lines(outlook.if_died(region))
        found = if_died(view, news, region, TOPOLOGY.limits.connections_per_s)
        assert what_if_lines(found) == expected
    assert expected[0] == "ap has 10,000 connections; if it died now:"
    assert any("let in: the rest waits" in line for line in what_if_lines(outlook.if_died("us")))


def test_what_an_edge_lets_in_need_not_be_known() -> None:
    view = view_of({"us": (78_000, told.steering("us"))})
    keeper = nearest(view)
    assert keeper is not None
    text = "\n".join(what_if_lines(if_died(view, keeper.news, "eu", 0.0)))
    assert text.splitlines()[0] == "eu has 18,137 connections; if it died now:"
    assert "the rest waits" not in text


def test_an_address_is_explained_as_the_command_does() -> None:
    outlook, news = steered()
    atlas = Atlas()
    origin = atlas.find(ip_address("203.0.113.9"))
    given = shares(candidates(news), origin.whence)
    order = choose(given, str(origin.network).encode())
    lines = explain_lines(origin, given, order)
    assert lines == explain_lines(origin, shares(outlook.regions, origin.whence), order)
    assert lines[0] == "203.0.113.0/24: no database of places is configured"
    assert lines[1].split() == ["region", "ms", "share", "why"]
    assert lines[-1] == f"this network: {', then '.join(order)}"
