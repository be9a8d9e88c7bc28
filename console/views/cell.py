"""A piece of drawn text: `cell` is the only way to one, and passes the literal boundary."""

from collections.abc import Iterable
from dataclasses import dataclass

from textual.content import Content

from console.literal import Literal, clean
from console.signs import Sign, Tone

CELL_LIMIT = 64  # terminal cells

# Theme variables, so that one table serves truecolor, 16 colours and none.
STYLES = {
    Tone.PLAIN: "",
    Tone.MUTED: "$console-muted",
    Tone.STRONG: "bold",
    Tone.GOOD: "$text-success",
    Tone.WARN: "bold $text-warning",
    Tone.BAD: "bold $text-error",
    Tone.TREND: "$primary",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """Text that may be drawn, and its tone."""

    text: Literal
    tone: Tone


def cell(text: str, tone: Tone = Tone.PLAIN, limit: int = CELL_LIMIT) -> Cell:
    """A cell of any text."""
    return Cell(clean(text, limit), tone)


def sign_cell(sign: Sign) -> Cell:
    """Glyph and word of a state."""
    return cell(f"{sign.glyph} {sign.word}", sign.tone, 16)


def line(*cells: Cell) -> Content:
    """Cells in one line, as a value that is never parsed as markup."""
    return Content.assemble(*((piece.text, STYLES[piece.tone]) for piece in cells))


def muted(cells: Iterable[Cell]) -> list[Cell]:
    """The cells of what is old."""
    return [Cell(each.text, Tone.MUTED) for each in cells]
