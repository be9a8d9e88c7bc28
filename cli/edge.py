"""`jetrelay edge`: one edge process."""

import sys
from pathlib import Path

import click
import uvloop

from cli.logs import to_stderr
from relay.config import EdgeConfig, load_config
from relay.edge.process import EdgeProcess
from relay.errors import ConfigError

WRONG_CONFIGURATION = 3  # a supervisor need not hurry to try again


@click.command("edge")
@click.option(
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The edge's configuration (JSON).",
)
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
    help="What is logged on stderr.",
)
def command(path: Path, log_level: str) -> None:
    """Run one edge: SIGTERM drains it, a second one or SIGINT ends it at once.

    Exit codes: 0 ended as asked, 1 it could not serve, 2 its NATS is not there, or has no streams
    yet, 3 the configuration is wrong.
    """
    to_stderr(log_level.upper())
    try:
        config = load_config(path)
        uvloop.run(_run(config))
    except ConfigError as error:
        click.echo(f"jetrelay edge: {error}", err=True)
        sys.exit(WRONG_CONFIGURATION)
    except OSError as error:
        where = f"{config.host}:{config.port} or {config.admin_host}:{config.admin_port}"
        click.echo(f"jetrelay edge: {where}: {error.strerror or error}", err=True)
        sys.exit(1)


async def _run(config: EdgeConfig) -> None:
    await EdgeProcess(config).run()
