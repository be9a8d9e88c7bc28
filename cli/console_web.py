"""`jetrelay console --web`: consoles in a browser, each a process of its own."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import click

from console.errors import ConsoleError

NOT_PASSED = ("web", "public_url", "by", "read_only", "once", "format_", "at_ms")
WATCH_S = 1.0
OPTIONS = {"url": "nats", "repaint_s": "repaint"}  # parameters with another name than their option


@dataclass(frozen=True, slots=True)
class Door:
    """Where browsers come in.

    Args:
        host: the loopback address to listen on.
        port: 0: any that is free.
        public: what a proxy calls it, an origin; None: there is no proxy.
    """

    host: str
    port: int
    public: str | None


def door_of(address: str, public_url: str | None) -> Door:
    """Where `--web` and `--public-url` say.

    Raises:
        ConsoleError: it is no address, or one that other machines reach.
    """
    from console.web.origins import loopback, public_origin

    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise ConsoleError(f"--web: {address!r} is not HOST:PORT; 127.0.0.1:0 takes a free port")
    public = None if public_url is None else public_origin(public_url)
    return Door(loopback(host.strip("[]")), int(port), public)


def console_command(given: Mapping[str, object], by: str | None, at_ms: int | None) -> list[str]:
    """What a tab runs: this console, with the options that it was given.

    Args:
        given: the command's parameters.
        by: who acts from the browser; None: nobody may.
        at_ms: the time to begin at, Unix ms; None: now.
    """
    from cli.moments import iso

    options = {
        OPTIONS.get(name, name): value
        for name, value in given.items()
        if name not in NOT_PASSED and value is not None
    }
    if at_ms is not None:
        options["at"] = iso(at_ms)
    if by is not None:
        options["by"] = by
    return [
        sys.executable, "-P", "-m", "cli", "console",
        *(f"--{name}={value}" for name, value in options.items()),
        *([] if by is not None else ["--read-only"]),
    ]  # fmt: skip


def is_tab() -> bool:
    """Whether this process draws in a browser."""
    return "TEXTUAL_DRIVER" in os.environ


def end_with_server() -> None:
    """End this tab's process also where its server is killed: nobody would ask it to quit."""
    server = os.getppid()

    def watch() -> None:
        while os.getppid() == server:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, name="server", daemon=True).start()


def serve(door: Door, command: list[str], by: str | None) -> None:
    """Serve consoles until SIGINT or SIGTERM; the address goes to stdout.

    Raises:
        ConsoleError: the extra is not installed, or the port is taken.
    """
    try:
        asyncio.run(_serve(door, command, by))
    except ModuleNotFoundError as error:
        raise ConsoleError(
            f"--web: {error.name} is missing: pip install 'jetrelay[web]'"
        ) from error


async def _serve(door: Door, command: list[str], by: str | None) -> None:
    from console.web.server import serving

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    try:
        async with serving(command, door.host, door.port, door.public) as address:
            click.echo(address)
            who = "read-only" if by is None else f"whoever reaches it acts as {by}"
            click.echo(f"jetrelay: consoles in a browser, {who}; Ctrl-C ends them", err=True)
            await ended.wait()
    except OSError as error:
        raise ConsoleError(f"--web: {door.host}:{door.port}: {error.strerror}") from error
