"""Virtual time: one scheduler, and an asyncio event loop for each simulated process.

The edge's own coroutines run on these loops unchanged. When nothing is ready, time jumps to the
next timer. Which of several processes that are ready runs first is a throw of the dice; within one
process the order is asyncio's.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from heapq import heappop, heappush
from typing import Any

MAX_TURNS = 200_000  # callbacks without time going on: a livelock
TIMER_JITTER_S = 0.001  # a timer fires late, never early
_GOLDEN = 0x9E3779B97F4A7C15  # spreads numbers that follow each other over 64 bits


class LivelockError(Exception):
    """Callbacks follow each other and time does not go on."""


class Handle:
    """A callback that waits for its turn, or for its time."""

    __slots__ = ("args", "callback", "dead", "loop", "time")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: "ProcessLoop | None" = None,
        time: float = 0.0,
    ) -> None:
        self.callback = callback
        self.args = args
        self.loop = loop
        self.time = time
        self.dead = False

    def cancel(self) -> None:
        """It is not to be called."""
        self.dead = True
        self.args = ()

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.dead

    def when(self) -> float:
        """The time it was made for."""
        return self.time


class Scheduler:
    """Everything that will happen, in the order of virtual time.

    Args:
        dice: chooses between processes that are ready at the same time.
    """

    def __init__(self, dice: random.Random) -> None:
        self.now = 0.0
        self.turns = 0  # callbacks run so far
        self._dice = dice
        self._heap: list[tuple[float, int, Handle]] = []
        self._count = 0
        self._ready: list[ProcessLoop] = []
        self.failures: list[str] = []  # callbacks that raised
        self._hashed = 0
        self._salt = int(dice.getstate()[1][1])

    def hash(self) -> int:
        """A hash for the next object that wants one: the seed decides it, not an address."""
        self._hashed += 1
        return (self._hashed + self._salt) * _GOLDEN % (1 << 61)

    def at(self, when: float, callback: Callable[..., object], *args: Any) -> Handle:
        """Call back at a time, outside of all processes."""
        handle = Handle(callback, args, None, when)
        self.push(when, handle)
        return handle

    def after(self, delay_s: float, callback: Callable[..., object], *args: Any) -> Handle:
        """Call back in a while, outside of all processes."""
        return self.at(self.now + delay_s, callback, *args)

    def push(self, when: float, handle: Handle) -> None:
        """Put a handle among the timers."""
        self._count += 1
        heappush(self._heap, (when, self._count, handle))

    def ready(self, loop: "ProcessLoop") -> None:
        """A process has something to do now."""
        self._ready.append(loop)

    def run(self, until: float, stop: Callable[[], bool] | None = None) -> bool:
        """Let time pass up to `until`, or until `stop` says so (asked whenever time goes on).

        Raises:
            LivelockError: time did not go on.
        """
        heap, ready = self._heap, self._ready
        turns = 0
        while True:
            while ready:
                at = int(self._dice.random() * len(ready)) if len(ready) > 1 else 0
                loop = ready[at]
                ready[at] = ready[-1]
                ready.pop()
                turns += loop.turn()
                if turns > MAX_TURNS:
                    raise LivelockError(f"at {self.now:.3f} s")
            if not heap or heap[0][0] > until:
                self.now = max(self.now, until)
                return False
            when, _, handle = heappop(heap)
            if handle.dead:
                continue
            if when > self.now:
                if stop is not None and stop():
                    heappush(heap, (when, 0, handle))
                    return True
                self.now = when
                self.turns += turns
                turns = 0
            if handle.loop is not None:
                handle.loop.enqueue(handle)
            else:
                turns += 1
                handle.callback(*handle.args)


def hashed_by_seed(self: Any) -> int:
    """`__hash__` of an object of a simulated process. Python's own is the object's address, and
    would let the memory decide in which order a set of such objects is gone through.
    """
    known: dict[str, Any] = self.__dict__
    if "_hash" not in known:
        loop: ProcessLoop = asyncio.get_running_loop()  # type: ignore[assignment]
        known["_hash"] = loop.scheduler.hash()
    found: int = known["_hash"]
    return found


class SimTask(asyncio.Task[Any]):
    """A task of a simulated process."""

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            loop: ProcessLoop = self.get_loop()  # type: ignore[assignment]
            self._hash: int = loop.scheduler.hash()
            return self._hash


def _no_network(_address: str, _name: str) -> Any:
    raise OSError("this process has no network")


class ProcessLoop(asyncio.AbstractEventLoop):
    """The event loop of one process. It can be stopped, continued and killed from outside."""

    def __init__(self, scheduler: Scheduler, name: str, dice: random.Random) -> None:
        self.scheduler = scheduler
        self.name = name
        self.skew_s = 0.0  # of its wall clock
        self.stopped = False  # SIGSTOP: callbacks wait
        self.killed = False  # SIGKILL: nothing runs any more, not even a `finally`
        self.dice = dice
        self.connect: Callable[[str, str], Any] = _no_network
        self._ready: deque[Handle] = deque()
        self._queued = False

    # --- processes -----------------------------------------------------------------------------

    def turn(self) -> int:
        """Run what is ready now, as one iteration of asyncio's loop does."""
        self._queued = False
        if self._halted():
            return 0
        asyncio._set_running_loop(self)
        try:
            count = len(self._ready)
            for _ in range(count):
                handle = self._ready.popleft()
                if handle.dead:
                    continue
                try:
                    handle.callback(*handle.args)
                except Exception as error:
                    self.scheduler.failures.append(f"{self.name}: {error!r}")
                if self._halted():  # by what was called
                    break
        finally:
            asyncio._set_running_loop(None)
        if self._ready:
            self._wake()
        return count

    def _halted(self) -> bool:
        return self.stopped or self.killed

    def enqueue(self, handle: Handle) -> None:
        """The handle's turn has come."""
        self._ready.append(handle)
        self._wake()

    def _wake(self) -> None:
        if not self._queued and not self.killed and not self.stopped:
            self._queued = True
            self.scheduler.ready(self)

    def proceed(self) -> None:
        """SIGCONT."""
        self.stopped = False
        if self._ready:
            self._wake()

    # --- what asyncio asks for -----------------------------------------------------------------

    def time(self) -> float:
        return self.scheduler.now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, self)
        self._ready.append(handle)
        if not self._queued:
            self._wake()
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any,
        context: Context | None = None,
    ) -> Handle:  # fmt: skip
        return self.call_at(self.scheduler.now + delay, callback, *args)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any,
        context: Context | None = None,
    ) -> Handle:  # fmt: skip
        handle = Handle(callback, args, self, when)
        self.scheduler.push(when + self.dice.random() * TIMER_JITTER_S, handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:  # fmt: skip
        task = SimTask(coro, loop=self, name=name)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.scheduler.failures.append(f"{self.name}: {context}")
