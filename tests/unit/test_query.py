"""Queries: what they mean, and what is wrong with those that mean nothing."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.query import MAX_DEPTH, MAX_QUERY, Field, QueryError, parse_query


class Thing(NamedTuple):
    name: str | None = "eu-1"
    region: str | None = "eu"
    rtt: float | None = 40.0
    queue: float | None = 3 * 1024.0
    taken: float | None = 0.5
    rooms: float | None = 1500.0


FIELDS = (
    Field[Thing]("name", "text", lambda thing: thing.name),
    Field[Thing]("region", "text", lambda thing: thing.region),
    Field[Thing]("rtt", "ms", lambda thing: thing.rtt),
    Field[Thing]("queue", "bytes", lambda thing: thing.queue),
    Field[Thing]("taken", "share", lambda thing: thing.taken),
    Field[Thing]("rooms", "number", lambda thing: thing.rooms),
)


USUAL = Thing()


def matches(text: str, thing: Thing = USUAL) -> bool:
    return parse_query(text, FIELDS).matches(thing)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "region=eu",
        "region = EU and rtt>=40",
        "region=eu rtt<=40ms",
        "rtt<1s",
        "rtt > 0.02s",
        "queue>2K queue<1M",
        "taken=50% and taken=0.5",
        "rooms=1.5k",
        "rooms>-1",
        "region!=ap",
        "name~u-1",
        'name="eu-1"',
        "u-1",
        "EU",
        "!ap",
        "not ap and not (rtt>50 or queue>1G)",
        "ap or eu",
        "rtt>50 or region=eu and rooms>1k",
        "(rtt>50 or region=eu) and rooms>1k",
        "! ! eu",
    ],
)
def test_what_is_true(text: str) -> None:
    assert matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "region=ap",
        "region=e",
        "rtt>40",
        "rtt>=41ms",
        "rtt>1m",
        "taken>50%",
        "name!=eu-1",
        "name~x",
        "!eu",
        "eu ap",
        "rtt>50 or region=ap",
        "region=eu and rooms>2k or ap",
        'name="eu"',
    ],
)
def test_what_is_not(text: str) -> None:
    assert not matches(text)


@pytest.mark.parametrize(
    "text", ["rtt>1", "rtt<1", "rtt!=1", "!(rtt>1)", "not rtt=1", "rtt>1 and eu", "!(rtt>1 or ap)"]
)
def test_what_is_not_known_satisfies_nothing(text: str) -> None:
    assert not matches(text, Thing(rtt=None))


@pytest.mark.parametrize("text", ["rtt>1 or eu", "!(rtt>1 and ap)", "!ap"])
def test_what_does_not_depend_on_it_is_still_true(text: str) -> None:
    assert matches(text, Thing(rtt=None))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rttt>5", "no field 'rttt': did you mean rtt?"),
        ("zebra=5", "no field 'zebra': there are name, region, rtt"),
        ("rtt>", "rtt > what?"),
        ("rtt>fast", "'fast' is no number; units: ms, s, m, h, d"),
        ("rtt>5%", "'5%' is no number"),
        ("rtt~5", "rtt is a number"),
        ("region>5", "region is a text"),
        ("(eu", "a bracket is not closed before 'the end'"),
        ("eu)", r"'\)' stands where nothing was expected"),
        ("()", r"a field or a word was expected, not '\)'"),
        ("and", None),
        ("eu or", "a field or a word was expected, not 'the end'"),
        ("> 5", "a field or a word was expected, not '>'"),
        ('name="eu', "A quote that does not end"),
        ("!" * (MAX_DEPTH + 1) + "eu", "at most 20 deep"),
        ("x" * (MAX_QUERY + 1), "at most 500 characters"),
    ],
)
def test_what_means_nothing_is_named(text: str, why: str | None) -> None:
    if why is None:
        assert not matches(text)  # a word like others, which nothing contains
        return
    with pytest.raises(QueryError, match=why):
        parse_query(text, FIELDS)


def test_a_quote_within_quotes() -> None:
    assert matches(r'name="a \"b\" \\"', Thing(name='a "b" \\'))


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_says_why_not(text: str) -> None:
    try:
        query = parse_query(text, FIELDS)
    except QueryError:
        return
    assert query.matches(USUAL) in (True, False)


@given(st.text(min_size=1, max_size=20))
def test_quoted_every_text_is_found(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    assert matches(f'name="{quoted}"', Thing(name=text))
