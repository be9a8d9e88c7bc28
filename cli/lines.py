"""Lines of stdin, and the end of a command by a signal or a closed pipe."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TextIO

AHEAD = 64  # lines read before they are wanted


async def read_lines(file: TextIO) -> AsyncIterator[str]:
    """The lines of `file` without their ends, read by a thread that nobody has to wait for."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    room = threading.Semaphore(AHEAD)

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants more
            for line in file:
                room.acquire()
                loop.call_soon_threadsafe(queue.put_nowait, line.rstrip("\r\n"))
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while (line := await queue.get()) is not None:
        room.release()
        yield line


def run_until_signal(main: Coroutine[Any, Any, int]) -> int:
    """Run `main` for its exit code; SIGINT, SIGTERM and a closed stdout end it with 0."""

    async def guarded() -> int:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        return await main

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        return 0
    except BrokenPipeError:
        # What is still buffered has nowhere to go, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
