"""`jetrelay ctl cordon | uncordon | drain | weight | ramp | evacuate | return`, and what became of
it: what operators do to a running fleet.
"""

import asyncio
import getpass
import json
import logging
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from cli.columns import aligned
from cli.text import clean
from regions.errors import OperationError
from regions.operations.entry import Plan, Request, Run, Verb, What
from regions.operations.execution import Execution
from regions.operations.lock import Holder
from regions.operations.office import Office, open_office
from regions.state import DEFAULT_STATE, find_world
from regions.steering.fleet import Outlook
from relay.core.orders import TEXT, Order, Orders

T = TypeVar("T")
RUNS_DAYS = 7.0
LISTED = 20
RAMP_S = 300.0

_state = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE,
    show_default=True,
    help="State directory of the local world.",
)
_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
_within = click.option(
    "--within",
    "within_s",
    type=click.FloatRange(0),
    metavar="S",
    help="Spread over so many seconds; without, as fast as the others let in.",
)
_over = click.option(
    "--over",
    "over_s",
    type=click.FloatRange(0),
    default=RAMP_S,
    show_default=True,
    metavar="S",
    help="Seconds until it takes all that would come.",
)
_by = click.option("--by", metavar="WHO", help="Who does it; without, USER@HOST.")


def _doing(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that plans, asks, submits and follows."""
    for option in reversed(
        (
            _state,
            _by,
            click.option("--why", metavar="TEXT", default="", help="Why; it is recorded."),
            click.option("--yes", is_flag=True, help="Do not ask."),
            click.option("--dry-run", is_flag=True, help="Show the plan, and do nothing."),
            click.option(
                "--override",
                metavar="REASON",
                default="",
                help="Do it in spite of what speaks against it; why.",
            ),
            _json,
        )
    ):
        function = option(function)
    return function


# --- commands ----------------------------------------------------------------------------------


@click.command()
@_doing
@click.argument("scope")
def cordon(scope: str, **options: Any) -> None:
    """Send nobody new to SCOPE, a region or an edge. Who is there stays, and may come back."""
    _operate("cordon", scope, options)


@click.command()
@_doing
@click.argument("scope")
def uncordon(scope: str, **options: Any) -> None:
    """Open SCOPE, a region with its edges or an edge: cordon, drain and ramp end."""
    _operate("uncordon", scope, options)


@click.command()
@_doing
@_within
@click.argument("scope")
def drain(scope: str, **options: Any) -> None:
    """Send the clients of SCOPE, an edge or a region, elsewhere; it is empty until `uncordon`."""
    _operate("drain", scope, options)


@click.command()
@_doing
@click.argument("region")
@click.argument("percent", type=click.IntRange(0, 100))
def weight(region: str, percent: int, **options: Any) -> None:
    """Let only PERCENT of what would come to REGION come there."""
    _operate("weight", region, options | {"weight": percent})


@click.command()
@_doing
@_over
@click.argument("region")
def ramp(region: str, **options: Any) -> None:
    """Let REGION take nothing of what would come to it now, and more and more from now on."""
    _operate("ramp", region, options)


@click.command()
@_doing
@_within
@click.argument("region")
def evacuate(region: str, **options: Any) -> None:
    """Cordon REGION, and send all of its clients elsewhere, no faster than the others let in."""
    _operate("evacuate", region, options)


@click.command("return")
@_doing
@_over
@click.argument("region")
def return_(region: str, **options: Any) -> None:
    """Open the edges of REGION, and let it take more and more of what would come to it."""
    _operate("return", region, options)


@click.command()
@_state
@_by
@click.argument("operation")
def resume(operation: str, state: Path, by: str | None) -> None:
    """Go on with an OPERATION that nobody carries out any more."""
    sys.exit(_code(_run(_resume(operation, state, _who(by)))))


@click.command()
@_state
@_by
@click.option("--why", metavar="TEXT", default="", help="Why; it is recorded.")
@click.argument("operation")
def abort(operation: str, state: Path, by: str | None, why: str) -> None:
    """Stop an OPERATION where it is; who was not sent away yet, stays."""

    async def go() -> bool:
        async with _office(state) as office:
            return await office.abort(operation, _who(by), why, _tell)

    sys.exit(0 if _run(go()) else 1)


@click.command()
@_state
@_json
def status(state: Path, *, as_json: bool) -> None:
    """What operators want of regions and edges, who is at work, and what is not finished."""

    async def look() -> tuple[Outlook, Orders, dict[str, Holder], list[Run]]:
        async with _office(state) as office:
            orders = await office.orders()
            holders, runs = await office.holders(), await office.runs(RUNS_DAYS)
            return office.watch.outlook(orders), orders, holders, runs

    outlook, orders, holders, runs = asyncio.run(look())
    at_work, standing = {each.run for each in holders.values()}, {order.run for order in orders}
    stalled = [
        run
        for run in runs
        if run.name not in at_work
        if run.end is None or (run.end.what == "failed" and run.name in standing)
    ]
    if as_json:
        _print_json(_status_json(outlook, orders, holders, stalled))
        return
    for line in _status_lines(outlook, orders, holders, stalled):
        click.echo(line)


@click.command()
@_state
@_json
@click.option("--days", type=click.FloatRange(0), default=RUNS_DAYS, show_default=True,
              help="How far back.")  # fmt: skip
@click.argument("operation", required=False)
def log(state: Path, days: float, operation: str | None, *, as_json: bool) -> None:
    """The operations of the last days, newest last; or all that happened in one OPERATION."""

    async def look() -> list[Run]:
        async with _office(state) as office:
            if operation is not None:
                return [await office.book.run(operation)]
            return await office.runs(days)

    runs = asyncio.run(look())
    if as_json:
        _print_json(msgspec.to_builtins(runs))
        return
    for line in _log_lines(runs) if operation is None else _entry_lines(runs[0]):
        click.echo(line)


COMMANDS = (
    status, cordon, uncordon, drain, weight, ramp, evacuate, return_, resume, abort, log,
)  # fmt: skip


# --- plan, confirm, submit, follow --------------------------------------------------------------


def _operate(verb: Verb, scope: str, options: dict[str, Any]) -> None:
    for name in ("why", "override"):
        if len(options[name]) > TEXT:
            raise click.UsageError(f"--{name}: {TEXT} characters are the most")
    asking = not options["yes"] and not options["dry_run"]
    if asking and (options["as_json"] or not sys.stdin.isatty()):
        raise click.UsageError("nobody can be asked here: give --yes, or --dry-run")
    request, plan = _run(_planned(verb, scope, options))
    if options["as_json"]:
        _print_json({"plan": msgspec.to_builtins(plan)})
    else:
        for line in _plan_lines(request, plan):
            click.echo(line)
    refused = bool(plan.objections) and not options["override"]
    if plan.nothing or options["dry_run"]:
        sys.exit(2 if refused else 0)
    if refused:
        click.echo("refused; --override REASON does it nevertheless", err=True)
        sys.exit(2)
    try:
        # Asked here and not while anything is connected: it may take as long as it takes.
        if asking and not click.confirm("Go on?"):
            sys.exit(2)
    except click.Abort:
        sys.exit(2)
    sys.exit(_code(_run(_carry_out(request, plan, options))))


async def _planned(verb: Verb, scope: str, options: dict[str, Any]) -> tuple[Request, Plan]:
    async with _office(options["state"]) as office:
        region, edge = _find(office, scope)
        request = Request(
            verb=verb,
            region=region,
            edge=edge,
            by=_who(options["by"]),
            why=options["why"],
            within_s=options.get("within_s"),
            weight=options.get("weight"),
            over_s=options.get("over_s", 0.0),
        )
        return request, await office.plan(request)


async def _carry_out(request: Request, plan: Plan, options: dict[str, Any]) -> What:
    async with _office(options["state"]) as office:
        tell = _tell_json if options["as_json"] else _tell
        async with office.submitted(request, plan, tell, options["override"]) as execution:
            tell(execution.name)
            return await _follow(execution)


async def _resume(operation: str, state: Path, by: str) -> What:
    async with _office(state) as office, office.resumed(operation, by, _tell) as execution:
        return await _follow(execution)


def _run(main: Coroutine[Any, Any, T]) -> T:
    """Run it to its end; a second signal leaves what was ordered to others."""
    try:
        return asyncio.run(main)
    except (asyncio.CancelledError, KeyboardInterrupt):
        click.echo("left as it is: `jetrelay ctl resume` goes on, `abort` stops it", err=True)
        sys.exit(1)


async def _follow(execution: Execution) -> What:
    """Carry it out; the first Ctrl-C aborts it, a second leaves it to others."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    signals = count(1)

    def interrupt() -> None:
        if next(signals) > 1:
            task.cancel()
        execution.aborting = execution.aborting or "whoever carried it out, by a signal"

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        return await execution.carry_out()
    except OperationError as error:
        click.echo(f"jetrelay: {clean(str(error))}", err=True)
        return "failed"
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _code(end: What) -> int:
    """0: done. 1: it was begun, and did not end well."""
    return 0 if end == "done" else 1


@asynccontextmanager
async def _office(state: Path) -> AsyncIterator[Office]:
    world = find_world(state)
    # What is not reached is said once; the library would say each try.
    logging.getLogger("jetrelay.bus").setLevel(logging.CRITICAL)
    listen, control = world.doors("console"), world.doors("control")
    async with open_office(world.topology(), listen, control) as office:
        if office.unreached:
            click.echo(f"jetrelay: not reached: {', '.join(office.unreached)}", err=True)
        yield office


def _find(office: Office, scope: str) -> tuple[str, str]:
    """The region and edge that somebody named: `eu`, `eu-1`, or `eu/eu-1`."""
    outlook = office.watch.outlook(Orders())
    region, slash, edge = scope.partition("/")
    if slash and not (region and edge):
        raise OperationError(f"{scope!r} is neither REGION, nor EDGE, nor REGION/EDGE")
    if slash or scope in {each.name for each in outlook.regions}:
        return region, edge
    found = [key for key in outlook.edges if key.edge == scope]
    if len(found) == 1:
        return found[0].region, found[0].edge
    if found:
        raise OperationError(f"{scope} is in {', '.join(k.region for k in found)}: say REGION/EDGE")
    names = ", ".join(each.name for each in outlook.regions)
    raise OperationError(f"no region and no edge is called {scope!r}: regions are {names}")


def _who(given: str | None) -> str:
    name = given or f"{getpass.getuser()}@{socket.gethostname()}"
    if len(name) > TEXT:
        raise click.UsageError(f"--by: {TEXT} characters are the most")
    return name


# --- text and JSON ------------------------------------------------------------------------------


def _tell(text: str) -> None:
    click.echo(f"{datetime.now(UTC):%H:%M:%S}  {clean(text)}")


def _tell_json(text: str) -> None:
    click.echo(json.dumps({"at_ms": int(time.time() * 1000), "text": text}))


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value))


def _plan_lines(request: Request, plan: Plan) -> list[str]:
    what = f"{request.verb} {request.scope}"
    if plan.nothing:
        return [f"{what}: nothing to do, it is so already"]
    lines = [f"{what}, by {clean(request.by)}{f': {clean(request.why)}' if request.why else ''}"]
    lines += [f"  {number}. {stage.text}" for number, stage in enumerate(plan.stages, 1)]
    if plan.moves:
        lines.append(f"{plan.moves:,} clients go elsewhere within {plan.takes_s:,.0f} s:")
        rows = [("to", "come", "per s", "let in per s", "then", "of", "full")]
        rows += [
            (each.name, f"{each.connections:,}", f"{each.per_s:,.0f}",
             f"{each.admitted_per_s:,.0f}" if each.admitted_per_s else "—", f"{each.after:,}",
             f"{each.room:,}" if each.room else "—", f"{each.taken:.0%}" if each.room else "—")
            for each in plan.coming
        ]  # fmt: skip
        lines += [f"  {line}" for line in aligned(rows)]
    lines += [f"note: {clean(text)}" for text in plan.notes]
    lines += [f"against it: {clean(text)}" for text in plan.objections]
    return lines


def _wanted(order: Order, now_ms: int) -> str:
    parts = []
    if order.cordoned:
        parts.append("cordoned")
    if order.drain_s is not None:
        parts.append("drained")
    if order.weight is not None:
        parts.append(f"weight {order.weight}")
    if order.ramp is not None and order.share(now_ms) < 1:
        parts.append(f"ramp, at {order.share(now_ms):.0%}")
    return ", ".join(parts)


def _status_lines(
    outlook: Outlook, orders: Orders, holders: dict[str, Holder], stalled: list[Run]
) -> list[str]:
    now_ms = int(time.time() * 1000)
    rows = [("region", "edge", "state", "connections", "wanted", "by", "since", "why")]
    for region in outlook.regions:
        rows.append(
            (region.name, "", region.verdict.state, f"{_there(outlook, region.name):,}",
             *_order_cells(orders.of(region.name), now_ms))
        )  # fmt: skip
        rows += [
            ("", clean(key.edge), verdict.state, _count(outlook.connections.get(key)),
             *_order_cells(orders.of(*key), now_ms))
            for key, verdict in outlook.edges.items()
            if key.region == region.name
        ]  # fmt: skip
    lines = aligned(rows)
    lines += [
        f"at work on {region}: {clean(each.by)} since {_moment(each.since_ms)}: {each.run}"
        for region, each in holders.items()
    ]
    lines += [
        f"not finished, and nobody carries it out: {run.name} (`jetrelay ctl resume` or `abort`)"
        for run in stalled
    ]
    return lines


def _there(outlook: Outlook, region: str) -> int:
    """Connections at all edges of a region, also at those that take nobody."""
    return sum(count for key, count in outlook.connections.items() if key.region == region)


def _count(connections: int | None) -> str:
    return "—" if connections is None else f"{connections:,}"


def _order_cells(order: Order | None, now_ms: int) -> tuple[str, str, str, str]:
    wanted = "" if order is None else _wanted(order, now_ms)
    if order is None or not wanted:
        return "", "", "", ""
    return wanted, clean(order.by), _moment(order.at_ms), clean(order.why)


def _status_json(
    outlook: Outlook, orders: Orders, holders: dict[str, Holder], stalled: list[Run]
) -> Any:
    return {
        "regions": [
            {
                "name": region.name,
                "state": region.verdict.state,
                "connections": _there(outlook, region.name),
                "edges": [
                    {
                        "name": key.edge,
                        "state": verdict.state,
                        "reason": verdict.reason,
                        "connections": outlook.connections.get(key),
                    }
                    for key, verdict in outlook.edges.items()
                    if key.region == region.name
                ],
            }
            for region in outlook.regions
        ],
        "orders": [msgspec.to_builtins(order) for order in orders if not order.idle],
        "at_work": {region: msgspec.to_builtins(each) for region, each in holders.items()},
        "unfinished": [run.name for run in stalled],
    }


def _log_lines(runs: list[Run]) -> list[str]:
    rows = [("operation", "by", "began", "ended", "why")]
    for run in runs[-LISTED:]:
        end = run.end
        rows.append(
            (run.name, clean(run.request.by), _moment(run.began_ms),
             "—" if end is None else f"{end.what} {_moment(end.at_ms)}", clean(run.request.why))
        )  # fmt: skip
    left_out = len(runs) - LISTED
    return aligned(rows) + ([f"{left_out} before these"] if left_out > 0 else [])


def _entry_lines(run: Run) -> list[str]:
    lines = _plan_lines(run.request, run.plan)
    if run.entries[0].override:
        lines.append(f"in spite of that: {clean(run.entries[0].override)}")
    rows = [
        (_moment(each.at_ms), each.what, clean(each.by), clean(each.text)) for each in run.entries
    ]
    return lines + aligned(rows)


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"
