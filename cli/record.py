"""`jetrelay console record`: write down what a console hears, for an incident's report."""

import asyncio
import signal
from contextlib import aclosing
from pathlib import Path

import click

from cli.doors import Fleet, door_options, find_fleet
from cli.moments import Duration

FLUSH_S = 5.0


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@door_options
@click.option("--for", "for_s", type=Duration(), help="End after so long: 90s, 10m, 1h.")
def record(
    file: Path,
    state: Path,
    region: str | None,
    url: str | None,
    creds: Path | None,
    for_s: int | None,
) -> None:
    """Write all that a console hears to FILE, until Ctrl-C, SIGTERM or the end of --for.

    Names of regions, edges and operators are in it, and addresses of edges; no room, no user and
    no payload is. `jetrelay console --replay FILE` reads it. Exit codes: 0 ended, 2 it can't be
    written, or there is no world.
    """
    fleet = find_fleet(state, region, url, creds)
    lines = asyncio.run(_record(fleet, file, for_s))
    click.echo(f"{lines:,} messages in {file}", err=True)


async def _record(fleet: Fleet, file: Path, for_s: int | None) -> int:
    from console.clock import Clock
    from console.feed import BooksRead, LinkChanged
    from console.live import LiveFeed
    from console.past.file import VERSION, Header, Recorder
    from relay.tasks import Tasks

    clock, ended, tasks = Clock(), asyncio.Event(), Tasks("record")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    known = {region: list(edges) for region, edges in fleet.known.items()}
    header = Header("recording", VERSION, fleet.name, clock.wall_ms(), known)
    recorder = Recorder(file, header)

    def tap(subject: str, data: bytes) -> None:
        recorder.message(clock.wall_ms(), subject, data)

    async def listen() -> None:
        async with aclosing(LiveFeed(fleet.doors, tap).events()) as events:
            async for event in events:
                if isinstance(event, BooksRead):
                    recorder.books(clock.wall_ms(), event)
                elif isinstance(event, LinkChanged):
                    via = f" via {event.via}: {event.reason}".rstrip(": ")
                    click.echo(f"link {event.state.value}{via}", err=True)

    async def flush() -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            recorder.flush()

    try:
        working = [tasks.spawn(listen(), "listen"), tasks.spawn(flush(), "flush")]
        waiting = tasks.spawn(ended.wait(), "ended")
        done, _ = await asyncio.wait(
            [waiting, *working], timeout=for_s, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()  # what went wrong, if anything did
    finally:
        await tasks.close()
        recorder.close()
    return recorder.lines
