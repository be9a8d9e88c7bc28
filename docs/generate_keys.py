"""Writes docs/keys.md from the code: `.venv/bin/python docs/generate_keys.py`."""

import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from console.commands import COMMANDS, Command  # noqa: E402  the tree is importable from here on
from regions.operations.acts import ACTS  # noqa: E402

PAGE = ROOT / "docs" / "keys.md"

WHEN = {"always": "", "live": "now", "past": "in the past", "armed": "now, armed"}
GROUPS = {
    "Screens": "Escape goes back to where you were.",
    "Tables": "They are about the table that has the focus; `tab` goes to the next one.",
    "View": "",
    "Time": "",
    "Acts": (
        "They change the fleet, unless they only read. Their keys are bound only while the "
        "console is armed (`W`, with a reason); each shows its plan first. A disruptive one wants "
        "the name of what it is done to typed. `jetrelay ctl` does the same."
    ),
    "Console": "",
}
INTRO = (
    "Made from the code by `docs/generate_keys.py`, as are the console's own help (`?`) and its "
    "palette (`ctrl+p`). A command can be shortened as long as it is the only one."
)


def row(command: Command) -> tuple[str, ...]:
    """A command in its table."""
    key = command.shown or command.key
    line = f":{command.name} {command.usage}".rstrip().replace("|", "\\|")
    act = ACTS.get(command.name)
    impact = "" if act is None else f" ({act.impact})"
    return (
        f"`{key}`" if key else "", f"`{line}`", f"{command.meaning}{impact}", WHEN[command.when],
    )  # fmt: skip


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """A table of Markdown."""
    lines = [("key", "line", "", "when"), ("---",) * 4, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page() -> str:
    """The whole page."""
    parts = [
        "# Keys and commands of the console",
        INTRO,
    ]
    for group, commands in groupby(COMMANDS, lambda command: command.group):
        text = GROUPS[group]
        parts += [f"## {group}", *([text] if text else []), table(map(row, commands))]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}\n")
