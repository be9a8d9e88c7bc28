"""Which process a pid means: pids are used again, a pid and a start time are not."""

import os
import signal
import time
from pathlib import Path

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """A process of this boot: its pid and its start time in clock ticks since boot."""

    pid: int
    started: int


def identify(pid: int) -> Identity | None:
    """The process that has `pid` now; None if there is none, or only its corpse."""
    found = _stat(pid)
    return None if found is None else Identity(pid, found)


def is_alive(process: Identity) -> bool:
    """Whether that very process still runs; a zombie does not."""
    return _stat(process.pid) == process.started


def send(process: Identity, number: signal.Signals) -> bool:
    """Send a signal to that very process; False if it is gone."""
    if not is_alive(process):
        return False
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def end_all(processes: list[Identity], grace_s: float) -> list[Identity]:
    """End processes that may not be our children: SIGTERM, then SIGKILL. Returns who is left."""
    for process in processes:
        send(process, signal.SIGTERM)
        send(process, signal.SIGCONT)  # a stopped process would not see it
    left = _wait_gone(processes, grace_s)
    for process in left:
        send(process, signal.SIGKILL)
    return _wait_gone(left, 5.0)


def boot_id() -> str:
    """Names this boot of the machine: start times of another boot mean nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _wait_gone(processes: list[Identity], timeout_s: float) -> list[Identity]:
    deadline = time.monotonic() + timeout_s
    while True:
        left = [process for process in processes if is_alive(process)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


def _stat(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat (proc(5)), unless the process is dead."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before may hold anything
    return None if fields[0] in "ZXx" else int(fields[19])
