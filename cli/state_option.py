"""The option that names a world."""

from pathlib import Path

import click

from regions.state import DEFAULT_STATE

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE,
    show_default=True,
    envvar="JETRELAY_STATE",
    help="State directory of the world. [env: JETRELAY_STATE]",
)
