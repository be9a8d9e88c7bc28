"""A series of trials: for each drill the edge as it is, which must be clean, then its mutants."""

from collections.abc import Callable, Sequence

from tests.mutants.mutant import Mutant
from tests.mutants.trial import Outcome

Attempt = Callable[[Mutant | None, str, bool], Outcome]  # True: it is the second one
UNCLEAN = "the edge as it is was not clean under this drill"
NOT_RUN = "not run"


class Series:
    """Trials of mutants, and what came of them so far.

    Args:
        mutants: in the order of the table.
        attempt: carries one trial out.
    """

    def __init__(self, mutants: Sequence[Mutant], attempt: Attempt) -> None:
        self._mutants = mutants
        self._attempt = attempt
        self._found: dict[tuple[str, str], Outcome] = {}  # drill, mutant -> the newest

    def run(self) -> None:
        """All of them. What proves nothing is tried once more."""
        for drill in dict.fromkeys(mutant.drill for mutant in self._mutants):
            clean = self._try(None, drill).word == "clean"
            for mutant in self._mutants:
                if mutant.drill != drill:
                    continue
                if clean:
                    self._try(mutant, drill)
                else:
                    self._keep(Outcome(mutant, drill, 0, 0, failure=UNCLEAN))

    def _try(self, mutant: Mutant | None, drill: str) -> Outcome:
        outcome = self._keep(self._attempt(mutant, drill, False))
        if outcome.word in {"UNCLEAN", "confounded", "no verdict"}:
            outcome = self._keep(self._attempt(mutant, drill, True))
        return outcome

    def _keep(self, outcome: Outcome) -> Outcome:
        name = "" if outcome.mutant is None else outcome.mutant.name
        self._found[outcome.drill, name] = outcome
        return outcome

    @property
    def outcomes(self) -> list[Outcome]:
        """The whole table, at any time: one row for each mutant, and for each drill before."""
        rows: list[Outcome] = []
        for drill in dict.fromkeys(mutant.drill for mutant in self._mutants):
            names = [None, *(mutant for mutant in self._mutants if mutant.drill == drill)]
            rows += [
                self._found.get((drill, "" if one is None else one.name))
                or Outcome(one, drill, 0, 0, failure=NOT_RUN)
                for one in names
            ]
        return rows
