"""The doctor's judgements."""

from pathlib import Path
from typing import Any

import pytest

from regions.doctor import Level, check_book, check_clock, check_disk, check_mirror


def mirror(last_seq: int, active_ms: float) -> dict[str, Any]:
    """A mirror's STREAM.INFO."""
    return {"state": {"last_seq": last_seq}, "mirror": {"active": int(active_ms * 1e6), "lag": 0}}


@pytest.mark.parametrize(
    ("info", "origin", "level", "text"),
    [
        (mirror(10, 500), 10, "ok", "at 10 of 10, heard 500 ms ago"),
        (mirror(10, 500), 5000, "warn", "at 10 of 5000"),
        (mirror(10, 3500), 10, "fail", "silent for 3.5 s"),
        (mirror(10, -1e-6), 10, "fail", "heard nothing yet"),
        (mirror(11, 500), 10, "fail", "ahead of its origin"),
        (mirror(11, 4000), None, "fail", "silent for 4.0 s, at 11"),
        (None, 10, "fail", "is missing"),
    ],
)
def test_mirrors(info: dict[str, Any] | None, origin: int | None, level: Level, text: str) -> None:
    check = check_mirror("eu", "us", info, origin)
    assert check.name == "mirror us in eu"
    assert check.level == level
    assert text in check.text


@pytest.mark.parametrize(
    ("offset_s", "level"), [(0.1, "ok"), (-0.6, "warn"), (2.5, "fail"), (-3.0, "fail")]
)
def test_clocks(offset_s: float, level: Level) -> None:
    assert check_clock("clock eu", offset_s).level == level


@pytest.mark.parametrize(("gib", "level"), [(20, "ok"), (3, "warn"), (0.1, "fail")])
def test_disks(gib: float, level: Level) -> None:
    check = check_disk(int(gib * 1024**3), Path("/"))
    assert check.level == level
    assert (check.advice is None) == (level == "ok")


@pytest.mark.parametrize(
    ("used", "most", "level"), [(0, 100, "ok"), (79, 100, "ok"), (80, 100, "warn"),
                                (95, 100, "fail"), (10**9, -1, "ok")],
)  # fmt: skip
def test_a_book_that_gets_full_is_told_before_it_takes_no_more(
    used: int, most: int, level: Level
) -> None:
    assert check_book("us", used, most).level == level
