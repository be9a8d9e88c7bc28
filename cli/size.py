"""`jetrelay size`: how many edges a load takes, and what else."""

import sys
from typing import Any

import click
import msgspec

from cli.drill import Rate
from cli.text import clean
from regions.columns import aligned
from regions.sizing.costs import COSTS
from regions.sizing.demand import Demand, DemandError, shares_of
from regions.sizing.sizing import Sizing, as_rows, size

MOST = 1_000_000_000


class Regions(click.ParamType[dict[str, float]]):
    """A number of equal regions, or names with their shares."""

    name = "regions"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, float]:
        """Region -> share of the users."""
        if isinstance(value, dict):
            return value
        try:
            return shares_of(str(value))
        except DemandError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option("--users", type=click.IntRange(1, MOST), required=True, help="Connected at once.")
@click.option("--rooms", type=click.IntRange(1, MOST), required=True, help="With events in them.")
@click.option(
    "--each", type=click.IntRange(1, 128), default=1, show_default=True,
    help="Rooms that a user is in.",
)  # fmt: skip
@click.option(
    "--rate", type=Rate(0, 1e9), required=True, help="Events published in a second, in all rooms."
)
@click.option(
    "--size", "size_", type=click.IntRange(0, 60_000), default=128, show_default=True,
    help="Bytes of an event's data.",
)  # fmt: skip
@click.option(
    "--regions", type=Regions(), default="3", show_default=True,
    help="How many, alike; or each with its share of the users: us=50,eu=30,ap=20.",
)  # fmt: skip
@click.option(
    "--opens", type=Rate(0, 1e9), default=0.0, help="Connections opened in a second, in all."
)
@click.option(
    "--window", "window_ms", type=click.FloatRange(0, 50), default=0.0,
    help="Milliseconds for which events gather (fanout_window_ms).",
)  # fmt: skip
@click.option(
    "--keep", "kept_h", type=click.FloatRange(0, 8_760), default=24.0, show_default=True,
    help="Hours for which events can be resumed and read.",
)  # fmt: skip
@click.option(
    "--spare/--no-spare", default=True, show_default=True,
    help="Be able to lose any one region.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(
    users: int,
    rooms: int,
    each: int,
    rate: float,
    size_: int,
    regions: dict[str, float],
    opens: float,
    window_ms: float,
    kept_h: float,
    spare: bool,
    as_json: bool,
) -> None:
    """Say how many edges a load takes, and how much memory, disk and bandwidth.

    It reckons with what each thing costs, as it was measured (docs/performance.md): an edge uses
    60 % of a core and 80 % of its connections at most, also when one region is lost and the others
    have its users. Measure your own machine with `python -m tests.bench.costs`, and a world with
    `jetrelay swarm --find-limit`.
    """
    kept_s = kept_h * 3600
    demand = Demand(users, rooms, each, rate, size_, regions, opens, window_ms, kept_s, spare)
    try:
        found = size(demand, COSTS)
    except DemandError as error:
        click.echo(f"jetrelay: {clean(str(error))}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        click.echo("\n".join(_lines(found, demand)))


def _lines(found: Sizing, demand: Demand) -> list[str]:
    rows = as_rows(found)
    table = aligned([list(rows[0]), *(list(row.values()) for row in rows)])
    kept_h = demand.kept_s / 3600
    each = f"{found.members:,.1f} members of a room, {found.delivered_per_s:,.0f} deliveries/s"
    lines = [
        f"{found.edges:,} edges for {demand.users:,} users. {each}",
        "",
        *(clean(line) for line in table),
        "",
    ]
    lines += [
        clean(
            f"{one.name}: NATS {one.nats_cpu:.1f} cores, {one.published_per_s:,.0f} events/s; "
            f"disk {one.disk_gib:,.1f} GiB; {one.wan_out_mbit:,.1f} Mbit/s to other regions"
        )
        for one in found.regions
    ]
    lines.append(
        f"to keep {kept_h:g} h of events: [streams] max_bytes {found.stream_gib:,.2f} GiB or more"
    )
    return [*lines, *(f"note: {note}" for note in found.notes)]
