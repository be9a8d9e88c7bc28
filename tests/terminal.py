"""A terminal for tests and benchmarks: a command runs in it, keys are pressed, bytes come."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

PATIENCE_S = 20.0
KEPT_BYTES = 1 << 20
QUIET_S = 0.06  # without a byte: what was drawn is drawn
COLOURS = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
_COLOURING = frozenset({"TERM", "COLORTERM", "NO_COLOR", "TEXTUAL_COLOR_SYSTEM"})
SEQUENCES = re.compile(
    rb"\x1b\[[0-9;?<>=]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_].*?\x1b\\"
)


class TerminalError(Exception):
    """The command ended, or did not draw what was waited for."""


class Terminal:
    """A terminal in which a command runs.

    Args:
        command: it.
        size: columns and lines.
        env: variables beside those that are there; colours: as many as there are.
    """

    def __init__(
        self, command: Sequence[str], size: tuple[int, int], env: Mapping[str, str] = COLOURS
    ) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in _COLOURING}
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=kept | dict(env),
            start_new_session=True,
        )
        os.close(theirs)
        self._ours = ours
        self.drawn = b""  # all that was read, of the newest megabyte

    def read(self, until_s: float) -> bytes:
        """What is drawn until then, `time.monotonic`; at most one piece."""
        left_s = max(0.0, until_s - time.monotonic())
        if not select.select([self._ours], [], [], left_s)[0]:
            return b""
        try:
            piece = os.read(self._ours, KEPT_BYTES)
        except OSError as error:
            raise TerminalError("the command ended") from error
        self.drawn = (self.drawn + piece)[-KEPT_BYTES:]
        return piece

    def wait(self, pattern: str) -> float:
        """Read until such text was drawn. When that was, `time.monotonic`."""
        limit_s = time.monotonic() + PATIENCE_S
        drawn, text = b"", ""
        while time.monotonic() < limit_s:
            drawn += self.read(limit_s)
            text = SEQUENCES.sub(b"", drawn).decode(errors="replace")
            if re.search(pattern, text):
                return time.monotonic()
        raise TerminalError(
            f"{pattern!r} was not drawn within {PATIENCE_S:g} s, but\n{text[-3000:]}"
        )

    def rest(self) -> float:
        """Read until nothing is drawn. When the last byte came, `time.monotonic`."""
        last_s = time.monotonic()
        while self.read(time.monotonic() + QUIET_S):
            last_s = time.monotonic()
        return last_s

    def after_a_repaint(self) -> None:
        """Wait for a repaint, and for its end: the next one is most of an interval away."""
        self.rest()
        if not self.read(time.monotonic() + PATIENCE_S):
            raise TerminalError(f"nothing was drawn for {PATIENCE_S:g} s")
        self.rest()

    def press(self, key: str) -> float:
        """Press a key. When that was, `time.monotonic`."""
        pressed_s = time.monotonic()
        os.write(self._ours, key.encode())
        return pressed_s

    def drain(self, seconds: float) -> None:
        """Let it draw for so long."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self.read(until_s)

    def hang_up(self) -> None:
        """Close it, with the command in it: no signal is sent, since it controls no session."""
        os.close(self._ours)
        self._ours = -1

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        if self._ours >= 0:
            os.close(self._ours)
