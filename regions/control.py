"""The control socket: other commands tell a supervisor what to do, in JSON lines."""

import asyncio
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

from regions.errors import WorldError
from relay.errors import RelayError

Cmd = Literal["status", "stop", "hold", "start", "restart", "kill", "pause", "continue"]
_PATH_BYTES = 100  # sun_path holds 108


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line to the supervisor."""

    cmd: Cmd
    process: str | None = None  # not with `status`


class ProcessStatus(msgspec.Struct, frozen=True):
    """One process of the world."""

    name: str
    kind: Literal["nats", "edge"]
    region: str
    state: Literal["starting", "up", "waiting", "held", "stopped"]
    pid: int | None
    paused: bool
    starts: int
    url: str
    last_exit: int | None = None


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line back; `error` says why it was not done."""

    ok: bool
    error: str | None = None
    processes: list[ProcessStatus] | None = None  # those concerned; all with `status`


Handler = Callable[[Request], Awaitable[list[ProcessStatus]]]


class ControlServer:
    """Listens on the control socket and hands each request to the supervisor."""

    def __init__(self, path: Path, handle: Handler) -> None:
        self._path = path
        self._handle = handle
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen; nobody but the owner may connect."""
        self._path.unlink(missing_ok=True)
        with _short(self._path) as path:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            # The mode is set before anybody can connect: without listen() nobody can.
            listener.bind(path)
        self._path.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener)

    async def close(self) -> None:
        """Stop listening and drop who is connected."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, ValueError):
                while line := await reader.readline():
                    writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> Reply:
        try:
            request = msgspec.json.decode(line, type=Request)
            return Reply(ok=True, processes=await self._handle(request))
        except (msgspec.DecodeError, RelayError) as error:
            return Reply(ok=False, error=str(error))


def control(path: Path, request: Request, timeout_s: float = 60.0) -> list[ProcessStatus]:
    """Send one request to the supervisor that listens at `path`.

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
    if not line:
        raise WorldError("the supervisor ended before it answered")
    reply = msgspec.json.decode(line, type=Reply)
    if not reply.ok:
        raise WorldError(reply.error or "refused")
    return reply.processes or []


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
