"""This machine: what it is, and what it and its processes use."""

import os
import platform
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from regions.errors import ServerError
from regions.nats_server import require_nats_server, version_of
from relay import __version__

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


class Machine(msgspec.Struct, frozen=True):
    """On what it ran."""

    cores: int
    cpu: str
    system: str
    python: str
    jetrelay: str
    nats_server: str
    load_before: float  # load average of one minute
    load_after: float


@dataclass(frozen=True, slots=True)
class Use:
    """What a process uses: CPU s so far, bytes of memory, files that it has open."""

    cpu_s: float
    rss_bytes: int
    fds: int


@dataclass(frozen=True, slots=True)
class Host:
    """What the machine has: s of its cores so far, busy and in all; memory; s of I/O stalls.

    `io_s` is the time in which some task waited for a disk, where the kernel says so (PSI).
    """

    busy_s: float
    all_s: float
    free_bytes: int
    memory_bytes: int
    io_s: float | None


def use_of(pid: int) -> Use | None:
    """What a process uses; None: it is gone, or not ours to ask."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        fds = sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return None
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    return Use(cpu_s, int(fields[21]) * resource.getpagesize(), fds)


def own() -> Use:
    """What this process uses."""
    found = use_of(os.getpid())
    return found or Use(time.process_time(), 0, 0)


def host() -> Host:
    """What this machine has now."""
    ticks = [int(one) for one in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    all_s = sum(ticks) / _TICKS
    idle_s = (ticks[3] + ticks[4]) / _TICKS  # idle, and waiting for I/O
    memory = {}
    for line in (_PROC / "meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        memory[name] = int(rest.split()[0]) * 1024
    return Host(all_s - idle_s, all_s, memory["MemAvailable"], memory["MemTotal"], _stalled_s())


def _stalled_s() -> float | None:
    try:
        first = (_PROC / "pressure" / "io").read_text().split("\n", 1)[0]
    except OSError:
        return None
    return int(first.rpartition("total=")[2]) / 1e6


def describe(load_before: float) -> Machine:
    """This machine, now."""
    try:
        nats = ".".join(map(str, version_of(require_nats_server())))
    except ServerError:
        nats = "unknown"
    return Machine(
        cores=os.cpu_count() or 1,
        cpu=_cpu(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        jetrelay=__version__,
        nats_server=nats,
        load_before=load_before,
        load_after=round(os.getloadavg()[0], 2),
    )


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
