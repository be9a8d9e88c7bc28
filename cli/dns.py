"""`jetrelay dns`: a name server that sends each client network to its region."""

import asyncio
import gc
import signal
import socket
from functools import partial
from pathlib import Path

import click
import uvloop
from prometheus_client import CollectorRegistry, start_http_server

from cli.addresses import address_of
from cli.dns_export import export
from cli.dns_figures import DnsFigures
from cli.doors import has_subcommand
from cli.logs import to_stderr
from cli.reread import TopologyFile
from cli.state_option import state_option
from cli.steering_figures import SteeringFigures
from cli.text import clean
from regions.dns.answers import Answers
from regions.dns.server import Bounds, DnsServer
from regions.dns.zone import without_family, zone_of
from regions.errors import TopologyError
from regions.issuer import DOOR
from regions.state import find_world
from regions.steering.steerer import Steerer
from regions.steering.trying import doors_of, try_door
from regions.topology import Topology
from relay.geo.atlas import Atlas
from relay.tasks import Tasks

COLLECT = (20_000, 20, 500)  # objects made, young collections, and middle ones between two


@click.group(invoke_without_command=True)
@click.option(
    "--listen",
    callback=address_of,
    default="127.0.0.1:5353",
    show_default=True,
    metavar="ADDRESS:PORT",
    help="Where to answer, over UDP and TCP; port 0: any that is free.",
)
@state_option
@click.option(
    "--topology",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Take zone, weights and addresses from this file; it is read again when it changes.",
)
@click.option(
    "--metrics", callback=address_of, metavar="ADDRESS:PORT", help="Serve /metrics there."
)
@click.option(
    "--try/--no-try", "tries", default=True, show_default=True,
    help="Go through every edge's door every 5 s.",
)  # fmt: skip
@click.pass_context
def command(
    ctx: click.Context,
    listen: tuple[str, int],
    state: Path,
    topology: Path | None,
    metrics: tuple[str, int] | None,
    *,
    tries: bool,
) -> None:
    """Answer for the topology's zone (`relay.test` without one): the nearest region that is well.

    Runs until SIGTERM or Ctrl-C; connected clients do not need it. Exit codes: 0 ended, 2 no world
    runs, the address can't be had, or wrong use.
    """
    if has_subcommand(ctx):
        return
    to_stderr("WARNING")
    _calm_collector()
    uvloop.run(_run(listen, state, topology, metrics, tries=tries))


command.add_command(export)


def _calm_collector() -> None:
    """Let Python look for garbage in what is new, and hardly ever in all that there is.

    Else it goes through the orders of 100,000 networks again and again: pauses of 10 ms and more.
    """
    gc.freeze()
    gc.set_threshold(*COLLECT)


async def _run(
    listen: tuple[str, int],
    state: Path,
    path: Path | None,
    metrics: tuple[str, int] | None,
    *,
    tries: bool,
) -> None:
    world = find_world(state)
    file = None if path is None else TopologyFile(path, world.record.geoip)
    topology = world.topology() if file is None else file.first
    doors = world.doors("console")
    urls = doors_of(world)
    database = topology.clients.geoip
    atlas = Atlas(None if database is None else Path(database))
    through = partial(try_door, world.issuer(DOOR)) if tries else None
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with Steerer(topology, doors, atlas, urls, through) as steerer:
        nsid = socket.gethostname().encode()[:64]
        server = DnsServer(Answers(zone_of(topology), steerer.order, nsid), _bounds(topology))
        host, port = await server.start(*listen)
        if metrics is not None:
            registry = CollectorRegistry()
            registry.register(DnsFigures(server))
            registry.register(SteeringFigures(steerer))
            start_http_server(metrics[1], metrics[0], registry)
        click.echo(f"jetrelay: {topology.dns.zone} is answered at {host}:{port}", err=True)
        if lacking := without_family(topology):
            click.echo(f"jetrelay: {lacking}", err=True)
        tasks = Tasks("dns.command")
        if file is not None:
            tasks.keep(partial(_reload, server, steerer, file, nsid), "reload")
        try:
            await ended.wait()
        finally:
            await tasks.close()
            await server.close()
            atlas.close()


async def _reload(server: DnsServer, steerer: Steerer, file: TopologyFile, nsid: bytes) -> None:
    """Take over another topology, without losing a query."""
    while True:
        await asyncio.sleep(1.0)
        try:
            topology = file.again()
            if topology is None:
                continue
            zone = zone_of(topology)
        except TopologyError as error:
            click.echo(f"jetrelay: the old zone stays: {clean(str(error))}", err=True)
            continue
        steerer.take(topology)
        server.take(Answers(zone, steerer.order, nsid), _bounds(topology))
        click.echo("jetrelay: the topology was read again", err=True)
        for each in _for_a_start(file.first, topology):
            click.echo(f"jetrelay: {each} counts after a restart", err=True)


def _bounds(topology: Topology) -> Bounds:
    return Bounds(answers_per_s=topology.dns.answers_per_s)


def _for_a_start(first: Topology, now: Topology) -> list[str]:
    """What a running name server does not take from another topology."""
    heard = {each.name for each in first.regions}
    later = [f"regions.{each.name}" for each in now.regions if each.name not in heard]
    if now.clients.geoip != first.clients.geoip:
        later.append("clients.geoip")
    return later
