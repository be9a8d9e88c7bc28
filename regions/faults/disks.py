"""A small file system of its own for each nats-server's store, so that it can be filled.

An ext4 image beside the store, mounted over it. Needs Linux, root, `mkfs.ext4` and loop devices.
Without them JetStream's own limit is what can be reached (see `regions/faults/stores.py`).
"""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from regions.errors import WorldError

_MB = 1024**2
_NEEDED = ("mkfs.ext4", "mount", "umount")


class Disks:
    """The file systems of one world's stores. Its methods block."""

    def __init__(self) -> None:
        self._mounted: list[Path] = []

    def prepare(self, store: Path, size_mb: int | None) -> None:
        """Put `store` on a file system of its own; what was stored on it before is still there.

        `size_mb` None: on none of its own, also where a world was killed that had one.

        Raises:
            WorldError: it can't be made here; the text says why.
        """
        if store.is_mount():
            _run("umount", str(store))
        if size_mb is None:
            return
        if why := why_not():
            raise WorldError(f"small disks: {why}")
        image = store.with_name("store.img")
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not image.exists() or image.stat().st_size != size_mb * _MB:
            with image.open("wb") as file:
                file.truncate(size_mb * _MB)
            _run("mkfs.ext4", "-q", "-m", "0", str(image))
        _run("mount", "-o", "loop", str(image), str(store))
        self._mounted.append(store)

    def close(self) -> None:
        """Take them away; the images stay."""
        for store in self._mounted:
            with suppress(WorldError):
                _run("umount", str(store))
        self._mounted.clear()


def why_not() -> str | None:
    """Why there can be no file systems of their own here; None when there can."""
    if os.geteuid() != 0:
        return "mounting a file system needs root"
    missing = [program for program in _NEEDED if shutil.which(program) is None]
    if missing:
        return f"no {', '.join(missing)} here"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices here"
    return None


def _run(*command: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are our own
            command, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorldError(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise WorldError(f"{' '.join(command)}: {done.stderr.strip()}")
