"""The bounds of the soak: what a herd may cost, and that more than that is said."""

from dataclasses import replace
from typing import Any

import pytest

from tests.soak.bounds import MIB, Bounds, Row
from tests.soak.member import Tally

ROW = Row(
    resumes=100, took_s=60, lacking=0, reads=100, rss_before=50 * MIB, rss_peak=400 * MIB,
    rss_after=60 * MIB,
)  # fmt: skip


def exceeded(row: Row, tally: Tally | None = None) -> list[str]:
    return Bounds().exceeded(100, 20, {"same edge": row}, tally or Tally())


def test_a_herd_within_the_bounds_is_no_miss() -> None:
    assert exceeded(ROW) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"resumes": 99}, "same edge: 99 of 100 resumed"),
        ({"took_s": 60.1}, "same edge: all back after 60.1 s, at most 60 s"),
        ({"reads": 101}, "same edge: 5.05 reads a room and origin, at most 5"),
        ({"rss_peak": 401 * MIB}, "same edge: RSS 401 MiB, at most 400"),
        ({"lacking": 1}, "same edge: 1 events lacking at the end"),
    ],
)
def test_each_bound_that_is_exceeded_is_said(change: dict[str, Any], said: str) -> None:
    assert exceeded(replace(ROW, **change)) == [said]


@pytest.mark.parametrize("what", ["missing", "repeated", "gaps"])
def test_whatever_is_heard_wrong_is_said(what: str) -> None:
    tally = Tally()
    setattr(tally, what, 3)
    assert exceeded(ROW, tally) == [f"3 {what}"]
    assert exceeded(ROW, Tally(problems=["INVALID_SESSION"])) == ["1 problems"]
