"""The state directory of a local world: what it keeps between starts, and how others find it.

lock            held by the living supervisor
secrets.json    passwords and keys, made once (0600)
ports.json      the port of every listener, kept once chosen
world.json      what runs now: supervisor, nats-servers, edges
control.sock    commands to the supervisor (0600)
wan.*           the process that carries the links, where they are not direct: what it is told, its
                log, and the socket (0600) over which the supervisor tells it
nats/<server>/  configuration (0600), store and log of a nats-server
edges/          configuration (0600) and log of each edge
"""

import fcntl
import os
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from regions.credentials import SecretsFile
from regions.errors import WorldError
from regions.world import World, WorldRecord

T = TypeVar("T")
DEFAULT_STATE = Path(".jetrelay")


class StateDir:
    """Paths and files of one state directory."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def control_socket(self) -> Path:
        """Where the supervisor takes commands."""
        return self.path / "control.sock"

    @property
    def wan_socket(self) -> Path:
        """Where the process that carries the links is told what to do."""
        return self.path / "wan.sock"

    @property
    def wan_config(self) -> Path:
        """Configuration file of the process that carries the links."""
        return self.path / "wan.json"

    @property
    def wan_log(self) -> Path:
        """Its log file."""
        return self.path / "wan.log"

    def server_dir(self, server: str) -> Path:
        """Directory of a nats-server."""
        return self.path / "nats" / server

    def server_config(self, server: str) -> Path:
        """Configuration file of a nats-server."""
        return self.server_dir(server) / "nats-server.conf"

    def server_store(self, server: str) -> Path:
        """Where a nats-server stores."""
        return self.server_dir(server) / "store"

    def edge_config(self, edge: str) -> Path:
        """Configuration file of an edge."""
        return self.path / "edges" / f"{edge}.json"

    def edge_log(self, edge: str) -> Path:
        """Log file of an edge."""
        return self.path / "edges" / f"{edge}.log"

    @property
    def salvage(self) -> Path:
        """Where events are saved that only a diverged mirror held."""
        return self.path / "salvage"

    def lock(self) -> IO[str]:
        """Create the directory and take it; hold the result, close it to let go.

        Raises:
            WorldError: the directory can't be made, or a living supervisor has it.
        """
        try:
            for path in (self.path, self.path / "nats", self.path / "edges"):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            file = (self.path / "lock").open("a", encoding="utf-8")
        except OSError as error:
            raise WorldError(f"{self.path}: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            record = self.world()
            supervisor = None if record is None else record.supervisor
            who = "" if supervisor is None else f" (pid {supervisor.pid})"
            raise WorldError(
                f"a world runs in {self.path}{who}: stop it, or use another --state"
            ) from error
        return file

    def secrets(self) -> SecretsFile:
        """The secrets so far.

        Raises:
            WorldError: the file is damaged.
        """
        return self._read("secrets.json", SecretsFile) or SecretsFile()

    def save_secrets(self, secrets: SecretsFile) -> None:
        """Write the secrets, readable by the owner alone."""
        self.write("secrets.json", secrets)

    def ports(self) -> dict[str, int]:
        """The ports so far: `<process>/<kind>` -> port."""
        return self._read("ports.json", dict[str, int]) or {}

    def save_ports(self, ports: dict[str, int]) -> None:
        """Write the ports."""
        self.write("ports.json", ports)

    def world(self) -> WorldRecord | None:
        """What `world.json` says, alive or not; None without one."""
        return self._read("world.json", WorldRecord)

    def save_world(self, record: WorldRecord) -> None:
        """Write `world.json`."""
        self.write("world.json", record)

    def forget_world(self) -> None:
        """Remove `world.json` and the control socket."""
        (self.path / "world.json").unlink(missing_ok=True)
        self.control_socket.unlink(missing_ok=True)

    def write(self, name: str, value: object) -> None:
        """Write `value` as JSON, whole or not at all, 0600."""
        text = msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
        write_private(self.path / name, text)

    def _read(self, name: str, kind: type[T]) -> T | None:
        path = self.path / name
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise WorldError(f"{path}: {error.strerror}") from error
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.DecodeError as error:
            raise WorldError(f"{path}: {error}; remove the directory to start afresh") from error


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read; a reader sees the old or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)


def find_local_world(path: Path = DEFAULT_STATE) -> World:
    """The world that a supervisor on this machine runs in the state directory `path`.

    Raises:
        WorldError: none does; the text says what to do.
    """
    world = find_world(path)
    if world.is_rendered:
        raise WorldError(
            f"{path} describes a deployment: its processes are in the hands of what runs them "
            "(`docker compose`, `systemctl`)"
        )
    return world


def find_world(path: Path = DEFAULT_STATE) -> World:
    """The world that runs in the state directory `path`.

    Raises:
        WorldError: none does; the text says what to do.
    """
    state = StateDir(path)
    record = state.world()
    if record is None:
        raise WorldError(f"no world in {path}: start one with `jetrelay up --state {path}`")
    world = World(record, state.secrets())
    if not world.is_alive:
        raise WorldError(
            f"the world in {path} is dead: `jetrelay up --state {path}` cleans up and starts anew"
        )
    return world
