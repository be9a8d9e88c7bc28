"""What the figures were measured on, and who used its cores."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from regions import machine


def describe(directory: Path) -> str:
    """Cores, kernel and versions, how busy the machine is already, and the disk of `directory`."""
    here = machine.describe(os.getloadavg()[0])
    p50, p99 = _fsync_ms(directory)
    return (
        f"{len(os.sched_getaffinity(0))} cores ({here.cpu}), {here.system}, "
        f"Python {here.python}, nats-server {here.nats_server}, "
        f"load average before {here.load_before:.1f}, fsync p50 {p50:.2f} p99 {p99:.2f} ms"
    )


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU time that each process has used so far."""
    uses = {name: machine.use_of(pid) for name, pid in pids.items()}
    return {name: use.cpu_s for name, use in uses.items() if use is not None}


def _fsync_ms(directory: Path, times: int = 200) -> tuple[float, float]:
    """p50 and p99 of appending 512 B to a file and waiting until they are on disk."""
    took: list[int] = []
    with (directory / "fsync").open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(bytes(512))
            began = time.monotonic_ns()
            os.fsync(file)
            took.append(time.monotonic_ns() - began)
    took.sort()
    return took[times // 2] / 1e6, took[times * 99 // 100] / 1e6
