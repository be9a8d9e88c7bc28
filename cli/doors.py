"""How a command that looks at a fleet gets in: a local world's regions, or a deployment's NATS."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from cli.state_option import state_option
from regions.credentials import read_login
from regions.doors import Door
from regions.state import find_world
from relay.config import NatsConfig
from relay.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Fleet:
    """What to look at: the ways in, best first, and the edges known by name."""

    doors: Sequence[Door]
    known: Mapping[str, Sequence[str]]  # region -> edges
    name: str


def door_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--state`, `--region`, `--nats` and `--creds` to a command."""
    for option in reversed(
        (
            state_option,
            click.option("--region", help="Look through this region's NATS first."),
            click.option(
                "--nats", "url", help="Look at an existing deployment instead: nats://host:port."
            ),
            click.option(
                "--creds",
                type=click.Path(path_type=Path, dir_okay=False, exists=True),
                help="File with the credentials for --nats.",
            ),
        )
    ):
        function = option(function)
    return function


def find_fleet(state: Path, region: str | None, url: str | None, creds: Path | None) -> Fleet:
    """The fleet that the options name.

    Raises:
        ConfigError: an address or a file is wrong.
        WorldError: no world runs in `state`, or it has no such region.
    """
    if creds is not None and url is None:
        raise click.UsageError("--creds goes with --nats")
    return _local(state, region) if url is None else _deployment(url, creds, region)


def _local(state: Path, first: str | None) -> Fleet:
    world = find_world(state)
    if first is not None:
        world.region(first)
    doors = sorted(world.doors("console"), key=lambda door: door.region != first)
    known = {region.name: tuple(edge.name for edge in region.edges) for region in world.regions}
    name = world.topology().dns.zone if world.is_rendered else f"local · {state}"
    return Fleet(doors, known, name)


def _deployment(url: str, creds: Path | None, region: str | None) -> Fleet:
    parts = urlsplit(url)
    if parts.scheme not in {"nats", "tls"} or not parts.hostname:
        raise ConfigError(f"--nats: {url!r} is not nats://host:port")
    if parts.username is not None:
        raise ConfigError("--nats: no user or password in the address; use --creds FILE")
    config = NatsConfig([url]) if creds is None else read_login(creds, [url])
    known: dict[str, Sequence[str]] = {} if region is None else {region: ()}
    return Fleet([Door(region or parts.hostname, config)], known, parts.netloc)


def has_subcommand(ctx: click.Context) -> bool:
    """Whether a group's subcommand follows, which has options of its own.

    Raises:
        click.UsageError: options stand before it.
    """
    if ctx.invoked_subcommand is None:
        return False
    given = (ctx.get_parameter_source(name) for name in ctx.params)
    if ParameterSource.COMMANDLINE in given:
        raise click.UsageError(f"options go behind `{ctx.invoked_subcommand}`")
    return True
