"""`jetrelay keeper`: keeps a region's streams as declared, and watches the fleet."""

import asyncio
import logging
import signal
from functools import partial
from pathlib import Path

import click
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cli.addresses import address_of
from cli.keeper_figures import KeeperFigures, StreamCounts
from cli.logs import to_stderr
from cli.state_option import state_option
from cli.steering_figures import SteeringFigures
from regions.apply import Report
from regions.certificates import CertificateWatch, places_of
from regions.issuer import DOOR
from regions.keeper import StreamKeeper
from regions.state import find_world
from regions.steering.canary import Canaries
from regions.steering.steerer import Steerer
from regions.steering.trying import doors_of, try_door
from regions.world import World
from relay.edge.http import bound_socket, listener
from relay.edge.metrics import CONTENT_TYPE, exposition
from relay.geo.atlas import Atlas
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.keeper")


@click.command()
@state_option
@click.option("--region", required=True, help="Whose streams are kept; one keeper a region.")
@click.option(
    "--listen",
    callback=address_of,
    default="127.0.0.1:9154",
    show_default=True,
    metavar="ADDRESS:PORT",
    help="Serve /metrics and /healthz there; port 0: any that is free.",
)
@click.option(
    "--salvage",
    type=click.Path(path_type=Path, file_okay=False),
    help="Save here what only a diverged mirror holds, and fill it anew; without: it is named.",
)
def command(state: Path, region: str, listen: tuple[str, int], salvage: Path | None) -> None:
    """Keep the streams of REGION as declared, and watch the whole fleet.

    Every 3 s it looks at the region's streams, mirrors and consumers, and makes them as declared.
    Every 5 s it goes through every edge's public door, and what it publishes there is to arrive in
    all other regions. Clients need it for nothing: while it is gone, the edges serve on.

    In a local world the supervisor keeps the streams: there this command is refused.

    Runs until SIGTERM or Ctrl-C. Exit codes: 0 ended, 2 no deployment, the address can't be had, or
    wrong use.
    """
    to_stderr()
    world = find_world(state)
    world.region(region)
    if not world.is_rendered:
        raise click.UsageError(
            f"{state} is a local world: its supervisor keeps the streams; `jetrelay steer status` "
            "and `jetrelay console` watch it"
        )
    asyncio.run(_run(world, region, listen, salvage))


async def _run(world: World, region: str, listen: tuple[str, int], salvage: Path | None) -> None:
    topology, issuer = world.topology(), world.issuer(DOOR)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    counts = StreamCounts(region)
    nats = {name: world.nats_config(name, "control") for name in topology.names}
    streams = StreamKeeper(topology, nats, partial(_tell, counts), salvage, only=region)
    urls = doors_of(world)
    # Clients are sent by the name server; this one only has to see how they would be.
    atlas = Atlas(None)
    canaries = Canaries(issuer, urls)
    steerer = Steerer(
        topology, world.doors("console"), atlas, urls, partial(try_door, issuer), canaries
    )
    registry = CollectorRegistry()
    certificates = CertificateWatch(places_of(world))
    registry.register(KeeperFigures(counts, streams, steerer, certificates))
    registry.register(SteeringFigures(steerer))
    server = listener(_app(registry), None)
    tasks = Tasks("keeper.command")
    with bound_socket(*listen) as socket:
        try:
            tasks.keep(streams.run, "streams")
            tasks.keep(certificates.run, "certificates")
            serving = tasks.spawn(server.serve(sockets=[socket]), "http")
            host, port = socket.getsockname()[:2]
            click.echo(f"jetrelay: the keeper of {region} tells at {host}:{port}", err=True)
            async with canaries, steerer:
                await ended.wait()
            server.should_exit = True
            await serving
        finally:
            await tasks.close()
            atlas.close()


def _tell(counts: StreamCounts, report: Report) -> None:
    counts.take(report)
    for change in report.changes:
        _log.warning("%s", change)
    for failure in report.failures:
        _log.error("%s", failure.error)


def _app(registry: CollectorRegistry) -> Starlette:
    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def metrics(_request: Request) -> Response:
        return Response(exposition(registry), media_type=CONTENT_TYPE)

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", metrics)])
