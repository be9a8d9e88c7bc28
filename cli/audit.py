"""`jetrelay audit`: who was here, rebuilt from the log."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from cli.doors import Fleet, door_options, find_fleet, has_subcommand
from cli.moments import Moment, iso, shown
from cli.text import clean
from regions.audit.material import Material, gather
from regions.columns import aligned
from regions.errors import AuditError
from regions.stats.reading import open_past
from relay.core.names import DEFAULT_TENANT, is_tenant, is_user

SETTLE_MS = 15_000  # what is older has come over, where no --until is said


def span_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a fleet and a time."""
    for option in (
        click.option("--until", type=Moment(), help="Until then; 15 s ago without."),
        click.option(
            "--since", type=Moment(), help="From then on: 2026-11-28T12:00Z, or 2h ago; required."
        ),
        door_options,
    ):
        function = option(function)
    return function


@click.group(invoke_without_command=True)
@span_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write audit.json, index.html, sessions.csv, sessions.parquet and visits.csv there.",
)
@click.option(
    "--bound",
    type=click.IntRange(min=0),
    help="Sessions that the live sum may be off; 0.1 % of the most, and 2 at least, without.",
)
@click.option(
    "--partial", is_flag=True, help="Go on where a region's log has not come, and FAIL by its name."
)
@click.option("--json", "as_json", is_flag=True, help="The record as JSON on stdout.")
@click.pass_context
def command(
    ctx: click.Context,
    state: Path,
    region: str | None,
    url: str | None,
    creds: Path | None,
    since: int | None,
    until: int | None,
    out: Path | None,
    bound: int | None,
    *,
    partial: bool,
    as_json: bool,
) -> None:
    """Rebuild every session of a time from the log, and judge the live figures by it.

    Says the peak and mean of sessions at once, different users, lengths and reconnects, per region
    and country; puts in the ends that the log lacks, by rules that it names, with how far off they
    may be. The same range gives the same bytes in every region: it waits until the logs of all have
    come, 20 s at most.

    Exit codes: 0 PASS, 1 FAIL, 2 it can't be made: no NATS answers, nothing is there, or the log of
    a region has not come up to the end.
    """
    if has_subcommand(ctx):
        return
    span = _span(since, until)
    fleet = find_fleet(state, region, url, creds)
    sys.exit(_audit(fleet, span, out, bound, partial=partial, as_json=as_json))


def _span(since: int | None, until: int | None) -> tuple[int, int]:
    if since is None:
        raise click.UsageError("--since says from when on: 2026-11-28T12:00Z, or 2h")
    until = int(time.time() * 1000) - SETTLE_MS if until is None else until
    if until <= since:
        raise click.UsageError("--until must be later than --since; it is 15 s ago without")
    return since, until


async def _gather(fleet: Fleet, since_ms: int, until_ms: int, *, partial: bool) -> Material:
    async with open_past(fleet.doors) as past:
        return await gather(past, since_ms, until_ms, partial=partial)


def _audit(
    fleet: Fleet,
    span: tuple[int, int],
    out: Path | None,
    bound: int | None,
    *,
    partial: bool,
    as_json: bool,
) -> int:
    try:
        from regions.audit.page import page
        from regions.audit.report import report
    except ImportError as error:
        raise AuditError(f"{error.name} is missing: pip install 'jetrelay[audit]'") from error
    since_ms, until_ms = span
    material = asyncio.run(_gather(fleet, since_ms, until_ms, partial=partial))
    made = report(material, bound)
    record = msgspec.json.format(msgspec.json.encode(made.audit), indent=1) + b"\n"
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / "audit.json").write_bytes(record)
            (out / "index.html").write_text(page(made), encoding="utf-8")
            made.visits.write_csv(out / "visits.csv")
            made.table.write_csv(out / "sessions.csv")
            made.table.write_parquet(out / "sessions.parquet", compression="zstd")
        except OSError as error:
            raise AuditError(f"{error.filename or out}: {error.strerror}") from error
    audit = made.audit
    if as_json:
        click.echo(record, nl=False)
        return 0 if audit.verdict == "PASS" else 1
    good = audit.verdict == "PASS"
    click.echo(
        f"{click.style(audit.verdict, fg='green' if good else 'red')}  {shown(since_ms)} to "
        f"{shown(until_ms)}: {audit.edges} edges of {len(audit.regions)} regions"
    )
    for reason in audit.why:
        click.echo(f"  {reason}")
    rows = [["", "peak", "mean", "users", "sessions", "reconnects"]]
    rows += [
        [
            clean(name), f"{one.concurrency.peak:,}", f"{one.concurrency.mean:,.1f}",
            f"{one.users:,}", f"{one.sessions:,}", f"{one.reconnects:,}",
        ]
        for name, one in audit.by_region.items()
    ]  # fmt: skip
    rows.append(
        [
            "total", f"{audit.concurrency.peak:,}", f"{audit.concurrency.mean:,.1f}",
            f"{audit.users:,}", f"{audit.sessions:,}", f"{audit.reconnects:,}",
        ]
    )  # fmt: skip
    for text in aligned(rows):
        click.echo(f"  {text}")
    visits = audit.visits
    if visits.concurrency.peak:
        ends = ", ".join(f"{how} {count:,}" for how, count in visits.ended.items()) or "none"
        click.echo(
            f"  visits: peak {visits.concurrency.peak:,}, mean {visits.concurrency.mean:,.1f}; "
            f"{visits.opened:,} opened; ended: {ends}; {visits.open_at_end:,} open"
        )
    lengths, repaired, live = audit.lengths, audit.repaired, audit.live
    click.echo(
        f"  lengths: median {lengths.p50:,.1f} s, p95 {lengths.p95:,.1f} s, longest "
        f"{lengths.max:,.1f} s of {lengths.count:,} that ended; {audit.open_at_end:,} open"
    )
    put_in = ", ".join(f"{rule} {count:,}" for rule, count in repaired.by_rule.items()) or "nothing"
    click.echo(
        f"  put in: {put_in}; after it off by {repaired.off} at {repaired.compared:,} batches; an "
        f"end is {repaired.error_ms:,} ms later at most"
    )
    if not live.sum.seconds:
        click.echo("  live: not compared: no whole minute of that time is stored")
    else:
        click.echo(
            f"  live: each edge off by {live.edges.largest} at most; the sum by "
            f"{live.sum_calm.largest} (bound {live.bound}), {live.sum.largest} within 10 s of a "
            f"fault; {live.sum.seconds:,} s"
        )
    if out is not None:
        click.echo(f"  report: {out / 'index.html'}", err=True)
    return 0 if good else 1


@command.command()
@click.argument("user")
@span_options
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True)
@click.option("--partial", is_flag=True, help="Go on where the log of a region has not come.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def user(
    state: Path,
    region: str | None,
    url: str | None,
    creds: Path | None,
    since: int | None,
    until: int | None,
    user: str,
    tenant: str,
    *,
    partial: bool,
    as_json: bool,
) -> None:
    """One user's times online: when, how long, where, over which devices.

    Exit codes: 0 printed, 1 he was not online in that time, 2 it can't be made.
    """
    from regions.audit.person import person

    if not is_user(user) or not is_tenant(tenant):
        raise click.UsageError("a user is 1 to 128 of A-Z a-z 0-9 _ - :")
    span = since_ms, until_ms = _span(since, until)
    fleet = find_fleet(state, region, url, creds)
    material = asyncio.run(_gather(fleet, *span, partial=partial))
    found = person(material.stretches, tenant, user, since_ms, until_ms)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found)))
        sys.exit(0 if found.times else 1)
    if not found.times:
        click.echo(f"jetrelay: {user} was not online", err=True)
        sys.exit(1)
    click.echo(
        f"{clean(user)}: online {found.online_s:,.1f} s in {found.sessions} sessions, "
        f"{found.reconnects} reconnects; devices: {clean(', '.join(found.devices)) or 'not said'}"
    )
    rows = [["from", "to", "seconds", "region", "edge", "country", "device", "came", "went"]]
    rows += [
        [
            iso(one.start_ms), iso(one.end_ms) if one.end_ms is not None else "still open",
            f"{one.seconds:,.1f}", clean(one.region), clean(one.edge), clean(one.country),
            clean(one.device), one.how or "—",
            "" if one.end_ms is None else str(one.code) if one.code else one.ended,
        ]
        for one in found.times
    ]  # fmt: skip
    for text in aligned(rows):
        click.echo(text)
