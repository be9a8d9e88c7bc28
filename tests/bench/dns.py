"""`python -m tests.bench.dns`: how many queries the name server answers on one core, and how fast.

The server is `jetrelay dns` in a running world of three regions, with a database of places: it
hears all edges and tries their doors meanwhile. The load is another process. Each query asks for
another client network (EDNS Client Subnet), of as many /24 as are given, and none is limited: first
as fast as answers come, then evenly spread: at half of that, and at half of what is promised.
"""

import argparse
import ipaddress
import os
import random
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.edns
import dns.message

from tests.bench.machine import describe
from tests.countries import REGIONS, write_cities
from tests.world import World

HOST = "127.0.0.1"
WINDOW = 64  # queries without an answer, at full speed
LOST_S = 1.0
TOPOLOGY = """
[clients]
geoip = "{places}"
[dns]
answers_per_s = 1_000_000_000.0
"""
LEAST_PER_S, MOST_P99_MS = 10_000, 5.0  # what is promised: the latter at half of the former


@dataclass(frozen=True)
class Run:
    """What came of one."""

    answers: int
    wrong: int  # of them: another code than NOERROR, or no address
    lost: int
    seconds: float
    cpu_s: float  # of the server
    took_ms: tuple[float, float, float]  # p50, p99, longest


@contextmanager
def served(directory: Path) -> Iterator[tuple[int, int]]:
    """`jetrelay dns` beside a world of three regions; its pid and port."""
    places = write_cities(directory / "cities.mmdb")
    topology = directory / "three.toml"
    topology.write_text(TOPOLOGY.format(places=places) + REGIONS)
    world = World(directory / "state", topology.read_text())
    try:
        world.launch()
        for each in world.processes():  # what the server listens to is not what is measured
            os.setpriority(os.PRIO_PROCESS, each.pid, 10)
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "dns", "--listen", f"{HOST}:0",
             "--state", str(world.state_dir), "--topology", str(topology)],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            if "is answered at" not in line:
                raise RuntimeError(line)
            yield process.pid, int(line.rsplit(":", 1)[1])
        finally:
            process.terminate()
            process.wait()
    finally:
        world.clean()


def cpu_s(pid: int) -> float:
    """The CPU time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def queries(count: int, seed: int) -> list[bytes]:
    """Queries of so many client networks."""
    dice = random.Random(seed)
    made: list[bytes] = []
    for number in dice.sample(range(1 << 24), count):
        address = str(ipaddress.IPv4Address(number << 8))
        options = [dns.edns.ECSOption(address, 24)]
        message = dns.message.make_query("relay.test", "A", use_edns=0, options=list(options), id=0)
        made.append(message.to_wire()[2:])
    return made


def load(pid: int, port: int, wires: list[bytes], seconds: float, rate: float | None) -> Run:
    """Ask for some seconds: with a window, or at a rate, whatever comes back."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.connect((HOST, port))
    sock.setblocking(False)
    waiting: dict[int, float] = {}
    took: list[float] = []
    sent = lost = wrong = 0
    began_cpu_s = cpu_s(pid)
    begin_s = now_s = time.perf_counter()
    while now_s - begin_s < seconds or waiting:
        now_s = time.perf_counter()
        over = now_s - begin_s >= seconds
        due = len(waiting) < WINDOW if rate is None else sent < (now_s - begin_s) * rate
        if due and not over:
            ident = sent & 0xFFFF
            # At a rate, a query is due at its time, whether or not there was time to send it.
            waiting[ident] = now_s if rate is None else begin_s + sent / rate
            sock.send(ident.to_bytes(2, "big") + wires[sent % len(wires)])
            sent += 1
        try:
            while True:
                data = sock.recv(2_048)
                asked_s = waiting.pop(int.from_bytes(data[:2], "big"), None)
                if asked_s is not None:
                    took.append(time.perf_counter() - asked_s)
                    wrong += data[3] & 0x0F != 0 or data[6:8] == bytes(2)
        except BlockingIOError:
            if not due or over:
                select.select([sock], [], [], 0.000_2)
        if over and waiting and now_s - begin_s > seconds + LOST_S:
            lost += len(waiting)
            waiting.clear()
    sock.close()
    took.sort()
    at = [took[len(took) // 2], took[len(took) * 99 // 100], took[-1]]
    p50, p99, longest = (each * 1000 for each in at)
    return Run(len(took), wrong, lost, seconds, cpu_s(pid) - began_cpu_s, (p50, p99, longest))


def main() -> int:
    """Run it. Exit codes: 0 no answer was lost or wrong, and it is as fast as promised; 1 else."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dns", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run")
    parser.add_argument("--networks", type=int, default=50_000, help="different client networks")
    options = parser.parse_args()
    wires = queries(options.networks, 1)
    with tempfile.TemporaryDirectory() as directory:
        print(describe(Path(directory)))
        with served(Path(directory)) as (pid, port):
            full = load(pid, port, wires, options.seconds, None)
            half = load(pid, port, wires, options.seconds, full.answers / full.seconds / 2)
            promised = load(pid, port, wires, options.seconds, LEAST_PER_S / 2)
    print(
        f"{'':>12}{'answers/s':>12}{'wrong':>8}{'lost':>8}"
        f"{'us of CPU':>12}{'p50 ms':>9}{'p99 ms':>9}{'max':>9}"
    )
    for name, run in (("full speed", full), ("half of it", half), ("promised", promised)):
        cost_us = run.cpu_s / run.answers * 1e6
        took = "".join(f"{each:>9.2f}" for each in run.took_ms)
        came = f"{run.answers / run.seconds:>12,.0f}{run.wrong:>8}{run.lost:>8}"
        print(f"{name:>12}{came}{cost_us:>12.1f}{took}")
    slow = full.answers / full.seconds < LEAST_PER_S or promised.took_ms[1] > MOST_P99_MS
    return 1 if slow or any(run.lost or run.wrong for run in (full, half, promised)) else 0


if __name__ == "__main__":
    sys.exit(main())
