"""`python -m tests.bench.console`: what the console costs over a large fleet, and how soon a key
is answered. The console is the real one, in a terminal of its own, behind a real nats-server; the
fleet is told by another process (`tests.bench.fleet`). A table on stdout; exit code 1: a bound is
missed.
"""

import argparse
import fcntl
import multiprocessing
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from regions.nats_server import require_nats_server
from tests.bench.fleet import Size, tell
from tests.bench.machine import cpu_seconds, describe

COLUMNS, ROWS = 200, 50
CORE_SHARE = 0.15
RSS_BYTES = 200e6
KEY_S = 0.100
PATIENCE_S = 20.0
QUIET_S = 0.06  # without a byte: what was drawn is drawn
TRIES = 12  # of each key

# What each screen shows and no other does.
SCREENS = {
    "1": ("fleet", "Mirror lag, ms"),
    "2": ("edges", r"Edges \("),
    "3": ("clients", "Clients"),
    "4": ("rooms", "Rooms"),
    "5": ("streams", "Streams"),
    "6": ("steering", r"Regions \("),
    "7": ("drills", "Drills"),
    "8": ("events", "go to that time"),
}
SEQUENCES = re.compile(
    rb"\x1b\[[0-9;?<>=]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_].*?\x1b\\"
)


class BenchError(Exception):
    """There is nothing to measure."""


@dataclass
class Measured:
    """One screen."""

    screen: str
    share: float = 0.0  # of a core
    rss_bytes: int = 0
    keys_s: list[float] = field(default_factory=list)


class Terminal:
    """A terminal in which the console runs, as far as a clock needs one."""

    def __init__(self, command: list[str]) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        env = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
        )
        os.close(theirs)
        self._ours = ours

    def read(self, until_s: float) -> bytes:
        """What is drawn until then, `time.monotonic`; at most one piece."""
        left_s = max(0.0, until_s - time.monotonic())
        if not select.select([self._ours], [], [], left_s)[0]:
            return b""
        try:
            return os.read(self._ours, 1 << 20)
        except OSError as error:
            raise BenchError("the console ended") from error

    def wait(self, pattern: str) -> float:
        """Read until such text was drawn. When that was, `time.monotonic`."""
        limit_s = time.monotonic() + PATIENCE_S
        drawn, text = b"", ""
        while time.monotonic() < limit_s:
            drawn += self.read(limit_s)
            text = SEQUENCES.sub(b"", drawn).decode(errors="replace")
            if re.search(pattern, text):
                return time.monotonic()
        raise BenchError(f"{pattern!r} was not drawn within {PATIENCE_S:g} s, but\n{text[-3000:]}")

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
            raise BenchError(f"nothing was drawn for {PATIENCE_S:g} s")
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

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


def main() -> int:
    """Measure, and say it."""
    options = _options()
    size = Size(options.regions, options.edges, options.clients)
    with tempfile.TemporaryDirectory(prefix="jetrelay-bench-") as directory:
        print(f"machine  {describe(Path(directory))}")
        print(
            f"fleet    {size.regions} regions, {size.edges} edges, {size.clients:,} clients; "
            f"terminal {COLUMNS}×{ROWS}"
        )
        with _nats(Path(directory)) as url, _told(size, url), _console(url) as it:
            print(f"{'screen':10} {'of a core':>10} {'memory':>9} {'key p50':>9} {'max':>8}")
            missed = [_print(_measure(it, key, options.duration)) for key in SCREENS]
    print(f"bounds     {CORE_SHARE:10.1%} {RSS_BYTES / 1e6:6.0f} MB {'':9} {KEY_S * 1e3:5.0f} ms")
    return 1 if any(missed) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.console", description=__doc__)
    parser.add_argument("--regions", type=int, default=12)
    parser.add_argument("--edges", type=int, default=300, help="of all regions")
    parser.add_argument("--clients", type=int, default=1_000_000, help="of all edges")
    parser.add_argument("--duration", type=float, default=30.0, help="measured seconds a screen")
    return parser.parse_args()


@contextmanager
def _nats(directory: Path) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    server = subprocess.Popen(
        [
            require_nats_server(),
            "-a",
            "127.0.0.1",
            "-p",
            str(port),
            "-js",
            "-sd",
            directory / "nats",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        _answers(port)
        yield f"nats://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _answers(port: int) -> None:
    limit_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < limit_s:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise BenchError("nats-server did not start")


@contextmanager
def _told(size: Size, url: str) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    teller = context.Process(target=tell, args=(size, url, theirs), daemon=True)
    teller.start()
    theirs.close()
    try:
        if not ours.poll(PATIENCE_S):
            raise BenchError("the fleet does not speak")
        yield
    finally:
        ours.close()
        teller.terminate()
        teller.join()


@contextmanager
def _console(url: str) -> Iterator[Terminal]:
    command = [sys.executable, "-m", "cli", "console", "--nats", url, "--region", "r00"]
    terminal = Terminal(command)
    try:
        terminal.wait("ready")
        terminal.drain(70.0)  # until a minute of all edges is known, and Python has grown
        yield terminal
    finally:
        terminal.close()


def _measure(terminal: Terminal, key: str, duration_s: float) -> Measured:
    name, mark = SCREENS[key]
    pid = terminal.process.pid
    found = Measured(name)
    away = "1" if key != "1" else "2"
    for at in range(TRIES):
        if at or key == "1":  # else it is still there
            terminal.press(away)
            terminal.wait(SCREENS[away][1])
        terminal.after_a_repaint()
        pressed_s = terminal.press(key)
        found.keys_s.append(terminal.wait(mark) - pressed_s)
    for _ in range(TRIES):
        terminal.after_a_repaint()
        pressed_s = terminal.press("\x1b[B")  # down
        if terminal.read(pressed_s + 0.3):
            found.keys_s.append(terminal.rest() - pressed_s)
    before, began_s = cpu_seconds({"it": pid})["it"], time.monotonic()
    terminal.drain(duration_s)
    found.share = (cpu_seconds({"it": pid})["it"] - before) / (time.monotonic() - began_s)
    found.rss_bytes = _rss_bytes(pid)
    return found


def _rss_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def _print(screen: Measured) -> bool:
    """Say it. Whether a bound is missed."""
    keys = sorted(screen.keys_s)
    print(
        f"{screen.screen:10} {screen.share:10.1%} {screen.rss_bytes / 1e6:6.0f} MB "
        f"{keys[len(keys) // 2] * 1e3:6.0f} ms {keys[-1] * 1e3:5.0f} ms",
        flush=True,
    )
    return screen.share > CORE_SHARE or screen.rss_bytes > RSS_BYTES or keys[-1] > KEY_S


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    sys.exit(main())
