"""`jetrelay streams`: how the streams of a world differ from the table, and making them equal."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from cli.state_option import state_option
from regions.apply import Report, apply, plan
from regions.deployment import parse_deployment
from regions.state import find_world
from regions.topology import Topology
from regions.topology_file import load_topology
from relay.config import NatsConfig

OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--topology", type=click.Path(path_type=Path), help="TOML; else the world's."),
    state_option,
    click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout."),
    click.option("--nats", multiple=True, metavar="REGION=URL[,URL]", help="Use this NATS."),
    click.option(
        "--creds", multiple=True, metavar="REGION[:control]=FILE", help="Credentials for it.",
    ),
)  # fmt: skip


def options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that both commands take."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


@click.group()
def command() -> None:
    """Show or apply the streams, mirrors and consumers of a world."""


@command.command("plan")
@options
def show(
    topology: Path | None, state: Path, as_json: bool, nats: tuple[str, ...], creds: tuple[str, ...]
) -> None:
    """Show what differs from the table; changes nothing.

    Exit code 0: nothing differs. 1: something does, or a region did not answer.
    """
    report = asyncio.run(plan(*target(topology, state, nats, creds)))
    answer(report, as_json=as_json, nothing="everything is as declared")
    sys.exit(0 if report.clean else 1)


@command.command("apply")
@options
@click.option(
    "--salvage",
    type=click.Path(path_type=Path, file_okay=False),
    help="Save here what only a diverged mirror holds, and fill it anew.",
)
def carry_out(
    topology: Path | None,
    state: Path,
    as_json: bool,
    nats: tuple[str, ...],
    creds: tuple[str, ...],
    salvage: Path | None,
) -> None:
    """Make every region as declared; what is there already stays.

    A mirror that diverged from its origin is named, and filled anew only with --salvage: what it
    alone holds is then in a file there. (A running local world does that by itself.)

    Exit code 0: everything is as declared now. 1: a region could not be reached, or refused, or a
    mirror is diverged still.
    """
    report = asyncio.run(apply(*target(topology, state, nats, creds), salvage))
    answer(report, as_json=as_json, nothing="everything was as declared")
    left = [one for one in report.changes if one.action == "diverged" and one.saved is None]
    if left and not as_json:
        click.echo("jetrelay: fill diverged mirrors anew with --salvage DIR", err=True)
    sys.exit(1 if report.failures or left else 0)


def target(
    path: Path | None, state: Path, nats: tuple[str, ...], creds: tuple[str, ...]
) -> tuple[Topology, dict[str, NatsConfig]]:
    """The topology, and how `control` reaches each of its regions."""
    if nats or creds:
        topology = load_topology(path)
        deployment = parse_deployment(topology, nats, creds)
        assert deployment is not None
        return topology, {
            region: deployment.nats_config(region, "control") for region in topology.names
        }
    world = find_world(state)
    topology = world.topology() if path is None else load_topology(path)
    return topology, {region: world.nats_config(region, "control") for region in topology.names}


def answer(report: Report, *, as_json: bool, nothing: str) -> None:
    """The report on stdout; failures on stderr too, for people."""
    if as_json:
        click.echo(msgspec.json.encode(report))
        return
    for change in report.changes:
        click.echo(str(change))
    if not report.changes and not report.failures:
        click.echo(nothing)
    for failure in report.failures:
        click.echo(f"jetrelay: {failure.error}", err=True)
