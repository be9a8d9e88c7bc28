"""A drill's own world as a process: `python -m regions.drills.world_process`.

The first line on stdin says which; the world ends when stdin does, so it never outlives its drill,
however that ends. Events go to stdout, as with `jetrelay up --headless`.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path

import msgspec

from regions.events import Event
from regions.state import StateDir
from regions.supervisor import Supervisor
from regions.topology import FaultSettings, LinkMode
from regions.topology_file import parse_topology
from relay.errors import RelayError
from relay.tasks import Tasks


class Begin(msgspec.Struct, frozen=True):
    """Which world."""

    state: str
    topology: str  # TOML
    where: str
    links: LinkMode
    disk_mb: int | None
    edge_program: tuple[str, ...]


def tell(event: Event) -> None:
    """One line on stdout, while anybody reads it."""
    with contextlib.suppress(OSError):
        sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
        sys.stdout.buffer.flush()


def narrate(text: str) -> None:
    """One line on stderr, which is the world's log."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


async def _run() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    begin = msgspec.json.decode(await reader.readline(), type=Begin)
    topology = parse_topology(begin.topology, begin.where)
    faults = FaultSettings(begin.links, begin.links != "direct", begin.disk_mb)
    supervisor = Supervisor(
        replace(topology, faults=faults),
        StateDir(Path(begin.state)),
        tell,
        narrate,
        edge_program=begin.edge_program,
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, reader.feed_eof)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # that is for the drill
    tasks = Tasks("world")
    starting = tasks.spawn(_outcome(supervisor.start()), "start")
    ended = tasks.spawn(reader.read(), "stdin")
    try:
        await asyncio.wait((starting, ended), return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and (failure := starting.result()) is not None:
            raise failure
        await ended
    finally:
        starting.cancel()
        await asyncio.wait((starting,))
        await supervisor.stop()
        await tasks.close()


async def _outcome(work: Coroutine[None, None, None]) -> RelayError | None:
    """Do `work`; what was refused, as a value: that is the drill's to read."""
    try:
        await work
    except RelayError as error:
        return error
    return None


def main() -> None:
    """Run the world until stdin ends."""
    try:
        asyncio.run(_run())
    except RelayError as error:
        narrate(str(error))
        sys.exit(2)


if __name__ == "__main__":
    main()
