"""The help screen, made from the same tables as the screens: keys, and what the glyphs mean."""

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from console.signs import ALERT_SIGNS, EDGE_SIGNS, LAG_SIGNS, LINK_SIGNS, REGION_SIGNS, Sign, Tone
from console.views.cell import cell, line


class HelpScreen(ModalScreen[None]):
    """Keys and glyphs; any of its keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "close", key_display="esc"),
    ]

    def __init__(self, keys: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self._keys = tuple(keys)

    def compose(self) -> ComposeResult:
        """One scrolling box."""
        box = VerticalScroll(Static(self._text(), markup=False), id="help")
        box.border_title = "Help"
        box.border_subtitle = "esc closes"
        yield box

    def _text(self) -> Content:
        lines = [_head("Keys"), *(_pair(key, what) for key, what in self._keys)]
        for title, signs in (
            ("Regions", REGION_SIGNS.values()),
            ("Edges", EDGE_SIGNS.values()),
            ("Mirror lag", LAG_SIGNS.values()),
            ("Alerts", ALERT_SIGNS.values()),
            ("The console's own link", LINK_SIGNS.values()),
        ):
            lines += [Content(""), _head(title), *(_meaning(sign) for sign in signs)]
        lines += [
            Content(""),
            _head("Ages"),
            _pair("dim", "older than 3 s"),
            _pair("—", "not known, or older than 10 s: see its age"),
        ]
        return Content("\n").join(lines)


def _head(title: str) -> Content:
    return line(cell(title, Tone.STRONG))


def _pair(key: str, what: str) -> Content:
    return line(cell(f"  {key:<14}", Tone.GOOD), cell(what, limit=80))


def _meaning(sign: Sign) -> Content:
    return line(cell(f"  {sign.glyph} {sign.word:<12}", sign.tone), cell(sign.meaning, limit=80))
