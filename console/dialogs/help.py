"""The help screen, made from the same tables as the screens: keys, and what the glyphs mean."""

from collections.abc import Iterable
from itertools import groupby
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from console.commands import Command
from console.signs import (
    AGREEMENT_SIGNS,
    ALERT_SIGNS,
    CLIENT_SIGNS,
    DRILL_SIGNS,
    EDGE_SIGNS,
    HAPPENING_SIGNS,
    LAG_SIGNS,
    LINK_SIGNS,
    REGION_SIGNS,
    STEER_SIGNS,
    STREAM_SIGNS,
    Sign,
    Tone,
)
from console.views.cell import cell, line
from console.views.drawn import Drawn

AGAINST = {"past": " (in the past)", "armed": " (armed)"}
MOVING = (
    ("↑ ↓ pgup pgdn", "move the cursor, or scroll"),
    ("home end", "first and last row"),
    ("enter", "open the row"),
    ("tab", "next table"),
)


class HelpScreen(ModalScreen[None]):
    """Keys and glyphs; any of its keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "close", key_display="esc"),
    ]

    def __init__(self, commands: Iterable[Command]) -> None:
        super().__init__()
        self._commands = tuple(commands)

    def compose(self) -> ComposeResult:
        """One scrolling box."""
        box = VerticalScroll(Drawn(self._text()), id="help")
        box.border_title = "Help"
        box.border_subtitle = "esc closes"
        yield box

    def _text(self) -> Content:
        lines: list[Content] = []
        for group, commands in groupby(self._commands, lambda command: command.group):
            lines += [_head(group), *map(_command, commands), Content("")]
        lines += [_head("Moving"), *(_pair(key, what) for key, what in MOVING)]
        for title, signs in (
            ("Regions", REGION_SIGNS.values()),
            ("Edges", EDGE_SIGNS.values()),
            ("Clients", CLIENT_SIGNS.values()),
            ("Mirror lag", LAG_SIGNS.values()),
            ("Alerts", ALERT_SIGNS.values()),
            ("Drills", DRILL_SIGNS.values()),
            ("What happened", HAPPENING_SIGNS.values()),
            ("Streams", STREAM_SIGNS.values()),
            ("Copies of a stream", AGREEMENT_SIGNS.values()),
            ("Regions and edges, as keepers see them", STEER_SIGNS.values()),
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


def _command(command: Command) -> Content:
    key = command.shown or command.key or f":{command.name}"
    name = f"{command.name}: " if command.key else ""
    return _pair(key, f"{name}{command.meaning}{AGAINST.get(command.when, '')}")


def _pair(key: str, what: str) -> Content:
    return line(cell(f"  {key:<14}", Tone.GOOD), cell(what, limit=80))


def _meaning(sign: Sign) -> Content:
    return line(cell(f"  {sign.glyph} {sign.word:<12}", sign.tone), cell(sign.meaning, limit=80))
