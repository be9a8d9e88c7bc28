"""The other edges: who is alive, and where clients are pointed to."""

from collections import Counter
from itertools import combinations

import msgspec

from relay.config import RegionConfig
from relay.edge.peers import (
    ALIVE_S,
    BEAT_S,
    EASE_STEPS,
    LOTS,
    LeaseBeat,
    Peers,
    _points,
    picked,
    subject_of,
)

REGIONS = [
    RegionConfig("us", 0, 39.0, -77.5, ["ws://us-1", "ws://us-2"]),
    RegionConfig("eu", 1, 50.1, 8.7, ["ws://eu-1"]),
    RegionConfig("ap", 2, 1.4, 103.8, ["ws://ap-1"]),
]
START_S = 1000.0
LATER_S = START_S + 2 * BEAT_S


def peers() -> Peers:
    """Those of us-1."""
    return Peers("us", "us-1", "ws://us-1", REGIONS, START_S)


def beat(region: str, edge: str, *, epoch: int = 1, state: str = "ready") -> LeaseBeat:
    return LeaseBeat(region, edge, epoch, f"ws://{edge}", state)


def hear(known: Peers, heard: LeaseBeat, now_s: float, subject: str | None = None) -> None:
    known.hear(subject or subject_of(heard), msgspec.json.encode(heard), now_s)


def test_before_anybody_was_heard_the_configuration_says_where_to_go() -> None:
    assert peers().resume_url(START_S) == "ws://us-2"


def test_another_live_edge_of_the_region_comes_first_then_the_nearest_region() -> None:
    known = peers()
    for one in (beat("ap", "ap-1"), beat("eu", "eu-1"), beat("us", "us-1")):
        hear(known, one, LATER_S)
    assert known.resume_url(LATER_S) == "ws://eu-1"
    hear(known, beat("us", "us-2"), LATER_S)
    assert known.resume_url(LATER_S) == "ws://us-2"


def test_an_edge_that_drains_or_is_silent_is_nobody_to_go_to() -> None:
    known = peers()
    hear(known, beat("us", "us-2"), LATER_S)
    hear(known, beat("eu", "eu-1"), LATER_S)
    hear(known, beat("us", "us-2", state="draining"), LATER_S + 1)
    assert known.resume_url(LATER_S + 1) == "ws://eu-1"
    hear(known, beat("us", "us-2"), LATER_S + 2)
    assert known.resume_url(LATER_S + 2) == "ws://us-2"
    hear(known, beat("eu", "eu-1"), LATER_S + 2 + ALIVE_S)
    assert known.resume_url(LATER_S + 2 + ALIVE_S) == "ws://eu-1"


def test_a_beat_of_a_life_before_is_ignored() -> None:
    known = peers()
    hear(known, beat("us", "us-2", epoch=2, state="draining"), LATER_S)
    hear(known, beat("us", "us-2", epoch=1), LATER_S)
    hear(known, beat("eu", "eu-1"), LATER_S)
    assert known.resume_url(LATER_S) == "ws://eu-1"


def test_an_edge_speaks_for_itself_only_and_nonsense_is_ignored() -> None:
    known = peers()
    hear(known, beat("us", "us-2"), LATER_S, subject="lease.eu.eu-1")
    hear(known, beat("mars", "mars-1"), LATER_S)
    known.hear("lease.us.us-2", b"[" * 10_000, LATER_S)
    known.hear("lease.us.us-2", b'{"region": 3}', LATER_S)
    hear(known, beat("ap", "ap-1"), LATER_S)
    assert known.resume_url(LATER_S) == "ws://ap-1"


def test_regions_are_listed_from_here_outwards_with_live_edges() -> None:
    known = peers()
    hear(known, LeaseBeat("eu", "eu-9", 1, "ws://eu-9", "ready"), LATER_S)
    assert known.regions(LATER_S) == [
        {"name": "us", "url": "ws://us-1"},
        {"name": "eu", "url": "ws://eu-9"},
        {"name": "ap", "url": "ws://ap-1"},
    ]


def test_while_it_drains_a_live_neighbour_stands_for_the_region_else_nobody() -> None:
    known = peers()
    known.draining = True
    assert [region["name"] for region in known.regions(LATER_S)] == ["eu", "ap"]
    hear(known, beat("us", "us-2"), LATER_S)
    assert known.regions(LATER_S)[0] == {"name": "us", "url": "ws://us-2"}
    known.cut = True
    assert known.regions(LATER_S)[0]["name"] == "eu"


def test_the_dead_are_forgotten() -> None:
    known = peers()
    hear(known, beat("eu", "eu-9"), LATER_S)
    known.forget_dead(LATER_S + 11 * ALIVE_S)
    assert known.regions(LATER_S)[1] == {"name": "eu", "url": "ws://eu-1"}


def test_what_operators_closed_is_not_in_the_list_as_long_as_something_else_lives() -> None:
    known = peers()
    for one in (beat("eu", "eu-1"), beat("ap", "ap-1"), beat("us", "us-2")):
        hear(known, one, LATER_S)
    known.shares = {"eu": 0.0}
    assert [each["name"] for each in known.regions(LATER_S)] == ["us", "ap"]
    known.drained = True
    known.refusing = frozenset({("us", "us-2")})
    assert [each["name"] for each in known.regions(LATER_S)] == ["ap"]
    assert known.resume_url(LATER_S) == "ws://ap-1"
    known.shares = {"eu": 0.0, "ap": 0.0}
    assert known.resume_url(LATER_S) == "ws://eu-1", "one that is closed is better than none"
    assert [each["name"] for each in known.regions(LATER_S)] == ["eu", "ap"]


def test_clients_are_spread_over_the_edges_of_a_region_and_stay_where_theirs_lives() -> None:
    known = peers()
    for name in ("eu-1", "eu-2", "eu-3"):
        hear(known, beat("eu", name), LATER_S)

    def chosen() -> list[str]:
        return [known.regions(LATER_S, lot)[1]["url"] for lot in range(LOTS)]

    before = chosen()
    assert set(before) == {"ws://eu-1", "ws://eu-2", "ws://eu-3"}
    assert max(map(before.count, set(before))) < LOTS / 2
    hear(known, beat("eu", "eu-2", state="draining"), LATER_S)
    for was, now in zip(before, chosen(), strict=True):
        assert now != "ws://eu-2"
        assert was in ("ws://eu-2", now)
    known.drained = True
    assert {known.resume_url(LATER_S, lot) for lot in range(LOTS)} == {"ws://eu-1", "ws://eu-3"}


def test_a_region_that_is_opened_little_by_little_is_named_to_more_and_more() -> None:
    known = peers()
    for one in (beat("eu", "eu-1"), beat("ap", "ap-1")):
        hear(known, one, LATER_S)
    named = [set[int]()]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        known.shares = {"eu": share} if share < 1 else {}
        now = {
            lot
            for lot in range(LOTS)
            if "eu" in [each["name"] for each in known.regions(LATER_S, lot)]
        }
        assert len(now) == LOTS * share
        assert now >= named[-1], "who was pointed there is pointed there yet"
        named.append(now)


def test_regions_of_which_nothing_is_heard_come_last() -> None:
    known = peers()
    hear(known, beat("ap", "ap-1"), LATER_S)
    assert [each["name"] for each in known.regions(LATER_S)] == ["us", "ap", "eu"]
    hear(known, beat("eu", "eu-1"), LATER_S)
    assert [each["name"] for each in known.regions(LATER_S)] == ["us", "eu", "ap"]


def full(region: str, edge: str, connections: int, room: int = 1000) -> LeaseBeat:
    """An edge that holds so many connections."""
    return LeaseBeat(region, edge, 1, f"ws://{edge}", "ready", connections, room)


def next_of(known: Peers, now_s: float = LATER_S) -> Counter[str]:
    """Where the clients of this edge would go first, if they had to leave the region."""
    lists = [picked(known.listing(now_s), lot) for lot in range(LOTS)]
    return Counter(
        next(each["name"] for each in regions if each["name"] != "us") for regions in lists
    )


def test_clients_are_pointed_by_the_shares_of_steering() -> None:
    known = peers()
    for one in (full("eu", "eu-1", 10), full("ap", "ap-1", 10), beat("us", "us-1")):
        hear(known, one, LATER_S)
    assert next_of(known) == {"eu": LOTS}
    known.shares = {"eu": 0.25}  # weight 25, or a quarter of a ramp
    assert next_of(known) == {"eu": LOTS / 4, "ap": LOTS * 3 / 4}
    known.shares = {}
    hear(known, full("eu", "eu-1", 875), LATER_S)  # half of what would come, by its room
    assert next_of(known) == {"eu": LOTS / 2, "ap": LOTS / 2}
    hear(known, full("eu", "eu-1", 980), LATER_S)
    assert next_of(known) == {"ap": LOTS}
    hear(known, full("ap", "ap-1", 980), LATER_S)
    known.cut = True  # and here nobody can stay
    assert sum(next_of(known).values()) == LOTS, "nobody is left without a way out"


def test_two_that_take_a_part_are_named_to_different_clients() -> None:
    known = peers()
    for one in (beat("eu", "eu-1"), beat("ap", "ap-1")):
        hear(known, one, LATER_S)
    known.shares = {"eu": 0.5, "ap": 0.5}
    lists = [frozenset(each["name"] for each in known.regions(LATER_S, lot)) for lot in range(LOTS)]
    for there, not_there in (("eu", "ap"), ("ap", "eu")):
        alone = sum(there in names and not_there not in names for names in lists)
        assert LOTS / 8 <= alone <= LOTS * 3 / 8, "not the same half for both"


def test_a_region_that_gets_full_is_not_told_of_with_each_client_who_comes() -> None:
    known = peers()
    hear(known, full("ap", "ap-1", 10), LATER_S)
    lists = set[str]()
    for connections in range(800, 960):
        hear(known, full("eu", "eu-1", connections), LATER_S)
        lists.add(repr(known.listing(LATER_S)))
    assert 5 < len(lists) <= EASE_STEPS + 1
    hear(known, full("eu", "eu-1", 100), LATER_S)
    assert next_of(known) == {"eu": LOTS}


def test_a_region_has_the_weight_of_the_topology_until_operators_say_otherwise() -> None:
    regions = [REGIONS[0], msgspec.structs.replace(REGIONS[1], weight=0), REGIONS[2]]
    known = Peers("us", "us-1", "ws://us-1", regions, START_S)
    for one in (beat("eu", "eu-1"), beat("ap", "ap-1")):
        hear(known, one, LATER_S)
    assert next_of(known) == {"ap": LOTS}
    known.shares = {"eu": 1.0}
    assert next_of(known) == {"eu": LOTS}


def test_somebody_takes_clients_as_long_as_another_edge_has_room() -> None:
    known = peers()
    hear(known, beat("us", "us-1"), LATER_S)
    assert not known.somebody_takes(LATER_S)
    hear(known, full("eu", "eu-1", 1000), LATER_S)
    assert not known.somebody_takes(LATER_S)
    hear(known, full("eu", "eu-2", 100), LATER_S)
    assert known.somebody_takes(LATER_S)
    known.refusing = frozenset({("eu", "eu-2")})
    assert not known.somebody_takes(LATER_S)
    hear(known, full("us", "us-2", 100), LATER_S)
    assert known.somebody_takes(LATER_S)


def test_a_ramp_is_held_to_where_there_is_no_third_region() -> None:
    regions = REGIONS[:2]
    known = Peers("us", "us-1", "ws://us-1", regions, START_S)
    for one in (beat("us", "us-1"), beat("eu", "eu-1")):
        hear(known, one, LATER_S)
    for share in (0.0, 0.25, 0.5, 1.0):
        known.shares = {"eu": share}
        named = [
            any(each["name"] == "eu" for each in known.regions(LATER_S, lot)) for lot in range(LOTS)
        ]
        assert sum(named) == LOTS * share


def test_lots_are_in_another_order_for_each_region() -> None:
    names = ("us", "sin", "ca", "fra", "ap-northeast", "uk", "eu", "ap")
    for one, other in combinations(names, 2):
        neither = sum(_points(one)[lot] > 0.5 and _points(other)[lot] > 0.5 for lot in range(LOTS))
        assert 6 <= neither <= 26, (one, other)


def test_shut_regions_take_clients_where_no_other_lives() -> None:
    known = peers()
    hear(known, beat("us", "us-1"), LATER_S)
    hear(known, full("eu", "eu-1", 10), LATER_S)
    known.shares = {"eu": 0.0, "ap": 0.0}
    assert known.somebody_takes(LATER_S)
    hear(known, full("ap", "ap-1", 1000), LATER_S)
    known.shares = {"eu": 0.0}
    assert not known.somebody_takes(LATER_S), "ap lives, and is full: it is waited for"


# --- regions that come back -----------------------------------------------------------------------


def listed(known: Peers, heard: str, now_s: float) -> dict[str, float]:
    """Each other region that is heard, and how much it takes, when these have spoken."""
    for region in heard.split():
        hear(known, beat(region, f"{region}-1"), now_s)
    known.look(now_s)
    return {each.name: each.share for each in known.listing(now_s) if each.lives and not each.home}


def test_a_region_that_comes_back_has_to_last_before_clients_are_told_of_it() -> None:
    known, at_s = peers(), LATER_S + ALIVE_S
    assert listed(known, "us eu ap", at_s) == {"eu": 1.0, "ap": 1.0}
    assert listed(known, "us ap", at_s + ALIVE_S) == {"ap": 1.0}, "a death counts at once"
    assert listed(known, "us eu ap", at_s + ALIVE_S + 1) == {"eu": 0.0, "ap": 1.0}
    assert "eu" not in [each["name"] for each in known.regions(at_s + ALIVE_S + 1)]
    assert listed(known, "us eu ap", at_s + ALIVE_S + 6) == {"eu": 0.0, "ap": 1.0}
    assert listed(known, "us eu ap", at_s + ALIVE_S + 11) == {"eu": 1.0, "ap": 1.0}
    since = [known.returns.ramp("eu", None, at_s + ALIVE_S + 11 + s, 0) for s in (0, 30, 60)]
    assert since == [0.0, 0.5, 1.0]


def test_who_was_cut_off_itself_takes_nobody_for_gone() -> None:
    known, at_s = peers(), LATER_S + ALIVE_S
    listed(known, "us eu ap", at_s)
    for passed_s in range(1, 20):
        listed(known, "us", at_s + passed_s)
    assert listed(known, "us eu", at_s + 20) == {"eu": 1.0}
    assert listed(known, "us eu ap", at_s + 22) == {"eu": 1.0, "ap": 1.0}, "it came a beat later"
    assert listed(known, "us eu ap", at_s + 25) == {"eu": 1.0, "ap": 1.0}
    assert known.returns.ramp("ap", None, at_s + 25, 0) == 1.0


def test_what_was_never_heard_is_believed_when_it_is() -> None:
    known = peers()
    assert listed(known, "us eu", LATER_S + 1) == {"eu": 1.0}
    assert listed(known, "us eu ap", LATER_S + 30) == {"eu": 1.0, "ap": 1.0}
    assert known.returns.ramp("ap", None, LATER_S + 30, 0) == 1.0


def test_what_operators_closed_is_not_gone_and_counts_as_soon_as_they_open_it() -> None:
    known, at_s = peers(), LATER_S + ALIVE_S
    listed(known, "us eu ap", at_s)
    known.refusing = frozenset({("eu", "eu-1")})
    hear(known, beat("eu", "eu-1", state="drained"), at_s + 8)
    assert listed(known, "us ap", at_s + 8) == {"ap": 1.0}
    known.refusing = frozenset()
    assert listed(known, "us ap", at_s + 9) == {"ap": 1.0}, "the edge itself has not heard yet"
    assert listed(known, "us eu ap", at_s + 10) == {"eu": 1.0, "ap": 1.0}
    assert known.returns.ramp("eu", None, at_s + 10, 0) == 1.0
