"""Text that is drawn: the literal boundary, short figures, sparklines, columns that fit."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console import figures
from console.literal import clean, literal
from console.views.spark import spark
from console.views.table import Column, fit

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=80)


@given(ANY_TEXT, st.integers(1, 40))
def test_clean_text_fits_and_obeys_nobody(text: str, limit: int) -> None:
    drawn = clean(text, limit)
    assert cell_len(drawn) <= limit
    drawn.encode()
    for char in drawn:
        assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn"}


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("us-1", "us-1"),
        ("\x1b]52;c;QUFB\x07", "�]52;c;QUFB�"),
        ("a\x9bb", "a�b"),
        ("gnp\u202etxt", "gnp�txt"),
        ("zero\u200bwidth", "zero�width"),
        ("two\nlines", "two�lines"),
        ("\ud800", "�"),
        ("e\u0301", "é"),
        ("東京", "東京"),
        ("wide\u3000space", "wide space"),
        ("[red]not markup[/]", "[red]not markup[/]"),
        ("abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrs…"),
    ],
)
def test_clean_examples(text: str, drawn: str) -> None:
    assert clean(text, 20) == drawn


def test_literal_is_not_markup() -> None:
    assert literal("[@click=app.quit]x[/]", 40).plain == "[@click=app.quit]x[/]"
    assert literal("[b]x", 40).spans == []


def test_very_long_text_is_cut_before_it_is_read() -> None:
    assert clean("\x00" * 10_000_000, 10) == "�" * 9 + "…"


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (figures.count(None), "—"),
        (figures.count(61_234), "61,234"),
        (figures.count(1_204_000), "1.2M"),
        (figures.rate(0.0), "0"),
        (figures.rate(0.42), "0.4"),
        (figures.rate(5.0), "5"),
        (figures.rate(1240.2), "1,240"),
        (figures.rate(41_230.0), "41.2k"),
        (figures.rate(99_960.0), "100k"),
        (figures.rate(9_999.7), "10.0k"),
        (figures.duration(None), "—"),
        (figures.duration(41.6), "42"),
        (figures.duration(12_400), "12.4s"),
        (figures.duration(303_000), "5m03s"),
        (figures.duration(7_800_000), "2h10m"),
        (figures.age(999), "0s"),
        (figures.age(75_000), "75s"),
        (figures.age(273_600_000), "3d04h"),
        (figures.size(212 * 2**20), "212M"),
        (figures.size(1_503_238_553), "1.4G"),
        (figures.clock(0), "00:00:00Z"),
        (figures.clock(10**30), "—"),
    ],
)
def test_figures(drawn: str, expected: str) -> None:
    assert drawn == expected


@given(st.floats(0, 2.0**63), st.integers(0, 2**63))
def test_figures_stay_short(value: float, number: int) -> None:
    assert len(figures.rate(value)) <= 6
    assert len(figures.count(number)) <= 8
    assert len(figures.size(number)) <= 7


def test_sparkline_starts_at_zero_and_shows_gaps() -> None:
    assert spark([0, 50, None, 100]) == "▁▅ █"
    assert spark([99, 100, 99]) == "███"
    assert spark([0, 0]) == "▁▁"
    assert spark([]) == ""


COLUMNS = (Column("a", 10), Column("b", 5, rank=2), Column("c", 5, rank=1))


@pytest.mark.parametrize(
    ("width", "kept", "gap"),
    [(40, (0, 1, 2), 3), (22, (0, 1, 2), 1), (21, (0, 2), 3), (15, (0,), 3), (3, (0,), 1)],
)
def test_columns_that_matter_least_go_first(width: int, kept: tuple[int, ...], gap: int) -> None:
    assert fit(COLUMNS, width) == (kept, gap)
