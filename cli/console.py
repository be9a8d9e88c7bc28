"""`jetrelay console`: watch a world, on a screen or in one look."""

import asyncio
import sys
from pathlib import Path

import click

from cli.doors import Fleet, door_options, find_fleet
from console.errors import ConsoleError


@click.command()
@door_options
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
    fleet = find_fleet(state, region, url, creds)
    if once:
        click.echo(asyncio.run(_look(fleet, format_)))
        return
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise ConsoleError("this is not a terminal: use --once, with --format text or json")
    asyncio.run(_watch(fleet))


async def _look(fleet: Fleet, format_: str) -> str:
    from console.clock import Clock
    from console.live import LiveFeed
    from console.once import look
    from console.report import to_json, to_text

    clock = Clock()
    view = await look(LiveFeed(fleet.doors), fleet.known, clock)
    return (to_json if format_ == "json" else to_text)(view, clock.wall_ms())


async def _watch(fleet: Fleet) -> None:
    from console.app import watch

    await watch(fleet.doors, fleet.known, world=fleet.name)
