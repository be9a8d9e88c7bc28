"""The judge of the churn: it finds what is wrong, and only that."""

from tests.churn.__main__ import EDGES, _cut_off
from tests.churn.crowd import Entry
from tests.churn.judge import Seen, Span, delays, disagreements, late, offs


def came(at_s: float, user: int = 1, why: str = "open") -> Entry:
    """A user comes."""
    return Entry(at_s, user, 1, why, "k")


def went(at_s: float, user: int = 1, why: str = "close") -> Entry:
    """A user goes."""
    return Entry(at_s, user, -1, why, "k")


def test_a_disagreement_lasts_until_the_view_is_as_the_truth() -> None:
    truth = [came(10), went(20), came(30), went(31), went(50, 2, why="cut"), came(59, 2)]
    truth.insert(0, came(1, 2))
    seen = [Seen(1.5, 2, online=True), Seen(12, 1, online=True), Seen(23, 1, online=False)]
    found = disagreements(truth, seen, 5, 100)
    assert sorted((one.begin_s, one.end_s, one.why) for one in found) == [
        (10, 12, "open"), (20, 23, "close"), (30, 31, "open"), (50, 59, "cut")
    ]  # fmt: skip
    longest = {why: one.max_s for why, one in delays(found).items()}
    assert longest == {"open": 2, "close": 3, "cut": 9}
    assert late(found, []) == []


def test_what_a_view_never_shows_lasts_to_the_end() -> None:
    found = disagreements([came(10)], [], 0, 100)
    assert [(one.begin_s, one.end_s) for one in found] == [(10, 100)]
    assert len(late(found, [])) == 1
    assert late(found, [Span(5, 95, 100)]) == []
    assert len(late(found, [Span(5, 95, 99)])) == 1


def test_a_view_that_shows_what_is_not_so_is_found() -> None:
    found = disagreements([], [Seen(10, 1, online=True), Seen(30, 1, online=False)], 0, 100)
    assert [(one.begin_s, one.end_s, one.why) for one in found] == [(10, 30, "")]
    assert len(late(found, [])) == 1
    assert disagreements([came(5), went(6)], [], 10, 100) == [], "before it was judged"


def test_who_is_cut_off_has_the_grace_time() -> None:
    truth = [came(1), went(10, why="cut"), came(1, 2), went(10, 2)]
    seen = [Seen(2, 1, online=True), Seen(22, 1, online=False)]
    seen += [Seen(2, 2, online=True), Seen(22, 2, online=False)]
    assert [one.user for one in late(disagreements(truth, seen, 0, 100), [])] == [2]


def test_a_cut_excuses_only_what_is_on_its_other_side() -> None:
    cut, at = (100.0, 160.0), [(0.0, "us-1"), (300.0, "ap-1")]
    (span,) = _cut_off(cut, at)
    assert span == Span(100, 160, 170, frozenset({"ap-1"}))
    assert _cut_off(cut, [(0.0, "ap-1")])[0].apart == frozenset({"us-1", "eu-1"})
    assert _cut_off(cut, [(0.0, "ap-1"), (120.0, "us-1")])[0].apart == frozenset(EDGES)
    truth = [
        Entry(110, 1, 1, "open", "k", "eu-1"),
        Entry(110, 2, 1, "open", "k", "ap-1"),
        Entry(1, 3, 1, "open", "k", "ap-1"),
        Entry(110, 3, -1, "close", "k", "ap-1"),
        Entry(111, 3, 1, "open", "k", "eu-1"),
        Entry(112, 3, -1, "close", "k", "eu-1"),
    ]
    seen = [Seen(165, 1, online=True), Seen(165, 2, online=True)]
    seen += [Seen(2, 3, online=True), Seen(165, 3, online=False)]
    assert [one.user for one in late(disagreements(truth, seen, 0, 200), [span])] == [1]


def test_the_live_sum_is_compared_at_its_second() -> None:
    ledger = [came(10.5), came(11.01, 2), came(11.5, 3), went(12.5)]
    found = offs(ledger, [(10, 0), (11, 2), (12, 3), (13, 5)])
    assert [(one.live, one.truth) for one in found] == [(0, 0), (2, 2), (3, 3), (5, 2)]
