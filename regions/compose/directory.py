"""The output directory: files are written whole, and what is not rendered any more goes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from regions.compose.render import Rendered
from regions.errors import WorldError

MANIFEST = ".rendered"
Action = Literal["create", "update", "remove"]


@dataclass(frozen=True, slots=True)
class Difference:
    """What is other in the directory than as rendered."""

    action: Action
    path: str


class Directory:
    """Where a deployment is rendered to.

    Args:
        path: of it.
        owner: user and group of the files that processes read; None: who runs this.
    """

    def __init__(self, path: Path, owner: tuple[int, int] | None) -> None:
        self._path = path
        self._owner = owner

    def read(self, name: str) -> bytes | None:
        """The content of a file; None: there is none.

        Raises:
            WorldError: it can't be read.
        """
        try:
            return (self._path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise WorldError(f"{self._path / name}: {error.strerror}") from error

    def differences(self, files: Sequence[Rendered]) -> list[Difference]:
        """What `write` would do.

        Raises:
            WorldError: a file can't be read.
        """
        found: list[Difference] = []
        for file in files:
            there = self.read(file.path)
            if there is None:
                found.append(Difference("create", file.path))
            elif there != file.data or not self._owned(file):
                found.append(Difference("update", file.path))
        names = {file.path for file in files}
        stale = [name for name in self._manifest() if name not in names]
        return found + [Difference("remove", name) for name in stale if self._exists(name)]

    def write(self, files: Sequence[Rendered]) -> list[Difference]:
        """Make the directory as rendered; what was done.

        Raises:
            WorldError: a file can't be written.
        """
        done = self.differences(files)
        changed = {each.path for each in done}
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            for file in files:
                if file.path in changed:
                    self._write(file)
            for each in done:
                if each.action == "remove":
                    self._remove(self._path / each.path)
            manifest = "".join(f"{file.path}\n" for file in files).encode()
            self._write(Rendered(MANIFEST, manifest, master=True))
        except OSError as error:
            raise WorldError(f"{error.filename or self._path}: {error.strerror}") from error
        return done

    def _owned(self, file: Rendered) -> bool:
        """Whether mode and owner are as they should be."""
        there = (self._path / file.path).stat()
        owner = self._owner if not file.master else None
        return there.st_mode & 0o777 == file.mode and owner in (None, (there.st_uid, there.st_gid))

    def _manifest(self) -> list[str]:
        names = (self.read(MANIFEST) or b"").decode().splitlines()
        return [name for name in names if self._inside(name)]

    def _inside(self, name: str) -> bool:
        return not name.startswith("/") and ".." not in name.split("/")

    def _exists(self, name: str) -> bool:
        return (self._path / name).is_file()

    def _write(self, file: Rendered) -> None:
        path = self._path / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        descriptor = os.open(temporary, flags, file.mode)
        try:
            with os.fdopen(descriptor, "wb") as open_file:
                open_file.write(file.data)
                os.fchmod(open_file.fileno(), file.mode)
                if self._owner is not None and not file.master:
                    os.fchown(open_file.fileno(), *self._owner)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        if path.parent != self._path and not any(path.parent.iterdir()):
            path.parent.rmdir()
