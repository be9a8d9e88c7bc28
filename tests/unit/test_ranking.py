"""The first of many, by one of their figures."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.query import Field, QueryError
from relay.core.ranking import First, read_ranking


class Thing(NamedTuple):
    name: str | None
    size: float | None


FIELDS = (
    Field[Thing]("name", "text", lambda thing: thing.name),
    Field[Thing]("size", "number", lambda thing: thing.size),
)
THINGS = [Thing("b", 2), Thing("A", 3), Thing("c", None), Thing(None, 1)]


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("size", ["A", "b", None, "c"]),
        ("-size", [None, "b", "A", "c"]),
        ("name", ["A", "b", "c", None]),
        ("-name", ["c", "b", "A", None]),
    ],
)
def test_numbers_the_largest_first_and_texts_from_a(sort: str, names: list[str | None]) -> None:
    """What is not known comes last, whichever way round."""
    assert [thing.name for thing in read_ranking(sort, FIELDS).ranked(THINGS)] == names


def test_a_field_that_is_not_there_is_named() -> None:
    with pytest.raises(QueryError, match="no field 'sise': did you mean size"):
        read_ranking("-sise", FIELDS)


@given(st.lists(st.none() | st.integers(-5, 5), max_size=60), st.integers(1, 4), st.booleans())
def test_the_first_of_many_are_those_of_all_sorted(
    sizes: list[int | None], limit: int, turned: bool
) -> None:
    things = [Thing(str(number), size) for number, size in enumerate(sizes)]
    ranking = read_ranking("-size" if turned else "size", FIELDS)
    first = First(ranking, limit)
    for thing in things:
        first.add(thing)
    assert first.take() == ranking.ranked(things)[:limit]
    assert first.matched == len(things)
