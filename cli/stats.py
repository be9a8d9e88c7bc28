"""`jetrelay stats`: how many are connected, now and before."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import click
import msgspec

from cli.doors import Fleet, door_options, find_fleet, has_subcommand
from cli.lines import run_until_signal
from cli.moments import Duration, Moment, iso, shown
from cli.stats_text import Printer, SeriesCsv, SeriesJson, SeriesText, moment_csv, moment_lines
from regions.stats.influx import AT_ONCE, check_url, lines_of, send
from regions.stats.now import Now, count, count_minute
from regions.stats.reading import Past, open_past
from regions.stats.series import Row, Series
from relay.core.minute import Minute
from relay.errors import RelayError

MOST_ROWS = 100_000  # of one answer


class StatsError(RelayError):
    """What was asked for is not there, or would be too much."""


@click.group(invoke_without_command=True)
@door_options
@click.option("--at", type=Moment(), help="The counts of that time: 2026-11-28T12:00Z, or 15m ago.")
@click.option("--since", type=Moment(), help="The series since then.")
@click.option("--until", type=Moment(), help="The series until then; now without.")
@click.option(
    "--step",
    type=Duration(),
    help="Of the series: a multiple of 1m, or what divides it; chosen by the time without.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on stdout.")
@click.pass_context
def command(
    ctx: click.Context,
    state: Path,
    region: str | None,
    url: str | None,
    creds: Path | None,
    at: int | None,
    since: int | None,
    until: int | None,
    step: int | None,
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    """How many connections, sessions, different users and visits there are, over all regions.

    Without --since: one moment, summed over the edges that were heard in the 3 s before; edges
    that were not stand apart, as they were when last heard. With --since: maximum, 95th percentile
    and mean of the seconds of each step, of all regions together; --json and --csv have each region
    besides. Any region's NATS will do; an isolated one tells what it knows.

    Exit codes: 0 printed, 1 there is nothing of that time, 2 no NATS answers or wrong use.
    """
    if has_subcommand(ctx):
        return
    if at is not None and since is not None:
        raise click.UsageError("--at and --since exclude each other")
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if since is None and (until is not None or step is not None):
        raise click.UsageError("--until and --step go with --since")
    fleet = find_fleet(state, region, url, creds)
    form = "json" if as_json else "csv" if as_csv else "text"
    if since is None:
        sys.exit(asyncio.run(_print_moment(fleet, at, form)))
    sys.exit(run_until_signal(_print_series(fleet, since, until, step, form)))


# --- one moment --------------------------------------------------------------------------------


async def _print_moment(fleet: Fleet, at_ms: int | None, form: str) -> int:
    async with open_past(fleet.doors) as past:
        now = await _moment(past, at_ms)
    if at_ms is not None and not now.edges:
        click.echo(f"jetrelay: no edge was heard at {shown(at_ms)}", err=True)
        return 1
    if form == "json":
        click.echo(json.dumps({"at": iso(now.at_ms), **msgspec.to_builtins(now)}))
    elif form == "csv":
        click.echo(moment_csv(now), nl=False)
    else:
        for line in moment_lines(now):
            click.echo(line)
    return 0


async def _moment(past: Past, at_ms: int | None) -> Now:
    """By the frames, or by the minutes where these are older."""
    if at_ms is None:  # by the clock that stamps the frames
        return count(await past.newest_frames(), await past.now_ms(), past.region)
    now = count(await past.newest_frames(at_ms), at_ms, past.region)
    if not now.edges:
        regions, minute, before = await past.origins(), at_ms // 60_000, dict[str, Minute]()
        async for number, of in past.stored(regions, minute - 1, minute + 1):
            if number == minute:
                return count_minute(of, before, at_ms, past.region)
            before = of
    return now


# --- the series --------------------------------------------------------------------------------


async def _print_series(
    fleet: Fleet, since_ms: int, until_ms: int | None, step_s: int | None, form: str
) -> int:
    printers: dict[str, type[Printer]] = {
        "json": SeriesJson, "csv": SeriesCsv, "text": SeriesText,
    }  # fmt: skip
    printer = printers[form]()
    found = False
    async with open_past(fleet.doors) as past:
        async for row in rows(past, since_ms, until_ms, step_s):
            found = found or row.sessions is not None
            if found:  # what is before the first that was counted is no gap
                printer.row(row)
    printer.end()
    if not found:
        click.echo(f"jetrelay: nothing was counted since {shown(since_ms)}", err=True)
    return 0 if found else 1


async def rows(
    past: Past, since_ms: int, until_ms: int | None, step_s: int | None
) -> AsyncIterator[Row]:
    """The series in a time; rows of one time together, times in order.

    Raises:
        StatsError: the times are the wrong way round, the step fits no minute, or it is too much.
        BusError: NATS did not answer.
    """
    now_ms = await past.now_ms()
    until_ms = now_ms if until_ms is None else until_ms
    if until_ms <= since_ms:
        raise StatsError("--until must be later than --since")
    step_s = step_s or _step_for((until_ms - since_ms) // 1000)
    regions = await past.origins()
    if (until_ms - since_ms) // 1000 // step_s * (len(regions) + 1) > MOST_ROWS:
        raise StatsError(f"that is more than {MOST_ROWS:,} rows: take a larger --step")
    try:
        series = Series(step_s, regions, min(until_ms, now_ms) / 1000)
    except ValueError as error:
        raise StatsError(f"--step: {error}") from error
    first_s = since_ms // 1000 // step_s * step_s
    last_s = -(-until_ms // 1000)
    async for minute, of in past.together(regions, first_s // 60, -(-last_s // 60)):
        for row in series.add(minute, of):
            if first_s <= row.at_s < last_s:
                yield row
    for row in series.end():
        if first_s <= row.at_s < last_s:
            yield row


def _step_for(span_s: int) -> int:
    """About a hundred rows: seconds for some minutes, minutes for some hours, then hours."""
    return next((step for step in (1, 60, 3600) if span_s <= 180 * step), 86_400)


# --- export ------------------------------------------------------------------------------------


@command.command()
@door_options
@click.option("--since", type=Moment(), help="From then on; an hour without.")
@click.option("--until", type=Moment(), help="Until then; now without.")
@click.option("--step", type=Duration(), default=60, help="Of the series; 1m without.")
@click.option(
    "--influx",
    "receiver",
    metavar="URL|-",
    required=True,
    help="Where lines are written, or - for stdout. A token comes from $INFLUX_TOKEN.",
)
def export(
    state: Path,
    region: str | None,
    url: str | None,
    creds: Path | None,
    since: int | None,
    until: int | None,
    step: int,
    receiver: str,
) -> None:
    """Write the series in InfluxDB line protocol: the last hour, or what --since names.

    What was written before is written again under the same times, so an export may be repeated.
    Exit codes: 0 written, 1 there is nothing of that time, 2 it was not taken.
    """
    target = receiver if receiver == "-" else check_url(receiver)
    fleet = find_fleet(state, region, url, creds)
    since = int(time.time() * 1000) - 3_600_000 if since is None else since
    sys.exit(run_until_signal(_export(fleet, since, until, step, target)))


async def _export(fleet: Fleet, since_ms: int, until_ms: int | None, step_s: int, url: str) -> int:
    token, lines, written = os.environ.get("INFLUX_TOKEN"), list[str](), 0

    async def flush() -> None:
        nonlocal written
        if url == "-":
            for line in lines:
                click.echo(line)
        elif lines:
            await send(url, lines, token)
        written += len(lines)
        lines.clear()

    async with open_past(fleet.doors) as past:
        async for row in rows(past, since_ms, until_ms, step_s):
            lines += lines_of(row)
            if len(lines) >= AT_ONCE:
                await flush()
    await flush()
    click.echo(f"{written} points written", err=True)
    return 0 if written else 1
