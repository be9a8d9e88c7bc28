"""`jetrelay drill list`: every drill, what it needs, and whether it can run here."""

import asyncio
from pathlib import Path

import click
import msgspec

from regions.columns import aligned
from regions.drills.catalogue import DRILLS, hindrance, needs_of
from regions.drills.places import Places
from regions.drills.survey import running, survey, wanted
from regions.faults.client import Faults
from regions.state import DEFAULT_STATE
from regions.world import World

STATE = click.option(
    "--state", type=click.Path(path_type=Path), default=DEFAULT_STATE, show_default=True,
    help="State directory of the local world; where none runs, the drill starts one of its own.",
)  # fmt: skip


@click.command("list")
@STATE
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def show(state: Path, as_json: bool) -> None:
    """Show every drill, and whether it can run here."""
    places = _places(state)
    found = [
        (drill, hindrance(drill, places or wanted(drill, None, None).places())) for drill in DRILLS
    ]
    if as_json:
        each = [
            {"drill": one.name, "what": one.line, "needs": needs_of(one), "why_not": why}
            for one, why in found
        ]
        click.echo(msgspec.json.encode(each))
        return
    rows = [("DRILL", "WHAT", "NEEDS", "CAN RUN")]
    rows += [
        (drill.name, drill.line, ", ".join(needs_of(drill)) or "—", why or "yes")
        for drill, why in found
    ]
    for line in aligned(rows):
        click.echo(line)


def _places(state: Path) -> Places | None:
    world = running(state)
    return None if world is None else asyncio.run(_survey(state, world))


async def _survey(state: Path, world: World) -> Places:
    async with Faults(state) as faults:
        return await survey(faults, world)
