"""The `jetrelay` command: one module a command, imported only when it is run.

stdout is data, stderr is narration. Exit codes: 0 done, 1 it ran and the answer is no, 2 wrong use
or it could not run.
"""

import contextlib
import importlib
import os
import sys

import click

from cli.text import clean
from relay import __version__
from relay.errors import RelayError

# command -> (module, help line): the help of the group imports nothing.
COMMANDS = {
    "up": ("cli.up", "Run a whole world on this machine: NATS, edges, console."),
    "edge": ("cli.edge", "Run one edge."),
    "streams": ("cli.streams", "Show or apply the streams, mirrors and consumers of a world."),
    "console": ("cli.console", "Watch a world."),
    "stats": ("cli.stats", "Count who is connected, now and before; export the series."),
    "dns": ("cli.dns", "Answer DNS: each client network is sent to its region."),
    "steer": ("cli.steer", "Say how regions are, and which one clients are sent to."),
    "keeper": ("cli.keeper", "Keep a region's streams as declared, and watch the fleet."),
    "compose": ("cli.compose", "Render a deployment: containers or services of machines."),
    "audit": ("cli.audit", "Rebuild who was here from the log, and judge the live figures."),
    "ctl": ("cli.ctl", "Cordon, drain and evacuate edges and regions; break a local world."),
    "token": ("cli.token", "Make a client token for the local world."),
    "publish": ("cli.publish", "Publish an event to a room."),
    "tail": ("cli.tail", "Follow rooms, like tail -f."),
    "demo": ("cli.demo", "Replay real data through a world."),
    "swarm": ("cli.swarm", "Let virtual clients loose on a world, and say what they felt."),
    "size": ("cli.size", "Say how many edges a load takes, and what else."),
    "drill": ("cli.drill", "Break a world on purpose, and measure what clients felt."),
    "check": ("cli.check", "Say how a fleet is, for scripts; judge a ledger again."),
    "doctor": ("cli.doctor", "Check this machine and a world, and say what to do."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is used."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jetrelay")
def app() -> None:
    """A multi-region real-time relay on NATS JetStream."""


def main() -> None:
    """Run the command line; a mistake of the user's is one line on stderr, never a traceback."""
    try:
        app(prog_name="jetrelay")
    except RelayError as error:
        click.echo(f"jetrelay: {clean(str(error))}", err=True)
        sys.exit(2)
    except OSError as error:  # a full disk under stdout, say
        with contextlib.suppress(OSError):
            click.echo(f"jetrelay: {clean(error.strerror or str(error))}", err=True)
        # What is still in stdout's buffer can't be written either.
        os._exit(2)
