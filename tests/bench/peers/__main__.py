"""`python -m tests.bench.peers`: the edge beside other servers, the same load in one run.

Each round measures every contender once, one after the other, so that what else the machine does
meets all of them. What is compared is CPU time of the server's process, which other work on the
machine disturbs far less than times do. Medians, and the spread of the rounds.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from regions.machine import use_of
from tests.bench.machine import describe
from tests.bench.peers.contenders import CONTENDERS, Contender, MissingError, Running
from tests.bench.peers.crowd import Fanned, Joined, Plan, run_crowd

WAIT_S = 120.0
SETTLE_S = 1.0


@dataclass(frozen=True)
class Round:
    """One contender, once."""

    handshakes_per_cpu_s: float
    kib_each: float  # of the server's memory, for a connection that is in the room
    delivered_per_cpu_s: float
    others_cpu: float  # cores that its nats-server took besides, while it fanned out
    p50_ms: float
    p99_ms: float
    missing: int
    crowd_cpu: float  # cores that the clients took

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return vars(self)


def main() -> int:
    """Measure, and print a table."""
    options = _options()
    rounds: dict[str, list[Round]] = {}
    missing: dict[str, str] = {}
    names = options.only or list(CONTENDERS)
    with tempfile.TemporaryDirectory(prefix="jetrelay-bench-") as directory:
        print(f"machine  {describe(Path(directory))}")
    print(
        f"load     {options.members:,} members of one room, {options.rate:g} events/s of "
        f"{options.size} B for {options.seconds:g} s, {options.rounds} rounds"
    )
    for number in range(options.rounds):
        for name in names:
            if name in missing:
                continue
            print(f"round {number + 1}: {name}", file=sys.stderr)
            try:
                rounds.setdefault(name, []).append(_measure(CONTENDERS[name], options))
            except MissingError as error:
                missing[name] = str(error)
                rounds.pop(name, None)
    _print(rounds, missing)
    if options.json:
        found = {name: [one.as_dict() for one in each] for name, each in rounds.items()}
        options.json.write_text(json.dumps(found, indent=1))
    return 0 if rounds and not any(r.missing for each in rounds.values() for r in each) else 1


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--members", type=int, default=1_000, help="of the room")
    parser.add_argument("--rate", type=float, default=20.0, help="events a second")
    parser.add_argument("--size", type=int, default=128, help="bytes of an event's data")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), help="these contenders")
    parser.add_argument("--json", type=Path, help="all figures, to this file")
    return parser.parse_args()


def _measure(contender: Contender, options: Any) -> Round:
    context = multiprocessing.get_context("spawn")
    with contender.running() as server:
        plan = Plan(server.port, server.dialect, options.members, options.rate, options.seconds,
                    options.size)  # fmt: skip
        ours, theirs = context.Pipe()
        process = context.Process(target=run_crowd, args=(plan, theirs), daemon=True)
        before = _used(server)
        process.start()
        theirs.close()
        try:
            _hear(ours, Joined)
            time.sleep(SETTLE_S)
            joined = _used(server)
            ours.send(options.rate)
            fanned = _hear(ours, Fanned)
            after, others = _used(server), _others(server)
            ours.send(None)
        finally:
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()
    del others
    shake_s, fan_s = joined[0] - before[0], after[0] - joined[0]
    late = sorted(fanned.late_us) or [0]
    return Round(
        handshakes_per_cpu_s=options.members / max(shake_s, 1e-3),
        kib_each=(joined[1] - before[1]) / options.members / 1024,
        delivered_per_cpu_s=fanned.delivered / max(fan_s, 1e-3),
        others_cpu=(after[2] - joined[2]) / fanned.took_s,
        p50_ms=late[len(late) // 2] / 1000,
        p99_ms=late[len(late) * 99 // 100] / 1000,
        missing=fanned.published * options.members - fanned.delivered,
        crowd_cpu=fanned.cpu_s / fanned.took_s,
    )


def _used(server: Running) -> tuple[float, int, float]:
    """CPU s and bytes of the server, and CPU s of what it needs besides."""
    uses = [use for pid in server.pids.values() if (use := use_of(pid)) is not None]
    return sum(use.cpu_s for use in uses), sum(use.rss_bytes for use in uses), _others(server)


def _others(server: Running) -> float:
    return sum(use.cpu_s for pid in server.others.values() if (use := use_of(pid)) is not None)


def _hear(pipe: Connection, kind: type[Any]) -> Any:
    if not pipe.poll(WAIT_S):
        raise SystemExit(f"the clients said nothing for {WAIT_S:g} s")
    word = pipe.recv()
    if not isinstance(word, kind):
        raise SystemExit(f"the clients failed: {word}")
    return word


def _print(rounds: dict[str, list[Round]], missing: dict[str, str]) -> None:
    base = _median([one.delivered_per_cpu_s for one in rounds.get("jetrelay", [])])
    print(
        f"\n{'':<12}{'delivered/CPU-s':>16}{'spread':>8}{'ours is':>9}{'shakes/CPU-s':>14}"
        f"{'KiB each':>10}{'p50 ms':>9}{'p99 ms':>9}{'missing':>9}{'nats':>7}"
    )
    for name, each in rounds.items():
        delivered = [one.delivered_per_cpu_s for one in each]
        middle = _median(delivered)
        spread = (max(delivered) - min(delivered)) / middle if middle else 0.0
        ratio = f"{base / middle:.2f}x" if base and middle else "-"
        print(
            f"{name:<12}{middle:>16,.0f}{spread:>8.0%}{ratio:>9}"
            f"{_median([one.handshakes_per_cpu_s for one in each]):>14,.0f}"
            f"{_median([one.kib_each for one in each]):>10.1f}"
            f"{_median([one.p50_ms for one in each]):>9.1f}"
            f"{_median([one.p99_ms for one in each]):>9.1f}"
            f"{sum(one.missing for one in each):>9,}"
            f"{_median([one.others_cpu for one in each]):>7.0%}"
        )
    for name, why in missing.items():
        print(f"{name:<12} skipped: {why}")


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


if __name__ == "__main__":
    raise SystemExit(main())
