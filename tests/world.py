"""A real world for tests: `jetrelay up --headless` as a process, and what it says."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import msgspec

from regions.control import ProcessCmd, ProcessStatus, Request, control
from regions.events import Event, EventName, ReadyEdge, ReadyRegion
from regions.identity import Identity, end_all, is_alive
from regions.permissions import User
from regions.state import StateDir, find_world
from regions.world import World as Found
from relay.config import NatsConfig, TokenKey

START_S = 90.0
STOP_S = 15.0


class WorldFailedError(Exception):
    """The world did not do what the test needs; the text holds what it said."""


class World:
    """A running world. Not bound to an event loop: a thread reads what it says.

    `launch` and `end` block; `start` and `stop` are the same for coroutines.
    """

    def __init__(self, state_dir: Path, topology: str | None = None, *arguments: str) -> None:
        """Run in `state_dir`; `topology` is TOML text, None the built-in one."""
        self.state_dir = state_dir
        self.topology = topology
        self.arguments = arguments
        self.events: list[Event] = []
        self.regions: dict[str, ReadyRegion] = {}
        self.edges: dict[str, ReadyEdge] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._said = threading.Condition()
        self._seen: list[Identity] = []
        self._log = state_dir.with_name(state_dir.name + ".log")

    def launch(self, timeout_s: float = START_S) -> "World":
        """Start it and wait for `ready`."""
        self.events = []
        command = [str(Path(sys.executable).with_name("jetrelay")), "up", "--headless"]
        command += ["--state", str(self.state_dir), *self.arguments]
        if self.topology is not None:
            path = self.state_dir.with_name(self.state_dir.name + ".toml")
            path.write_text(self.topology)
            command += ["--topology", str(path)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        try:
            ready = self._await("ready", {}, 0, timeout_s)
        except WorldFailedError:
            self.end()
            raise
        self.regions = {region.name: region for region in ready.regions or []}
        self.edges = {edge.name: edge for region in self.regions.values() for edge in region.edges}
        self.processes()
        return self

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit code. Whatever it leaves is ended too: see `leftovers`."""
        assert self._process is not None
        self.processes()
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return code

    def clean(self) -> None:
        """End what is left of it, whatever happened before."""
        if self._process is not None and self._process.poll() is None:
            self.end()
        end_all(self.leftovers(), 1.0)

    async def start(self, timeout_s: float = START_S) -> "World":
        """`launch` for coroutines."""
        return await asyncio.to_thread(self.launch, timeout_s)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """`end` for coroutines."""
        return await asyncio.to_thread(self.end, number)

    async def __aenter__(self) -> "World":
        return await self.start()

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.clean)

    @property
    def pid(self) -> int:
        """The supervisor's pid."""
        assert self._process is not None
        return self._process.pid

    def kill_supervisor(self) -> None:
        """SIGKILL the supervisor alone; its children live on."""
        assert self._process is not None
        self.processes()
        self._process.kill()
        self._process.wait()

    def processes(self) -> list[Identity]:
        """The children that `world.json` names now; remembered for `leftovers`."""
        record = StateDir(self.state_dir).world()
        found = [] if record is None else record.processes()
        self._seen += [one for one in found if one not in self._seen]
        return found

    def leftovers(self) -> list[Identity]:
        """Children that were ever seen and live now."""
        self.processes()
        return [one for one in self._seen if is_alive(one)]

    def found(self) -> Found:
        """The world as other commands find it."""
        return find_world(self.state_dir)

    def nats_config(self, region: str, user: User = "edge") -> NatsConfig:
        """How `user` reaches the NATS of `region`."""
        return self.found().nats_config(region, user)

    def token_key(self) -> TokenKey:
        """The key that signs tokens for this world."""
        return self.found().issuer().key

    async def ctl(self, cmd: ProcessCmd, process: str | None = None) -> list[ProcessStatus]:
        """One request to the supervisor: `await world.ctl("kill", "us-1")`."""
        path = StateDir(self.state_dir).control_socket
        return await asyncio.to_thread(control, path, Request(cmd, process))

    async def event(
        self, name: EventName, *, since: int = 0, timeout_s: float = 30.0, **keys: object
    ) -> Event:
        """The first event `name` with these keys, at or after number `since` (`len(events)`)."""
        return await asyncio.to_thread(self._await, name, keys, since, timeout_s)

    def run(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """`jetrelay ARGUMENTS --state <this world's>`, to its end."""
        program = str(Path(sys.executable).with_name("jetrelay"))
        return subprocess.run(
            [program, *arguments, "--state", str(self.state_dir)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )

    def log(self) -> str:
        """What it said on stderr."""
        with contextlib.suppress(FileNotFoundError):
            return self._log.read_text()
        return ""

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                event = msgspec.json.decode(line, type=Event)
                with self._said:
                    self.events.append(event)
                    self._said.notify_all()
        with self._said:
            self._said.notify_all()

    def _await(
        self, name: EventName, keys: dict[str, object], since: int, timeout_s: float
    ) -> Event:
        assert self._process is not None
        deadline = time.monotonic() + timeout_s
        with self._said:
            while True:
                for event in self.events[since:]:
                    if event.event == name and all(
                        getattr(event, key) == value for key, value in keys.items()
                    ):
                        return event
                left = deadline - time.monotonic()
                if left <= 0 or self._process.poll() is not None:
                    said = "\n".join(str(event) for event in self.events)
                    raise WorldFailedError(f"no {name} {keys}\n{said}\n{self.log()}")
                self._said.wait(min(left, 0.5))


@contextmanager
def running(
    directory: Path, topology: str | None = None, *, orderly: bool = False
) -> Iterator[World]:
    """A world with its state beneath `directory`; nothing of it is left afterwards.

    `orderly`: it must end with exit code 0.
    """
    world = World(directory / "state", topology)
    try:
        yield world.launch()
        assert not orderly or world.end() == 0
    finally:
        world.clean()
    assert not world.leftovers()
