"""The search for the limit, and what is said to be full there."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regions.swarm.limit import CLOSE, MOST_STEPS, Bounds, Search, Seen, full, judge

CALM = Seen(load=100, due=100, acked=100, delivered=1_000, p50_ms=3, p99_ms=10, ack_p99_ms=9)


def like(**changes: object) -> Seen:
    return msgspec.structs.replace(CALM, **changes)


@given(st.floats(1, 1e5), st.floats(1, 1e5))
def test_the_search_ends_close_to_the_limit(first: float, limit: float) -> None:
    search, steps = Search(first), 0
    while (load := search.next()) is not None:
        search.note(load, carried=load <= limit)
        steps += 1
    carried, broke = search.found
    assert steps <= MOST_STEPS
    assert carried is None or carried <= limit
    assert broke is None or broke > limit
    if carried is not None and broke is not None and steps < MOST_STEPS:
        assert broke / carried <= CLOSE


def test_it_stops_at_the_most_that_may_be_tried() -> None:
    search = Search(10, 35)
    tried = []
    while (load := search.next()) is not None:
        tried.append(load)
        search.note(load, carried=True)
    assert tried == [10, 20, 35]
    assert search.found == (35, None)


def test_where_nothing_is_carried_it_gives_up() -> None:
    search = Search(4)
    while (load := search.next()) is not None:
        search.note(load, carried=False)
    assert search.found == (None, 1.0)


def test_what_keeps_to_its_bounds_is_carried() -> None:
    assert judge(CALM, 1_000, Bounds()) == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"p99_ms": 101.0}, "delivered within 101 ms (p99), at most 100"),
        ({"acked": 90.0}, "90 of 100 events/s acknowledged"),
        ({"delivered": 800.0}, "800 of 1,000 deliveries/s"),
        ({"failed": 5}, "5 publishes refused"),
        ({"missing": 2}, "2 events missing"),
        ({"slow_closes": 3}, "3 connections closed: read too slowly"),
    ],
)
def test_what_does_not_says_why(changes: dict[str, object], why: str) -> None:
    assert judge(like(**changes), 1_000, Bounds()) == (why,)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"swarm": {"swarm 0": 0.97}}, "the swarm itself: 97%"),
        ({"swarm_lag_p99_ms": 80.0}, "the swarm itself"),
        ({"edges": {"us-1": 0.96, "us-2": 0.2}}, "CPU of edge us-1: 96%"),
        ({"nats": {"us-n1": 0.95}}, "CPU of us-n1: 95%"),
        ({"loop_lag_ms": 400.0}, "an edge's event loop: 400 ms"),
        ({"buffered_bytes": 100 * 1024**2}, "send buffers of edges: 100 MiB"),
        ({"free_share": 0.02}, "memory: 2%"),
        ({"fds_share": 0.97}, "open files"),
        ({"disk_share": 0.6}, "a disk"),
        ({"refused": 7}, "admission: 7 connections"),
        ({}, "nothing that is seen from here"),
    ],
)
def test_what_was_full_is_named(changes: dict[str, object], what: str) -> None:
    [said] = full(like(**changes))
    assert said.startswith(what)


def test_where_all_cores_are_busy_it_says_whose_they_are_and_does_not_blame_the_swarm() -> None:
    seen = like(
        machine=1.0, cores=2, swarm={"swarm 0": 0.25}, swarm_lag_p99_ms=80.0,
        edges={"us-1": 0.5, "us-2": 0.25}, nats={"us-n1": 0.5},
    )  # fmt: skip
    said = "edges 0.75, nats-servers 0.50, swarm 0.25, others 0.50"
    assert full(seen) == (f"all 2 cores of this machine: {said}",)
