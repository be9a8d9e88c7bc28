"""`jetrelay demo`: real data through a world."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import msgspec

from cli.lines import run_until_signal
from cli.quakes import Quake, Site, load_quakes, nearest, rooms_of, schedule
from cli.state_option import state_option
from cli.target import region_urls, world_token
from cli.text import clean
from regions.state import find_world
from regions.world import World
from relay.client import Client, ClientError, connect

IN_FLIGHT = 256
PROGRESS_S = 1.0


@dataclass(slots=True)
class Tally:
    """What a region's publisher has done."""

    quakes: int = 0
    acknowledged: int = 0
    duplicates: int = 0
    failed: int = 0


@dataclass(slots=True)
class Report:
    """What the replay has done so far."""

    total: int
    started_s: float
    regions: dict[str, Tally] = field(default_factory=dict)

    @property
    def quakes(self) -> int:
        """Quakes that were published, each to two rooms."""
        return sum(tally.quakes for tally in self.regions.values())

    @property
    def acknowledged(self) -> int:
        """Publishes that are stored."""
        return sum(tally.acknowledged for tally in self.regions.values())

    @property
    def failed(self) -> int:
        """Publishes that were refused, or of which nobody knows."""
        return sum(tally.failed for tally in self.regions.values())

    def progress(self) -> str:
        """One line for a person who waits."""
        return f"{self.quakes} of {self.total} quakes, {self.acknowledged} publishes acknowledged"

    def human(self, seconds: float) -> str:
        """The summary as a table."""
        lines = [f"{'region':<16} {'quakes':>7} {'stored':>7} {'duplicates':>10} {'failed':>7}"]
        lines += [
            f"{name:<16} {tally.quakes:>7} {tally.acknowledged:>7}"
            f" {tally.duplicates:>10} {tally.failed:>7}"
            for name, tally in self.regions.items()
        ]
        lines.append(f"{self.quakes} quakes, {self.acknowledged} publishes in {seconds:.1f} s")
        return "\n".join(lines)

    def as_json(self, seconds: float) -> str:
        """The summary as one JSON object."""
        regions = {
            name: {
                "quakes": tally.quakes,
                "acknowledged": tally.acknowledged,
                "duplicates": tally.duplicates,
                "failed": tally.failed,
            }
            for name, tally in self.regions.items()
        }
        totals = {"quakes": self.quakes, "acknowledged": self.acknowledged, "failed": self.failed}
        return json.dumps({**totals, "seconds": round(seconds, 3), "regions": regions})


class Speed(click.ParamType[float]):
    """A factor, or `max`."""

    name = "factor"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The factor; 0 for `max`."""
        if value == "max":
            return 0.0
        try:
            speed = float(str(value))
        except ValueError:
            speed = -1.0
        if not 0 <= speed < float("inf"):
            self.fail(f"{value!r} is neither a factor nor max", param, ctx)
        return speed


@click.group()
def command() -> None:
    """Replay real data through a world."""


@command.command()
@click.option(
    "--speed", type=Speed(), default=3600.0, show_default=True,
    help="Times real time; 0 or max: as fast as publishes are acknowledged.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
@click.option("--user", default="usgs", show_default=True, help="Who publishes.")
@state_option
def quakes(speed: float, as_json: bool, user: str, state: Path) -> None:
    """A week of the world's earthquakes, as it happened.

    Each is published in the region nearest to its epicentre, to quakes:all and to quakes:m0 …
    quakes:m7 by its magnitude, under the id that the USGS gave it: doing it again within two
    minutes stores nothing twice. Exit code 1: a publish was refused or is unknown.
    """
    world = find_world(state)
    sys.exit(run_until_signal(replay(world, load_quakes(), user, speed, as_json=as_json)))


async def replay(
    world: World, quakes: Sequence[Quake], user: str, speed: float, *, as_json: bool
) -> int:
    """Publish `quakes` and print the summary; the exit code."""
    sites = [Site(region.name, region.lat, region.lon) for region in world.regions]
    report = Report(len(quakes), time.monotonic(), {site.name: Tally() for site in sites})
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            site.name: await stack.enter_async_context(
                connect(region_urls(world, site.name), token=world_token(world, user), listen=False)
            )
            for site in sites
        }
        async with asyncio.TaskGroup() as group:
            narrator = group.create_task(_narrate(report))
            await _publish_all(clients, quakes, sites, speed, report)
            narrator.cancel()
    seconds = time.monotonic() - report.started_s
    click.echo(report.as_json(seconds) if as_json else report.human(seconds))
    return 1 if report.failed else 0


async def _publish_all(
    clients: dict[str, Client],
    quakes: Sequence[Quake],
    sites: Sequence[Site],
    speed: float,
    report: Report,
) -> None:
    started = time.monotonic()
    slots = asyncio.Semaphore(IN_FLIGHT)
    async with asyncio.TaskGroup() as group:
        for due_s, quake in schedule(quakes, speed):
            if (wait_s := started + due_s - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            site = nearest(quake, sites).name
            report.regions[site].quakes += 1
            for room in rooms_of(quake):
                await slots.acquire()
                tally = report.regions[site]
                group.create_task(_publish(clients[site], room, quake, tally, slots))


async def _publish(
    client: Client, room: str, quake: Quake, tally: Tally, slots: asyncio.Semaphore
) -> None:
    try:
        ack = await client.publish(room, msgspec.to_builtins(quake), id=quake.id)
    except ClientError as error:
        tally.failed += 1
        click.echo(f"jetrelay: {quake.id} in {room}: {clean(str(error))}", err=True)
    else:
        tally.acknowledged += 1
        tally.duplicates += ack.duplicate
    finally:
        slots.release()


async def _narrate(report: Report) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        click.echo(report.progress(), err=True)
