"""What was delivered: exact, also out of order, and never more than so much of it."""

from hypothesis import given
from hypothesis import strategies as st

from relay.core.delivered import Delivered
from relay.core.runs import ranges

BLOCK = 32_768


@given(st.sets(st.integers(min_value=0, max_value=4 * BLOCK)), st.integers(0, 4 * BLOCK))
def test_it_holds_what_was_added_and_nothing_else(added: set[int], other: int) -> None:
    delivered = Delivered()
    for seq in added:
        delivered.add(seq)
    assert all(seq in delivered for seq in added)
    assert (other in delivered) is (other in added)


def test_the_oldest_is_forgotten_and_says_so() -> None:
    delivered = Delivered(most=2)
    for seq in (5, BLOCK + 5, 2 * BLOCK - 1):
        delivered.add(seq)
    assert delivered.since == 0
    delivered.add(9 * BLOCK)
    assert delivered.since == BLOCK
    assert [seq in delivered for seq in (5, BLOCK + 5, 2 * BLOCK - 1)] == [False, True, True]
    delivered.add(6)
    assert 6 not in delivered, "what is old does not push out what is new"
    assert BLOCK + 5 in delivered


def test_gaps_between_sequences_cost_nothing() -> None:
    delivered = Delivered(most=4)
    for number in range(4):
        delivered.add(number * 1_000_000_000)
    assert 0 in delivered
    assert delivered.since == 0


@given(st.sets(st.integers(0, 200)), st.integers(0, 220), st.integers(0, 220))
def test_the_first_of_a_stretch_that_is_there(there: set[int], first: int, last: int) -> None:
    shift = (1 << 15) - 100  # across two blocks
    found = Delivered()
    for seq in there:
        found.add(shift + seq)
    wanted = min((shift + seq for seq in there if first <= seq <= last), default=None)
    assert found.first_in(shift + first, shift + last) == wanted


@given(st.sets(st.integers(0, 200)), st.integers(0, 220), st.integers(0, 220))
def test_the_runs_of_a_stretch_that_are_not_there(there: set[int], first: int, last: int) -> None:
    shift = (1 << 15) - 100
    found = Delivered()
    for seq in there:
        found.add(shift + seq)
    wanted = ranges(shift + seq for seq in range(first, last + 1) if seq not in there)
    assert found.absent(shift + first, shift + last, 1_000) == wanted
    few = found.absent(shift + first, shift + last, 3)
    assert len(few) <= 3
    assert {seq for run in wanted for seq in run} <= {n for a, b in few for n in range(a, b + 1)}
    assert few == wanted or (len(wanted) > 3 and few == [(wanted[0][0], shift + last)])


def test_a_long_run_that_is_there_is_passed_block_by_block() -> None:
    found = Delivered()
    for seq in range(10, 3 * BLOCK):
        found.add(seq)
    assert found.absent(1, 3 * BLOCK + 5, 8) == [(1, 9), (3 * BLOCK, 3 * BLOCK + 5)]
