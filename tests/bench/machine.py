"""What the figures were measured on, and who used its cores."""

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

from regions.nats_server import require_nats_server, version_of

_TICKS = os.sysconf("SC_CLK_TCK")


def describe(directory: Path) -> str:
    """Cores, kernel and versions, how busy the machine is already, and the disk of `directory`."""
    nats = ".".join(map(str, version_of(require_nats_server())))
    p50, p99 = _fsync_ms(directory)
    return (
        f"{len(os.sched_getaffinity(0))} cores ({_cpu_model()}), Linux {platform.release()}, "
        f"Python {platform.python_version()}, nats-server {nats}, "
        f"load average before {os.getloadavg()[0]:.1f}, fsync p50 {p50:.2f} p99 {p99:.2f} ms"
    )


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU time that each process has used so far."""
    return {name: _cpu_seconds(pid) for name, pid in pids.items()}


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


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
