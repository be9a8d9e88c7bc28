"""`jetrelay compose`: a deployment in containers, or as services, from a topology file."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import click

from regions.compose.directory import Difference, Directory
from regions.compose.render import render
from regions.compose.services import USER
from regions.compose.site import Way
from regions.topology_file import load_topology


@click.group()
def command() -> None:
    """Deploy: in containers (Compose), or as services of machines (systemd)."""


@command.command("render")
@click.option(
    "--topology",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML; regions need `addresses`.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of the deployment: keep it, it holds the passwords and the authority's key.",
)
@click.option(
    "--for", "way",
    type=click.Choice(get_args(Way)), default="containers", show_default=True,
    help="What runs it.",
)  # fmt: skip
@click.option("--check", is_flag=True, help="Change nothing; say what would change.")
def render_deployment(topology: Path, out: Path, way: Way, *, check: bool) -> None:
    """Render every file of a deployment: Compose, NATS, edges, HAProxy, certificates, Prometheus.

    What was made once stays: passwords, keys, certificates until 60 days before they end, and a
    `public.pem` of another authority. Files that a topology has no place for any more are removed.

    Exit codes: 0 it is as rendered now. 1: with --check, something would change. 2: the topology
    can't be deployed so, or a file can't be read or written.
    """
    root = os.geteuid() == 0
    owner = (USER, USER) if root else (os.geteuid(), os.getegid())
    directory = Directory(out, owner if root else None)
    now = datetime.now(UTC)
    files = render(load_topology(topology), way, directory.read, now, owner)
    done = directory.differences(files) if check else directory.write(files)
    for difference in done:
        click.echo(line(difference))
    if check:
        sys.exit(1 if done else 0)
    if not done:
        click.echo(f"jetrelay: {out} is as rendered", err=True)


def line(difference: Difference) -> str:
    """A difference, for people."""
    return f"{difference.action:7}{difference.path}"
