"""Cursors: what goes in comes out, and nothing that we did not sign gets in."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.cursor import (
    MAX_CURSOR_BYTES,
    Cursor,
    CursorCodec,
    CursorError,
    Position,
    furthest,
)

CODEC = CursorCodec(b"k" * 32)
REGIONS = st.from_regex(r"[a-z][a-z0-9-]{0,15}", fullmatch=True)
POSITIONS = st.dictionaries(
    REGIONS, st.builds(Position, st.integers(1, 2**31), st.integers(0, 2**53)), max_size=8
)


@given(region=REGIONS, positions=POSITIONS)
def test_a_cursor_survives_the_wire_and_fits(region: str, positions: dict[str, Position]) -> None:
    text = CODEC.encode(Cursor(region, positions))
    assert len(text) <= MAX_CURSOR_BYTES
    assert CODEC.decode(text) == Cursor(region, positions)


@given(positions=POSITIONS, place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_changed_byte_is_refused(positions: dict[str, Position], place: int, flip: int) -> None:
    text = CODEC.encode(Cursor("us", positions))
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[place % len(raw)] ^= flip
    with pytest.raises(CursorError):
        CODEC.decode(base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


@given(text=st.text(max_size=600))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(CursorError):
        CODEC.decode(text)


def test_a_cursor_of_other_edges_is_refused() -> None:
    with pytest.raises(CursorError):
        CODEC.decode(CursorCodec(b"other" * 8).encode(Cursor("us", {})))


def test_a_short_key_is_no_key() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        CursorCodec(b"short")


@given(a=POSITIONS, b=POSITIONS)
def test_the_furthest_of_two_is_at_or_beyond_both(
    a: dict[str, Position], b: dict[str, Position]
) -> None:
    merged = furthest(a, b)
    assert merged == furthest(b, a)
    assert merged.keys() == a.keys() | b.keys()
    for one in (a, b):
        assert all(merged[origin] >= position for origin, position in one.items())


def test_a_later_epoch_is_beyond_every_sequence_of_an_earlier() -> None:
    assert Position(2, 1) > Position(1, 10**9)


def test_a_cursor_says_of_which_regions_something_may_be_owed() -> None:
    codec = CursorCodec(bytes(32))
    places = {"us": Position(1, 20), "eu": Position(2, 7)}
    told = codec.decode(codec.encode(Cursor("eu", places, 0, {"us": 3, "ap": 0})))
    assert told == Cursor("eu", places, 0, {"us": 3, "ap": 0})
    assert [(each.region, each.holes) for each in told.debts] == [("eu", 0), ("ap", 0), ("us", 3)]
    assert all(each.positions == places for each in told.debts)
    assert codec.decode(codec.encode(Cursor("eu", places, 5))).debts == [Cursor("eu", places, 5)]
