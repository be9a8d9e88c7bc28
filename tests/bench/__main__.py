"""`python -m tests.bench`: latency in a region and across regions, as a table on stdout."""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.bench.load import SETTLE_S, Figures, Plan, run_publisher, run_subscriber
from tests.bench.machine import cpu_seconds, describe
from tests.raw import token
from tests.world import World

REGIONS = ("us", "eu", "ap")
CONNECT_S = 60.0


class BenchError(Exception):
    """The load could not be run."""


def main() -> int:
    """Run a world and a load, and print what was measured."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="jetrelay-bench-") as directory:
        print(f"machine  {describe(Path(directory))}")
        edges = f"edges = {arguments.edges}\n"
        topology = "\n".join(f'[[regions]]\nname = "{region}"\n{edges}' for region in REGIONS)
        topology += f'[streams]\nsync = "{arguments.sync}"\n'
        world = World(Path(directory) / "state", topology)
        try:
            world.launch()
            plan = Plan(
                urls={
                    name: [e.url for e in region.edges] for name, region in world.regions.items()
                },
                token=token(world, "bench"),
                rate=arguments.rate,
                warm_up_s=arguments.warm_up,
                duration_s=arguments.duration,
                rooms=arguments.rooms,
                connections=arguments.connections,
            )
            for name, pid in _pids(world).items():
                print(f"process  {name} {pid}", file=sys.stderr)
            published, delivered, busy = _run(plan, world)
        finally:
            world.clean()
    _print(plan, published, delivered, busy)
    problems = published.problems + delivered.problems
    for problem in dict.fromkeys(problems):
        print(f"problem: {problem} ({problems.count(problem)} times)", file=sys.stderr)
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rate", type=int, default=1_000, help="events/s, of all regions")
    parser.add_argument("--duration", type=float, default=20.0, help="measured seconds")
    parser.add_argument("--warm-up", type=float, default=4.0, help="seconds before")
    parser.add_argument("--rooms", type=int, default=30)
    parser.add_argument("--connections", type=int, default=3, help="each way, in each region")
    parser.add_argument("--edges", type=int, default=1, help="in each region")
    parser.add_argument("--sync", default="always", help="[streams] sync of the topology")
    return parser.parse_args()


def _run(plan: Plan, world: World) -> tuple[Figures, Figures, dict[str, float]]:
    """Both processes' figures, and each server process's share of a core meanwhile."""
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    processes: list[Any] = []
    try:
        for target in (run_subscriber, run_publisher):
            ours, theirs = context.Pipe()
            process = context.Process(target=target, args=(plan, theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
            _receive(ours, CONNECT_S)
        start_ns = time.monotonic_ns() + 200_000_000
        for pipe in pipes:
            pipe.send(start_ns)
        time.sleep(plan.warm_up_s + 0.2)
        pids, began = _pids(world), time.monotonic()
        before = cpu_seconds(pids)
        time.sleep(plan.duration_s)
        after, took_s = cpu_seconds(pids), time.monotonic() - began
        busy = {name: (after[name] - before[name]) / took_s for name in pids}
        delivered, published = (_receive(pipe, 2 * SETTLE_S) for pipe in pipes)
    finally:
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
    assert isinstance(delivered, Figures)
    assert isinstance(published, Figures)
    return published, delivered, busy


def _receive(pipe: Connection, timeout_s: float) -> object:
    if not pipe.poll(timeout_s):
        raise BenchError(f"a load process said nothing for {timeout_s:.0f} s")
    try:
        return pipe.recv()
    except EOFError as error:
        raise BenchError("a load process ended before its time") from error


def _pids(world: World) -> dict[str, int]:
    pids: dict[str, int | None] = {}
    for region in world.found().record.regions:
        pids |= {server.name: server.pid for server in region.nats}
        pids |= {edge.name: edge.pid for edge in region.edges}
    return {name: pid for name, pid in pids.items() if pid is not None}


# --- the table ---------------------------------------------------------------------------------


def _print(plan: Plan, published: Figures, delivered: Figures, busy: dict[str, float]) -> None:
    regions = list(plan.urls)
    print(
        f"load     {plan.rate:,} events/s in all for {plan.duration_s:g} s, after "
        f"{plan.warm_up_s:g} s of warm-up; {plan.rooms} rooms, each published and heard in "
        f"{len(regions)} regions; {plan.connections} + {plan.connections} connections a region"
    )
    print("\npublish -> acknowledged, ms")
    _table(("in", ""), ((region, "") for region in regions), published)
    print("\npublish -> delivered in the region, ms")
    _table(("from", "to"), ((region, region) for region in regions), delivered)
    print("\npublish -> delivered across regions (no distance between them), ms")
    pairs = [(a, b) for a in regions for b in regions if a != b]
    _table(("from", "to"), pairs, delivered)
    lag = sorted(published.lag)
    print(
        f"\ngenerator  publisher {published.cpu:.0%} of a core, subscriber {delivered.cpu:.0%}; "
        f"publishes late by p50 {_at(lag, 0.5)}, p99 {_at(lag, 0.99)}, max {_at(lag, 1)} ms"
    )
    print("servers    " + ", ".join(f"{name} {share:.0%}" for name, share in busy.items()))


def _table(heads: tuple[str, str], pairs: Iterable[tuple[str, str]], figures: Figures) -> None:
    print(f"  {heads[0]:<5}{heads[1]:<5}{'count':>8}{'p50':>9}{'p99':>9}{'max':>9}")
    for row in _rows(pairs, figures):
        print(row)


def _rows(pairs: Iterable[tuple[str, str]], figures: Figures) -> Iterator[str]:
    together: list[int] = []
    count = 0
    for pair in pairs:
        times = sorted(figures.times.get(tuple(name for name in pair if name), ()))
        together += times
        count += 1
        yield _row(pair, times)
    if count > 1:
        yield _row(("all", ""), sorted(together))


def _row(names: tuple[str, str], times: Sequence[int]) -> str:
    p50, p99, most = (_at(times, share) for share in (0.5, 0.99, 1.0))
    return f"  {names[0]:<5}{names[1]:<5}{len(times):>8,}{p50:>9}{p99:>9}{most:>9}"


def _at(times: Sequence[int], share: float) -> str:
    """The value below which `share` of the sorted times lie, in ms."""
    if not times:
        return "-"
    return f"{times[max(0, -(-len(times) * round(share * 1000) // 1000) - 1)] / 1e6:.2f}"


if __name__ == "__main__":
    raise SystemExit(main())
