"""`python -m tests.simulation`: many seeds, a table of what happened in them, or one seed again.

Exit code 0: all clean; 1: a seed broke a promise; 2: wrong arguments.
"""

import argparse
import gc
import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

from tests.simulation import patches
from tests.simulation.faults import KINDS
from tests.simulation.record import PART, OtherCodeError, Record
from tests.simulation.report import Report
from tests.simulation.run import Outcome, run_seed

CHUNK = 8
SAY_S = 10.0
COLLECT = 4  # seeds between two collections of garbage


def main() -> int:
    """The command."""
    options = _options()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets of strings is part of what a seed decides.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    kinds = tuple(options.faults.split(",")) if options.faults else tuple(KINDS)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        print(f"--faults: {unknown[0]!r} is none of {', '.join(KINDS)}", file=sys.stderr)
        return 2
    if options.seed is not None:
        seeds = [options.seed]
    else:
        seeds = list(range(options.first, options.first + options.seeds))
    jobs = 1 if options.trace or len(seeds) == 1 else options.jobs
    record = None
    if options.record is not None:
        try:
            record = Record(options.record, options.steps, kinds)
        except (OtherCodeError, OSError, ValueError) as error:
            print(f"--record: {error}", file=sys.stderr)
            return 2
        if options.seeds % PART or options.first % PART or options.seed is not None:
            print(f"--record: seeds are kept by the {PART}, from one that is", file=sys.stderr)
            return 2
        seeds = [seed for seed in seeds if seed not in record]
    report, part = Report(), Report()
    said_s = began_s = part_s = time.monotonic()
    for outcome in _outcomes(seeds, options.steps, kinds, jobs, options.trace):
        report.add(outcome)
        part.add(outcome)
        if outcome.violations:
            print(f"\nseed {outcome.seed} broke a promise:", file=sys.stderr)
            for violation in outcome.violations[:5]:
                print(f"  {violation}", file=sys.stderr)
            again = f"python -m tests.simulation --seed {outcome.seed} --steps {options.steps}"
            again += f" --faults {shlex.quote(options.faults)}" if options.faults else ""
            print(f"repeat it: {again} --trace", file=sys.stderr)
            if not options.keep_going:
                break
        if time.monotonic() - said_s > SAY_S:
            said_s = time.monotonic()
            rate = report.seeds / (said_s - began_s)
            print(f"{report.seeds} seeds, {rate:.1f}/s", file=sys.stderr)
        if record is not None and part.seeds == PART:
            part.took_s, part_s = time.monotonic() - part_s, time.monotonic()
            record.keep(outcome.seed - PART + 1, part)
            part = Report()
    report.took_s = time.monotonic() - began_s
    broken = bool(report.failed)
    if record is not None:
        report = record.total()
    print(report.text())
    return 1 if broken or report.failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds (default 300)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--seed", type=int, help="this seed alone")
    parser.add_argument("--steps", type=int, default=200, help="steps a seed (default 200)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--faults", help="only these kinds, by name, with commas between")
    parser.add_argument("--trace", action="store_true", help="print all that happens")
    parser.add_argument("--record", type=Path, help="a file of what has run, to go on with")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a failing seed")
    return parser.parse_args()


def prepare() -> None:
    """Make this process one that simulates."""
    gc.freeze()
    gc.disable()  # nearly all that a run makes lives as long as the run: see `_run`
    patches.install()
    logger = logging.getLogger("jetrelay")
    logger.propagate = False
    logger.setLevel(logging.ERROR)
    # A world that is thrown away ends its coroutines, and some of them say so.
    logger.addHandler(logging.NullHandler())


def _run(seed: int, steps: int, kinds: tuple[str, ...], *, trace: bool = False) -> Outcome:
    outcome = run_seed(seed, steps, kinds, trace=trace)
    if seed % COLLECT == 0:
        gc.collect()
    return outcome


def _outcomes(
    seeds: list[int], steps: int, kinds: tuple[str, ...], jobs: int, trace: bool
) -> Iterator[Outcome]:
    prepare()  # processes that are forked are prepared with it
    if jobs <= 1:
        if trace:
            logging.getLogger("jetrelay").setLevel(logging.INFO)
        for seed in seeds:
            yield _run(seed, steps, kinds, trace=trace)
        return
    chunks = [(seeds[at : at + CHUNK], steps, kinds) for at in range(0, len(seeds), CHUNK)]
    with get_context("fork").Pool(jobs) as pool:
        for outcomes in pool.imap(_chunk, chunks):
            yield from outcomes


def _chunk(work: tuple[list[int], int, tuple[str, ...]]) -> list[Outcome]:
    seeds, steps, kinds = work
    return [_run(seed, steps, kinds) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main())
