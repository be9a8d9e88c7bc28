"""The option that names a local world."""

from pathlib import Path

import click

from regions.state import DEFAULT_STATE

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE,
    show_default=True,
    help="State directory of the local world.",
)
