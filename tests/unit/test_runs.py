"""Sets of sequences as runs: what Python's own sets say."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from relay.core.runs import Runs, joined, ranges

SETS = st.sets(st.integers(1, 40), max_size=25)


@given(SETS, SETS)
def test_they_do_what_sets_do(one: set[int], other: set[int]) -> None:
    runs, others = Runs.of(one), Runs.of(other)
    assert set(runs) == one
    assert len(runs) == len(one)
    assert bool(runs) == bool(one)
    assert (runs.first, runs.last) == (min(one, default=0), max(one, default=0))
    assert set(runs | others) == one | other
    assert set(runs - others) == one - other
    assert set(runs & others) == one & other
    for found in (runs, runs | others, runs - others, runs & others):
        assert list(found.runs) == ranges(sorted(found)), "in order, and as few as can be"


@given(SETS, st.integers(0, 41), st.integers(0, 41))
def test_a_part_of_them(one: set[int], low: int, high: int) -> None:
    runs = Runs.of(one)
    assert set(runs.within(low, high)) == {seq for seq in one if low <= seq <= high}
    assert runs.touches(low, high) == any(low < seq <= high for seq in one)
    assert (low in runs) == (low in one)


@given(SETS, st.integers(1, 6))
def test_of_too_many_runs_the_nearest_become_one(one: set[int], most: int) -> None:
    runs = ranges(sorted(one))
    found = joined(runs, most)
    assert len(found) == min(most, len(runs))
    held = {seq for first, last in found for seq in range(first, last + 1)}
    assert one <= held
    gaps = sorted(later[0] - earlier[1] - 1 for earlier, later in pairwise(runs))
    assert len(held - one) == sum(gaps[: len(runs) - len(found)]), "as little more as can be"


def test_a_stretch() -> None:
    assert list(Runs.between(3, 5)) == [3, 4, 5]
    assert not Runs.between(5, 4)
    assert len(Runs.between(1, 10**9)) == 10**9
