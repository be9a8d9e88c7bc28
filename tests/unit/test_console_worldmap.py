"""The map of the world: of the size that is wanted, land where land is, marks where they belong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.signs import Tone
from console.views.worldmap import BRAILLE, Mark, draw

PLACES = {
    "US": (39.0, -95.0), "BR": (-10.0, -52.0), "CD": (0.0, 23.0), "DE": (51.0, 10.0),
    "IN": (22.0, 79.0), "CN": (33.0, 110.0), "AU": (-25.0, 134.0),
}  # fmt: skip
SEAS = {
    "north atlantic": (35.0, -45.0), "south atlantic": (-25.0, -15.0), "pacific": (10.0, -150.0),
    "south pacific": (-19.0, -120.0), "indian": (-25.0, 80.0), "bering": (57.0, -178.0),
}  # fmt: skip


def text(width: int, height: int, *marks: Mark) -> list[str]:
    return ["".join(piece.text for piece in row) for row in draw(width, height, marks)]


def at(lat: float, lon: float, width: int, height: int) -> tuple[int, int]:
    """The cell of a place: where a mark of nothing but a glyph is drawn."""
    for y, line in enumerate(text(width, height, Mark(lat, lon, "X", "", Tone.PLAIN))):
        if "X" in line:
            return line.index("X"), y
    raise AssertionError("not on the map")


@pytest.mark.parametrize("size", [(72, 14), (100, 20), (180, 35)])
def test_land_is_land_and_sea_is_sea(size: tuple[int, int]) -> None:
    lines = text(*size)
    for place in PLACES.values():
        x, y = at(*place, *size)
        assert (ord(lines[y][x]) - BRAILLE).bit_count() >= 6, place
    for place in SEAS.values():
        x, y = at(*place, *size)
        assert lines[y][x] == " ", place


def test_east_is_right_and_north_is_up() -> None:
    us, de, au = (at(*PLACES[code], 100, 20) for code in ("US", "DE", "AU"))
    assert us[0] < de[0] < au[0]
    assert de[1] < us[1] < au[1]


def test_a_mark_has_its_text_beside_it_and_its_tone() -> None:
    rows = draw(100, 20, [Mark(50.1, 8.7, "●", " eu ", Tone.GOOD)])
    assert [(p.text, p.tone) for row in rows for p in row if p.tone is Tone.GOOD] == [
        ("● eu ", Tone.GOOD)
    ]


def test_where_there_is_no_room_on_the_right_the_text_stands_on_the_left() -> None:
    lines = text(100, 20, Mark(-17.0, 178.0, "●", " fiji", Tone.GOOD))
    assert any(" fiji●" in line for line in lines)


def test_the_first_mark_is_never_covered() -> None:
    marks = [Mark(50.1, 8.7, "●", " eu", Tone.GOOD), Mark(50.8, 9.5, "▪", "4,020", Tone.TREND)]
    drawn = "\n".join(text(72, 14, *marks))
    assert "● eu" in drawn
    assert drawn.count("▪") <= 1
    twice = "\n".join(text(72, 14, marks[0], marks[0]))
    assert twice.count("●") == 1


def test_what_lies_beyond_the_map_is_left_out() -> None:
    assert text(72, 14, Mark(-78.0, 166.0, "●", " pole", Tone.BAD)) == text(72, 14)


def test_names_are_made_safe_and_take_the_cells_that_they_take() -> None:
    lines = text(72, 14, Mark(35.0, 135.0, "●", " 東京\x1b[31m", Tone.GOOD))
    assert all(cell_len(line) == 72 for line in lines)
    assert "\x1b" not in "".join(lines)
    assert any("東京" in line for line in lines)


_marks = st.lists(
    st.builds(
        Mark,
        st.floats(-90, 90),
        st.floats(-180, 180),
        st.sampled_from("●◐○✗▪"),
        st.text(max_size=30),
        st.sampled_from(Tone),
    ),
    max_size=6,
)


@given(st.integers(0, 60), st.integers(0, 20), _marks)
def test_it_is_as_large_as_it_is_asked_for(width: int, height: int, marks: list[Mark]) -> None:
    rows = draw(width, height, marks)
    assert len(rows) == (height if width else 0)
    for row in rows:
        assert sum(cell_len(piece.text) for piece in row) == width
        assert all(piece.text.isprintable() for piece in row)
