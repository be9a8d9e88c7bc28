"""The open visits of an edge: when they are over, and what a standstill or an absence does."""

import math

import pytest

from relay.core.limits import Shares
from relay.core.visits import How, VisitTable
from relay.edge.geography import share_of

A, B = b"a" * 12, b"b" * 12


def table() -> VisitTable:
    """Visits that are over after 90 s; one that opened at 0."""
    made = VisitTable(90.0, 10)
    made.open(A, "DE", 0.0)
    return made


def test_a_visit_is_over_when_it_was_not_heard_of_for_long_also_before_the_sweep() -> None:
    visits = table()
    assert visits.beat(A, 89.9)
    assert not visits.beat(A, 179.9)
    assert visits.close(A, 179.9) is None
    (ended,) = visits.sweep(179.9)
    assert (ended.at_s, ended.how) == (89.9, How.TIMED_OUT)
    assert len(visits) == 0


def test_the_time_in_which_the_edge_stood_still_counts_for_no_visit() -> None:
    visits = table()
    visits.stood_still(60.0, 70.0)
    assert visits.sweep(149.9) == []
    assert len(visits.sweep(150.0)) == 1


def test_a_visit_that_was_heard_of_right_after_a_standstill_is_not_of_the_future() -> None:
    visits = table()
    assert visits.beat(A, 65.0)
    visits.stood_still(60.0, 70.0)
    assert len(visits.sweep(160.0)) == 1


def test_after_too_long_a_standstill_visits_are_over_when_they_were_last_heard_of() -> None:
    visits = table()
    visits.stood_still(95.0, 100.0)
    (ended,) = visits.sweep(100.0)
    assert (ended.at_s, ended.how) == (0.0, How.TIMED_OUT)


@pytest.mark.parametrize(
    ("away_s", "restored", "at_s"),
    [(0.0, 2, None), (89.9, 2, None), (90.0, 0, 910.0), (math.inf, 0, 1000 - 30 * 86_400.0)],
)
def test_an_edge_that_was_away_for_long_ends_what_was_open(
    away_s: float, restored: int, at_s: float | None
) -> None:
    visits = VisitTable(90.0, 10)
    gone = visits.restore([A, B], away_s, 1_000.0)
    assert len(visits) == restored
    assert {change.at_s for change in gone} == (set() if at_s is None else {at_s})
    for change in gone:
        assert change.how is How.EDGE_GONE
        assert change.record(1_000.0).ago_ms == round(min(away_s, 30 * 86_400) * 1000)


def test_each_name_has_a_share_of_its_own() -> None:
    shares = Shares(2.0, most=2)
    assert [shares.take("a", 0.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert shares.take("b", 0.0) == 0.0
    assert shares.take("a", 0.5) == 0.0
    assert shares.take("c", 0.5) == 0.0
    assert len(shares) == 2, "who was not seen for longest is forgotten"
    assert shares.take("a", 0.5) > 0


@pytest.mark.parametrize(
    ("address", "share"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("no address", ""),
    ],
)
def test_an_address_takes_its_own_share_and_ipv6_that_of_its_network(
    address: str, share: str
) -> None:
    assert share_of(address) == share
