"""The control socket: other commands tell a supervisor what to do, in JSON lines.

Faults belong to the connection over which they were asked for: when it ends, they are healed.
"""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Literal

import msgspec

from regions.errors import WorldError
from regions.faults.fault import Fault, Held, Possible
from relay.errors import RelayError
from relay.tasks import Tasks

ProcessCmd = Literal["status", "stop", "hold", "start", "restart", "kill", "pause", "continue"]
Cmd = ProcessCmd | Literal["fault", "heal", "faults", "snapshot"]
_PATH_BYTES = 100  # sun_path holds 108
_LINE_BYTES = 1024**2


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line to the supervisor."""

    cmd: Cmd
    process: str | None = None  # with the commands for one process
    fault: Fault | None = None  # with `fault`
    number: int | None = None  # with `heal`: which one; None is all of this connection
    region: str | None = None  # with `snapshot`


class ProcessStatus(msgspec.Struct, frozen=True):
    """One process of the world."""

    name: str
    kind: Literal["nats", "edge", "wan"]
    region: str  # empty where it serves them all
    state: Literal["starting", "up", "waiting", "held", "stopped"]
    pid: int | None
    paused: bool
    starts: int
    url: str
    last_exit: int | None = None
    hung: bool = False  # it was up, runs, and does not answer


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line back; `error` says why it was not done."""

    ok: bool
    error: str | None = None
    processes: list[ProcessStatus] | None = None  # those concerned; all with `status`
    faults: list[Held] | None = None  # those concerned; all with `faults`
    possible: list[Possible] | None = None  # with `faults`


class Client(msgspec.Struct, frozen=True):
    """A connection to the control socket."""

    number: int
    pid: int | None  # of the process at its other end


Handler = Callable[[Request, Client], Awaitable[Reply]]
Gone = Callable[[Client], Awaitable[None]]


class ControlServer:
    """Listens on the control socket and hands each request to the supervisor."""

    def __init__(self, path: Path, handle: Handler, gone: Gone) -> None:
        """`gone` is told of each connection that ended."""
        self._path = path
        self._handle = handle
        self._gone = gone
        self._numbers = count(1)
        self._tasks = Tasks("control")
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen; nobody but the owner may connect."""
        self._server = await listen_unix(self._path, self._serve)

    async def close(self) -> None:
        """Stop listening and drop who is connected."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(next(self._numbers), _peer(writer))
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, ValueError):
                while line := await reader.readline():
                    writer.write(msgspec.json.encode(await self._answer(line, client)) + b"\n")
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()
            # A task of its own: what it heals is healed also when this one is cancelled.
            self._tasks.spawn(self._forget(client), "gone")

    async def _forget(self, client: Client) -> None:
        await self._gone(client)

    async def _answer(self, line: bytes, client: Client) -> Reply:
        try:
            request = msgspec.json.decode(line, type=Request)
            return await self._handle(request, client)
        except (msgspec.DecodeError, RelayError) as error:
            return Reply(ok=False, error=str(error))


async def listen_unix(
    path: Path,
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> asyncio.Server:
    """Listen on a unix socket to which nobody but the owner may connect."""
    return await asyncio.start_unix_server(serve, sock=_listener(path), limit=_LINE_BYTES)


async def open_unix(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a unix socket.

    Raises:
        OSError: nobody listens there.
    """
    with _short(path) as short:
        return await asyncio.open_unix_connection(short, limit=_LINE_BYTES)


def _listener(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    with _short(path) as short:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The mode is set before anybody can connect: without listen() nobody can.
        listener.bind(short)
    path.chmod(0o600)
    return listener


def _peer(writer: asyncio.StreamWriter) -> int | None:
    """The pid at the other end (SO_PEERCRED, unix(7)); None where the system does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    found = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, option, 12)
    return int.from_bytes(found[:4], sys.byteorder)


def control(path: Path, request: Request, timeout_s: float = 60.0) -> list[ProcessStatus]:
    """Send one request for processes to the supervisor that listens at `path`.

    Raises:
        WorldError: nobody listens there, no answer came in time, or it was refused.
    """
    return ask(path, request, timeout_s).processes or []


def ask(path: Path, request: Request, timeout_s: float = 60.0) -> Reply:
    """Send one request to the supervisor that listens at `path`, over a connection of its own.

    Raises:
        WorldError: nobody listens there, no answer came in time, or it was refused.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, _short(path) as short:
        connection.settimeout(timeout_s)
        try:
            connection.connect(short)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline()
        except TimeoutError as error:
            raise WorldError(f"{request.cmd}: not done within {timeout_s:.0f} s") from error
        except OSError as error:
            raise WorldError(
                f"no supervisor listens in {path.parent}: start one with `jetrelay up`"
            ) from error
    return read_reply(line)


def read_reply(line: bytes) -> Reply:
    """The supervisor's answer.

    Raises:
        WorldError: it refused, or ended before it answered.
    """
    if not line:
        raise WorldError("the supervisor ended before it answered")
    reply = msgspec.json.decode(line, type=Reply)
    if not reply.ok:
        raise WorldError(reply.error or "refused")
    return reply


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """`path`, short enough for a unix socket: through a link to its directory where it is not."""
    if len(os.fsencode(path)) <= _PATH_BYTES:
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="jetrelay-") as directory:
        link = Path(directory) / "s"
        link.symlink_to(path.parent, target_is_directory=True)
        yield str(link / path.name)
