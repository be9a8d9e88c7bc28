"""A drill on a terminal: its stages as they come, its verdict, and a table of several."""

from pathlib import Path

import click

from cli.text import clean
from regions.drills.timeline import Stage
from regions.drills.verdict import Verdict
from regions.ledger.findings import Spread

_WIDTH = 11  # of a stage's name


def live(stage: Stage) -> str:
    """One stage: since the drill's begin, what, and what it took."""
    took = "" if stage.took_s is None else f"  ({_seconds(stage.took_s)})"
    return f"{stage.at_s:8.1f} s  {stage.name:<{_WIDTH}}{clean(stage.text)}{took}"


def summary(verdict: Verdict, report: Path) -> list[str]:
    """A verdict, for people."""
    good = verdict.verdict == "pass"
    word = click.style(verdict.verdict.upper(), fg="green" if good else "red")
    lines = ["", f"{word}  {verdict.drill}, seed {verdict.seed}, {verdict.took_s:g} s"]
    lines += [f"  {clean(why)}" for why in verdict.why]
    if verdict.clients:
        lines += ["", *_figures(verdict)]
    return [*lines, "", f"report: {report / 'index.html'}"]


def _figures(verdict: Verdict) -> list[str]:
    resumed = "" if verdict.resume_success is None else f" ({verdict.resume_success:.1%})"
    lines = [
        (
            f"  {verdict.acked} acknowledged ({verdict.rate_acked:g}/s), "
            f"{verdict.delivered} delivered: {verdict.lost} lost, "
            f"{verdict.missing} missing, {verdict.phantom} phantom, {verdict.reordered} reordered, "
            f"{verdict.repeated} repeated, {verdict.undeclared_gaps} gaps undeclared, "
            f"{verdict.declared_gaps} declared ({verdict.declared_events} events)"
        ),
        (
            f"  {verdict.clients} clients: {verdict.clients_hit} lost a connection, "
            f"{verdict.clients_moved} changed the region, {verdict.resumes} resumes{resumed}, "
            f"{verdict.sessions_lost} sessions lost"
        ),
        (
            f"  gap of a client: {_spread(verdict.gap_ms)}; of those that lost a connection: "
            f"{_spread(verdict.gap_hit_ms)}"
        ),
    ]
    for name, spread in verdict.latency_ms.items():
        lines.append(f"  latency {name}: {_spread(spread)}")
    if verdict.phases is not None:
        each = [
            ("seen", verdict.phases.seen_s),
            ("detect", verdict.phases.detect_s),
            ("decide", verdict.phases.decide_s),
            ("reconnect", verdict.phases.reconnect_s),
            ("current after healing", verdict.phases.current_s),
        ]
        text = ", ".join(f"{name} {_seconds(value)}" for name, value in each if value is not None)
        lines.append(f"  at the latest: {text}")
    for result in verdict.objectives:
        mark = click.style("met   ", fg="green") if result.met else click.style("missed", fg="red")
        lines.append(f"  {mark} {result.text}: {clean(result.why) or result.said}, {result.bound}")
    return lines


def row(label: str | None, verdict: Verdict | None) -> tuple[str, ...]:
    """A drill in a table of several; the headings without one."""
    if label is None:
        return (
            "DRILL", "VERDICT", "ACKED", "LOST", "MISSING", "PHANTOM", "REORDERED", "REPEATED",
            "UNDECLARED", "DECLARED", "GAP P50", "P99", "MAX", "CURRENT",
        )  # fmt: skip
    if verdict is None:
        return (label, "could not run", *[""] * 12)
    current = None if verdict.phases is None else verdict.phases.current_s
    counts = (
        verdict.acked, verdict.lost, verdict.missing, verdict.phantom, verdict.reordered,
        verdict.repeated, verdict.undeclared_gaps, verdict.declared_gaps,
    )  # fmt: skip
    gap = verdict.gap_ms
    return (
        label,
        verdict.verdict,
        *(str(count) for count in counts),
        *(f"{value / 1000:.2f}" for value in (gap.p50, gap.p99, gap.max)),
        "" if current is None else f"{current:.2f}",
    )


def _spread(spread: Spread) -> str:
    if not spread.count:
        return "none"
    return f"p50 {spread.p50:.0f}, p99 {spread.p99:.0f}, max {spread.max:.0f} ms"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
