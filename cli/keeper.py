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
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from cli.addresses import address_of
from cli.hook import Hook
from cli.keeper_figures import KeeperFigures, StreamCounts
from cli.logs import to_stderr
from cli.state_option import state_option
from cli.steering_figures import SteeringFigures
from cli.watching import Watching
from console.clock import Clock
from console.model.fields import FIELDS
from console.page import POLICY, page, part
from console.report import to_json
from regions.alerts.rules import Rule, read_rules
from regions.apply import Report
from regions.keeper import StreamKeeper
from regions.state import find_world
from regions.world import World
from relay.edge.http import bound_socket, listener
from relay.edge.metrics import CONTENT_TYPE, exposition
from relay.tasks import Tasks

_log = logging.getLogger("jetrelay.keeper")


@click.command()
@state_option
@click.option("--region", help="Whose keeper it is; one a region. A local world needs none.")
@click.option(
    "--listen",
    callback=address_of,
    default="127.0.0.1:9154",
    show_default=True,
    metavar="ADDRESS:PORT",
    help="Serve /status, /metrics and /healthz there; port 0: any that is free.",
)
@click.option(
    "--salvage",
    type=click.Path(path_type=Path, file_okay=False),
    help="Save here what only a diverged mirror holds, and fill it anew; without: it is named.",
)
@click.option(
    "--alerts",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Rules of alerts, TOML: they change, add to and take from the built-in ones.",
)
@click.option(
    "--hook",
    metavar="URL",
    envvar="JETRELAY_HOOK",
    help="POST alerts there, as JSON, when they fire and when they are over. [env: JETRELAY_HOOK]",
)
@click.option(
    "--try/--no-try", "tries", default=None,
    help="Go through every edge's door every 5 s; a deployment's keeper does, without being told.",
)  # fmt: skip
def command(
    state: Path,
    region: str | None,
    listen: tuple[str, int],
    salvage: Path | None,
    alerts: Path | None,
    hook: str | None,
    *,
    tries: bool | None,
) -> None:
    """Keep the streams of a region as declared, and watch the whole fleet.

    Every 3 s it looks at the region's streams, mirrors and consumers, and makes them as declared.
    Every 5 s it goes through every edge's public door, and what it publishes there is to arrive in
    all other regions. What it sees it tells all consoles, raises alerts about, and shows at
    /status. Clients need it for nothing: while it is gone, the edges serve on.

    In a local world the supervisor keeps the streams; a keeper only watches there, all regions.

    Runs until SIGTERM or Ctrl-C. Exit codes: 0 ended, 2 no world, the address can't be had, a rule
    of an alert means nothing, or wrong use.
    """
    to_stderr()
    world = find_world(state)
    rules = read_rules(alerts, FIELDS)
    if hook is not None and not hook.startswith(("http://", "https://")):
        raise click.UsageError(f"--hook {hook!r}: an http:// or https:// URL")
    if world.is_rendered:
        if region is None:
            raise click.UsageError("--region: one keeper a region, and this one is of which?")
        world.region(region)
    elif region is not None or salvage is not None:
        raise click.UsageError(
            f"{state} is a local world: its supervisor keeps the streams, of all regions; "
            "without --region and --salvage a keeper watches it"
        )
    asyncio.run(_run(world, region, listen, salvage, rules, hook, tries=tries))


async def _run(
    world: World,
    region: str | None,
    listen: tuple[str, int],
    salvage: Path | None,
    rules: list[Rule],
    url: str | None,
    *,
    tries: bool | None,
) -> None:
    names = [each.name for each in world.regions]
    home = region or names[0]
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    watching = Watching(
        world,
        home,
        names if region is None else [region],
        rules,
        tries=world.is_rendered if tries is None else tries,
        hook=None if url is None else Hook(url, home),
    )
    title = world.topology().dns.zone if world.is_rendered else "local world"
    registry = CollectorRegistry()
    registry.register(SteeringFigures(watching.steerer))
    tasks = Tasks("keeper.command")
    server = listener(_app(registry, watching, title), None)
    with bound_socket(*listen) as socket:
        try:
            if region is not None:
                _keep_streams(world, region, salvage, watching, registry, tasks)
            serving = tasks.spawn(server.serve(sockets=[socket]), "http")
            socket.listen()  # who comes before the server runs, waits
            host, port = socket.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            click.echo(
                f"jetrelay: the keeper of {region or 'the world'} shows http://{shown}:{port}/status",
                err=True,
            )
            async with watching:
                await ended.wait()
            server.should_exit = True
            await serving
        finally:
            await tasks.close()


def _keep_streams(
    world: World,
    region: str,
    salvage: Path | None,
    watching: Watching,
    registry: CollectorRegistry,
    tasks: Tasks,
) -> None:
    topology, counts = world.topology(), StreamCounts(region)
    nats = {name: world.nats_config(name, "control") for name in topology.names}
    streams = StreamKeeper(topology, nats, partial(_tell, counts), salvage, only=region)
    registry.register(KeeperFigures(counts, streams, watching.steerer, watching.certificates))
    tasks.keep(streams.run, "streams")


def _tell(counts: StreamCounts, report: Report) -> None:
    counts.take(report)
    for change in report.changes:
        _log.warning("%s", change)
    for failure in report.failures:
        _log.error("%s", failure.error)


def _app(registry: CollectorRegistry, watching: Watching, name: str) -> Starlette:
    clock = Clock()

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def metrics(_request: Request) -> Response:
        return Response(exposition(registry), media_type=CONTENT_TYPE)

    async def status(request: Request) -> Response:
        headers = {"Cache-Control": "no-store", "Content-Security-Policy": POLICY}
        view, now_ms = watching.view, clock.wall_ms()
        if request.query_params.get("part"):
            return HTMLResponse("".join(part(view, name, now_ms)), headers=headers)
        return HTMLResponse(page(view, name, now_ms), headers=headers)

    async def status_json(_request: Request) -> Response:
        text = to_json(watching.view, clock.wall_ms())
        headers = {"Cache-Control": "no-store"}
        return Response(text, media_type="application/json", headers=headers)

    async def root(_request: Request) -> Response:
        return RedirectResponse("status")

    routes = [
        Route("/", root),
        Route("/healthz", healthz),
        Route("/metrics", metrics),
        Route("/status", status),
        Route("/status.json", status_json),
    ]
    return Starlette(routes=routes)
