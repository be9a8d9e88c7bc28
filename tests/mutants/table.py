"""The table of kills."""

from collections.abc import Iterable, Sequence

from tests.mutants.trial import Outcome

_HEAD = (
    "MUTANT", "THE PROMISE THAT IT BREAKS", "DRILL", "ACKED", "DELIVERED", "STRUCK", "FOUND",
    "VERDICT", "TIME",
)  # fmt: skip


def row(outcome: Outcome) -> tuple[str, ...]:
    """One trial, as cells."""
    mutant = outcome.mutant
    found = [f"{name} {count}" if count else name for name, count in outcome.found.items()]
    return (
        "(the edge as it is)" if mutant is None else mutant.name,
        "" if mutant is None else mutant.breaks,
        outcome.drill,
        f"{outcome.acked:,}",
        f"{outcome.delivered:,}",
        f"{outcome.struck:,}",
        outcome.failure or ", ".join(found) or "nothing",
        outcome.word,
        f"{outcome.took_s:.0f} s",
    )


def table(outcomes: Iterable[Outcome], *, markdown: bool = False) -> list[str]:
    """All trials, as lines: aligned, or as Markdown."""
    rows: list[Sequence[str]] = [_HEAD, *(row(outcome) for outcome in outcomes)]
    if markdown:
        heads = [cell.lower() for cell in _HEAD]
        lines = [heads, ["---"] * len(_HEAD), *rows[1:]]
        return [f"| {' | '.join(cells)} |" for cells in lines]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(_HEAD))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in rows
    ]
