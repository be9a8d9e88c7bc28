"""`python -m tests.soak`: a herd resumes on one edge; what it cost, as a table on stdout."""

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.machine import cpu_seconds, describe
from tests.metrics import metrics
from tests.raw import token
from tests.soak.bounds import Bounds, Row
from tests.soak.fold import Fold, folds
from tests.soak.herd import Plan
from tests.soak.member import Tally
from tests.soak.talk import Talk
from tests.world import World

TOPOLOGY = """
[[regions]]
name = "us"
edges = 2

[[regions]]
name = "eu"
edges = 1
"""
ORIGINS = 2
CALM_S = 5.0  # in which it is counted what an edge reads without a herd
ROW = "  {:<34}{:>12}{:>12}"


async def soak(arguments: argparse.Namespace, world: World, all_folds: list[Fold]) -> bool:
    """Run both returns and print them. Returns whether all was within bounds."""
    plan = Plan(token(world, "member"), arguments.rooms)
    urls = {"us": world.edges["us-2"].url, "eu": world.edges["eu-1"].url}
    async with Talk(world, urls) as talk:
        first, second = "us-1", "us-2"
        await everywhere(all_folds, "come", world.edges[first].url, arguments.clients / 200)
        await talk.say(plan.names, 2)
        lacking = await lack(all_folds, talk)
        print(f"in       {arguments.clients} clients, {lacking} events lacking", file=sys.stderr)

        async def back(edge: str) -> Row:
            return await return_of(world, edge, plan, talk, all_folds, arguments)

        await everywhere(all_folds, "go")
        await talk.say(plan.names, arguments.missed)
        warm = await back(first)
        await world.ctl("kill", first)
        await everywhere(all_folds, "go")
        await talk.say(plan.names, arguments.missed)
        cold = await back(second)
        await everywhere(all_folds, "go")
    tally = Tally()
    for each in await everywhere(all_folds, "tally"):
        tally.add(each)
    show(arguments, warm, cold, tally)
    bounds = Bounds(arguments.within, arguments.reads, arguments.rss_mib)
    rows, places = {"same edge": warm, "another": cold}, arguments.rooms * ORIGINS
    exceeded = bounds.exceeded(arguments.clients, places, rows, tally)
    print(
        f"verdict  {'MISSED' if exceeded else 'pass'}: all back within {bounds.back_s:g} s, "
        f"at most {bounds.reads:g} reads a room and origin, {bounds.rss_mib:g} MiB, nothing "
        "missing or repeated"
    )
    for text in exceeded:
        print(f"missed   {text}")
    return not exceeded


def cpu_of(world: World, edge: str) -> float:
    """CPU time that an edge has used, in s."""
    regions = world.found().record.regions
    pid = next(one.pid for region in regions for one in region.edges if one.name == edge)
    return cpu_seconds({edge: pid or 0})[edge]


async def everywhere(all_folds: list[Fold], act: str, *details: object) -> list[Any]:
    """Let every process of the herd do something."""
    return await asyncio.gather(*(asyncio.to_thread(f.ask, act, *details) for f in all_folds))


async def lack(all_folds: list[Fold], talk: Talk) -> int:
    """How many events the herd still lacks when it had time to get them."""
    return sum(await everywhere(all_folds, "caught_up", dict(talk.said)))


async def return_of(
    world: World,
    edge: str,
    plan: Plan,
    talk: Talk,
    all_folds: list[Fold],
    arguments: argparse.Namespace,
) -> Row:
    """The herd comes back to `edge`, while people go on talking."""
    calm, calm_s = await metrics(world, edge), time.monotonic()
    await asyncio.sleep(CALM_S)
    before, cpu_s = await metrics(world, edge), cpu_of(world, edge)
    before_s = time.monotonic()
    calm_reads_per_s = (before["reads_total"] - calm["reads_total"]) / (before_s - calm_s)
    peak = before["rss_bytes"]
    done = asyncio.Event()

    async def until_done(act: Callable[[], Awaitable[None]], pause_s: float) -> None:
        while not done.is_set():
            await act()
            await asyncio.sleep(pause_s)

    async def watch() -> None:
        nonlocal peak
        peak = max(peak, (await metrics(world, edge))["rss_bytes"])

    async def chat() -> None:
        await talk.say(plan.names[:: max(len(plan.names) // 5, 1)], 1)

    async with asyncio.TaskGroup() as group:
        group.create_task(until_done(watch, 0.5))
        group.create_task(until_done(chat, 0.5))
        began_s = time.monotonic()
        await everywhere(all_folds, "come", world.edges[edge].url, arguments.spread)
        took_s = time.monotonic() - began_s
        done.set()
    lacking = await lack(all_folds, talk)
    after = await metrics(world, edge)
    calm_reads = calm_reads_per_s * (time.monotonic() - before_s)
    tally = Tally()
    for each in await everywhere(all_folds, "resumed"):
        tally.add(each)

    def grown(name: str) -> float:
        return after[name] - before[name]

    return Row(
        resumes=len(tally.resume_ms),
        resume_ms=sorted(tally.resume_ms),
        took_s=took_s,
        refused=tally.refused,
        retried=tally.retried,
        lacking=lacking,
        reads=grown("replay_reads_total"),
        other_reads=max(0.0, grown("reads_total") - calm_reads),
        calm_reads_per_s=calm_reads_per_s,
        replayed=grown("replayed_total"),
        rss_before=before["rss_bytes"],
        rss_peak=peak,
        rss_after=after["rss_bytes"],
        ring_bytes=after["ring_bytes"],
        cpu_s=cpu_of(world, edge) - cpu_s,
    )


def show(arguments: argparse.Namespace, warm: Row, cold: Row, tally: Tally) -> None:
    """The table."""
    places = arguments.rooms * ORIGINS
    print(
        f"herd     {arguments.clients:,} clients in {arguments.rooms} rooms, {ORIGINS} origins; "
        f"{arguments.missed} events missed in each room of each origin; all come back within "
        f"{arguments.spread:g} s, while people talk"
    )
    print(ROW.format("", "same edge", "another"))

    def line(name: str, of: Callable[[Row], str]) -> None:
        print(ROW.format(name, of(warm), of(cold)))

    def at(row: Row, share: float) -> str:
        times = row.resume_ms
        return f"{times[min(int(len(times) * share), len(times) - 1)]:,.0f}" if times else "-"

    line("resumed", lambda r: f"{r.resumes:,}")
    line("all back after, s", lambda r: f"{r.took_s:.1f}")
    line("resumes/s", lambda r: f"{r.resumes / r.took_s:,.0f}")
    line("resume p50, ms", lambda r: at(r, 0.5))
    line("resume p99, ms", lambda r: at(r, 0.99))
    line("resume max, ms", lambda r: at(r, 1))
    line("CPU of the edge, s", lambda r: f"{r.cpu_s:.1f}")
    line("attempts refused, or timed out", lambda r: f"{r.refused:,}")
    line("RESUMEs that were asked for again", lambda r: f"{r.retried:,}")
    line("events replayed", lambda r: f"{r.replayed:,.0f}")
    line("reads from NATS for them", lambda r: f"{r.reads:,.0f}")
    line("  a room and origin", lambda r: f"{r.reads / places:.2f}")
    line("reads of the edge itself for them", lambda r: f"{r.other_reads:,.0f}")
    line("  all together, a room and origin", lambda r: f"{(r.reads + r.other_reads) / places:.2f}")
    line("reads a second without a herd", lambda r: f"{r.calm_reads_per_s:.1f}")
    line("RSS before, MiB", lambda r: f"{r.rss_before / 2**20:,.0f}")
    line("RSS peak, MiB", lambda r: f"{r.rss_peak / 2**20:,.0f}")
    line("RSS after, MiB", lambda r: f"{r.rss_after / 2**20:,.0f}")
    line("in rings, MiB", lambda r: f"{r.ring_bytes / 2**20:,.1f}")
    line("events lacking at the end", lambda r: f"{r.lacking:,}")
    print(
        f"heard    {tally.heard:,} events: {tally.missing} missing, {tally.repeated} repeated, "
        f"{tally.gaps} gaps"
    )
    for problem in dict.fromkeys(tally.problems):
        print(f"problem: {problem} ({tally.problems.count(problem)} times)", file=sys.stderr)


@contextmanager
def running(world: World) -> Any:
    """A world, and nothing of it afterwards."""
    try:
        yield world.launch()
    finally:
        world.clean()


def main() -> int:
    """Run it. Exit code 1: something was missing, repeated or lacking, or a bound exceeded."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--rooms", type=int, default=50)
    parser.add_argument("--missed", type=int, default=20, help="events, a room and origin")
    parser.add_argument("--spread", type=float, default=20.0, help="s in which all come back")
    parser.add_argument("--processes", type=int, default=2, help="of the herd")
    bounds = Bounds()
    parser.add_argument("--within", type=float, default=bounds.back_s, help="s until all are back")
    parser.add_argument(
        "--reads", type=float, default=bounds.reads, help="at most, a room and origin"
    )
    parser.add_argument(
        "--rss-mib", type=float, default=bounds.rss_mib, help="of the edge, at most"
    )
    arguments = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    with tempfile.TemporaryDirectory(prefix="jetrelay-soak-") as directory:
        print(f"machine  {describe(Path(directory))}")
        with running(World(Path(directory) / "state", TOPOLOGY)) as world:
            plan = Plan(token(world, "member"), arguments.rooms)
            with folds(plan, arguments.clients, arguments.processes) as all_folds:
                whole = asyncio.run(soak(arguments, world, all_folds))
    return 0 if whole else 1


if __name__ == "__main__":
    raise SystemExit(main())
