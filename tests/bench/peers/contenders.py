"""The servers that are measured, and how each is started: a process, and a port that it took."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.peers.dialects import Centrifugo, Dialect, Jetrelay, Plain, SocketIo
from tests.raw import token
from tests.world import World

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CACHE = Path(os.environ.get("JETRELAY_PEERS", ROOT / ".jetrelay" / "peers"))
CENTRIFUGO = "github.com/centrifugal/centrifugo/v6@latest"
START_S, INSTALL_S = 20.0, 900.0


class MissingError(Exception):
    """A contender can't be run here; the text says why."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: where, how to speak to it, and whose CPU and memory are its own."""

    port: int
    dialect: Dialect
    pids: Mapping[str, int]
    others: Mapping[str, int]  # what it needs besides: a nats-server


@dataclass(frozen=True, slots=True)
class Contender:
    """One server: its name, what it is, and how it is started, in a directory of its own."""

    name: str
    what: str
    start: Callable[[Path], Iterator[Running]]

    @contextmanager
    def running(self) -> Iterator[Running]:
        """The server, while it is used.

        Raises:
            MissingError: it can't be run here.
        """
        with tempfile.TemporaryDirectory(prefix=f"bench-{self.name}-") as directory:
            steps = self.start(Path(directory))
            try:
                yield next(steps)
            finally:
                next(steps, None)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _process(command: list[str], port: int, dialect: Dialect, cwd: Path) -> Iterator[Running]:
    with (cwd / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=ROOT, env={**os.environ, "NODE_ENV": "production"}
        )
    try:
        _await(process, port, cwd / "log")
        yield Running(port, dialect, {"server": process.pid}, {})
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends_s = time.monotonic() + START_S
    while time.monotonic() < ends_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    said = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise MissingError(f"it does not start: {' '.join(said)}")


def _python(module: str, directory: Path) -> Iterator[Running]:
    port = _free_port()
    command = [sys.executable, "-m", f"tests.bench.peers.{module}", str(port)]
    yield from _process(command, port, Plain(), directory)


def _bare(directory: Path) -> Iterator[Running]:
    yield from _python("bare", directory)


def _library(directory: Path) -> Iterator[Running]:
    yield from _python("library", directory)


def _node(script: str, dialect: Dialect, directory: Path) -> Iterator[Running]:
    node = shutil.which("node")
    if node is None:
        raise MissingError("there is no node")
    port = _free_port()
    command = [node, str(_modules() / script), str(port)]
    yield from _process(command, port, dialect, directory)


def _modules() -> Path:
    """The scripts beside what they need, installed once."""
    where = CACHE / "node"
    if not (where / "node_modules" / "socket.io").is_dir():
        npm = shutil.which("npm")
        if npm is None:
            raise MissingError("there is no npm")
        where.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "node" / "package.json", where)
        _install([npm, "install", "--no-audit", "--no-fund", "--silent"], where)
    for script in (HERE / "node").glob("*.js"):
        shutil.copy(script, where)
    return where


def _install(command: list[str], cwd: Path, **environment: str) -> None:
    try:
        subprocess.run(
            command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True,
            check=True, timeout=INSTALL_S,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout).strip().splitlines()[-1:]
        raise MissingError(f"{command[0]} could not install it: {' '.join(last)}") from error
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"{command[0]} did not end in {INSTALL_S:g} s") from error


def _ws(directory: Path) -> Iterator[Running]:
    yield from _node("ws.js", Plain(), directory)


def _socketio(directory: Path) -> Iterator[Running]:
    yield from _node("socketio.js", SocketIo(), directory)


def _centrifugo(directory: Path) -> Iterator[Running]:
    binary = CACHE / "centrifugo"
    if not binary.is_file():
        go = shutil.which("go")
        if go is None:
            raise MissingError("there is no go to build it with")
        CACHE.mkdir(parents=True, exist_ok=True)
        _install([go, "install", CENTRIFUGO], CACHE, GOBIN=str(CACHE))
    port = _free_port()
    config = {
        "http_server": {"address": "127.0.0.1", "port": port},
        "log": {"level": "error"},
        "client": {"insecure": True},
        "channel": {
            "without_namespace": {
                "allow_subscribe_for_client": True,
                "allow_publish_for_client": True,
            },
            "namespaces": [
                {
                    "name": "bench",
                    "allow_subscribe_for_client": True,
                    "allow_publish_for_client": True,
                }
            ],
        },
    }
    path = directory / "config.json"
    path.write_text(json.dumps(config))
    yield from _process([str(binary), "--config", str(path)], port, Centrifugo(), directory)


def _jetrelay(directory: Path, window_ms: float = 0) -> Iterator[Running]:
    limits = f"""[limits]
connections_per_s = 100000
publishes_per_s = 100000
fanout_window_ms = {window_ms:g}
"""
    topology = f'[[regions]]\nname = "us"\nedges = 1\n\n{limits}'
    world = World(directory / "state", topology)
    try:
        world.launch()
        [region] = world.found().record.regions
        [edge], servers = region.edges, region.nats
        assert edge.pid is not None
        port = int(edge.url.rpartition(":")[2].partition("/")[0])
        others = {server.name: server.pid for server in servers if server.pid is not None}
        yield Running(port, Jetrelay(token(world, "bench")), {"edge": edge.pid}, others)
    finally:
        world.clean()


def _gathering(directory: Path) -> Iterator[Running]:
    yield from _jetrelay(directory, 10)


CONTENDERS = {
    one.name: one
    for one in (
        Contender("jetrelay", "an edge and its nats-server: each event on disk first", _jetrelay),
        Contender("jetrelay-10ms", "as that, with events gathered for 10 ms", _gathering),
        Contender("bare", "transport.write of ready bytes, uvloop: the bound", _bare),
        Contender("websockets", "the websockets library's broadcast(), uvloop", _library),
        Contender("ws", "ws on Node.js", _ws),
        Contender("socket.io", "Socket.IO 4 on Node.js", _socketio),
        Contender("centrifugo", "Centrifugo 6, in memory, without history", _centrifugo),
    )
}
