"""The one boundary for text from outside: edge names, addresses, versions, states, reasons.

A terminal obeys control codes even in the middle of a table, and a screen that reads markup runs
what a name says. So every text passes here before it is drawn, and is drawn as `Content` or as
segments, neither of which is parsed.
"""

import unicodedata
from functools import lru_cache
from typing import NewType

from rich.cells import cell_len, set_cell_size
from textual.content import Content

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS = "…"

# Kept: letters, numbers, punctuation, symbols. What else there is (controls C0 and C1, format and
# bidi controls, surrogates, private and unassigned characters, line and paragraph separators) is
# replaced, and so are combining marks, on whose width terminals do not agree.
_DRAWN = frozenset("LNPS")

Literal = NewType("Literal", str)
"""Text that may be drawn: no control code, no character without a width of its own."""


@lru_cache(maxsize=8192)
def clean(text: str, limit: int) -> Literal:
    """`text` in at most `limit` terminal cells; what can't be drawn is shown as U+FFFD."""
    if text.isascii() and text.isprintable() and len(text) <= limit:
        return Literal(text)
    # Every drawn character takes a cell, so more than that many can never show.
    drawn = "".join(_draw(char) for char in unicodedata.normalize("NFC", text[: 4 * limit + 4]))
    if cell_len(drawn) <= limit and len(text) <= 4 * limit + 4:
        return Literal(drawn)
    return Literal(set_cell_size(drawn, limit - 1).rstrip() + ELLIPSIS)


def literal(text: str, limit: int) -> Content:
    """`clean(text, limit)` as a value that is never parsed as markup."""
    return Content(clean(text, limit))


def _draw(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Zs":
        return " "
    if category[0] not in _DRAWN or cell_len(char) == 0 or char in _BLANK:
        return REPLACEMENT
    return char


# Letters by category, yet invisible: the Hangul fillers.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0")
