"""Where an edge sends clients, by what it hears of the others and by what operators want."""

import ipaddress

import msgspec

from relay.config import RegionConfig
from relay.core.orders import Order, Orders, Ramp
from relay.core.steering import Place, Whence
from relay.edge.compass import Compass
from relay.edge.peers import ALIVE_S, LeaseBeat, Peers, subject_of
from relay.geo.atlas import Origin

REGIONS = [
    RegionConfig("us", 0, 39.0, -77.5, ["ws://us-1"]),
    RegionConfig("eu", 1, 50.1, 8.7, ["ws://eu-1", "ws://eu-2"]),
    RegionConfig("ap", 2, 1.4, 103.8, ["ws://ap-1"]),
]
NOW_S, NOW_MS = 1_000.0, 1_800_000_000_000
BERLIN = Origin(ipaddress.ip_network("198.51.100.0/24"), Whence(Place(52.5, 13.4)), "DE")


def compass(
    *orders: Order, full: str = "", silent: tuple[str, ...] = (), room: int = 1_000
) -> Compass:
    """Of us-1, which hears itself as well."""
    peers = Peers("us", "us-1", "ws://us-1", REGIONS, 0.0)
    for edge in ("us-1", "eu-1", "eu-2", "ap-1"):
        region = edge[:2]
        if region in silent:
            continue
        count = 990 if region == full else 10
        beat = LeaseBeat(region, edge, 1, f"ws://{edge}", "ready", count, room)
        peers.hear(subject_of(beat), msgspec.json.encode(beat), NOW_S)
    standing = Orders()
    for order in orders:
        standing.take("us", order)
    peers.refusing = frozenset(each.scope for each in standing if each.edge and not each.idle)
    return Compass(peers, standing, REGIONS)


def names(of: Compass, origin: Origin = BERLIN, now_s: float = NOW_S) -> list[str]:
    return [course.name for course in of.rank(origin, now_s, NOW_MS)]


def test_the_nearest_region_comes_first() -> None:
    ranked = compass().rank(BERLIN, NOW_S, NOW_MS)
    assert [course.name for course in ranked] == ["eu", "us", "ap"]
    assert ranked[0].url in ("ws://eu-1", "ws://eu-2")
    distances = [course.distance_ms or 0 for course in ranked]
    assert distances == sorted(distances)


def test_networks_are_spread_over_the_edges_of_a_region_and_stay_where_they_were() -> None:
    of, seen = compass(), set[str]()
    for n in range(32):
        origin = Origin(ipaddress.ip_network(f"10.0.{n}.0/24"), BERLIN.whence)
        first = of.rank(origin, NOW_S, NOW_MS)[0].url
        assert of.rank(origin, NOW_S, NOW_MS)[0].url == first
        seen.add(first)
    assert seen == {"ws://eu-1", "ws://eu-2"}


def test_a_region_that_is_full_silent_or_closed_is_passed_over() -> None:
    assert names(compass(full="eu")) == ["us", "eu", "ap"]
    assert names(compass(silent=("eu",))) == ["us", "ap"]
    cordon = Order(region="eu", at_ms=1, by="ops", cordoned=True)
    assert names(compass(cordon)) == ["us", "ap"]
    weight = Order(region="eu", at_ms=1, by="ops", weight=0)
    assert names(compass(weight)) == ["us", "ap"]
    ramp = Order(region="eu", at_ms=1, by="ops", ramp=Ramp(NOW_MS, 60.0))
    assert names(compass(ramp))[0] == "us"


def test_an_edge_that_operators_closed_is_named_to_nobody() -> None:
    drain = Order(region="eu", edge="eu-1", at_ms=1, by="ops", drain_s=1.0)
    urls = {
        compass(drain).rank(Origin(ipaddress.ip_network(f"10.0.{n}.0/24"), BERLIN.whence),
                            NOW_S, NOW_MS)[0].url
        for n in range(16)
    }  # fmt: skip
    assert urls == {"ws://eu-2"}


def test_where_nobody_is_heard_all_are_named_as_configured() -> None:
    of = compass()
    ranked = of.rank(BERLIN, NOW_S + ALIVE_S + 1, NOW_MS)
    assert sorted(course.name for course in ranked) == ["ap", "eu", "us"]
    assert {course.url for course in ranked} <= {url for each in REGIONS for url in each.urls}


def test_a_region_whose_nats_is_gone_names_the_others_alone() -> None:
    atlanta = Origin(ipaddress.ip_network("192.0.2.0/24"), Whence(Place(33.7, -84.4)), "US")
    of = compass()
    assert names(of, atlanta)[0] == "us"
    of._peers.cut = True
    assert names(of, atlanta) == ["eu", "ap"], "heard a moment ago"
    assert names(of, atlanta, NOW_S + ALIVE_S + 1) == ["eu", "ap"], "nobody is heard any more"


def test_who_has_just_begun_to_listen_takes_all_to_be_there() -> None:
    of = Compass(Peers("us", "us-1", "ws://us-1", REGIONS, NOW_S), Orders(), REGIONS)
    assert names(of, now_s=NOW_S + 1) == ["eu", "us", "ap"]


def test_an_edge_that_does_not_say_its_room_does_not_count_as_full() -> None:
    assert names(compass(full="eu", room=0))[0] == "eu"


def test_who_is_nowhere_goes_by_room() -> None:
    nowhere = Origin(ipaddress.ip_network("203.0.113.0/24"), Whence())
    assert sorted(names(compass(), nowhere)) == ["ap", "eu", "us"]


def test_a_region_that_comes_back_has_to_last_and_then_takes_more_and_more() -> None:
    of = compass()
    peers = of._peers
    peers.look(NOW_S)
    assert names(of)[0] == "eu"

    def beat_all(at_s: float, *, eu: bool) -> None:
        for edge in ("us-1", "ap-1", *(("eu-1", "eu-2") if eu else ())):
            beat = LeaseBeat(edge[:2], edge, 1, f"ws://{edge}", "ready", 10, 1_000)
            peers.hear(subject_of(beat), msgspec.json.encode(beat), at_s)

    def firsts(at_s: float, *, eu: bool) -> int:
        """Of 100 networks at Berlin, how many are sent to eu first."""
        beat_all(at_s, eu=eu)
        peers.look(at_s)
        networks = [ipaddress.ip_network(f"10.0.{n}.0/24") for n in range(100)]
        ranked = [of.rank(Origin(each, BERLIN.whence), at_s, NOW_MS) for each in networks]
        return sum(courses[0].name == "eu" for courses in ranked)

    gone_s = NOW_S + ALIVE_S + 1
    assert firsts(gone_s, eu=False) == 0
    assert firsts(gone_s + 1, eu=True) == 0, "it has to last"
    assert firsts(gone_s + 9, eu=True) == 0
    assert firsts(gone_s + 11.5, eu=True) < 10
    assert 30 < firsts(gone_s + 41.5, eu=True) < 70
    assert firsts(gone_s + 80, eu=True) == 100
