"""A map of the world in braille, with marks: which region stands where, and where clients are."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from rich.cells import cell_len

from console.signs import Tone
from console.views.cell import Cell, cell

NORTH, SOUTH = 84, -56  # degrees; what lies beyond is not drawn
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, row by row
BLANK, BRAILLE = " ", 0x2800
_LAND = Path(__file__).with_name("land.txt")


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at a place: a glyph there, and a text beside it."""

    lat: float  # degrees
    lon: float
    glyph: str  # one cell wide
    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where on a screen of so many cells the world lies: in dots, two a cell by four."""

    width: int
    height: int

    @property
    def per_degree(self) -> float:
        return min(2 * self.width / 360, 4 * self.height / (NORTH - SOUTH))

    def dot(self, lat: float, lon: float) -> tuple[float, float]:
        """Column and row of a place."""
        scale = self.per_degree
        left = (2 * self.width - 360 * scale) / 2
        top = (4 * self.height - (NORTH - SOUTH) * scale) / 2
        return left + (lon + 180) * scale, top + (NORTH - lat) * scale

    def squares(self) -> tuple[list[int], list[int]]:
        """Of each column of dots how many degrees it is east of the western end, and of each row
        how many south of the northern one; -1: beyond the world.
        """
        x, y = self.dot(NORTH, -180)
        east = [math.floor((at + 0.5 - x) / self.per_degree) for at in range(2 * self.width)]
        south = [math.floor((at + 0.5 - y) / self.per_degree) for at in range(4 * self.height)]
        return (
            [degree if degree < 360 else -1 for degree in east],
            [degree if degree < NORTH - SOUTH else -1 for degree in south],
        )


def draw(width: int, height: int, marks: Iterable[Mark]) -> list[list[Cell]]:
    """The world in `height` rows of `width` cells, each row as pieces of one tone.

    Args:
        width: cells.
        height: rows.
        marks: the first ones go before: one that would cover another is left out.
    """
    if width < 1 or height < 1:
        return []
    frame = _Frame(width, height)
    rows = [[(char, Tone.MUTED) for char in row] for row in _land(frame)]
    taken: set[tuple[int, int]] = set()
    for mark in marks:
        if SOUTH <= mark.lat <= NORTH:
            _put(frame, rows, taken, mark)
    return [_pieces(row, width) for row in rows]


def _put(
    frame: _Frame, rows: list[list[tuple[str, Tone]]], taken: set[tuple[int, int]], mark: Mark
) -> None:
    """Write a mark, its text on the right of it or, where there is no room, on the left."""
    column, row = frame.dot(mark.lat, mark.lon)
    x, y = min(int(column // 2), frame.width - 1), min(int(row // 4), frame.height - 1)
    glyph = cell(mark.glyph, limit=1).text
    text = cell(mark.text, limit=max(1, frame.width - 2)).text if mark.text else ""
    size = cell_len(text)
    for start, drawn in ((x, f"{glyph}{text}"), (x - size, f"{text}{glyph}")):
        cells = {(at, y) for at in range(start, start + size + 1)}
        if start < 0 or start + size >= frame.width or cells & taken:
            continue
        taken |= cells
        at = start
        for char in drawn:
            wide = cell_len(char)
            rows[y][at] = (char, mark.tone)
            rows[y][at + 1 : at + wide] = [("", mark.tone)] * (wide - 1)
            at += wide
        return


def _pieces(row: list[tuple[str, Tone]], width: int) -> list[Cell]:
    return [
        cell("".join(char for char, _ in group), tone, width)
        for tone, group in groupby(row, key=lambda each: each[1])
    ]


@lru_cache(maxsize=8)
def _land(frame: _Frame) -> Sequence[str]:
    east, south = frame.squares()
    degrees = _degrees()
    dots = [
        [down >= 0 and right >= 0 and degrees[down][right] for right in east] for down in south
    ]  # fmt: skip
    return [
        "".join(_braille(dots, 2 * column, 4 * row) for column in range(frame.width))
        for row in range(frame.height)
    ]


def _braille(dots: list[list[bool]], column: int, row: int) -> str:
    bits = sum(
        bit
        for down, pair in enumerate(DOTS)
        for right, bit in enumerate(pair)
        if dots[row + down][column + right]
    )
    return chr(BRAILLE + bits) if bits else BLANK


@lru_cache(maxsize=1)
def _degrees() -> Sequence[Sequence[bool]]:
    """Whether each square of one degree is land: row by row from the north, from the west on."""
    rows = []
    for line in _LAND.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            runs = [int(length) for length in line.split()]
            rows.append([at % 2 == 1 for at, length in enumerate(runs) for _ in range(length)])
    return rows
