"""`jetrelay drill`: break a running world on purpose, and hold what clients felt to objectives."""

import asyncio
import contextlib
import getpass
import math
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from cli.drill_list import STATE, show
from cli.drill_text import live, row, summary
from cli.fault import Duration
from regions.columns import aligned
from regions.drills.catalogue import DRILLS, Drill, check_lasting, find_drill
from regions.drills.page import write_page
from regions.drills.run import MAX_CLIENTS, MAX_RATE, DrillRun, Order
from regions.drills.timeline import Stage
from regions.drills.verdict import Verdict, read_verdict
from regions.errors import CrowdError, DrillError, LedgerError, WorldError
from regions.topology import LinkMode
from relay.errors import RelayError

PASSED, MISSED, COULD_NOT, INTERRUPTED = 0, 1, 2, 130


class Rate(click.FloatRange):
    """A number of events in a second; `nan` is none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Events in a second."""
        rate = float(super().convert(value, param, ctx))
        if math.isnan(rate):
            self.fail(f"{value!r} is not a number", param, ctx)
        return rate


@click.group()
def command() -> None:
    """Break a world on purpose while clients watch, and give a measured verdict.

    Exit codes: 0 passed. 1 an objective was missed, or a promise broken. 2 it could not run, or not
    be judged: too little load, nobody hit, no sign of the fault, or not healed. 130 it was
    interrupted; then everything it broke is healed, too.
    """


command.add_command(show)


@command.command()
@click.argument("names", metavar="NAME[:FOR]...", nargs=-1, required=True)
@STATE
@click.option("--clients", type=click.IntRange(2, MAX_CLIENTS), default=300, show_default=True)
@click.option(
    "--rooms",
    type=click.IntRange(1, 100_000),
    help="Each client is in three; without, one for each ten clients.",
)
@click.option(
    "--rate",
    type=Rate(0, MAX_RATE, min_open=True),
    default=200.0,
    show_default=True,
    help="Events published in a second, by all clients together.",
)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    help="Chooses who is where, and what is broken.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to; by default STATE/drills/NAME-TIME. Of several drills, one beneath.",
)
@click.option("--for", "hold_s", type=Duration(), help="How long the fault lasts.")
@click.option("--region", help="Break this region; the seed chooses without.")
@click.option(
    "--topology",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Of the world that it starts.",
)
@click.option(
    "--links",
    type=click.Choice(get_args(LinkMode)),
    help="Of the world that it starts; netns where that can be, else relay.",
)
@click.option("--yes", is_flag=True, help="Do not ask, also where a deployment is used by others.")
@click.option(
    "--by",
    metavar="WHO",
    envvar="JETRELAY_BY",
    help="Who runs it, for those who watch; without, USER@HOST. [env: JETRELAY_BY]",
)
@click.option("--why", metavar="TEXT", default="", help="Why, for those who watch.")
@click.option("--until-eof", is_flag=True, help="Interrupt it when stdin, a pipe, ends.")
@click.option("--json", "as_json", is_flag=True, help="Stages and verdicts as JSON lines, stdout.")
def run(
    names: tuple[str, ...],
    state: Path,
    clients: int,
    rooms: int | None,
    rate: float,
    seed: int,
    report: Path | None,
    hold_s: float | None,
    region: str | None,
    topology: Path | None,
    links: LinkMode | None,
    yes: bool,
    by: str | None,
    why: str,
    until_eof: bool,
    as_json: bool,
) -> None:
    """Run drills, one after the other; `all` is every one but the campaign.

    NAME:FOR is one whose fault lasts so long: `pair-partition:30s`.

    Ctrl-C heals what is broken, and leaves a partial report.
    """
    drills = _named(names, hold_s)
    orders: dict[str, Order] = {}
    for drill, lasts_s in drills:
        label = drill.name if lasts_s in {None, hold_s} else f"{drill.name}-{lasts_s:g}s"
        where = state / "drills" / f"{label}-{time.strftime('%Y%m%d-%H%M%S')}"
        if report is not None:
            where = report / label if len(drills) > 1 else report
        if label in orders:
            raise DrillError(f"{label}: named twice, and each needs a report of its own")
        if any(where.glob("ledger/*.jsonl*")):
            raise DrillError(f"{where}: has a report already; take another --report")
        orders[label] = Order(
            drill, state, where, clients, rate, seed, lasts_s, region, topology, links, rooms,
            by or _me(), why,
        )  # fmt: skip
    table: list[tuple[str, Verdict | None, int]] = []
    for label, order in orders.items():
        verdict, code = _one(order, yes=yes, until_eof=until_eof, as_json=as_json)
        table.append((label, verdict, code))
        if code == INTERRUPTED:
            break
    if len(drills) > 1 and not as_json:
        for line in aligned([row(None, None), *(row(label, found) for label, found, _ in table)]):
            click.echo(line)
    sys.exit(max(code for _, _, code in table))


def _named(names: tuple[str, ...], hold_s: float | None) -> list[tuple[Drill, float | None]]:
    """The drills, each with how long its fault lasts where its name, or `--for`, says so.

    Raises:
        DrillError: there is no such drill, or that follows from its fault.
    """
    found: list[tuple[Drill, float | None]] = []
    for text in names:
        name, colon, lasting = text.partition(":")
        lasts_s = Duration().convert(lasting, None, None) if colon else hold_s
        if name == "all":
            each = [drill for drill in DRILLS if drill.name != "campaign"]
            found += [(drill, lasts_s if drill.hold_s else None) for drill in each]
            continue
        drill = find_drill(name)
        if lasts_s is not None:
            check_lasting(drill, text if colon else "--for")
        found.append((drill, lasts_s))
    return found


def _one(order: Order, *, yes: bool, until_eof: bool, as_json: bool) -> tuple[Verdict | None, int]:
    def tell(stage: Stage) -> None:
        if as_json:
            click.echo(msgspec.json.encode({"drill": order.drill.name, "stage": stage}))
        else:
            click.echo(live(stage), err=True)

    if not as_json:
        click.echo(f"jetrelay: drill {order.drill.name}, seed {order.seed}", err=True)
    drill = DrillRun(order, tell, lambda name: yes or _ask(name))
    verdict: Verdict | None = None
    try:
        asyncio.run(_guarded(drill, until_eof=until_eof))
        for number in (signal.SIGTERM, signal.SIGHUP):  # what is judged may take minutes
            signal.signal(number, signal.default_int_handler)
        verdict = drill.judge()
    except (asyncio.CancelledError, KeyboardInterrupt):
        verdict = drill.give_up("interrupted", f"interrupted; {drill.aftermath}")
        asyncio.run(drill.tell_end(verdict))
        return _said(verdict, order, INTERRUPTED, as_json=as_json)
    except (DrillError, WorldError, CrowdError, LedgerError, RelayError) as error:
        click.echo(f"jetrelay: {error}", err=True)
        if drill.broke:
            verdict = drill.give_up("failed", str(error))
            asyncio.run(drill.tell_end(verdict))
        else:
            asyncio.run(drill.tell_failure(str(error)))
            with contextlib.suppress(OSError):
                order.report.rmdir()  # where nothing was written into it
        return verdict, COULD_NOT
    asyncio.run(drill.tell_end(verdict))
    return _said(verdict, order, _code_of(verdict), as_json=as_json)


def _me() -> str:
    """Who runs it, for those who watch."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # in a container, say
        return "somebody"


async def _guarded(drill: DrillRun, *, until_eof: bool) -> None:
    """Carry it out; a signal ends it, and what follows one is not disturbed by more of them."""
    task = asyncio.current_task()
    assert task is not None
    ended = False

    def end() -> None:
        nonlocal ended
        if not ended:
            ended = True
            click.echo("jetrelay: healing what is broken", err=True)
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)

    def read() -> None:
        if not os.read(stdin, 1024):
            loop.remove_reader(stdin)
            end()

    stdin = sys.stdin.fileno()
    if until_eof:
        try:
            loop.add_reader(stdin, read)
        except OSError as error:  # a file, say
            raise DrillError("--until-eof: stdin is no pipe") from error
    await drill.carry_out()


def _said(
    verdict: Verdict, order: Order, code: int, *, as_json: bool
) -> tuple[Verdict | None, int]:
    if as_json:
        click.echo(msgspec.json.encode({"drill": order.drill.name, "verdict": verdict}))
    else:
        for line in summary(verdict, order.report):
            click.echo(line)
    return verdict, code


def _ask(name: str) -> bool:
    """Ask; Ctrl-C and Ctrl-D are a no."""
    if not sys.stdin.isatty():
        return False
    text = f"{name}: the NATS of this world is a deployment that others may use. Go on?"
    # Nothing is broken yet, and the loop, which would heal it, stands still while we wait.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return click.confirm(text, err=True)
    except click.Abort:
        click.echo(err=True)
        return False
    finally:
        signal.signal(signal.SIGINT, before)


@command.command("report")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The verdict as JSON on stdout.")
def report_(directory: Path, as_json: bool) -> None:
    """Print the verdict in DIR again, and render its page anew.

    Exit code as that of the drill. `jetrelay check DIR` judges the ledger itself again.
    """
    verdict = read_verdict(directory)
    write_page(directory, verdict)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(verdict), indent=1))
    else:
        for line in summary(verdict, directory):
            click.echo(line)
    sys.exit(_code_of(verdict))


def _code_of(verdict: Verdict) -> int:
    codes = {"pass": PASSED, "interrupted": INTERRUPTED, "failed": COULD_NOT}
    return codes.get(verdict.verdict, MISSED)
