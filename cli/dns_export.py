"""`jetrelay dns export`: the decision, for those who run another name server."""

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

import click

from cli.logs import to_stderr
from cli.outlook import look
from cli.reread import TopologyFile, stamp_of
from cli.state_option import state_option
from cli.text import clean
from regions.dns.export import Decider, powerdns, route53, ways_of
from regions.dns.zone import zone_of
from regions.errors import TopologyError, WorldError
from regions.issuer import DOOR
from regions.state import find_world
from regions.steering.steerer import Steerer
from regions.steering.trying import doors_of, try_door
from regions.topology import Topology
from regions.topology_file import load_topology
from relay.core.steering import Candidate
from relay.errors import ConfigError
from relay.geo.atlas import Atlas

EVERY_S = 10.0
THEN_S = 30.0  # that what is run after a writing may take
Target = Literal["powerdns", "route53"]


@click.command()
@click.option(
    "--to",
    "target",
    type=click.Choice(("powerdns", "route53")),
    required=True,
    help="powerdns: a zones file of its GeoIP backend; route53: change batches, as JSON.",
)
@state_option
@click.option(
    "--topology",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Take zone and addresses from this file.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it there, whole or not at all (of route53, NAME-1.json and so on); stdout without.",
)
@click.option("--try/--no-try", "tries", default=True, show_default=True,
              help="Go through every edge's door first.")  # fmt: skip
@click.option(
    "--watch", is_flag=True,
    help=f"Go on, and write it anew when it changes, every {EVERY_S:g} s at most; with --out.",
)  # fmt: skip
@click.option(
    "--then", metavar="COMMAND", default="",
    help="Run this by the shell after each writing; with --watch.",
)  # fmt: skip
def export(
    target: Target,
    state: Path,
    topology: Path | None,
    out: Path | None,
    then: str,
    *,
    tries: bool,
    watch: bool,
) -> None:
    """Write where clients go now, for PowerDNS or Route 53.

    Once, it judges this moment. With --watch it holds to what was judged as `jetrelay dns` does:
    what comes back has to last, and takes more and more. Until SIGTERM or Ctrl-C.

    Exit codes: 0 written, 2 no world runs, the topology is wrong, or wrong use.
    """
    if watch:
        if out is None:
            raise click.UsageError("--watch goes with --out")
        to_stderr("WARNING")
        asyncio.run(_watch(target, state, topology, out, then, tries=tries))
        return
    if then:
        raise click.UsageError("--then goes with --watch")
    found, outlook = asyncio.run(look(state, tries=tries))
    if topology is not None:
        found = load_topology(topology)
    if not any(region.verdict.admits for region in outlook.regions):
        raise WorldError("no region admits, as far as is seen from here: nothing is written")
    _export(target, found, outlook.regions, out)


async def _watch(
    target: Target, state: Path, path: Path | None, out: Path, then: str, *, tries: bool
) -> None:
    world = find_world(state)
    file = None if path is None else TopologyFile(path, world.record.geoip)
    topology = world.topology() if file is None else file.first
    through = partial(try_door, world.issuer(DOOR)) if tries else None
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    steerer = Steerer(topology, world.doors("console"), Atlas(None), doors_of(world), through)
    done: object = None  # what was written last was made from
    async with steerer:
        while not ended.is_set():
            try:
                if file is not None and (other := file.again()) is not None:
                    zone_of(other)
                    steerer.take(other)
                    topology = other
                regions, database = steerer.regions, topology.clients.geoip
                stamp = None if database is None else stamp_of(Path(database))
                due = regions, topology, stamp
                if due != done and any(region.verdict.admits for region in regions):
                    await asyncio.to_thread(_export, target, topology, regions, out)
                    done = due
                    click.echo(f"jetrelay: {out} was written", err=True)
                    await _run(then)
            except (OSError, ConfigError) as error:
                if done is None:
                    raise
                click.echo(f"jetrelay: the old one stays: {clean(str(error))}", err=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await ended.wait()


async def _run(command: str) -> None:
    """What has to happen when the file is another one."""
    if not command:
        return
    process = await asyncio.create_subprocess_shell(command, start_new_session=True)
    try:
        async with asyncio.timeout(THEN_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        click.echo(f"jetrelay: {command}: ended, since it took over {THEN_S:g} s", err=True)
        return
    if process.returncode != 0:
        click.echo(f"jetrelay: {command}: exit code {process.returncode}", err=True)


def _export(
    target: Target, topology: Topology, regions: Sequence[Candidate], out: Path | None
) -> None:
    zone, decider = zone_of(topology), Decider(regions)
    if target == "route53":
        batches = route53(zone, decider)
        for number, batch in enumerate(batches, 1):
            name = out if out is None else out.with_stem(f"{out.stem}-{number}")
            _write(json.dumps(batch) + "\n", name)
        _remove_more(out, len(batches))
        return
    if topology.clients.geoip is None:
        raise TopologyError(
            f"{topology.where}: clients.geoip: PowerDNS needs networks to tell apart"
        )
    atlas = Atlas(Path(topology.clients.geoip))
    try:
        _write(powerdns(zone, decider.way(None), ways_of(decider, atlas)), out)
    finally:
        atlas.close()


def _remove_more(out: Path | None, written: int) -> None:
    """Batches of a time when there were more of them."""
    number = written + 1
    while out is not None and (old := out.with_stem(f"{out.stem}-{number}")).exists():
        old.unlink()
        number += 1


def _write(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
        return
    handle, name = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
