"""Who comes when, and who is in which room."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regions.swarm.profiles import LAUNCH_S, LAUNCH_SHARE, PROFILES, Arrival, arrivals, chooser
from regions.swarm.spec import (
    MOST_VOICES,
    Place,
    SwarmSpec,
    interleaved,
    processes_for,
    voices_for,
)


def dice() -> random.Random:
    return random.Random(1)


@given(st.sampled_from(["first", "launch", "meanwhile"]), st.integers(1, 500))
def test_everybody_comes_once_and_in_order(arrive: Arrival, clients: int) -> None:
    times = arrivals(arrive, clients, 100.0, 30.0, dice())
    assert len(times) == clients
    assert times == sorted(times)
    assert times[0] >= 0


def test_they_come_at_their_pace_or_over_the_whole_run_or_at_once() -> None:
    assert arrivals("first", 5, 2.0, 30.0, dice()) == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert arrivals("meanwhile", 3, 2.0, 30.0, dice()) == [0.0, 10.0, 20.0]
    launch = arrivals("launch", 1_000, 2.0, 30.0, dice())
    assert sum(at < LAUNCH_S for at in launch) == LAUNCH_SHARE * 1_000
    assert launch[-1] > 10


@given(st.integers(1, 300), st.integers(1, 40), st.booleans(), st.integers(0, 10_000))
def test_the_rooms_of_a_client_are_different_and_the_same_each_time(
    rooms: int, each: int, skewed: bool, client: int
) -> None:
    choose = chooser(rooms, each, skewed=skewed, seed=1)
    chosen = choose(client)
    assert len(set(chosen)) == len(chosen) == min(each, rooms)
    assert all(0 <= room < rooms for room in chosen)
    assert chosen == chooser(rooms, each, skewed=skewed, seed=1)(client)


def test_rooms_have_one_size_or_sizes_by_a_power_law() -> None:
    even = Counter(room for n in range(1_000) for room in chooser(100, 3, skewed=False, seed=1)(n))
    assert set(even.values()) == {30}
    sizes = Counter(room for n in range(5_000) for room in chooser(100, 1, skewed=True, seed=1)(n))
    assert sizes[0] == pytest.approx(2 * sizes[1], rel=0.15)
    assert sizes[0] == pytest.approx(10 * sizes[9], rel=0.3)


def test_processes_and_voices_are_as_many_as_the_load_needs() -> None:
    assert processes_for(10, 5.0) == 1
    assert processes_for(25_000, 5.0) == 3
    assert processes_for(10, 100_000.0) == 4
    assert voices_for(0.5) == 4
    assert voices_for(1_000) == 10
    assert voices_for(10**6) == MOST_VOICES


def test_what_is_delivered_is_what_rooms_have_members() -> None:
    spec = SwarmSpec(run="x", clients=1_000, rooms=100, rooms_each=3, rate=50.0)
    assert spec.deliveries_per_s == 1_500
    assert SwarmSpec(run="x", profile="idle").deliveries_per_s == 0
    assert spec.behaviour is PROFILES["steady"]


def test_edges_of_a_region_do_not_stand_together() -> None:
    places = [Place(f"ws://{name}", name[:2]) for name in ("us-1", "us-2", "us-3", "eu-1", "ap-1")]
    urls = [place.url[5:] for place in interleaved(places)]
    assert urls == ["us-1", "eu-1", "ap-1", "us-2", "us-3"]
