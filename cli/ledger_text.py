"""What a ledger shows, for people."""

import click

from regions.ledger.findings import RULES, Findings, Spread


def report(findings: Findings) -> list[str]:
    """The findings, for people: what was found, examples, times."""
    lines = [f"{_figures(findings)}", ""]
    for rule, text in RULES.items():
        count = getattr(findings, rule)
        mark = click.style("FAIL", fg="red") if count else click.style("ok  ", fg="green")
        lines.append(f"{mark} {rule:16}{count:>9}  {text}")
    lines += ["", *_examples(findings), *_times(findings)]
    verdict = click.style("passed", fg="green") if findings.passed else click.style("failed", "red")
    return [*lines, f"{verdict}  history {findings.history}"]


def _figures(findings: Findings) -> str:
    return (
        f"{findings.clients} clients, {findings.records} records: {findings.asked} publishes, "
        f"{findings.acked} acknowledged, {findings.failed} failed, {findings.unknown} unknown; "
        f"{findings.delivered} deliveries, {findings.replayed} of them replayed, "
        f"{findings.raw_repeats} repeats hidden by the library; {findings.disconnects} "
        f"connections lost, {findings.resumes} resumes, {findings.sessions_lost} sessions lost; "
        f"{findings.declared_gaps} gaps declared, of {findings.declared_events} events"
    )


def _examples(findings: Findings) -> list[str]:
    lines = [
        f"  {example.rule}: {example.text}  [{', '.join(example.where)}]"
        for example in findings.examples
    ]
    return [*lines, ""] if lines else []


def _times(findings: Findings) -> list[str]:
    rows: list[tuple[str, Spread]] = [
        ("gap of a client", findings.gap_ms),
        ("gap, connection lost", findings.gap_hit_ms),
        ("outage", findings.outage_ms),
    ]
    for phase in findings.phases:
        rows.append((f"acknowledged, {phase.name}", phase.ack_ms))
        rows.append((f"latency, {phase.name}", phase.latency_ms))
        rows.append((f"current after {phase.name}", phase.current_ms))
    lines = [f"{'ms':28}{'p50':>10}{'p99':>10}{'max':>10}{'of':>10}"]
    lines += [
        f"{name[:27]:28}{each.p50:>10.1f}{each.p99:>10.1f}{each.max:>10.1f}{each.count:>10}"
        for name, each in rows
        if each.count
    ]
    return [*lines, ""]
