"""One supervised process: started, watched, started again with backoff, and told what to do."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from regions.backoff import next_delay
from regions.identity import Identity, identify, send
from regions.topology import Watch
from relay.tasks import Tasks

Kind = Literal["nats", "edge", "wan"]
State = Literal["starting", "up", "waiting", "held", "stopped"]
Notice = Literal["spawned", "up", "down", "hung", "awake"]

# The child waits until it is on record: if the supervisor dies first, it ends instead of becoming
# an orphan that nobody knows. `exec` keeps pid and start time.
_GATE = 'read -r _ && exec "$@" </dev/null'
_LOG_BYTES = 16 * 1024**2  # then the log of the last lives is put aside once
_TAIL_BYTES = 4096
_ASK_S = 2.0  # how often one that is up is asked whether it is hung, at most


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and how it ends."""

    name: str
    kind: Kind
    region: str
    argv: tuple[str, ...]
    output: Path  # stdout and stderr are appended
    log: Path  # where its last words are found; the same file, or its own
    quick: signal.Signals  # ends it at once
    gentle: signal.Signals  # ends it with care for others: an edge drains
    quick_s: float  # then SIGKILL
    gentle_s: float


@dataclass(frozen=True, slots=True)
class Death:
    """How the last life of a process ended."""

    code: int
    reason: str
    was_up: bool
    retry_in_s: float | None


_WATCH = Watch()


class Process:
    """A process that is wanted, or not; while it is, a dead one is started again."""

    def __init__(
        self,
        command: Command,
        ready: Callable[[], Awaitable[bool]],
        notify: Callable[["Process", Notice], None],
        *,
        answers: Callable[[], Awaitable[bool]] | None = None,
        watch: Watch = _WATCH,
    ) -> None:
        """`ready`: whether it serves; `answers`: whether it answers anything at all."""
        self.command = command
        self.state: State = "stopped"
        self.identity: Identity | None = None
        self.paused = False
        self.hung = False  # it was up, runs, and does not answer
        self.starts = 0
        self.death: Death | None = None
        self._ready = ready
        self._answers = answers
        self._watch = watch
        self._notify = notify
        self._tasks = Tasks(command.name)
        self._wanted = asyncio.Event()
        self._wake = asyncio.Event()
        self._gone = asyncio.Event()
        self._gone.set()
        self._up = asyncio.Event()
        self._dead = asyncio.Event()  # set by each death until the next life
        self._reason: str | None = None
        self._delay_s = 0.0

    @property
    def name(self) -> str:
        """Its name, unique in the world."""
        return self.command.name

    def launch(self) -> None:
        """Want it to run from now on."""
        if not self._wanted.is_set():
            self.state = "starting"
        self._delay_s = 0.0
        self._wanted.set()
        self._wake.set()
        if not len(self._tasks):
            self._tasks.spawn(self._run(), "run")

    async def wait_up(self) -> None:
        """Wait until it serves."""
        await self._up.wait()

    async def wait_dead(self) -> None:
        """Wait until a life of it has ended."""
        await self._dead.wait()

    async def end(self, *, gentle: bool = False) -> None:
        """End it and do not start it again."""
        self._unwant("stopped")
        await self._end(gentle=gentle)

    async def hold(self) -> None:
        """SIGKILL it, and keep it down until `launch`."""
        self._unwant("held")
        self._send(signal.SIGKILL)
        await self._gone.wait()

    async def restart(self) -> None:
        """End it gently, and start it again at once."""
        self._reason = "restarted"
        await self._end(gentle=True)
        self.launch()

    async def kill(self) -> None:
        """SIGKILL it; it is started again after the backoff."""
        self._reason = "killed"
        self._send(signal.SIGKILL)
        await self._gone.wait()

    def pause(self) -> bool:
        """Stop it where it is; False if it does not run."""
        self.paused = self._send(signal.SIGSTOP)
        return self.paused

    def resume(self) -> bool:
        """Let it go on; False if it does not run."""
        self.paused = False
        return self._send(signal.SIGCONT)

    async def close(self) -> None:
        """Forget it; whatever still runs is killed."""
        self._unwant("stopped")
        self._send(signal.SIGKILL)
        await self._gone.wait()
        await self._tasks.close()

    def last_words(self) -> str:
        """The last line of its log that says more than a date, or nothing."""
        for path in (self.command.output, self.command.log):
            with suppress(OSError), path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
                lines = file.read().decode("utf-8", "replace").splitlines()
                said = [line.strip() for line in lines if line.strip()]
                if said:
                    return said[-1][-300:]
        return ""

    def _unwant(self, reason: Literal["held", "stopped"]) -> None:
        self._wanted.clear()
        self._wake.set()
        self._reason = reason
        if self.identity is None:
            self.state = reason

    def _send(self, number: signal.Signals) -> bool:
        return self.identity is not None and send(self.identity, number)

    async def _end(self, *, gentle: bool) -> None:
        command = self.command
        self._send(command.gentle if gentle else command.quick)
        self._send(signal.SIGCONT)  # a paused process would not see it
        try:
            async with asyncio.timeout(command.gentle_s if gentle else command.quick_s):
                await self._gone.wait()
        except TimeoutError:
            self._send(signal.SIGKILL)
            await self._gone.wait()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            began = time.monotonic()
            self._reason = None
            code = await self._live()
            was_up = self._up.is_set()
            self._after(code, was_up=was_up, alive_s=time.monotonic() - began)
            if self.death is not None and self.death.retry_in_s:
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.death.retry_in_s):
                        await self._wake.wait()

    async def _live(self) -> int:
        self._dead.clear()
        self._up.clear()
        self.state = "starting"
        self.paused = False
        self.starts += 1
        self._gone.clear()
        try:
            child = await self._spawn()
        except OSError:
            return 127
        self.identity = identify(child.pid)
        self._notify(self, "spawned")
        if not self._wanted.is_set():
            self._send(signal.SIGKILL)  # told so while it was being spawned
        assert child.stdin is not None
        with suppress(ConnectionError):
            child.stdin.write(b"go\n")
            await child.stdin.drain()
        child.stdin.close()
        probe = self._tasks.spawn(self._probe(), "probe")
        code = await child.wait()
        probe.cancel()
        self.identity = None
        self.hung = False
        return code

    async def _spawn(self) -> asyncio.subprocess.Process:
        with _open_log(self.command.output) as log:
            return await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", _GATE, "sh", *self.command.argv,
                stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    async def _probe(self) -> None:
        pause_s = 0.05
        while not await self._ready():
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.5)
        self.state = "up"
        self._up.set()
        self._notify(self, "up")
        if self._answers is not None:
            await self._ask(self._answers)

    async def _ask(self, answers: Callable[[], Awaitable[bool]]) -> None:
        """Ask again and again whether it is hung: an exit code never comes from one that is."""
        heard_s = time.monotonic()
        while True:
            await asyncio.sleep(min(_ASK_S, self._watch.hung_s / 3))
            asked_s = time.monotonic()
            if await answers():
                heard_s = asked_s
                if self.hung:
                    self.hung = False
                    self._notify(self, "awake")
                continue
            silent_s = time.monotonic() - heard_s
            if silent_s >= self._watch.hung_s and not self.hung:
                self.hung = True
                self._notify(self, "hung")
            limit_s = self._watch.restart_hung_s
            if limit_s is not None and silent_s >= limit_s:
                self._reason = "hung"
                self._send(signal.SIGKILL)
                return

    def _after(self, code: int, *, was_up: bool, alive_s: float) -> None:
        """Decide what follows a death, and say so. No await: nobody sees a half of it."""
        reason = self._reason or "exited"
        retry_in_s: float | None = None
        if not self._wanted.is_set():
            self.state = "held" if reason == "held" else "stopped"
        elif reason == "restarted":
            retry_in_s, self.state = 0.0, "starting"
        else:
            self._delay_s = retry_in_s = next_delay(self._delay_s, alive_s)
            self.state = "waiting"
        self.death = Death(code, reason, was_up, retry_in_s)
        self._up.clear()
        self._dead.set()
        self._gone.set()
        self._notify(self, "down")


def _open_log(path: Path) -> IO[bytes]:
    with suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_name(path.name + ".1"))
    path.touch(mode=0o600)
    return path.open("ab")
