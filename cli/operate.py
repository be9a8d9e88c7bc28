"""`jetrelay ctl cordon | uncordon | drain | weight | ramp | evacuate | return`, and what became of
it: what operators do to a running fleet.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from cli.doors import find_fleet
from cli.operate_text import (
    entry_lines,
    log_lines,
    plan_lines,
    print_json,
    status_json,
    status_lines,
    tell,
    tell_json,
)
from cli.state_option import state_option
from cli.text import clean
from cli.who import by_option, who
from regions.errors import OperationError
from regions.operations.acts import OPERATIONS, Act, Option
from regions.operations.entry import Plan, Request, Run, Verb, What
from regions.operations.execution import Execution
from regions.operations.holder import Holder
from regions.operations.office import Office, open_office
from regions.state import find_world
from regions.steering.fleet import Outlook
from relay.core.orders import TEXT, Orders

T = TypeVar("T")
RUNS_DAYS = 7.0

_json = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


_override = click.option(
    "--override",
    metavar="REASON",
    default="",
    help="Do it in spite of what speaks against it; why.",
)


def _doing(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that plans, asks, submits and follows."""
    for option in reversed(
        (
            state_option,
            by_option,
            click.option("--why", metavar="TEXT", default="", help="Why; it is recorded."),
            click.option("--yes", is_flag=True, help="Do not ask."),
            click.option("--dry-run", is_flag=True, help="Show the plan, and do nothing."),
            _override,
            _json,
        )
    ):
        function = option(function)
    return function


# --- commands ----------------------------------------------------------------------------------


def _command(act: Act) -> click.Command:
    """The command of an act, by the table that the console's keys are made from too."""

    def callback(scope: str, **options: Any) -> None:
        for option in act.options:
            if option.required:
                options[option.field] = _percent(options[option.field])
        _operate(msgspec.convert(act.name, Verb), scope, options)

    scope = "SCOPE" if "edge" in act.on else "REGION"
    meaning = f"{act.meaning[0].upper()}{act.meaning[1:]}."
    command = click.command(act.name, help=f"{meaning} {act.help}".rstrip(), short_help=meaning)
    arguments = [click.argument("scope", metavar=scope)]
    options = []
    for option in act.options:
        if option.required:
            arguments.append(click.argument(option.field, metavar="PERCENT|topology"))
        else:
            options.append(_option(option))
    return command(_doing(_all(options, _all(arguments, callback))))


def _option(option: Option) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        f"--{option.name}",
        option.field,
        type=click.FloatRange(0),
        default=option.default,
        show_default=option.default is not None,
        metavar=option.metavar,
        help=option.meaning,
    )


def _all(
    decorators: Sequence[Callable[[Callable[..., Any]], Callable[..., Any]]],
    function: Callable[..., Any],
) -> Callable[..., Any]:
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def _percent(text: str) -> int | None:
    if text == "topology":
        return None
    if not text.isascii() or not text.isdecimal() or int(text) > 100:
        raise click.UsageError(f"PERCENT is 0 to 100, or topology: not {text!r}")
    return int(text)


@click.command()
@state_option
@by_option
@_override
@click.argument("operation")
def resume(operation: str, state: Path, by: str | None, override: str) -> None:
    """Go on with an OPERATION that nobody carries out any more."""
    if len(override) > TEXT:
        raise click.UsageError(f"--override: {TEXT} characters are the most")
    sys.exit(_code(_run(_resume(operation, state, who(by), override))))


@click.command()
@state_option
@by_option
@click.option("--why", metavar="TEXT", default="", help="Why; it is recorded.")
@click.argument("operation")
def abort(operation: str, state: Path, by: str | None, why: str) -> None:
    """Stop an OPERATION where it is; who was not sent away yet, stays."""

    async def go() -> bool:
        async with _office(state) as office:
            return await office.abort(operation, who(by), why, tell)

    sys.exit(0 if _run(go()) else 1)


@click.command()
@state_option
@_json
@click.argument("scope", required=False)
def status(state: Path, scope: str | None, *, as_json: bool) -> None:
    """What operators want of regions and edges, who is at work, and what is not finished.

    SCOPE: of one region, or one edge, alone.
    """

    async def look() -> tuple[Outlook, Orders, dict[str, Holder], list[Run], int]:
        async with _office(state) as office:
            orders, now_ms = await office.orders(), office.book.now_ms
            holders, runs = await office.holders(), await office.runs(RUNS_DAYS)
            return office.watch.outlook(orders, now_ms), orders, holders, runs, now_ms

    outlook, orders, holders, runs, now_ms = asyncio.run(look())
    if scope is not None:
        outlook = _narrowed(outlook, scope)
        names = {each.name for each in outlook.regions}
        holders = {region: each for region, each in holders.items() if region in names}
        runs = [run for run in runs if run.request.region in names]
    at_work, standing = {each.run for each in holders.values()}, {order.run for order in orders}
    stalled = [
        run
        for run in runs
        if run.name not in at_work
        if run.end is None or (run.end.what == "failed" and run.name in standing)
    ]
    if as_json:
        wanted = [order for order in orders if scope in (None, order.region, order.edge)]
        print_json(status_json(outlook, wanted, holders, stalled))
        return
    for line in status_lines(outlook, orders, holders, stalled, now_ms):
        click.echo(line)


def _narrowed(outlook: Outlook, scope: str) -> Outlook:
    """What is seen of a region, or of an edge."""
    edges = {key: each for key, each in outlook.edges.items() if scope in (key.region, key.edge)}
    known = [each.name for each in outlook.regions]
    names = {scope} if scope in known else {key.region for key in edges}
    if not names:
        raise click.UsageError(f"no region and no edge {scope!r}: regions are {', '.join(known)}")
    regions = [each for each in outlook.regions if each.name in names]
    return replace(outlook, edges=edges, regions=regions)


@click.command()
@state_option
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
        print_json(msgspec.to_builtins(runs))
        return
    for line in log_lines(runs) if operation is None else entry_lines(runs[0]):
        click.echo(line)


@click.command()
@state_option
@by_option
@click.option("--why", metavar="TEXT", default="", help="What is to be known of that.")
@click.argument("alert")
@click.argument("on", required=False, default="")
def ack(alert: str, on: str, state: Path, by: str | None, why: str) -> None:
    """Say that somebody looks after an ALERT: keepers page it no more, and all consoles show it.

    ON is what it is about, where several of its name stand. `jetrelay check` names those that fire.
    Exit codes: 0 told, 2 it does not stand, or no region took it.
    """
    from cli.check_fleet import look_at
    from console.model.alerts import alert_named

    if len(why) > TEXT:
        raise click.UsageError(f"--why: {TEXT} characters are the most")
    view = asyncio.run(look_at(find_fleet(state, None, None, None)))
    try:
        name, place = alert_named(view.alerts, alert, on).key
    except LookupError as error:
        raise OperationError(str(error)) from error

    async def tell_all() -> None:
        async with _office(state) as office:
            await office.acknowledge(name, place, who(by), why)

    asyncio.run(tell_all())
    click.echo(f"{who(by)} looks after {clean(f'{name} {place}'.rstrip())}")


COMMANDS = (status, *(_command(act) for act in OPERATIONS), resume, abort, ack, log)


# --- plan, confirm, submit, follow --------------------------------------------------------------


def _operate(verb: Verb, scope: str, options: dict[str, Any]) -> None:
    for name in ("why", "override"):
        if len(options[name]) > TEXT:
            raise click.UsageError(f"--{name}: {TEXT} characters are the most")
    asking = not options["yes"] and not options["dry_run"]
    if asking and (options["as_json"] or not sys.stdin.isatty()):
        raise click.UsageError("nobody can be asked here: give --yes, or --dry-run")
    try:
        request, plan = asyncio.run(_planned(verb, scope, options))
    except KeyboardInterrupt:
        click.echo("nothing was submitted", err=True)
        sys.exit(2)
    if options["as_json"]:
        print_json({"plan": msgspec.to_builtins(plan)})
    else:
        for line in plan_lines(request, plan):
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
            by=who(options["by"]),
            why=options["why"],
            within_s=options.get("within_s"),
            weight=options.get("weight"),
            over_s=options.get("over_s", 0.0),
        )
        return request, await office.plan(request)


async def _carry_out(request: Request, plan: Plan, options: dict[str, Any]) -> What:
    async with _office(options["state"]) as office:
        say = tell_json if options["as_json"] else tell
        async with office.submitted(request, plan, say, options["override"]) as execution:
            say(execution.name)
            return await _follow(execution)


async def _resume(operation: str, state: Path, by: str, override: str) -> What:
    async with (
        _office(state) as office,
        office.resumed(operation, by, tell, override) as execution,
    ):
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
    outlook = office.watch.outlook(Orders(), office.book.now_ms)
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
