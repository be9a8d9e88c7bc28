"""A screen as it can be kept: as SVG that every renderer draws alike, and as text."""

import re
from typing import Any

from textual.screen import Screen

CELL = 12.2  # width of a character in the SVG

_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_TEXT = re.compile(
    r'<text (class="[^"]*") x="([\d.]+)" (y="[\d.]+") textLength="[\d.]+"([^>]*)>(.*?)<'
)


def screen_text(screen: Screen[Any]) -> str:
    """The lines on a screen, without colours."""
    strips = screen._compositor.render_strips()  # noqa: SLF001  Textual has no other way to them
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


def tidy(svg: str) -> str:
    """`svg` without fonts from other servers, each text set where it begins.

    Renderers differ on leading spaces; a position they all obey.
    """
    svg = _FONT.sub("", svg)
    svg = re.sub(r"terminal-\d+-", "terminal-", svg)
    svg = svg.replace("Fira Code", "ui-monospace, Menlo, DejaVu Sans Mono")
    svg = _TEXT.sub(_place, svg)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def _place(match: re.Match[str]) -> str:
    style, x, y, rest, text = match.groups()
    plain = text.replace("&#160;", " ")
    begins = len(plain) - len(plain.lstrip())
    words = plain.strip()
    length = len(re.sub(r"&[^;]+;", "?", words)) * CELL
    at = float(x) + begins * CELL
    spaced = words.replace(" ", "&#160;")
    return f'<text {style} x="{at:.1f}" {y} textLength="{length:.1f}"{rest}>{spaced}<'
