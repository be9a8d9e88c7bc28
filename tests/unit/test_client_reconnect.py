"""Where next, and after how long."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from relay.client.bodies import Place, ReconnectRule
from relay.client.reconnect import Hop, Route, backoff_s, gateway_url

REGIONS = (Place("ap", "ws://ap"), Place("eu", "ws://eu"), Place("us", "ws://us"))
RULE = ReconnectRule()


def settled(*urls: str, region: str = "eu", resume_url: str = "ws://eu-2") -> Route:
    route = Route(urls or ("ws://eu",))
    route.learn(route.given[0], region, REGIONS, RULE)
    route.settle(route.given[0], region, resume_url)
    return route


def failing(route: Route) -> Iterator[str]:
    while True:
        hop = route.next(lambda: 0.0)
        yield hop.url
        route.fail(hop.url)


def test_the_query_names_version_encoding_and_resume_and_keeps_the_rest() -> None:
    assert gateway_url("ws://h/gateway", "json", False) == "ws://h/gateway?v=10&encoding=json"
    url = gateway_url("wss://h/?key=1&v=9&resume=1", "msgpack", True)
    assert url == "wss://h/?key=1&v=10&encoding=msgpack&resume=1"


@given(st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1))
def test_the_wait_grows_within_its_bounds(attempt: int, low: float, high: float) -> None:
    low, high = sorted((low, high))
    short = backoff_s(RULE, attempt, lambda: low)
    assert 0.1 <= short <= backoff_s(RULE, attempt, lambda: high) <= 30
    assert short <= backoff_s(RULE, attempt + 1, lambda: low)


def test_the_first_wait_is_base_and_jitter_and_none_when_asked_to_go() -> None:
    route = settled()
    route.lose(at_once=False)
    assert route.next(lambda: 1.0) == Hop("ws://eu-2", 1.1, 0)
    route.lose(at_once=True)
    assert route.next(lambda: 1.0) == Hop("ws://eu-2", 0.0, 0)
    route.fail("ws://eu-2")
    assert route.next(lambda: 1.0) == Hop("ws://eu", 1.2, 1)


def test_regions_follow_in_turn_from_the_present_one_then_the_given_addresses() -> None:
    route = settled("ws://balancer", "ws://eu")
    route.learn("ws://balancer", "", REGIONS, RULE)
    route._region_of.clear()
    urls = failing(route)
    assert [next(urls) for _ in range(10)] == [
        "ws://eu-2", "ws://eu", "ws://us", "ws://us", "ws://ap", "ws://ap",
        "ws://balancer", "ws://eu", "ws://eu-2", "ws://eu",
    ]  # fmt: skip


def test_a_region_that_the_edges_no_longer_list_comes_last() -> None:
    route = settled()
    route.regions = (Place("us", "ws://us"), Place("ap", "ws://ap"))
    urls = failing(route)
    assert [next(urls) for _ in range(6)] == [
        "ws://us", "ws://us", "ws://ap", "ws://ap", "ws://eu-2", "ws://eu",
    ]  # fmt: skip


def test_a_new_address_of_the_own_region_is_where_it_goes_next() -> None:
    route = settled(resume_url="ws://long-gone")
    route.relist((Place("us", "ws://us"), Place("eu", "ws://eu-7")))
    route.lose(at_once=True)
    assert route.next(lambda: 1.0) == Hop("ws://eu-7", 0.0, 0)


def test_news_of_other_regions_do_not_change_where_it_goes() -> None:
    route = settled()
    route.relist((Place("us", "ws://us-9"), Place("eu", "ws://eu")))
    assert route.next(lambda: 1.0).url == "ws://eu-2"


def test_addresses_are_tried_without_a_wait_once_each_until_something_is_known() -> None:
    route = Route(["ws://a", "ws://b", "ws://a"])
    hops = []
    for _ in range(4):
        hops.append(route.next(lambda: 0.0))
        route.fail(hops[-1].url)
    assert [(hop.url, hop.delay_s) for hop in hops] == [
        ("ws://a", 0.0), ("ws://b", 0.0), ("ws://a", 0.1), ("ws://b", 0.2),
    ]  # fmt: skip


def test_home_is_where_it_was_first() -> None:
    route = settled()
    assert route.home_url == "ws://eu"
    route.settle("ws://us", "us", "ws://us-2")
    assert route.away
    assert route.home_url == "ws://eu"
    route.go_home()
    assert route.next(lambda: 1.0) == Hop("ws://eu", 0.0, 0)
    route.fail("ws://eu")
    route.fail("ws://eu")
    assert route.next(lambda: 0.0).url == "ws://us"
    route.regions = REGIONS[2:]
    assert route.home_url is None


def test_an_address_that_asked_for_time_is_not_waited_for_once_the_session_went_on_elsewhere() -> (
    None
):
    route = settled(resume_url="ws://eu")
    route.fail("ws://eu", retry_after_s=5.0)
    assert route.next(lambda: 0.0).delay_s == 5.0
    route.settle("ws://us", "us", "ws://us-2")
    route.go_home()
    assert route.next(lambda: 0.0) == Hop("ws://eu", 0.0, 0)
