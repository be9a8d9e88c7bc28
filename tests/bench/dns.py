"""`python -m tests.bench.dns`: how many queries the name server answers on one core, and how fast.

The server is a process of its own with the zone of three regions and a database of places; the load
is another one. Each query asks for another client network (EDNS Client Subnet), of as many /24 as
are given: first as fast as answers come, then evenly spread, at half of that.
"""

import argparse
import asyncio
import ipaddress
import multiprocessing
import random
import resource
import select
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import dns.edns
import dns.message
import uvloop

from regions.dns.answers import Answers
from regions.dns.query import Network
from regions.dns.server import Bounds, DnsServer
from regions.dns.zone import Entrance, Zone, ZoneConfig
from relay.core.steering import Candidate, Place, State, Verdict, choose, shares
from relay.geo.atlas import Atlas
from tests.bench.machine import describe
from tests.countries import write_cities

HOST = "127.0.0.1"
WINDOW = 64  # queries without an answer, at full speed
LOST_S = 1.0
OK = Verdict(State.OK, "all edges are ready", admits=True)
REGIONS = (
    Candidate("us", Place(39.0, -77.5), OK, 0, 18_000),
    Candidate("eu", Place(50.1, 8.7), OK, 0, 18_000),
    Candidate("ap", Place(1.35, 103.8), OK, 0, 18_000),
)


@dataclass(frozen=True)
class Run:
    """What came of one."""

    answers: int
    lost: int
    seconds: float
    cpu_s: float  # of the server
    took_ms: tuple[float, float, float]  # p50, p99, longest


def serve(pipe: Pipe, places: Path) -> None:
    """The server, until something is said to it; says its port, and its CPU time when asked."""
    atlas, orders = Atlas(places), dict[Network, tuple[str, ...]]()

    def order(network: Network) -> tuple[str, ...]:
        known = orders.get(network)
        if known is None:
            given = shares(REGIONS, atlas.find(network.network_address).whence)
            known = orders[network] = tuple(choose(given, str(network).encode()))
        return known

    async def run() -> None:
        entrances = tuple(
            Entrance(each.name, (ipaddress.ip_address(f"192.0.2.{at}"),))
            for at, each in enumerate(REGIONS, 1)
        )
        zone = Zone(ZoneConfig("relay.test", entrances))
        server = DnsServer(Answers(zone, order), Bounds(answers_per_s=1e9))
        pipe.send((await server.start(HOST, 0))[1])
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def asked() -> None:
            if pipe.recv() == "end":
                ended.set()
            usage = resource.getrusage(resource.RUSAGE_SELF)
            pipe.send(usage.ru_utime + usage.ru_stime)

        loop.add_reader(pipe.fileno(), asked)
        await ended.wait()
        await server.close()

    uvloop.run(run())


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


def load(pipe: Pipe, port: int, wires: list[bytes], seconds: float, rate: float | None) -> Run:
    """Ask for some seconds: with a window, or at a rate, whatever comes back."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.connect((HOST, port))
    sock.setblocking(False)
    waiting: dict[int, float] = {}
    took: list[float] = []
    sent = lost = 0
    pipe.send("cpu")
    cpu_s = pipe.recv()
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
        except BlockingIOError:
            if not due or over:
                select.select([sock], [], [], 0.000_2)
        if over and waiting and now_s - begin_s > seconds + LOST_S:
            lost += len(waiting)
            waiting.clear()
    sock.close()
    pipe.send("cpu")
    took.sort()
    at = [took[len(took) // 2], took[len(took) * 99 // 100], took[-1]]
    p50, p99, longest = (each * 1000 for each in at)
    return Run(len(took), lost, seconds, pipe.recv() - cpu_s, (p50, p99, longest))


def main() -> int:
    """Run it. Exit codes: 0 no answer was lost, 1 some were."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dns", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run")
    parser.add_argument("--networks", type=int, default=50_000, help="different client networks")
    options = parser.parse_args()
    wires = queries(options.networks, 1)
    with tempfile.TemporaryDirectory() as directory:
        places = write_cities(Path(directory) / "cities.mmdb")
        print(describe(Path(directory)))
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, places))
        server.start()
        port = ours.recv()
        full = load(ours, port, wires, options.seconds, None)
        half = load(ours, port, wires, options.seconds, full.answers / full.seconds / 2)
        ours.send("end")
        ours.recv()
        server.join()
    print(
        f"{'':>12}{'answers/s':>12}{'lost':>8}{'us of CPU':>12}{'p50 ms':>9}{'p99 ms':>9}{'max':>9}"
    )
    for name, run in (("full speed", full), ("half of it", half)):
        cost_us = run.cpu_s / run.answers * 1e6
        took = "".join(f"{each:>9.2f}" for each in run.took_ms)
        print(f"{name:>12}{run.answers / run.seconds:>12,.0f}{run.lost:>8}{cost_us:>12.1f}{took}")
    return 1 if full.lost or half.lost else 0


if __name__ == "__main__":
    sys.exit(main())
