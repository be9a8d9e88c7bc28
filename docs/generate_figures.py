"""Writes docs/figures.md from the code: `.venv/bin/python docs/generate_figures.py`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from console.model.fields import FIELDS  # noqa: E402  the tree is importable from here on
from regions.alerts.rules import Rule, read_rules  # noqa: E402
from relay.core.client_row import CLIENT_FIELDS  # noqa: E402
from relay.core.query import Field  # noqa: E402
from relay.core.room_row import ROOM_FIELDS  # noqa: E402

PAGE = ROOT / "docs" / "figures.md"

KINDS = {
    "edge": "an edge, as it says it once a second",
    "region": "a region: sums over its edges",
    "pair": "an ordered pair of regions: one reads what the other stored",
    "stream": "a stream in one region, as its JetStream says it every 5 s",
    "store": "the disk of a region's NATS",
    "flight": "canaries: what is published in one region and comes out of another",
    "door": "an edge's public door that could not be gone through",
    "certificate": "of a public door or a nats-server",
    "fleet": "all of it",
}
UNITS = {
    "text": "text", "number": "number", "ms": "time: `200ms`, `2s`, `5m`, `1h`, `14d`",
    "bytes": "bytes: `64K`, `1M`, `2G`", "share": "share: `0.8` or `80%`",
}  # fmt: skip


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of Markdown."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def figures(kind: str, text: str, fields: Iterable[Field[Any]]) -> str:
    """What there is of one kind of thing."""
    rows = ((f"`{each.name}`", UNITS[each.unit], each.meaning) for each in fields)
    return f"### `{kind}`: {text}\n\n" + table(("figure", "is a", "meaning"), rows)


def page() -> str:
    """The whole page."""
    parts = [
        "# Figures and built-in alerts",
        "Made from the code by `docs/generate_figures.py`; used in [alerts.md](alerts.md).",
        "## Figures",
        *(figures(kind, KINDS[kind], fields) for kind, fields in FIELDS.items()),
        "## Figures that edges are asked for",
        "They stand in no telemetry: [inquiries.md](inquiries.md) says how to ask.",
        figures("client", "an open connection, by its edge", CLIENT_FIELDS),
        figures("room", "a room with members at an edge", ROOM_FIELDS),
        "## Alerts",
        "What a keeper looks for where nothing else is said (`regions/alerts/rules.toml`).",
        table(
            ("alert", "of each", "when", "for", "", "says"),
            (_row(rule) for rule in sorted(read_rules(None, FIELDS), key=lambda rule: rule.name)),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _row(rule: Rule) -> tuple[str, ...]:
    unless = f"; not with {', '.join(rule.unless)}" if rule.unless else ""
    return (
        f"**{rule.name}**",
        rule.each,
        f"`{rule.query.text}`{unless}",
        f"{rule.for_s:g} s",
        rule.severity,
        rule.text,
    )


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    sys.stderr.write(f"{PAGE.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
