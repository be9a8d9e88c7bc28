"""Which region for whom: near, with room, and never nobody while anything lives."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regions.steering.what_if import Arrival, WhatIf, if_left
from regions.steering.wording import what_if_lines
from relay.core.steering import Candidate, Place, State, Verdict, Whence, choose, shares

OK = Verdict(State.OK, "all edges are ready", admits=True)
DOWN = Verdict(State.DOWN, "gone", admits=False)
DARK = Verdict(State.DARK, "not heard", admits=False)
US = Candidate("us", Place(39.0, -77.5), OK, 100, 1_000)
EU = Candidate("eu", Place(50.1, 8.7), OK, 100, 1_000)
AP = Candidate("ap", Place(1.35, 103.8), OK, 100, 1_000)
ALL = [US, EU, AP]
PARIS, LIMA, TOKYO = (Whence(Place(*at)) for at in ((48.9, 2.4), (-12.0, -77.0), (35.7, 139.7)))


def parts(candidates: list[Candidate], whence: Whence) -> dict[str, float]:
    return {each.region: round(each.share, 6) for each in shares(candidates, whence)}


@pytest.mark.parametrize(("whence", "first"), [(PARIS, "eu"), (LIMA, "us"), (TOKYO, "ap")])
def test_everybody_goes_to_the_nearest(whence: Whence, first: str) -> None:
    found = shares(ALL, whence)
    assert (found[0].region, found[0].share) == (first, 1.0)
    assert [each.distance_ms for each in found] == sorted(each.distance_ms or 0 for each in found)


def test_a_round_trip_that_was_measured_beats_the_distance() -> None:
    whence = replace(PARIS, rtt_ms={"us": 3.0})
    assert parts(ALL, whence) == {"us": 1, "eu": 0, "ap": 0}
    assert shares(ALL, Whence(rtt_ms={"us": 90.0, "eu": 9.0, "ap": 99.0}))[0].region == "eu"
    some = shares(ALL, Whence(rtt_ms={"us": 9.0, "eu": 30.0}))
    assert [each.region for each in some] == ["us", "eu", "ap"], "what was measured comes first"
    assert some[0].share == 1


def test_what_was_measured_of_a_region_that_takes_nobody_says_nothing_of_the_others() -> None:
    nowhere = Whence(rtt_ms={"eu": 5.0})
    closed = [US, replace(EU, cordoned="new kernel"), AP]
    assert parts(closed, nowhere) == {"ap": 0.5, "us": 0.5}
    assert parts([US, replace(EU, ramp=0.2), AP], nowhere) == {"eu": 0.2, "ap": 0.4, "us": 0.4}
    assert parts([replace(US, room=3_000), replace(EU, ramp=0.0), AP], nowhere) == {
        "eu": 0, "us": 0.75, "ap": 0.25,
    }  # fmt: skip


def test_a_region_that_is_down_or_cordoned_is_passed_over() -> None:
    assert parts([US, replace(EU, verdict=DOWN), AP], PARIS) == {"us": 1, "ap": 0}
    assert parts([US, replace(EU, cordoned="new kernel"), AP], PARIS) == {"us": 1, "ap": 0}
    assert parts([US, replace(EU, weight=0), AP], PARIS) == {"us": 1, "ap": 0}


def test_what_a_region_does_not_take_goes_to_the_next() -> None:
    assert parts([US, replace(EU, weight=30), AP], PARIS) == {"eu": 0.3, "us": 0.7, "ap": 0}
    assert parts([US, replace(EU, ramp=0.1), AP], PARIS) == {"eu": 0.1, "us": 0.9, "ap": 0}
    assert parts([US, replace(EU, connections=800), AP], PARIS)["eu"] == 1
    assert parts([US, replace(EU, connections=875), AP], PARIS) == {"eu": 0.5, "us": 0.5, "ap": 0}
    assert parts([US, replace(EU, connections=960), AP], PARIS) == {"eu": 0, "us": 1, "ap": 0}


def test_where_all_are_full_they_go_where_there_is_most_room() -> None:
    full = [
        replace(US, connections=990),
        replace(EU, connections=970),
        replace(AP, connections=2_000),
    ]
    assert parts(full, PARIS) == {"eu": 0.75, "us": 0.25, "ap": 0}
    over = [replace(each, connections=each.room) for each in ALL]
    assert sum(parts(over, PARIS).values()) == pytest.approx(1, abs=1e-5)


def test_the_answer_is_never_empty_while_anything_lives() -> None:
    cordoned = [replace(each, cordoned="work") for each in ALL]
    assert parts(cordoned, PARIS)["eu"] == 1
    dark = [replace(US, verdict=DOWN), replace(EU, verdict=DARK), replace(AP, verdict=DOWN)]
    assert parts(dark, LIMA) == {"eu": 1}
    dead = [replace(each, verdict=DOWN) for each in ALL]
    found = shares(dead, PARIS)
    assert (found[0].region, found[0].share) == ("eu", 1.0)
    assert found[0].reason == "down: gone; none lives"
    assert shares([], PARIS) == []
    assert choose([], b"x") == []


def test_who_is_nowhere_goes_by_room_and_weight() -> None:
    given = [replace(US, room=3_000), replace(EU, weight=50), AP]
    assert parts(given, Whence()) == {"us": round(3 / 4.5, 6), "ap": round(1 / 4.5, 6),
                                      "eu": round(0.5 / 4.5, 6)}  # fmt: skip


def test_networks_fall_to_regions_by_their_shares_and_stay() -> None:
    half = shares([US, replace(EU, weight=50), AP], PARIS)
    networks = [f"198.51.{number // 256}.{number % 256}".encode() for number in range(4_000)]
    first = {network: choose(half, network) for network in networks}
    counts = Counter(order[0] for order in first.values())
    assert counts["eu"] == pytest.approx(2_000, abs=150)
    assert set(counts) == {"us", "eu"}
    assert all(choose(half, network) == order for network, order in first.items())
    more = shares([US, replace(EU, weight=60), AP], PARIS)
    moved = [n for n in networks if choose(more, n)[0] != first[n][0]]
    assert len(moved) == pytest.approx(400, abs=80)
    assert all(first[network][0] == "us" for network in moved)


def test_the_reasons_say_what_counted() -> None:
    odd = replace(EU, connections=875, weight=50, ramp=0.5, cordoned="")
    reason = shares([US, odd, AP], PARIS)[0].reason
    assert reason == "ok: all edges are ready; weight 50; back, at 50%; 88% full"


_candidates = st.lists(
    st.builds(
        Candidate,
        name=st.sampled_from(["us", "eu", "ap", "sa", "af"]),
        place=st.builds(Place, st.floats(-90, 90), st.floats(-180, 180)),
        verdict=st.builds(Verdict, st.sampled_from(State), st.just(""), st.booleans()),
        connections=st.integers(0, 3_000),
        room=st.integers(0, 2_000),
        weight=st.integers(0, 100),
        cordoned=st.sampled_from(["", "work"]),
        ramp=st.floats(0, 1),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda each: each.name,
)
_whence = st.builds(Whence, st.none() | st.builds(Place, st.floats(-90, 90), st.floats(-180, 180)))


@given(_candidates, _whence, st.binary(min_size=1, max_size=8))
def test_shares_are_whole_and_each_network_gets_each_region_once(
    candidates: list[Candidate], whence: Whence, network: bytes
) -> None:
    found = shares(candidates, whence)
    assert found
    assert sum(each.share for each in found) == pytest.approx(1)
    assert all(each.share >= 0 for each in found)
    order = choose(found, network)
    assert sorted(order) == sorted(each.region for each in found)
    share = next(each.share for each in found if each.region == order[0])
    assert share > 0
    if any(each.verdict.admits for each in candidates):
        named = {each.name: each for each in candidates}
        assert all(named[each.region].verdict.admits for each in found)


def test_however_little_is_taken_the_shares_are_whole() -> None:
    """What is next to nothing has hardly a digit: a part of it may be rounded to all of it."""
    ramping = replace(EU, connections=0, room=1, weight=0, ramp=5e-324)
    closed = replace(AP, room=0, connections=0, weight=1, cordoned="work")
    for whence in (PARIS, Whence()):
        found = parts([ramping, closed], whence)
        assert sum(found.values()) == pytest.approx(1)


# --- what if --------------------------------------------------------------------------------------


def what_if(candidates: list[Candidate], region: str) -> WhatIf:
    edges = {each.name: 2 for each in candidates}
    leaving = next(each.connections for each in candidates if each.name == region)
    return if_left(candidates, region, leaving, within_s=10, admitted_per_s=15, edges=edges)


def test_the_clients_of_a_region_that_died_go_to_the_next() -> None:
    found = what_if(ALL, "eu")
    assert found.connections == 100
    assert found.arrivals == [
        Arrival("us", 100, 200, 1_000, 10.0, 30.0),
        Arrival("ap", 0, 100, 1_000, 0.0, 30.0),
    ]
    assert found.fits
    assert all(each.in_time for each in found.arrivals)


def test_where_the_next_gets_full_the_one_after_it_takes_more() -> None:
    found = what_if([replace(US, connections=700), replace(EU, connections=600), AP], "eu")
    coming = {each.region: each.connections for each in found.arrivals}
    assert sum(coming.values()) == 600
    assert 150 < coming["us"] < 250
    assert found.fits
    assert [each.in_time for each in found.arrivals] == [True, False]


def test_where_there_is_not_room_enough_it_says_so() -> None:
    found = what_if([replace(US, connections=900), replace(EU, connections=2_000), AP], "eu")
    assert sum(each.connections for each in found.arrivals) == 2_000
    assert not found.fits


@pytest.mark.parametrize(
    "shut",
    [
        {"verdict": Verdict(State.DOWN, "its doors are shut", admits=False), "room": 0},
        {"cordoned": "maintenance"},
    ],
)
def test_where_no_other_region_lets_anybody_in_nothing_fits(shut: dict[str, Any]) -> None:
    found = what_if([replace(US, **shut), EU, replace(AP, **shut)], "eu")
    assert sum(each.connections for each in found.arrivals) == 100, "they would still come"
    assert not found.fits
    (line,) = [each for each in what_if_lines(found) if "lets nobody in" in each]
    assert line.endswith(("its doors are shut", "maintenance"))
    half = what_if([replace(US, **shut), EU, AP], "eu")
    assert half.fits, "the other one takes them"


def test_the_last_region_has_nowhere_to_go() -> None:
    found = what_if([EU], "eu")
    assert (found.arrivals, found.fits) == ([], False)
