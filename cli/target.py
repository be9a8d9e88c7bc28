"""Where a command connects to, and with which token."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from cli.state_option import state_option
from regions.state import find_world
from regions.world import World
from relay.core.grants import Act, RoomGrant
from relay.errors import ConfigError

TOKEN_S = 3600
EVERYTHING = RoomGrant("*", frozenset(Act))


@dataclass(frozen=True, slots=True)
class Target:
    """Addresses in order of preference, and a token or what makes fresh ones."""

    urls: tuple[str, ...]
    token: str | Callable[[], str]


def target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--state`, `--region`, `--url`, `--token` and `--user` to a command."""
    for option in reversed(
        (
            state_option,
            click.option("--region", metavar="NAME", help="Which region of it; the first without."),
            click.option("--url", metavar="URL", help="An edge elsewhere: ws://HOST/gateway."),
            click.option("--token", help="Token for --url; $JETRELAY_TOKEN without."),
            click.option(
                "--user", default="cli", show_default=True, help="Who to be in the local world."
            ),
        )
    ):
        function = option(function)
    return function


def find_target(
    state: Path, region: str | None, url: str | None, token: str | None, user: str
) -> Target:
    """The target that the options name.

    Raises:
        ConfigError: they contradict each other, or there is no token for `--url`.
        WorldError: no world runs in `state`, or it has no such region.
    """
    token = token or os.environ.get("JETRELAY_TOKEN") or None
    if url is not None:
        if region is not None:
            raise ConfigError("--url and --region exclude each other")
        if token is None:
            raise ConfigError("--url needs --token, or JETRELAY_TOKEN in the environment")
        return Target((url,), token)
    world = find_world(state)
    first = world.regions[0].name if region is None else world.region(region).name
    return Target(region_urls(world, first), token or world_token(world, user))


def region_urls(world: World, first: str) -> tuple[str, ...]:
    """The addresses of all edges of the world, those of the region `first` first.

    Raises:
        WorldError: there is no such region.
    """
    regions = [world.region(first), *(each for each in world.regions if each.name != first)]
    return tuple(edge.url for region in regions for edge in region.edges)


def world_token(world: World, user: str) -> Callable[[], str]:
    """A function that makes tokens of the local world which grant `user` every room."""
    return partial(world.issuer().token, user, [EVERYTHING], TOKEN_S)
