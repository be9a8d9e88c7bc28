"""`jetrelay dns export`: the decision of this moment, for those who run another name server."""

import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Literal

import click

from cli.outlook import look
from cli.state_option import state_option
from regions.dns.export import Decider, powerdns, route53, ways_of
from regions.dns.zone import zone_of
from regions.errors import TopologyError, WorldError
from regions.topology_file import load_topology
from relay.geo.atlas import Atlas

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
def export(
    target: Target, state: Path, topology: Path | None, out: Path | None, *, tries: bool
) -> None:
    """Write where clients go now, for PowerDNS or Route 53. Run it again whenever that changes.

    Exit codes: 0 written, 2 no world runs, the topology is wrong, or wrong use.
    """
    found, outlook = asyncio.run(look(state, tries=tries))
    if topology is not None:
        found = load_topology(topology)
    zone, decider = zone_of(found), Decider(outlook.regions)
    if not any(region.verdict.admits for region in outlook.regions):
        raise WorldError("no region admits, as far as is seen from here: nothing is written")
    if target == "route53":
        batches = route53(zone, decider)
        for number, batch in enumerate(batches, 1):
            name = out if out is None else out.with_stem(f"{out.stem}-{number}")
            _write(json.dumps(batch) + "\n", name)
        return
    if found.clients.geoip is None:
        raise TopologyError(f"{found.where}: clients.geoip: PowerDNS needs networks to tell apart")
    atlas = Atlas(Path(found.clients.geoip))
    try:
        _write(powerdns(zone, decider.way(None), ways_of(decider, atlas)), out)
    finally:
        atlas.close()


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
