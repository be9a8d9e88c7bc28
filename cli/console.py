"""`jetrelay console`: watch a world, on a screen or in one look; now, or as it was."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cli.console_web import console_command, door_of, end_with_server, is_tab, serve
from cli.doors import Fleet, door_options, find_fleet, has_subcommand
from cli.moments import Moment, shown
from cli.record import record
from cli.who import who
from console.errors import ConsoleError
from console.theme_names import NAMES
from regions.state import find_world

if TYPE_CHECKING:
    from console.model import Ages
    from console.model import Fleet as Heard
    from console.past.replay import Replay

KEPT_MS = 60_000  # after the last that is kept: then all is silent


@click.group(invoke_without_command=True)
@door_options
@click.option("--once", is_flag=True, help="Look once, print to stdout, and end.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "svg"]),
    default="text",
    show_default=True,
    help="What --once prints.",
)
@click.option(
    "--at",
    "at_ms",
    type=Moment(),
    metavar="TIME",
    help="As it was then, 2026-11-28T12:00Z, 12:03 or 15m ago; at most a day is kept.",
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Out of a file of `console record`; --once: at its end, without --at.",
)
@click.option(
    "--by",
    metavar="WHO",
    envvar="JETRELAY_BY",
    help="Who acts from this console; without, USER@HOST. [env: JETRELAY_BY]",
)
@click.option("--read-only", is_flag=True, help="Bind no key that changes anything.")
@click.option(
    "--repaint",
    "repaint_s",
    type=click.FloatRange(0.5, 10),
    default=0.5,
    show_default=True,
    metavar="S",
    help="Seconds between two repaints: more for a slow line.",
)
@click.option(
    "--theme",
    type=click.Choice(NAMES),
    envvar="JETRELAY_THEME",
    help="Colours; without, those that fit the terminal. [env: JETRELAY_THEME]",
)
@click.option(
    "--web",
    metavar="HOST:PORT",
    help="Serve consoles to browsers, on loopback; port 0: any. They are read-only without --by.",
)
@click.option("--public-url", metavar="URL", help="What a proxy in front of --web is called.")
@click.pass_context
def command(
    ctx: click.Context,
    state: Path,
    region: str | None,
    url: str | None,
    creds: Path | None,
    format_: str,
    at_ms: int | None,
    replay: Path | None,
    by: str | None,
    repaint_s: float,
    theme: str | None,
    web: str | None,
    public_url: str | None,
    *,
    once: bool,
    read_only: bool,
) -> None:
    """Watch a world: its regions, edges and mirror lag, from the telemetry of its edges.

    Any region's NATS will do; if it goes away, the console listens through the next one.

    --once waits until every known edge was heard, at most 3 s (JSON and SVG: all of that time, for
    keepers speak every 2 s), and prints what it knows. Exit codes: 0 printed, 2 no NATS answers or
    there is no world, or nothing is kept of that time.
    """
    if has_subcommand(ctx):
        return
    if web is not None:
        if once:
            raise click.UsageError("--web serves consoles; --once looks once")
        _serve(ctx, web, public_url)
        return
    if public_url is not None:
        raise click.UsageError("--public-url goes with --web")
    looks = {"repaint_s": repaint_s, "theme": theme or ""}
    if not once:
        _require_screen()
    if replay is not None:
        if once:
            click.echo(asyncio.run(_replay(replay, at_ms, format_)))
        else:
            asyncio.run(_watch_recording(replay, at_ms, looks))
        return
    fleet = find_fleet(state, region, url, creds)
    if not once:
        by = None if read_only else who(by)
        asyncio.run(_watch(fleet, state if url is None else None, by, at_ms, looks))
    elif at_ms is not None:
        click.echo(asyncio.run(_look_back(fleet, at_ms, format_)))
    else:
        click.echo(asyncio.run(_look(fleet, format_)))


command.add_command(record)


def _require_screen() -> None:
    """There is a terminal, or a browser that plays one.

    Raises:
        ConsoleError: there is not.
    """
    if is_tab():
        end_with_server()
    elif not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise ConsoleError("this is not a terminal: use --once, with --format text or json")


def _serve(ctx: click.Context, web: str, public_url: str | None) -> None:
    given = ctx.params
    door = door_of(web, public_url)
    if given["replay"] is None:  # what is wrong is said now, not in each tab
        find_fleet(*(given[name] for name in ("state", "region", "url", "creds")))
    named = ctx.get_parameter_source("by") is ParameterSource.COMMANDLINE
    by = who(given["by"]) if named and not given["read_only"] else None
    serve(door, console_command(given, by, given["at_ms"]), by)


async def _look(fleet: Fleet, format_: str) -> str:
    from console.clock import Clock
    from console.live import LiveFeed
    from console.once import ONCE_AGES, hear

    clock, feed = Clock(), LiveFeed(fleet.doors)
    # Sparklines want some seconds, and keepers speak every 2 s.
    heard = await hear(feed, fleet.known, clock, link_s=feed.round_s)
    return await _drawn(heard, clock.steady_ms(), clock.wall_ms(), fleet.name, format_, ONCE_AGES)


async def _look_back(fleet: Fleet, at_ms: int, format_: str) -> str:
    from console.past.replay import Replay
    from console.past.streams import open_streams

    async with open_streams(fleet.doors) as past:
        return await _then(Replay(past, fleet.known, past.region), at_ms, fleet.name, format_)


async def _replay(file: Path, at_ms: int | None, format_: str) -> str:
    from console.past.file import FilePast
    from console.past.replay import Replay

    past = FilePast(file)
    if at_ms is None:
        at_ms = (await past.extent()).last_ms + 1
    replay = Replay(past, past.header.known, "recording")
    return await _then(replay, at_ms, past.header.world, format_)


async def _then(replay: "Replay", at_ms: int, world: str, format_: str) -> str:
    from console.model import Ages

    first_ms, last_ms = await replay.past.extent()
    if not first_ms <= at_ms <= last_ms + KEPT_MS:
        raise ConsoleError(
            f"nothing is kept of {shown(at_ms)}: there is {shown(first_ms)} to {shown(last_ms)}"
        )
    await replay.seek(at_ms)
    return await _drawn(replay.fleet, at_ms, at_ms, world, format_, Ages())


async def _drawn(
    heard: "Heard", now_ms: int, wall_ms: int, world: str, format_: str, ages: "Ages"
) -> str:
    """What was heard, as it is asked for."""
    from console.model import observe
    from console.report import to_json, to_text

    if format_ == "svg":
        from console.picture import picture

        return await picture(heard, now_ms, wall_ms, world, ages)
    return (to_json if format_ == "json" else to_text)(observe(heard, now_ms, ages), wall_ms)


async def _watch(
    fleet: Fleet,
    state: Path | None,
    by: str | None,
    at_ms: int | None,
    looks: dict[str, Any],
) -> None:
    from cli.backing import backing_of
    from console.app import watch

    backing = backing_of(fleet, None if state is None else find_world(state), by, state)
    await watch(
        fleet.doors, fleet.known, world=fleet.name, backing=backing, at_ms=at_ms, **looks
    )  # fmt: skip


async def _watch_recording(file: Path, at_ms: int | None, looks: dict[str, Any]) -> None:
    from cli.backing import recording
    from console.app import watch
    from console.past.file import FilePast

    past = FilePast(file)
    header = past.header
    await watch(
        (), header.known, world=header.world, backing=recording(past), at_ms=at_ms, **looks
    )  # fmt: skip
