"""`jetrelay console`: watch a world, on a screen or in one look."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from console.errors import ConsoleError
from regions.credentials import read_login
from regions.state import DEFAULT_STATE, find_world
from relay.config import NatsConfig

if TYPE_CHECKING:
    from console.live import Door


@dataclass(frozen=True, slots=True)
class Target:
    """What to watch: the ways in, and the edges known by name."""

    doors: "Sequence[Door]"
    known: Mapping[str, Sequence[str]]
    world: str


@click.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE,
    show_default=True,
    help="State directory of the local world.",
)
@click.option("--region", help="Listen through this region's NATS first.")
@click.option("--nats", "url", help="Watch an existing deployment instead: nats://host:port.")
@click.option(
    "--creds",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with the credentials for --nats.",
)
@click.option("--once", is_flag=True, help="Look once, print to stdout, and end.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What --once prints.",
)
def command(
    state: Path, region: str | None, url: str | None, creds: Path | None, once: bool, format_: str
) -> None:
    """Watch a world: its regions, edges and mirror lag, from the telemetry of its edges.

    Any region's NATS will do; if it goes away, the console listens through the next one.

    --once waits until every known edge was heard, at most 3 s, and prints what it knows. Exit
    codes: 0 printed, 2 no NATS answers or there is no world.
    """
    if creds is not None and url is None:
        raise click.UsageError("--creds goes with --nats")
    target = _local(state, region) if url is None else _deployment(url, creds, region)
    if once:
        click.echo(asyncio.run(_look(target, format_)))
        return
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise ConsoleError("this is not a terminal: use --once, with --format text or json")
    asyncio.run(_watch(target))


async def _look(target: Target, format_: str) -> str:
    from console.clock import Clock
    from console.live import LiveFeed
    from console.once import look
    from console.report import to_json, to_text

    clock = Clock()
    view = await look(LiveFeed(target.doors), target.known, clock)
    return (to_json if format_ == "json" else to_text)(view, clock.wall_ms())


async def _watch(target: Target) -> None:
    from console.app import watch

    await watch(target.doors, target.known, world=target.world)


def _local(state: Path, first: str | None) -> Target:
    from console.live import Door

    world = find_world(state)
    if first is not None:
        world.region(first)
    names = [region.name for region in world.regions]
    doors = [Door(name, world.nats_config(name, "console")) for name in names]
    doors.sort(key=lambda door: door.region != first)
    known = {region.name: tuple(edge.name for edge in region.edges) for region in world.regions}
    return Target(doors, known, f"local · {state}")


def _deployment(url: str, creds: Path | None, region: str | None) -> Target:
    from console.live import Door

    parts = urlsplit(url)
    if parts.scheme not in {"nats", "tls"} or not parts.hostname:
        raise ConsoleError(f"--nats: {url!r} is not nats://host:port")
    if parts.username is not None:
        raise ConsoleError("--nats: no user or password in the address; use --creds FILE")
    config = NatsConfig([url]) if creds is None else read_login(creds, [url])
    known: dict[str, Sequence[str]] = {} if region is None else {region: ()}
    return Target([Door(region or parts.hostname, config)], known, parts.netloc)
