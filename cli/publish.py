"""`jetrelay publish`: publish from the shell."""

import json
import sys
from pathlib import Path

import click

from cli.lines import read_lines, run_until_signal
from cli.target import Target, find_target, target_options
from cli.text import clean
from relay.client import Ack, Client, NotSent, Refused, Unknown, connect


def parse_data(text: str) -> object:
    """`text` as JSON, or as a string where it is none."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> object:
    raise ValueError(name)  # NaN and the infinities are no JSON


def ack_line(room: str, ack: Ack, *, as_json: bool) -> str:
    """An ACK for stdout: the origin and the sequence, or an object."""
    if as_json:
        place = {"origin": ack.origin, "epoch": ack.epoch, "seq": ack.seq}
        return json.dumps({"room": room, "id": ack.id, **place, "duplicate": ack.duplicate})
    if ack.origin is None:
        return f"sent {ack.id}"
    return f"{ack.origin} {ack.seq}" + (" duplicate" if ack.duplicate else "")


@click.command()
@click.option("--room", required=True, help="Where to.")
@click.argument("data")
@click.option("--id", "publish_id", help="Names the publish: the same again is stored once.")
@click.option("--ephemeral", is_flag=True, help="Do not store it.")
@click.option("--json", "as_json", is_flag=True, help="The ACK as JSON.")
@target_options
def command(
    room: str,
    data: str,
    publish_id: str | None,
    ephemeral: bool,
    as_json: bool,
    state: Path,
    region: str | None,
    url: str | None,
    token: str | None,
    user: str,
) -> None:
    """Publish DATA: JSON, or else text. `-` publishes each line of stdin.

    Prints origin and sequence of each event, as soon as it is stored. Exit code 1: refused, or
    unknown whether it is stored.
    """
    if data == "-" and publish_id is not None:
        raise click.UsageError("--id names one publish; with - there are many")
    target = find_target(state, region, url, token, user)
    job = run(target, room, data, publish_id, ephemeral=ephemeral, as_json=as_json)
    sys.exit(run_until_signal(job))


async def run(
    target: Target,
    room: str,
    data: str,
    publish_id: str | None,
    *,
    ephemeral: bool,
    as_json: bool,
) -> int:
    """Publish `data`, or the lines of stdin; the exit code."""

    async def one(client: Client, text: str) -> None:
        ack = await client.publish(room, parse_data(text), id=publish_id, ephemeral=ephemeral)
        click.echo(ack_line(room, ack, as_json=as_json))

    async with connect(target.urls, token=target.token, listen=False) as client:
        try:
            if data == "-":
                async for line in read_lines(sys.stdin):
                    await one(client, line)
            else:
                await one(client, data)
        except (Refused, Unknown, NotSent) as error:
            click.echo(f"jetrelay: {clean(str(error))}", err=True)
            return 1
    return 0
