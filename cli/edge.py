"""`jetrelay edge`: one edge process."""

import sys
from pathlib import Path

import click
import uvloop

from cli.logs import to_stderr
from regions.programs import EDGE_PROGRAM
from relay.config import EdgeConfig, load_config
from relay.edge.process import EdgeProcess
from relay.edge.workers import (
    MOST,
    WRONG_CONFIGURATION,
    Workers,
    end_with_parent,
    worker_config,
)
from relay.errors import ConfigError


@click.command("edge")
@click.option(
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The edge's configuration (JSON).",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MOST),
    help="So many edges on one port, a process each: EDGE-1, EDGE-2, … SIGHUP replaces one after "
    "the other.",
)
@click.option("--worker", type=click.IntRange(1, MOST), hidden=True)
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    show_default=True,
    help="What is logged on stderr.",
)
def command(path: Path, workers: int | None, worker: int | None, log_level: str) -> None:
    """Run one edge: SIGTERM drains it, a second one or SIGINT ends it at once.

    Exit codes: 0 ended as asked, 1 it could not serve, 2 its NATS is not there, or has no streams
    yet, 3 the configuration is wrong.
    """
    to_stderr(log_level.upper())
    try:
        config = load_config(path)
        if workers is not None:
            worker_config(config, workers)  # there are as many ports
            sys.exit(uvloop.run(_run_workers(config, workers, path, log_level)))
        if worker is not None:
            end_with_parent()
            config = worker_config(config, worker)
        uvloop.run(_run(config, shared=worker is not None))
    except ConfigError as error:
        click.echo(f"jetrelay edge: {error}", err=True)
        sys.exit(WRONG_CONFIGURATION)
    except OSError as error:
        where = f"{config.host}:{config.port} or {config.admin_host}:{config.admin_port}"
        click.echo(f"jetrelay edge: {where}: {error.strerror or error}", err=True)
        sys.exit(1)


async def _run(config: EdgeConfig, *, shared: bool) -> None:
    await EdgeProcess(config, shared=shared).run()


async def _run_workers(config: EdgeConfig, count: int, path: Path, log_level: str) -> int:
    def start(number: int) -> list[str]:
        more = ["--worker", str(number), "--log-level", log_level]
        return [*EDGE_PROGRAM, "--config", str(path), *more]

    return await Workers(config, count, start).run()
