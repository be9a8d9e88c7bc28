"""The world that a drill starts for itself, where none runs."""

import asyncio
import contextlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from regions.children import ended
from regions.drills.world_process import Begin
from regions.errors import DrillError
from regions.events import Event
from regions.programs import EDGE_PROGRAM
from regions.topology import LinkMode, Topology

START_S = 180.0
STOP_S = 40.0
LINE_BYTES = 1024**2


class OwnWorld:
    """A world in a directory of its own; `stop` it in any case.

    Args:
        directory: of its state; its log stands beside it.
        topology: what it is.
        links: how its regions are joined; as slow as their distances, if not directly.
        disk_mb: the size of each store's file system; None: the machine's own disk.
        edge_program: what runs an edge; one with a fault of its own, where that is to be found.
    """

    def __init__(
        self,
        directory: Path,
        topology: Topology,
        links: LinkMode,
        disk_mb: int | None,
        edge_program: Sequence[str] = EDGE_PROGRAM,
    ) -> None:
        self.directory = directory.absolute()
        self.links = links
        self.log = directory.with_name(f"{directory.name}.log")
        self._begin = Begin(
            str(self.directory), topology.text, topology.where, links, disk_mb, tuple(edge_program)
        )
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until everything serves.

        Raises:
            DrillError: it does not come up; the text has its last words.
        """
        with self.log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "regions.drills.world_process",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LINE_BYTES,
                start_new_session=True,  # Ctrl-C is for the drill, which ends it
            )  # fmt: skip
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(msgspec.json.encode(self._begin) + b"\n")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                while line := await self._child.stdout.readline():
                    if msgspec.json.decode(line, type=Event).event == "ready":
                        return
        words = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise DrillError(f"the drill's own world does not start: {' '.join(words) or self.log}")

    async def drop_output(self) -> None:
        """Read what it says, so that it never waits for a reader; for ever."""
        assert self._child is not None
        assert self._child.stdout is not None
        while await self._child.stdout.read(LINE_BYTES):
            pass

    async def stop(self) -> None:
        """End it."""
        child = self._child
        if child is None:
            return
        assert child.stdin is not None
        child.stdin.close()
        await ended(child, STOP_S)

    def forget_stores(self) -> None:
        """Remove what its nats-servers stored; configurations and logs stay."""
        for found in (self.directory / "nats").glob("*/store"):
            shutil.rmtree(found, ignore_errors=True)
        for found in (self.directory / "nats").glob("*/store.img"):
            found.unlink(missing_ok=True)
