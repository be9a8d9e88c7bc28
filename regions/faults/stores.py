"""What can be done to the stores of nats-servers: filled, limited, remembered and put back."""

import errno
import os
import shutil
from pathlib import Path

from regions.errors import WorldError
from regions.nats_config import limited_config, unlimited_config
from regions.state import StateDir, write_private

_BALLAST = "ballast"
_FOREIGN = ("lost+found", _BALLAST)  # what lies in a store and is not the server's
_PIECE = bytes(4096)


class Stores:
    """The stores below one state directory. Its methods block."""

    def __init__(self, state: StateDir) -> None:
        self._state = state

    def path(self, server: str) -> Path:
        """Where a nats-server stores."""
        return self._state.server_store(server)

    def fill(self, server: str) -> None:
        """Leave no room on the file system of a store, which must be one of its own.

        Raises:
            WorldError: it is not; filling it would fill the machine's disk.
        """
        store = self.path(server)
        if not store.is_mount():
            raise WorldError(f"{store} is not a file system of its own: it is not filled")
        with (store / _BALLAST).open("wb", buffering=0) as file:
            free = os.statvfs(store)
            try:
                if size := free.f_bavail * free.f_frsize:
                    os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            file.seek(0, os.SEEK_END)
            while True:  # what the estimate left
                try:
                    file.write(_PIECE)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    return

    def free(self, server: str) -> None:
        """Give the room back."""
        (self.path(server) / _BALLAST).unlink(missing_ok=True)

    def limit(self, server: str, *, limited: bool) -> None:
        """Write the configuration so that JetStream refuses to store more, or does not."""
        path = self._state.server_config(server)
        change = limited_config if limited else unlimited_config
        write_private(path, change(path.read_text()).encode())

    def remember(self, server: str) -> None:
        """Copy what is stored, for `restore`. Its server stands still or is down meanwhile."""
        copy = self._copy(server)
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.path(server), copy, ignore=_not_ours)

    def remembered(self, server: str) -> bool:
        """Whether there is a copy."""
        return self._copy(server).is_dir()

    def restore(self, server: str) -> None:
        """Put the copy back. Its server does not run meanwhile."""
        store = self.path(server)
        for found in store.iterdir():  # the store itself may be a mount
            if found.name in _FOREIGN:
                continue
            if found.is_dir():
                shutil.rmtree(found)
            else:
                found.unlink()
        shutil.copytree(self._copy(server), store, dirs_exist_ok=True)

    def clean(self, server: str) -> None:
        """Remove what faults left there: what fills it, and the copy."""
        self.free(server)
        shutil.rmtree(self._copy(server), ignore_errors=True)

    def _copy(self, server: str) -> Path:
        return self.path(server).with_name("snapshot")


def _not_ours(_directory: str, names: list[str]) -> list[str]:
    return [name for name in names if name in _FOREIGN]
