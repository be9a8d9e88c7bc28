"""`jetrelay doctor`: check this machine and the local world, and say what to do."""

import asyncio
import sys
from pathlib import Path

import click
import msgspec

from cli.state_option import state_option
from regions.doctor import Check, check_machine, check_world
from regions.errors import WorldError
from regions.state import find_world


@click.command()
@state_option
@click.option("--json", "as_json", is_flag=True, help="A JSON list on stdout.")
def command(state: Path, as_json: bool) -> None:
    """Check this machine and the local world, and say what to do.

    Exit code 0: nothing failed. 1: something did.
    """
    checks = check_machine(state)
    try:
        world = find_world(state)
    except WorldError as error:
        dead = state.exists() and (not state.is_dir() or (state / "world.json").exists())
        checks.append(Check("world", "fail" if dead else "ok", str(error)))
    else:
        checks += asyncio.run(check_world(world))
    if as_json:
        click.echo(msgspec.json.encode(checks))
    else:
        for check in checks:
            click.echo(line(check))
    sys.exit(1 if any(check.level == "fail" for check in checks) else 0)


def line(check: Check) -> str:
    """One check, for people."""
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.level]
    level = click.style(f"{check.level:4}", fg=colour)
    advice = "" if check.advice is None else f"\n      -> {check.advice}"
    return f"{level}  {check.name}: {check.text}{advice}"
