"""`jetrelay ctl`: operate a fleet, ask it, and tell the supervisor of a local world what to do."""

from pathlib import Path
from typing import get_args

import click
import msgspec

from cli.fault import fault
from cli.inquire import COMMANDS as INQUIRIES
from cli.operate import COMMANDS
from cli.state_option import state_option
from regions.columns import aligned
from regions.control import ProcessCmd, ProcessStatus, Request, control
from regions.state import StateDir, find_local_world

HELP: dict[ProcessCmd, str] = {
    "status": "Show every process of the local world.",
    "stop": "End a process gently (an edge drains); it stays down.",
    "hold": "Kill a process, and keep it down until `start`.",
    "start": "Start a process that was stopped or is held.",
    "restart": "End a process gently, and start it again.",
    "kill": "Kill a process; the supervisor starts it again.",
    "pause": "Stop a process where it is (SIGSTOP).",
    "continue": "Let a paused process go on.",
}
NAMES = {"status": "ps"}  # `ctl status` is about the fleet
assert set(HELP) == set(get_args(ProcessCmd))


@click.group()
def command() -> None:
    """Cordon, drain and evacuate edges and regions; ask them about clients and rooms; stop and
    break things in a local world.
    """


def run(cmd: ProcessCmd, process: str | None, state: Path, *, as_json: bool) -> None:
    """Send one request and print the processes that it concerns."""
    find_local_world(state)
    statuses = control(StateDir(state).control_socket, Request(cmd, process))
    if as_json:
        click.echo(msgspec.json.encode(statuses))
        return
    for line in table(statuses):
        click.echo(line)


def table(statuses: list[ProcessStatus]) -> list[str]:
    """Lines for people, the columns aligned."""
    rows = [("PROCESS", "REGION", "STATE", "PID", "STARTS", "URL")]
    rows += [
        (
            status.name,
            status.region or "-",
            "paused" if status.paused else "hung" if status.hung else status.state,
            "-" if status.pid is None else str(status.pid),
            str(status.starts),
            status.url,
        )
        for status in statuses
    ]
    return aligned(rows)


def subcommand(cmd: ProcessCmd) -> click.Command:
    """The click command of one request."""
    as_json = click.Option(["--json", "as_json"], is_flag=True, help="JSON on stdout.")

    def callback(state: Path, as_json: bool, process: str | None = None) -> None:
        run(cmd, process, state, as_json=as_json)

    arguments = [] if cmd == "status" else [click.Argument(["process"])]
    made = click.Command(
        NAMES.get(cmd, cmd), params=[*arguments, as_json], callback=callback, help=HELP[cmd]
    )
    return state_option(made)


for _command in (*COMMANDS, *INQUIRIES):
    command.add_command(_command)
for _cmd in HELP:
    command.add_command(subcommand(_cmd))
command.add_command(fault)
