"""`jetrelay tail`: follow rooms."""

import json
import sys
from datetime import datetime
from pathlib import Path

import click
import msgspec

from cli.lines import run_until_signal
from cli.quakes import Quake
from cli.target import Target, find_target, target_options
from cli.text import clean, short
from relay.client import (
    Client,
    Disconnected,
    Event,
    Gap,
    Last,
    Lost,
    Message,
    Reconnecting,
    Resumed,
    RoomRefused,
    Signal,
    connect,
)
from relay.core.names import is_room

ROOM_WIDTH = 12


def human_line(event: Message | Signal) -> str:
    """Local time, room, user and data of an event, safe for a terminal."""
    time = "-" * 12
    if event.ts is not None:
        time = datetime.fromtimestamp(event.ts / 1000).astimezone().strftime("%H:%M:%S.%f")[:12]
    room, user = clean(event.room), clean(event.user or "-")
    mark = "~ " if isinstance(event, Signal) else ""
    return f"{time}  {room:<{ROOM_WIDTH}}  {user}  {mark}{describe(event.data)}"


def describe(data: object) -> str:
    """Data on one line; earthquakes as people say them."""
    try:
        quake = msgspec.convert(data, Quake)
    except msgspec.ValidationError:
        return short(data)
    when = datetime.fromtimestamp(quake.time_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"M {quake.mag:.1f}  {short(quake.place)}  {quake.depth_km:.0f} km deep  {when}"


def json_line(event: Message | Signal | Gap | Lost | RoomRefused) -> str:
    """An event as an object with its kind under `event`; pure ASCII."""
    return json.dumps({"event": type(event).__name__.lower(), **msgspec.to_builtins(event)})


def narrate(event: Event) -> str | None:
    """What is said on stderr about an event that is no data; None for the others."""
    match event:
        case Gap(origin, _, first, last, reason):
            events = f"from {first} on" if last is None else f"{first} to {last}"
            line = f"gap: {origin} {events} will not come: {clean(reason)}"
        case Lost(reason, missing):
            ranges = ", ".join(f"{at} {first} to {last}" for at, (first, last) in missing.items())
            line = f"lost: the session could not go on ({clean(reason)}) {clean(ranges)}".rstrip()
        case RoomRefused(room, code):
            line = f"refused: {clean(room)} ({clean(code)})"
        case Disconnected(code, reason):
            line = f"disconnected: {clean(reason) or code or 'connection broken'}"
        case Reconnecting(url, delay_ms, _):
            line = f"reconnecting in {delay_ms} ms: {clean(url)}"
        case Resumed(replayed, behind, region, edge, gap_ms):
            late = f", behind {clean(str(behind))}" if behind else ""
            line = f"resumed at {region} {edge} after {gap_ms} ms: {replayed} replayed{late}"
        case _:
            return None
    return line


@click.command()
@click.option("--room", "rooms", multiple=True, required=True, help="Which room. Repeatable.")
@click.option("--since", metavar="CURSOR", help="Begin after this cursor.")
@click.option("--last", type=click.IntRange(1, 1000), metavar="N", help="Begin N events ago.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N events.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines; gaps and losses among them.")
@target_options
def command(
    rooms: tuple[str, ...],
    since: str | None,
    last: int | None,
    count: int | None,
    as_json: bool,
    state: Path,
    region: str | None,
    url: str | None,
    token: str | None,
    user: str,
) -> None:
    """Follow rooms, like tail -f, over any loss of connection. Ctrl-C ends it."""
    if since is not None and last is not None:
        raise click.UsageError("--since and --last exclude each other")
    for room in rooms:
        if not is_room(room):
            raise click.UsageError(f"--room {room!r}: 1 to 128 of A-Z a-z 0-9 _ - :")
    target = find_target(state, region, url, token, user)
    start = Last(last) if last is not None else since
    job = run(target, rooms, start, count, as_json=as_json)
    sys.exit(run_until_signal(job))


async def run(
    target: Target,
    rooms: tuple[str, ...],
    since: str | Last | None,
    count: int | None,
    *,
    as_json: bool,
) -> int:
    """Follow `rooms` until `count` events came; the exit code."""
    at_once = rooms if since is None else ()
    async with connect(target.urls, token=target.token, rooms=at_once, states=True) as client:
        click.echo(f"following {', '.join(rooms)} at {client.region} {client.edge}", err=True)
        await _subscribe(client, rooms, since)
        seen = 0
        async for event in client:
            if isinstance(event, Message | Signal):
                click.echo(json_line(event) if as_json else human_line(event))
                seen += 1
                if seen == count:
                    break
            elif (text := narrate(event)) is not None:
                click.echo(text, err=True)
                if as_json and isinstance(event, Gap | Lost | RoomRefused):
                    click.echo(json_line(event))
    return 0


async def _subscribe(client: Client, rooms: tuple[str, ...], since: str | Last | None) -> None:
    if since is not None:
        for room in rooms:
            await client.subscribe(room, since=since)
