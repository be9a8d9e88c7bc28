"""`jetrelay swarm`: load by virtual clients, and what they felt."""

import asyncio
import contextlib
import ipaddress
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import click
import msgspec

from cli.drill import Rate
from cli.fault import Duration
from cli.state_option import state_option
from cli.swarm_text import live, plan, step, summary
from regions.errors import SwarmError
from regions.state import find_world
from regions.swarm.limit import Bounds, Step
from regions.swarm.page import write_page
from regions.swarm.profiles import PROFILES
from regions.swarm.result import Result, write_result
from regions.swarm.run import MEASURED, Order, Run, Said, What
from regions.swarm.spec import Place, SwarmSpec, interleaved, processes_for
from regions.world import World
from relay.tasks import Tasks

MAX_CLIENTS, MAX_RATE, MAX_SIZE = 1_000_000, 1_000_000.0, 16_384
ROOMS_A_CLIENT = 128  # that a session may be in
OK, NOT_MET, COULD_NOT = 0, 1, 2


@click.command()
@click.argument("profile", type=click.Choice(list(PROFILES)), default="steady")
@state_option
@click.option("--region", metavar="NAME", help="Only the edges of this region.")
@click.option("--url", "urls", metavar="URL", multiple=True, help="An edge elsewhere. Repeatable.")
@click.option("--token", help="Token for --url, of every client; $JETRELAY_TOKEN without.")
@click.option(
    "--allow", metavar="HOST", multiple=True,
    help="Send load to this host, too, not only to this machine. Repeatable.",
)  # fmt: skip
@click.option("--clients", type=click.IntRange(1, MAX_CLIENTS), default=1_000, show_default=True)
@click.option("--rooms", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.option(
    "--each", type=click.IntRange(1, ROOMS_A_CLIENT), default=1, show_default=True,
    help="Rooms that each client is in.",
)  # fmt: skip
@click.option(
    "--rate", type=Rate(0, MAX_RATE), default=100.0, show_default=True,
    help="Events published in a second, in all.",
)  # fmt: skip
@click.option(
    "--size", type=click.IntRange(64, MAX_SIZE), default=128, show_default=True,
    help="Bytes of an event's data.",
)  # fmt: skip
@click.option(
    "--connect", type=Rate(0, 100_000, min_open=True), default=300.0, show_default=True,
    help="Clients that connect in a second, where they do before anything is measured.",
)  # fmt: skip
@click.option("--for", "measured_s", type=Duration(), default="30s", show_default=True)
@click.option("--warm-up", "warm_up_s", type=Duration(), default="3s", show_default=True)
@click.option(
    "--encoding", type=click.Choice(["json", "msgpack"]), default="json", show_default=True
)
@click.option(
    "--ears", type=click.FloatRange(0, 1), default=1.0, show_default=True,
    help="Share of the clients that look into each event; the others count frames, for less CPU.",
)  # fmt: skip
@click.option("--processes", type=click.IntRange(1, 64), help="Of the swarm; as needed without.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--find-limit", "search", type=click.Choice(get_args(What)), metavar="rate|clients",
    help="Raise one of them until it is too much, and say what was full.",
)  # fmt: skip
@click.option(
    "--p99", "p99_ms", type=click.FloatRange(0, min_open=True), metavar="MS",
    help="Delivered within, p99: what --find-limit keeps to (100 without); else exit code 1.",
)  # fmt: skip
@click.option(
    "--report", type=click.Path(path_type=Path, file_okay=False),
    help="Where swarm.json and index.html are put.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="What was found as JSON, on stdout.")
def command(
    profile: str,
    state: Path,
    region: str | None,
    urls: tuple[str, ...],
    token: str | None,
    allow: tuple[str, ...],
    clients: int,
    rooms: int,
    each: int,
    rate: float,
    size: int,
    connect: float,
    measured_s: float,
    warm_up_s: float,
    encoding: str,
    ears: float,
    processes: int | None,
    seed: int,
    search: What | None,
    p99_ms: float | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Let virtual clients loose on a world, and say what they felt.

    \b
    steady        everybody is there, and events come at an even rate
    spike         most clients come at once, as at a launch
    ramp          clients come one after the other, and events with them
    rooms         a few rooms are large and most are small
    churn         clients stay for half a minute, and come back
    idle          clients are there, and nobody says anything
    slow-readers  one client in ten reads nothing for 20 s at a time

    Times count from when an event was due, not from when it was sent: a stall shows. Ctrl-C ends
    the run in order, with what was measured until then.

    Exit codes: 0 nothing was missing. 1 something was, or --p99 was not kept to. 2 it could not
    run.
    """
    world, places, shown = _where(state, region, urls, token)
    for place in places:
        _check_host(place.url, allow)
    if search is not None and PROFILES[profile].arrive != "first":
        raise click.UsageError(f"--find-limit does not go with {profile}: it has no even load")
    spec = SwarmSpec(
        run=f"swarm-{secrets.token_hex(3)}",
        profile=profile,
        clients=clients,
        rooms=rooms,
        rooms_each=min(each, rooms),
        rate=rate,
        size=size,
        connect_per_s=connect,
        warm_up_s=warm_up_s,
        measured_s=max(round(measured_s), 1),
        encoding=encoding,
        ears=ears,
        seed=seed,
    )
    count = processes or processes_for(clients, spec.deliveries_per_s)
    spec = msgspec.structs.replace(spec, processes=min(count, clients))
    text = f"{profile}: {clients:,} clients in {rooms:,} rooms, {rate:g} events/s of {size} B"
    click.echo(plan(text, len(places), spec.deliveries_per_s), err=True)
    with contextlib.ExitStack() as stack:
        kept = report
        if kept is None:
            kept = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jetrelay-swarm-")))
        kept.mkdir(parents=True, exist_ok=True)
        order = Order(
            spec=spec,
            places=interleaved(places),
            directory=kept,
            state=None if world is None else state.absolute(),
            token=shown,
            search=search,
            bounds=Bounds() if p99_ms is None else Bounds(p99_ms=p99_ms),
        )
        found = asyncio.run(_run(order, world))
        if report is not None:
            write_result(report, found)
            write_page(report, found)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        for line in summary(found):
            click.echo(line)
        if report is not None:
            click.echo(f"report: {report / 'index.html'}")
    sys.exit(_exit_code(found, p99_ms, search))


def _exit_code(found: Result, p99_ms: float | None, search: What | None) -> int:
    if not found.lost_nothing:
        return NOT_MET
    if search is not None:
        return OK if found.limit is None or found.limit.carried is not None else NOT_MET
    delivery = found.times.get("delivery")
    late = p99_ms is not None and delivery is not None and delivery.p99 > p99_ms
    return NOT_MET if late else OK


def _where(
    state: Path, region: str | None, urls: Sequence[str], token: str | None
) -> tuple[World | None, list[Place], str | None]:
    """The world, if it is one; its edges, or those that were named; and the token for those."""
    if urls:
        if region is not None:
            raise click.UsageError("--url and --region exclude each other")
        shown = token or os.environ.get("JETRELAY_TOKEN")
        if not shown:
            raise click.UsageError("--url needs --token, or JETRELAY_TOKEN in the environment")
        return None, [Place(url) for url in urls], shown
    if token is not None:
        raise click.UsageError("--token goes with --url")
    world = find_world(state)
    regions = world.regions if region is None else [world.region(region)]
    return world, [Place(edge.url, one.name) for one in regions for edge in one.edges], None


def _check_host(url: str, allowed: Sequence[str]) -> None:
    """Whether load may be sent there.

    Raises:
        SwarmError: it is another machine, and was not allowed.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in {"ws", "wss"} or not host:
        raise SwarmError(f"{url!r} is not ws://HOST/gateway, or wss://")
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    if host != "localhost" and host not in allowed:
        raise SwarmError(f"{host} is another machine: --allow {host} sends load there")


async def _run(order: Order, world: World | None) -> Result:
    told = _Teller(order)
    run = Run(order, world, told.second, told.step)
    loop = asyncio.get_running_loop()
    task: asyncio.Task[Result] = Tasks("cli").spawn(run.run(), "swarm")

    def interrupted() -> None:
        if told.is_ending:
            task.cancel()
        told.is_ending = True
        run.end()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)
    try:
        return await task
    except asyncio.CancelledError:
        raise SwarmError("interrupted") from None
    finally:
        told.clear()


class _Teller:
    """Tells on stderr how it goes: a line that is written over, or one now and then."""

    EVERY_S = 5.0

    def __init__(self, order: Order) -> None:
        self.is_ending = False
        self._order = order
        self._measured = 0
        self._open = False
        self._told_s = 0.0
        self._over = sys.stderr.isatty()

    def second(self, one: Said) -> None:
        """How a second was."""
        self._measured += one.stage == MEASURED
        line = live(one, round(self._order.spec.measured_s), self._measured)
        if self._over:
            click.echo(f"\r\x1b[2K{line}", err=True, nl=False)
            self._open = True
        elif time.monotonic() - self._told_s >= self.EVERY_S:
            self._told_s = time.monotonic()
            click.echo(line, err=True)

    def step(self, one: Step) -> None:
        """How a step of a search was."""
        self.clear()
        click.echo(step(one, "events/s" if self._order.search == "rate" else "clients"), err=True)

    def clear(self) -> None:
        """Leave the line that is written over."""
        if self._open:
            click.echo("\r\x1b[2K", err=True, nl=False)
            self._open = False
