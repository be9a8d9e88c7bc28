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
from tests.mutants.table import table
from tests.mutants.trial import Load, Outcome, try_out

KILLED, SURVIVED, COULD_NOT, INTERRUPTED = 0, 1, 2, 130
STANDARD = Load()


def trials(mutants: Sequence[Mutant]) -> list[tuple[Mutant | None, str]]:
    """What to run: for each drill the edge as it is, which must be clean, then its mutants."""
    drills = dict.fromkeys(mutant.drill for mutant in mutants)
    return [
        (mutant, drill)
        for drill in drills
        for mutant in (None, *(one for one in mutants if one.drill == drill))
    ]


def code_of(outcomes: Sequence[Outcome]) -> int:
    """The exit code."""
    words = {outcome.word for outcome in outcomes}
    if words & {"SURVIVED", "UNCLEAN"}:
        return SURVIVED
    return COULD_NOT if "no verdict" in words else KILLED


def main() -> int:
    """Run them. Exit codes: 0 all were killed, 1 one survived (or the edge as it is was not
    clean, so that nothing is proved), 2 one gave no verdict, 130 interrupted."""
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
    outcomes: list[Outcome] = []
    interrupted = False
    try:
        for mutant, drill in trials(mutants):
            name = "none" if mutant is None else mutant.name
            print(f"mutants: {name}, drill {drill}", file=sys.stderr, flush=True)
            outcome = try_out(
                mutant, drill, load, root / f"{name}-{drill}", _tell,
                keep=arguments.reports is not None,
            )  # fmt: skip
            outcomes.append(outcome)
            print("\n".join(table([outcome])[1:]), file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        interrupted = True
        print("mutants: interrupted; what was found so far:", file=sys.stderr)
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
