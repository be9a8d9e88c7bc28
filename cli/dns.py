"""`jetrelay dns`: a name server that sends each client network to its region."""

import asyncio
import signal
import socket
from functools import partial
from pathlib import Path

import click
from prometheus_client import CollectorRegistry, start_http_server

from cli.addresses import address_of
from cli.dns_export import export
from cli.dns_figures import DnsFigures
from cli.doors import has_subcommand
from cli.logs import to_stderr
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
from regions.topology_file import load_topology
from relay.geo.atlas import Atlas
from relay.tasks import Tasks


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
    asyncio.run(_run(listen, state, topology, metrics, tries=tries))


command.add_command(export)


async def _run(
    listen: tuple[str, int],
    state: Path,
    path: Path | None,
    metrics: tuple[str, int] | None,
    *,
    tries: bool,
) -> None:
    world = find_world(state)
    topology = world.topology() if path is None else load_topology(path)
    doors = world.doors("console")
    urls = doors_of(world)
    database = world.record.geoip or topology.clients.geoip  # where the world has it
    atlas = Atlas(None if database is None else Path(database))
    through = partial(try_door, world.issuer(DOOR)) if tries else None
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with Steerer(topology, doors, atlas, urls, through) as steerer:
        nsid = socket.gethostname().encode()[:64]
        server = DnsServer(
            Answers(zone_of(topology), steerer.order, nsid),
            Bounds(answers_per_s=topology.dns.answers_per_s),
        )
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
        if path is not None:
            tasks.keep(partial(_reload, server, steerer, path, nsid), "reload")
        try:
            await ended.wait()
        finally:
            await tasks.close()
            await server.close()
            atlas.close()


async def _reload(server: DnsServer, steerer: Steerer, path: Path, nsid: bytes) -> None:
    """Take over another topology file, without losing a query."""
    stamp = _stamp(path)
    while True:
        await asyncio.sleep(1.0)
        now = _stamp(path)
        if now == stamp:
            continue
        stamp = now
        try:
            topology = load_topology(path)
            zone = zone_of(topology)
        except TopologyError as error:
            click.echo(f"jetrelay: the old zone stays: {clean(str(error))}", err=True)
            continue
        steerer.take(topology)
        server.answers = Answers(zone, steerer.order, nsid)
        click.echo("jetrelay: the topology was read again", err=True)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
