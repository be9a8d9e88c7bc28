"""An edge with a mutant: `python -m tests.mutants.edge [EDGE=]MUTANT[/N]… --seed S --config PATH`.

It is the real edge but for the mutant; without an EDGE, all edges have it. `none` is no mutant. N:
it strikes one in N times, instead of as rarely as the catalogue says.
"""

import argparse
import logging
import sys
from pathlib import Path

from cli.edge import command
from relay.config import load_config
from tests.mutants.catalogue import find_mutant
from tests.mutants.mutant import Dice

NONE = "none"


def apply(wanted: str, edge: str, seed: int) -> None:
    """Patch this process's edge, if `wanted` is meant for it.

    Raises:
        UnknownMutantError: there is no such mutant.
        ValueError: N is no number.
    """
    where, _, what = wanted.rpartition("=")
    name, _, one_in = what.partition("/")
    if name == NONE or where not in {"", edge}:
        return
    mutant = find_mutant(name)
    mutant.apply(Dice(f"{seed}/{name}/{edge}", int(one_in or mutant.one_in)))
    logging.getLogger("jetrelay.mutant").warning("this edge is a mutant: %s", name)


def program(*wanted: str, seed: int) -> tuple[str, ...]:
    """The program that a world is to run as its edges."""
    return (sys.executable, "-m", "tests.mutants.edge", *wanted, "--seed", str(seed))


def main() -> None:
    """Apply the mutant, and run the edge."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.edge", description=__doc__)
    parser.add_argument("mutants", metavar="[EDGE=]MUTANT[/N]", nargs="+")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    edge = load_config(arguments.config).edge
    for wanted in arguments.mutants:
        apply(wanted, edge, arguments.seed)
    command.main(["--config", str(arguments.config)], prog_name="jetrelay edge")


if __name__ == "__main__":
    main()
