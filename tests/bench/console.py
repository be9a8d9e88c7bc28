"""`python -m tests.bench.console`: what the console costs over a large fleet, and how soon a key
is answered. The console is the real one, in a terminal of its own, behind a real nats-server; the
fleet is told by another process (`tests.bench.fleet`). A table on stdout; exit code 1: a bound is
missed.
"""

import argparse
import math
import multiprocessing
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from regions.nats_server import require_nats_server
from tests.bench.fleet import Size, tell
from tests.bench.machine import cpu_seconds, describe
from tests.terminal import PATIENCE_S, Terminal, TerminalError

COLUMNS, ROWS = 200, 50
CORE_SHARE = 0.15
RSS_BYTES = 200e6
KEY_S = 0.100  # for 95 of 100 keys
ANSWER_S = 0.3  # that the cursor may take; else it counts as that much
TRIES = 24  # of each key

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
EMPTY = frozenset("34")  # screens that show no row here, since edges are asked and none answers


@dataclass
class Measured:
    """One screen."""

    screen: str
    share: float = 0.0  # of a core
    rss_bytes: int = 0
    keys_s: list[float] = field(default_factory=list)


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
            heads = f"{'of a core':>10} {'memory':>9} {'key p50':>9} {'p95':>8} {'max':>8}"
            print(f"{'screen':10} {heads}")
            missed = [_print(_measure(it, key, options.duration)) for key in SCREENS]
    print(f"bounds     {CORE_SHARE:10.1%} {RSS_BYTES / 1e6:6.0f} MB {'':9} {KEY_S * 1e3:5.0f} ms")
    return 1 if any(missed) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.console", description=__doc__)
    parser.add_argument("--regions", type=int, default=12)
    parser.add_argument("--edges", type=int, default=300, help="of all regions")
    parser.add_argument("--clients", type=int, default=1_000_000, help="of all edges")
    parser.add_argument("--duration", type=float, default=15.0, help="measured seconds a screen")
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
    raise TerminalError("nats-server did not start")


@contextmanager
def _told(size: Size, url: str) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    teller = context.Process(target=tell, args=(size, url, theirs), daemon=True)
    teller.start()
    theirs.close()
    try:
        if not ours.poll(PATIENCE_S):
            raise TerminalError("the fleet does not speak")
        yield
    finally:
        ours.close()
        teller.terminate()
        teller.join()


@contextmanager
def _console(url: str) -> Iterator[Terminal]:
    command = [sys.executable, "-m", "cli", "console", "--nats", url, "--region", "r00"]
    terminal = Terminal(command, (COLUMNS, ROWS))
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
    dice = random.Random(key)
    for at in range(TRIES):
        if at or key == "1":  # else it is still there
            terminal.press(away)
            terminal.wait(SCREENS[away][1])
        # At any moment: also while frames are read, and while the screen is drawn anew.
        terminal.drain(dice.uniform(0.0, 1.5))
        pressed_s = terminal.press(key)
        found.keys_s.append(terminal.wait(mark) - pressed_s)
    for _ in range(0 if key in EMPTY else TRIES):
        terminal.after_a_repaint()  # else what is drawn is not known to be the answer
        pressed_s = terminal.press("\x1b[B")  # down
        answered = terminal.read(pressed_s + ANSWER_S)
        found.keys_s.append(terminal.rest() - pressed_s if answered else ANSWER_S)
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
    p95_s = keys[math.ceil(len(keys) * 0.95) - 1]
    print(
        f"{screen.screen:10} {screen.share:10.1%} {screen.rss_bytes / 1e6:6.0f} MB "
        f"{keys[len(keys) // 2] * 1e3:6.0f} ms {p95_s * 1e3:5.0f} ms {keys[-1] * 1e3:5.0f} ms",
        flush=True,
    )
    return screen.share > CORE_SHARE or screen.rss_bytes > RSS_BYTES or p95_s > KEY_S


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    sys.exit(main())
