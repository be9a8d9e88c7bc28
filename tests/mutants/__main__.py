"""`python -m tests.mutants`: every mutant under the real drill; the table of kills on stdout."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cli.drill_text import live
from regions.drills.timeline import Stage
from tests.bench.machine import describe
from tests.mutants.catalogue import MUTANTS, UnknownMutantError, find_mutant
from tests.mutants.mutant import Mutant
from tests.mutants.series import Series
from tests.mutants.table import table
from tests.mutants.trial import Load, Outcome, try_out

KILLED, SURVIVED, COULD_NOT, INTERRUPTED = 0, 1, 2, 130
STANDARD = Load()


def code_of(outcomes: Sequence[Outcome]) -> int:
    """The exit code."""
    words = {outcome.word for outcome in outcomes}
    if words & {"SURVIVED", "UNCLEAN"}:
        return SURVIVED
    return COULD_NOT if words & {"no verdict", "confounded"} else KILLED


def main() -> int:
    """Run them. Exit codes: 0 all were killed, 1 one survived (or the edge as it is was not
    clean, so that nothing is proved), 2 one gave no verdict, 130 interrupted.

    What proves nothing is tried once more: the edge as it is where it was not clean, and a mutant
    that did not strike, or to which more was counted than it did."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__, epilog=main.__doc__
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="all without")
    parser.add_argument("--clients", type=int, default=STANDARD.clients)
    parser.add_argument("--rate", type=float, default=STANDARD.rate, help="events/s, all together")
    parser.add_argument("--seed", type=int, default=STANDARD.seed)
    parser.add_argument("--reports", type=Path, help="keep all reports, here")
    parser.add_argument("--markdown", action="store_true", help="the table in Markdown")
    parser.add_argument("--list", action="store_true", help="only say which there are")
    arguments = parser.parse_args()
    try:
        mutants = [find_mutant(name) for name in arguments.names] or list(MUTANTS)
    except UnknownMutantError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return COULD_NOT
    if arguments.list:
        for one in mutants:
            print(f"{one.name:24}{one.drill:16}{one.breaks}")
        return KILLED
    load = Load(arguments.clients, arguments.rate, arguments.seed)
    with tempfile.TemporaryDirectory(prefix="jetrelay-mutants-") as scratch:
        print(f"machine  {describe(Path(scratch))}")
    root: Path = arguments.reports or Path(tempfile.mkdtemp(prefix="jetrelay-mutants-"))

    def attempt(mutant: Mutant | None, drill: str, second: bool) -> Outcome:
        name = "none" if mutant is None else mutant.name
        once_more = ", once more" if second else ""
        print(f"mutants: {name}, drill {drill}{once_more}", file=sys.stderr, flush=True)
        # The edge as it is runs as its mutants do.
        how = load.again(drill) if second and mutant is not None else load
        outcome = try_out(
            mutant, drill, how, root / f"{name}-{drill}{'-2' if second else ''}", _tell,
            keep=arguments.reports is not None,
        )  # fmt: skip
        print("\n".join(table([outcome])[1:]), file=sys.stderr, flush=True)
        return outcome

    series = Series(mutants, attempt)
    interrupted = False
    try:
        series.run()
    except KeyboardInterrupt:
        interrupted = True
        print("mutants: interrupted; what was found so far:", file=sys.stderr)
    outcomes = series.outcomes
    for line in table(outcomes, markdown=arguments.markdown):
        print(line)
    if any(root.iterdir()):
        print(f"mutants: reports in {root}", file=sys.stderr)
    else:
        root.rmdir()
    return INTERRUPTED if interrupted else code_of(outcomes)


def _tell(stage: Stage) -> None:
    print(live(stage), file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
