"""The colours that a real terminal is sent: as many as it has, and greys where none are wanted."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.console.scenario import troubled
from tests.console.test_past import write
from tests.terminal import COLOURS, Terminal

_SGR = re.compile(rb"\x1b\[([0-9;]*)m")


def colours(drawn: bytes) -> set[str]:
    """Which kinds of colours were set: `16`, `256`, `true`, `grey` (a true one)."""
    found = set()
    for match in _SGR.finditer(drawn):
        codes = [int(code or 0) for code in match[1].split(b";")]
        while codes:
            code = codes.pop(0)
            if code in (38, 48):
                if codes.pop(0) == 5:
                    found.add("256")
                    del codes[:1]
                    continue
                found.add("grey" if len(set(codes[:3])) == 1 else "true")
                del codes[:3]
            elif 30 <= code % 60 <= 37 or 40 <= code % 60 <= 47:  # 90 to 97, 100 to 107: bright
                found.add("16")
    return found


def test_colours_are_told_apart() -> None:
    assert colours(b"\x1b[0;1mx\x1b[39;49m") == set()
    assert colours(b"\x1b[1;31mx\x1b[97m") == {"16"}
    assert colours(b"\x1b[38;5;31m\x1b[48;2;1;2;3;4m") == {"256", "true"}
    assert colours(b"\x1b[38;2;7;7;7;48;2;0;0;0m") == {"grey"}


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        (COLOURS, {"true", "grey"}),
        ({"TERM": "xterm"}, {"16"}),
        ({"TERM": "linux"}, {"16"}),
        (COLOURS | {"NO_COLOR": "1"}, {"grey"}),
    ],
)
def test_a_terminal_is_sent_the_colours_that_it_has(
    env: Mapping[str, str], wanted: set[str], tmp_path: Path
) -> None:
    file = write(tmp_path / "r.gz", [*troubled(80)])
    command = [sys.executable, "-m", "cli", "console", "--replay", str(file)]
    terminal = Terminal(command, (120, 36), env)
    try:
        terminal.wait("Nothing was kept of this time")  # it stands at its beginning
        for _ in range(2):
            terminal.press(">")  # a minute
        terminal.wait("dark")
        terminal.press("8")
        terminal.wait("go to that time")
        terminal.rest()
    finally:
        terminal.close()
    assert colours(terminal.drawn) - wanted == set()
    assert wanted - colours(terminal.drawn) <= {"grey"}
