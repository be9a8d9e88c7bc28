"""Spans of sequences: the same as a set."""

from hypothesis import given
from hypothesis import strategies as st

from relay.core.spans import Spans


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 12))))
def test_spans_hold_what_a_set_would(added: list[tuple[int, int]]) -> None:
    spans, there = Spans(), set[int]()
    for first, length in added:
        spans.add(first, first + length)
        there |= set(range(first, first + length + 1))
    assert [seq for seq in range(80) if seq in spans] == sorted(there)
    runs = sum(seq - 1 not in there for seq in there)
    assert len(spans) == runs, "spans that touch are one"


def test_beyond_its_bound_the_lowest_are_forgotten() -> None:
    spans = Spans(most=2)
    for first in (10, 20, 30):
        spans.add(first, first + 1)
    assert [seq for seq in range(40) if seq in spans] == [20, 21, 30, 31]


def test_an_empty_span_adds_nothing() -> None:
    spans = Spans()
    spans.add(5, 4)
    assert len(spans) == 0
