"""What must be so before anything is broken: else a drill would measure something else."""

import asyncio
import resource
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from regions.control import ProcessStatus
from regions.drills.signs import Watchman
from regions.errors import DrillError
from regions.faults.client import Faults

HEALTHY_S = 45.0
LOOK_S = 0.2
FREE_BYTES = 1024**3
FILES_BESIDES = 200  # open files of a crowd's process besides its sockets


def check_room(report: Path, clients: int) -> None:
    """See that there is room for the report, and that a process may have so many sockets.

    Raises:
        DrillError: there is not.
    """
    free = shutil.disk_usage(report).free
    if free < FREE_BYTES:
        raise DrillError(
            f"{report}: {free // 1024**2} MiB free, at least {FREE_BYTES // 1024**2} are needed"
        )
    needed = clients + FILES_BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise DrillError(
                f"{clients} clients need {needed} open files, {hard} are allowed: `ulimit -n`"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


async def broken_already(faults: Faults) -> str | None:
    """Whether something is broken before the drill breaks anything; None: nothing is."""
    _, held = await faults.overview()
    return f"something is broken already: {held[0].text}" if held else None


def not_serving(processes: Sequence[ProcessStatus]) -> str | None:
    """A process that does not serve, and how it is; None: all do."""
    for one in processes:
        if one.state != "up" or one.paused:
            return f"{one.name} is {'paused' if one.paused else one.state}"
    return None


async def check_healthy(
    faults: Faults, watchman: Watchman, refused: Mapping[str, str] | None = None
) -> None:
    """Wait until every process serves and every mirror is current, and nothing is broken.

    Args:
        faults: the world's supervisor.
        watchman: hears telemetry meanwhile.
        refused: region -> why its NATS lets us hear none, as far as known by now.

    Raises:
        DrillError: it is not so in time, or telemetry is refused; the text says what is wrong.
    """
    if broken := await broken_already(faults):
        raise DrillError(broken)
    begin_s = time.monotonic()
    while True:
        processes = await faults.processes()
        edges = {one.name for one in processes if one.kind == "edge"}
        silent = sorted(edges - set(watchman.frames))
        unheard = f"nothing is heard of {silent[0]}" if silent else None
        why = not_serving(processes) or unheard or watchman.unwell(time.monotonic(), begin_s)
        if why is None:
            return
        for region, reason in (refused or {}).items():
            raise DrillError(
                f"{region}: the login of `console` may not hear telemetry ({reason}): "
                f"give `jetrelay up` --creds {region}:console=FILE"
            )
        if time.monotonic() - begin_s > HEALTHY_S:
            raise DrillError(f"the world is not healthy, so nothing was broken: {why}")
        await asyncio.sleep(LOOK_S)
