"""One supervised process, with shell scripts in its place."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from regions.process import Command, Notice, Process


class Child:
    """A process that runs a script, and what was said of it."""

    def __init__(self, directory: Path, script: str) -> None:
        self.notices: list[Notice] = []
        self.ready = directory / "ready"
        log = directory / "log"
        command = Command(
            name="child",
            kind="edge",
            region="us",
            argv=("/bin/sh", "-c", script.replace("READY", str(self.ready))),
            output=log,
            log=log,
            quick=signal.SIGINT,
            gentle=signal.SIGTERM,
            quick_s=0.5,
            gentle_s=5.0,
        )
        self.process = Process(command, self._is_ready, self._noticed)

    async def _is_ready(self) -> bool:
        return self.ready.exists()

    def _noticed(self, process: Process, notice: Notice) -> None:
        self.notices.append(notice)
        if notice == "down":
            self.ready.unlink(missing_ok=True)

    async def dead(self) -> None:
        """Wait for the end of a life."""
        async with asyncio.timeout(10):
            await self.process.wait_dead()

    async def up(self) -> None:
        """Wait until it serves."""
        async with asyncio.timeout(10):
            await self.process.wait_up()


@pytest.fixture
async def children() -> AsyncIterator[list[Child]]:
    """Children that a test makes: ended whatever happens."""
    made: list[Child] = []
    yield made
    for child in made:
        await child.process.close()


async def test_a_wrong_configuration_is_reported_and_tried_again(
    tmp_path: Path, children: list[Child]
) -> None:
    child = Child(tmp_path, "echo 'config.json: unknown key `prot`'; exit 3")
    children.append(child)
    child.process.launch()
    await child.dead()
    death = child.process.death
    assert death is not None
    assert (death.code, death.was_up, death.retry_in_s) == (3, False, 0.5)
    assert child.process.last_words() == "config.json: unknown key `prot`"
    assert child.process.state == "waiting"
    async with asyncio.timeout(10):
        while child.process.death == death:
            await asyncio.sleep(0.05)
    again = child.process.death
    assert again is not None
    assert again.retry_in_s == 1.0


async def test_a_killed_process_comes_back_and_a_stopped_one_does_not(
    tmp_path: Path, children: list[Child]
) -> None:
    child = Child(tmp_path, "touch READY; exec sleep 60")
    children.append(child)
    child.process.launch()
    await child.up()
    first = child.process.identity
    await child.process.kill()
    await child.up()
    assert child.process.identity not in (first, None)
    await child.process.end(gentle=True)
    assert child.process.state == "stopped"
    assert child.notices == ["spawned", "up", "down"] * 2
    await asyncio.sleep(0.7)
    assert child.process.identity is None


async def test_a_process_that_ignores_the_signal_is_killed_in_the_end(
    tmp_path: Path, children: list[Child]
) -> None:
    child = Child(tmp_path, "trap '' INT; touch READY; while :; do sleep 1; done")
    children.append(child)
    child.process.launch()
    await child.up()
    async with asyncio.timeout(5):
        await child.process.end()
    assert child.process.death is not None
    assert child.process.death.code == -signal.SIGKILL


async def test_a_restart_waits_for_no_backoff(tmp_path: Path, children: list[Child]) -> None:
    child = Child(tmp_path, "touch READY; exec sleep 60")
    children.append(child)
    child.process.launch()
    await child.up()
    await child.process.restart()
    assert child.process.death is not None
    assert (child.process.death.code, child.process.death.retry_in_s) == (-signal.SIGTERM, 0.0)
    await child.up()
    assert child.process.starts == 2


async def test_a_child_that_is_not_on_record_yet_ends_with_its_supervisor(tmp_path: Path) -> None:
    """The gate: without the word from the supervisor the program never starts."""
    child = Child(tmp_path, "touch READY; exec sleep 60")
    spawned = await child.process._spawn()
    assert spawned.stdin is not None
    spawned.stdin.close()
    async with asyncio.timeout(5):
        assert await spawned.wait() != 0
    assert not child.ready.exists()
