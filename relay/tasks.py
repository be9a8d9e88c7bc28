"""Tasks that are never forgotten: the one place that may create them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

_log = logging.getLogger("jetrelay.tasks")

_PATIENCE_S = 1.0
AGAIN_S = 1.0


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them at once, to the end of all. The first that fails ends the others; its error is
    raised when nothing of them runs any more.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


class Tasks:
    """The background tasks of one owner: kept until done, failures logged, ended by `close()`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `coroutine` as a task called `<owner>.<name>`."""
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self._name}.{name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def keep(self, act: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Run `act` as a task that is needed as long as its owner: if it fails, it begins again.

        Args:
            act: what it does, mostly for ever.
            name: of the task.
        """

        async def again() -> None:
            while True:
                try:
                    await act()
                except Exception:
                    _log.exception("task %s.%s failed, and begins again", self._name, name)
                    await asyncio.sleep(AGAIN_S)
                else:
                    return

        self.spawn(again(), name)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task %s failed", task.get_name(), exc_info=error)

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        """Cancel what runs and wait until all of it has ended."""
        current = asyncio.current_task()
        while pending := [task for task in self._tasks if task is not current]:
            for task in pending:
                task.cancel()
            # Again and again: a library may swallow a cancellation that meets it while it closes.
            await asyncio.wait(pending, timeout=_PATIENCE_S)
