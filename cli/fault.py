"""`jetrelay ctl fault`: break something in the local world, as long as the command runs."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from cli.lines import run_until_signal
from cli.state_option import state_option
from regions.columns import aligned
from regions.errors import WorldError
from regions.faults.client import Faults
from regions.faults.fault import Held, Possible
from regions.faults.flow import Change
from regions.state import find_local_world

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m)?\Z")
_FOR_EVER_S = 1e9
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}
Make = Callable[[Faults], Awaitable[Held]]


class Duration(click.ParamType[float]):
    """`30s`, `500ms`, `2m` or a number of seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        found = _DURATION.match(str(value))
        if found is None:
            self.fail(f"{value!r} is not a time like 30s, 500ms or 2m", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class Share(click.ParamType[float]):
    """`5%` or `0.05`."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """0 to 1."""
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{value!r} is not a share like 5% or 0.05", param, ctx)
        return share


def held(function: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that holds a fault."""
    with_for = click.option(
        "--for", "for_s", type=Duration(), help="Heal it after so long; else at Ctrl-C."
    )(function)
    return state_option(with_for)


@click.group("fault")
def fault() -> None:
    """Break something; it is healed when the command ends, also when it is killed."""


@fault.command("list")
@state_option
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def show(state: Path, as_json: bool) -> None:
    """Show what can be broken in this world, and what is now."""

    async def ask() -> tuple[list[Possible], list[Held]]:
        async with Faults(state) as faults:
            return await faults.overview()

    find_local_world(state)
    possible, now = asyncio.run(ask())
    if as_json:
        click.echo(msgspec.json.encode({"possible": possible, "held": now}))
        return
    for line in tables(possible, now):
        click.echo(line)


def tables(possible: list[Possible], now: list[Held]) -> list[str]:
    """Lines for people."""
    rows = [("FAULT", "POSSIBLE"), *((one.fault, one.why_not or "yes") for one in possible)]
    lines = aligned(rows)
    if now:
        since = [
            (one.text, str(one.holder or "-"), _age(time.monotonic() - one.at_s)) for one in now
        ]
        lines += ["", *aligned([("IN EFFECT", "HELD BY", "SINCE"), *since])]
    return lines


@fault.command()
@click.argument("one")
@click.argument("other")
@click.option("--one-way", is_flag=True, help="Only from the first to the second.")
@held
def cut(one: str, other: str, one_way: bool, state: Path, for_s: float | None) -> None:
    """Let nothing through between two regions."""
    hold(state, for_s, lambda f: f.one_way(one, other) if one_way else f.cut(one, other))


@fault.command()
@click.argument("one")
@click.argument("other")
@held
def stall(one: str, other: str, state: Path, for_s: float | None) -> None:
    """Hold back what two regions send each other, and deliver it late."""
    hold(state, for_s, lambda faults: faults.stall(one, other))


@fault.command()
@click.argument("region")
@held
def isolate(region: str, state: Path, for_s: float | None) -> None:
    """Cut all links of a region; its clients stay connected."""
    hold(state, for_s, lambda faults: faults.isolate(region))


@fault.command()
@click.argument("one")
@click.argument("other")
@click.option("--delay-ms", type=float, help="One way.")
@click.option("--jitter-ms", type=float, help="Up to so much more.")
@click.option("--loss", type=Share(), help="Share of packets, such as 5%; needs --links netns.")
@click.option("--rate-kbit", type=float, help="Bandwidth, in kbit/s.")
@click.option("--one-way", is_flag=True, help="Only from the first to the second.")
@held
def wan(
    one: str,
    other: str,
    delay_ms: float | None,
    jitter_ms: float | None,
    loss: float | None,
    rate_kbit: float | None,
    one_way: bool,
    state: Path,
    for_s: float | None,
) -> None:
    """Make the link of two regions slow or lossy."""
    change = Change(delay_ms=delay_ms, jitter_ms=jitter_ms, loss=loss, rate_kbit=rate_kbit)
    pairs = [(one, other)] if one_way else [(one, other), (other, one)]
    hold(state, for_s, lambda faults: faults.shape(pairs, change))


@fault.command()
@click.argument("processes", nargs=-1, required=True)
@held
def pause(processes: tuple[str, ...], state: Path, for_s: float | None) -> None:
    """Stop processes where they are (SIGSTOP)."""
    hold(state, for_s, lambda faults: faults.pause(*processes))


@fault.command()
@click.argument("processes", nargs=-1, required=True)
@held
def down(processes: tuple[str, ...], state: Path, for_s: float | None) -> None:
    """Kill processes at once and keep them down."""
    hold(state, for_s, lambda faults: faults.hold(*processes))


@fault.command()
@click.argument("region")
@held
def lose(region: str, state: Path, for_s: float | None) -> None:
    """Kill everything in a region at once and keep it down."""
    hold(state, for_s, lambda faults: faults.lose(region))


@fault.command("fill-disk")
@click.argument("server")
@click.option("--limit", is_flag=True, help="JetStream's own limit instead: no root needed.")
@held
def fill_disk(server: str, limit: bool, state: Path, for_s: float | None) -> None:
    """Leave a nats-server no room to store anything."""
    hold(state, for_s, lambda faults: faults.fill_disk(server, "limit" if limit else "disk"))


@fault.command()
@click.argument("region")
@click.argument("origin")
@held
def wedge(region: str, origin: str, state: Path, for_s: float | None) -> None:
    """Stop what feeds the mirror of ORIGIN in REGION, unnoticed by NATS."""
    hold(state, for_s, lambda faults: faults.wedge(region, origin=origin))


@fault.command()
@click.argument("region")
@click.option(
    "--lose", "lose_s", type=Duration(), default="10s", show_default=True,
    help="What is stored in this time from now on is lost.",
)  # fmt: skip
@click.option("--without-witnesses", is_flag=True, help="Its edges are down until it is healed.")
@click.option("--without-mirrors", is_flag=True, help="Its links are cut until it is healed.")
@held
def rewind(
    region: str,
    lose_s: float,
    without_witnesses: bool,
    without_mirrors: bool,
    state: Path,
    for_s: float | None,
) -> None:
    """Let a region's nats-servers lose what they stored last."""

    async def make(faults: Faults) -> Held:
        await faults.snapshot(region)
        click.echo(f"jetrelay: in {lose_s:g} s {region} goes back to what it has now", err=True)
        await asyncio.sleep(lose_s)
        return await faults.rewind(
            region, witnesses=not without_witnesses, mirrors=not without_mirrors
        )

    hold(state, for_s, make)


def hold(state: Path, for_s: float | None, make: Make) -> None:
    """Make a fault, say so, and hold it until its time is over or a signal comes."""
    find_local_world(state)
    faults = Faults(state)
    run_until_signal(_hold(faults, for_s, make))
    if faults.unhealed is not None:
        raise WorldError(faults.unhealed)
    click.echo("jetrelay: healed", err=True)


async def _hold(faults: Faults, for_s: float | None, make: Make) -> int:
    async with faults:
        made = await make(faults)
        until = "Ctrl-C heals it" if for_s is None else f"for {for_s:g} s"
        click.echo(f"jetrelay: {made.text}; {until}", err=True)
        await asyncio.sleep(_FOR_EVER_S if for_s is None else for_s)
    return 0


def _age(seconds: float) -> str:
    return str(timedelta(seconds=round(max(0.0, seconds))))
