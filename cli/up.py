"""`jetrelay up`: run a whole world on this machine, with the console or headless."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import get_args

import click
import msgspec

from cli.doors import Fleet
from cli.who import who
from regions.deployment import parse_deployment
from regions.events import Event
from regions.state import DEFAULT_STATE, StateDir
from regions.supervisor import Supervisor
from regions.topology import LinkMode, Topology
from regions.topology_file import load_topology
from regions.world import World
from relay.errors import RelayError
from relay.tasks import Tasks


@click.command()
@click.option("--topology", type=click.Path(path_type=Path), help="TOML; three regions without.")
@click.option(
    "--state", type=click.Path(path_type=Path), default=DEFAULT_STATE, show_default=True,
    help="Directory that keeps data, ports and secrets between starts.",
)  # fmt: skip
@click.option("--headless", is_flag=True, help="JSON lines on stdout instead of the console.")
@click.option("--drain", is_flag=True, help="At the end, let clients of the edges move first.")
@click.option("--nats", multiple=True, metavar="REGION=URL[,URL]", help="Use an existing NATS.")
@click.option(
    "--creds", multiple=True, metavar="REGION[:USER]=FILE",
    help="Credentials for it; with USER (edge, console, control) for that one only.",
)  # fmt: skip
@click.option(
    "--links", type=click.Choice(get_args(LinkMode)),
    help="How regions are joined; relay and netns can be broken by `jetrelay ctl fault`.",
)  # fmt: skip
@click.option("--wan", is_flag=True, help="Links as slow as the distances between the regions.")
@click.option(
    "--small-disks", type=int, metavar="MB",
    help="Each nats-server's store on a file system of its own, so small (Linux, root).",
)  # fmt: skip
@click.option("--apply", "apply_streams", is_flag=True, help="With --nats: declare the streams.")
def command(
    topology: Path | None,
    state: Path,
    headless: bool,
    drain: bool,
    nats: tuple[str, ...],
    creds: tuple[str, ...],
    links: LinkMode | None,
    wan: bool,
    small_disks: int | None,
    apply_streams: bool,
) -> None:
    """Run NATS, edges and the console of a whole world on this machine.

    Headless, the first line on stdout is the event `ready`, as soon as everything serves, and each
    later change is one line more. SIGINT, SIGTERM and a closed terminal end it, with exit code 0.
    """
    if not headless and not (sys.stdout.isatty() and sys.stderr.isatty()):
        narrate("no terminal: running headless")
        headless = True
    read = with_faults(load_topology(topology), links, small_disks, wan=wan)
    deployment = parse_deployment(read, nats, creds)
    supervisor = Supervisor(
        read,
        StateDir(state),
        tell if headless else ignore,
        narrate,
        deployment=deployment,
        apply_streams=deployment is None or apply_streams,
    )
    asyncio.run(run(supervisor, headless=headless, drain=drain))


def with_faults(
    topology: Topology, links: LinkMode | None, disk_mb: int | None, *, wan: bool
) -> Topology:
    """The topology, with what the command line says about faults."""
    faults = topology.faults
    if links is not None:
        faults = replace(faults, links=links)
    if wan:
        faults = replace(
            faults, wan=True, links=links or ("relay" if faults.links == "direct" else faults.links)
        )
    if disk_mb is not None:
        faults = replace(faults, disk_mb=disk_mb)
    return replace(topology, faults=faults)


async def run(supervisor: Supervisor, *, headless: bool, drain: bool) -> None:
    """Start the world, wait for a signal or the end of the console, and stop the world."""
    tasks = Tasks("up")
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    try:
        if await until(ended, supervisor.start(), tasks):
            await until(ended, ended.wait() if headless else console(supervisor), tasks)
    finally:
        await supervisor.stop(drain=drain)
        await tasks.close()


async def until(
    ended: asyncio.Event, work: Coroutine[object, object, object], tasks: Tasks
) -> bool:
    """Do `work`, but only until `ended`; whether it was done."""
    doing = tasks.spawn(outcome(work), "work")
    ending = tasks.spawn(ended.wait(), "signal")
    await asyncio.wait((doing, ending), return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if not doing.done():
        doing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await doing
        return False
    failure = doing.result()
    if failure is not None:
        raise failure
    return True


async def outcome(work: Coroutine[object, object, object]) -> RelayError | None:
    """Do `work`; what it refused, as a value: that is the user's to read, not the log's."""
    try:
        await work
    except RelayError as error:
        return error
    return None


async def console(supervisor: Supervisor) -> None:
    """Show the console until the operator quits."""
    from cli.backing import backing_of
    from console.app import watch

    world = supervisor.world()
    doors = world.doors("console")
    known = {one.name: [edge.name for edge in one.edges] for one in world.regions}
    logging.getLogger("jetrelay").addHandler(logging.NullHandler())  # the screen is the console's
    fleet = Fleet(doors, known, "local world")
    backing = backing_of(fleet, world, who(None), supervisor.state.path)
    async with keeper(world):
        await watch(doors, known, world="local world", backing=backing)


@contextlib.asynccontextmanager
async def keeper(world: World) -> AsyncIterator[None]:
    """Let somebody watch the world, raise alerts and tell consoles, as a deployment's keepers do.

    Edges' doors are left alone: who looks at this world sees his own clients only.
    """
    from cli.watching import Watching
    from console.model.fields import FIELDS
    from regions.alerts.rules import read_rules

    names = [region.name for region in world.regions]
    try:
        watching = Watching(
            world, names[0], names, read_rules(None, FIELDS), tries=False, stands_in=True
        )
    except RelayError:  # with --nats there may be no login that may tell
        yield
        return
    async with watching:
        yield


def tell(event: Event) -> None:
    """One event, one line on stdout; a reader that went away, or a full disk, ends nothing."""
    with contextlib.suppress(OSError):
        print(msgspec.json.encode(event).decode(), flush=True)


def ignore(_event: Event) -> None:
    """With a console on the terminal, events are seen there."""


def narrate(text: str) -> None:
    """Say on stderr what is going on, if anybody can still read it."""
    with contextlib.suppress(OSError):
        click.echo(f"jetrelay: {text}", err=True)
