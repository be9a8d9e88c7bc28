"""The budget of one request: what it may have replayed, fairly divided."""

from relay.core.budget import Budget


def test_events_and_bytes_are_bounds_alike() -> None:
    budget = Budget(events=2, bytes=100)
    assert [budget.take(60), budget.take(60), budget.take(40)] == [True, False, True]
    assert not budget.take(0), "no event is left"


def test_a_part_leaves_the_others_theirs_and_gives_back_what_it_did_not_need() -> None:
    budget = Budget(events=9, bytes=900)
    first = budget.part(3)
    assert (first, budget) == (Budget(3, 300), Budget(6, 600))
    assert first.take(100)
    budget.give_back(first)
    assert budget == Budget(8, 800)
    assert budget.part(1) == Budget(8, 800)
    assert budget == Budget(0, 0)
