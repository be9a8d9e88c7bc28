"""Background tasks: kept, reported, and ended."""

import asyncio
import logging

import pytest

from relay import tasks as module
from relay.tasks import Tasks


async def test_close_ends_what_runs() -> None:
    tasks = Tasks("t")
    task = tasks.spawn(asyncio.sleep(60), "sleep")
    await tasks.close()
    assert task.cancelled()
    assert len(tasks) == 0


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.01)
    swallowed: list[int] = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append(1)

    tasks = Tasks("t")
    task = tasks.spawn(stubborn(), "stubborn")
    await asyncio.sleep(0)
    await tasks.close()
    assert task.cancelled()
    assert swallowed == [1]


async def test_a_failure_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("why")

    tasks = Tasks("owner")
    with caplog.at_level(logging.ERROR):
        task = tasks.spawn(fail(), "work")
        await asyncio.wait([task])
        await asyncio.sleep(0)
    assert "owner.work" in caplog.text
    assert "why" in caplog.text


async def test_a_task_that_is_kept_begins_again_when_it_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    turns: list[int] = []
    done = asyncio.Event()

    async def fragile() -> None:
        turns.append(len(turns))
        if len(turns) < 3:
            raise ValueError("not yet")
        done.set()

    tasks = Tasks("t")
    with caplog.at_level(logging.ERROR):
        tasks.keep(fragile, "fragile")
        async with asyncio.timeout(5):
            await done.wait()
    await tasks.close()
    assert turns == [0, 1, 2]
    assert caplog.text.count("task t.fragile failed, and begins again") == 2
