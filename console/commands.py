"""Everything that an operator can tell the console: one table, from which keys, the `:` line, the
command palette, the help and its page in the docs are made.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from console.errors import ConsoleError
from regions.operations.acts import ACTS

Group = Literal["Screens", "Tables", "View", "Time", "Acts", "Console"]
When = Literal["always", "live", "past", "armed"]


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to tell the console.

    A command of the group `Acts` changes the fleet: its key is bound only while the console is
    armed, and never in the past. One that only reads needs no arming.
    """

    name: str
    key: str  # as Textual names it; empty: only by name
    meaning: str
    group: Group
    when: When = "always"
    usage: str = ""  # what follows the name on the `:` line
    foot: bool = False  # whether its key stands at the foot of the screen
    shown: str = ""  # the key, as people read it


SCREENS = (
    ("1", "fleet", "regions, edges, mirror lag, alerts"),
    ("2", "edges", "all edges; enter: one in detail"),
    ("3", "clients", "who is connected; enter: one in detail"),
    ("4", "rooms", "by members or rate; enter: one in detail"),
    ("5", "streams", "copies, lag, stores; enter: one in detail"),
    ("6", "steering", "who is sent where, and why; enter: what if"),
    ("7", "drills", "run one, follow it, see the last ones"),
    ("8", "events", "what happened; enter: go to that time"),
)

FOOT = frozenset({"drill", "cordon", "uncordon", "drain", "evacuate", "abort", "ack"})

_SCREENS = tuple(
    Command(name, key, meaning, "Screens", usage="[FILTER]", foot=True)
    for key, name, meaning in SCREENS
)
_ACTS = tuple(
    Command(
        act.name,
        act.key,
        act.meaning,
        "Acts",
        "live" if act.impact == "reading" else "armed",
        act.usage,
        foot=act.name in FOOT,
    )
    for act in ACTS.values()
)

COMMANDS: tuple[Command, ...] = (
    *_SCREENS,
    Command("edge", "", "one edge in detail", "Screens", usage="EDGE"),
    Command("client", "", "one client in detail", "Screens", usage="SESSION"),
    Command("room", "", "one room in detail", "Screens", usage="ROOM [TENANT]"),
    Command("stream", "", "one stream in detail", "Screens", usage="STREAM [REGION]"),
    Command("explain", "", "where an address or a country is sent, and why", "Screens",
            usage="ADDRESS|COUNTRY [rtt=REGION:MS,…]"),
    Command("whatif", "", "where the clients of a region would go if it died", "Screens",
            usage="[REGION]"),
    Command("back", "escape", "back to where you were", "Screens", shown="esc"),
    Command("filter", "slash", "show only what matches: text, !text, connections>100", "Tables",
            usage="[QUERY]", foot=True, shown="/"),
    Command("sort", "s", "sort by the next column", "Tables", usage="[FIELD]"),
    Command("turn", "o", "turn the order", "Tables"),
    Command("follow", "F", "the cursor stays on its row wherever that goes", "Tables"),
    Command("region", "g", "only the next region", "Tables", usage="[REGION]"),
    Command("all", "G", "all regions", "Tables"),
    Command("copy", "y", "copy the row", "Tables"),
    Command("export", "x", "write the table to a file (CSV)", "Tables", usage="[FILE]"),
    Command("maximise", "z", "this table alone, and back", "View"),
    Command("freeze", "f", "hold the picture still while data goes on, and back", "View", "live"),
    Command("privacy", "p", "hide names of users, clients and rooms, and show them", "View"),
    Command("theme", "t", "the next colours", "View", usage="[NAME]"),
    Command("screenshot", "S", "write the screen to a file (SVG and text)", "View",
            usage="[FILE]"),
    Command("time", "T", "go into the past", "Time", "live", foot=True),
    Command("go", "", "go to a time: 12:03, 2026-11-28T12:00Z, 15m", "Time", usage="TIME"),
    Command("earlier", "comma", "1 s earlier", "Time", "past", shown=","),
    Command("later", "full_stop", "1 s later", "Time", "past", shown="."),
    Command("minute-earlier", "less_than_sign", "1 min earlier", "Time", "past", shown="<"),
    Command("minute-later", "greater_than_sign", "1 min later", "Time", "past", shown=">"),
    Command("last-alert", "N", "the alert before", "Time", "past", foot=True),
    Command("next-alert", "n", "the next alert", "Time", "past", foot=True),
    Command("play", "space", "play, and stop", "Time", "past", foot=True),
    Command("faster", "plus", "play faster, up to 60×", "Time", "past", shown="+"),
    Command("slower", "minus", "play slower", "Time", "past", shown="-"),
    Command("live", "L", "back to now", "Time", "past", foot=True),
    Command("arm", "W", "allow acts for 15 minutes, or forbid them again", "Acts", "live",
            usage="[REASON]", foot=True),
    *_ACTS,
    Command("operation", "O", "what became of an operation or drill; seen, it goes", "Acts"),
    Command("bell", "b", "ring when an alert pages, and do not", "Console"),
    Command("command", "colon", "type a command", "Console", foot=True, shown=":"),
    Command("palette", "ctrl+p", "look for a command", "Console"),
    Command("help", "question_mark", "what keys and glyphs mean", "Console", foot=True, shown="?"),
    Command("quit", "q", "end the console; operations go on", "Console", foot=True),
)  # fmt: skip

BY_NAME = {command.name: command for command in COMMANDS}


def parse(text: str) -> tuple[Command, str]:
    """The command on a `:` line, and what follows its name.

    Raises:
        ConsoleError: there is no such command.
    """
    name, _, rest = text.strip().removeprefix(":").partition(" ")
    command = BY_NAME.get(name) or _only(
        each for each in COMMANDS if name and each.name.startswith(name)
    )
    if command is None:
        near = get_close_matches(name, BY_NAME, 1)
        raise ConsoleError(f"no command {name!r}{f': {near[0]}?' if near else ''}; ? lists them")
    return command, rest.strip()


def _only(found: Iterable[Command]) -> Command | None:
    commands = list(found)
    return commands[0] if len(commands) == 1 else None
