"""The mutants: all of them fit the edge's code as it is, and their table says what happened."""

import subprocess
import sys
from dataclasses import fields, replace

import pytest

from regions.ledger.findings import RULES
from regions.objectives import Objectives
from tests.mutants.__main__ import code_of
from tests.mutants.catalogue import MUTANTS, UnknownMutantError, find_mutant
from tests.mutants.drills import DRILLS, find_drill
from tests.mutants.mutant import OLD_CURSORS, STRUCK, Dice, Mutant, patch
from tests.mutants.series import NOT_RUN, UNCLEAN, Series
from tests.mutants.table import table
from tests.mutants.trial import Load, Outcome, strikes

APPLY = """
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Dice
for mutant in MUTANTS:
    mutant.apply(Dice("1", mutant.one_in))
"""
DROP = find_mutant("drop")
KILLED = Outcome(DROP, "edge-kill", 71.3, 8.0, 11, 4768, 147280, {"missing": 11})
ALONE = Outcome(find_mutant("needs-another-region"), "region-isolate", 80, 2, struck=1)


class Edge:
    """Something to be patched."""

    def say(self, word: str) -> str:
        """Say it."""
        return word


def test_every_mutant_still_finds_the_code_that_it_changes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", APPLY], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_mutant_is_to_be_found_by_a_rule_under_a_drill() -> None:
    drills = {drill.name for drill in DRILLS}
    objectives = {field.name for field in fields(Objectives)}
    for mutant in MUTANTS:
        assert mutant.found
        assert set(mutant.found) <= {*RULES, OLD_CURSORS, *objectives}
        assert mutant.drill in drills
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_code_that_has_moved_is_not_patched_in_silence() -> None:
    with pytest.raises(AttributeError, match="shout"):
        patch(Edge, "shout", lambda _self, _word: "")
    with pytest.raises(TypeError, match="takes 2 parameters, its mutant 1"):
        patch(Edge, "say", lambda _self: "")
    assert Edge().say("hi") == "hi"


def test_dice_strike_as_rarely_as_told_and_the_same_again() -> None:
    one, same, other = (Dice(seed, 50) for seed in ("1/drop/us-1", "1/drop/us-1", "1/drop/us-2"))
    first = [one.strikes() for _ in range(5_000)]
    assert first == [same.strikes() for _ in range(5_000)]
    assert first != [other.strikes() for _ in range(5_000)]
    assert 60 < sum(first) < 140
    assert all(Dice("1", 1).strikes() for _ in range(10))


def test_strikes_are_counted_over_an_edges_lives() -> None:
    lives = [*range(1, 4), *range(1, 65), 128, 1]
    log = ["edge us-1 of us serves", *(f"WARNING jetrelay.mutant: {STRUCK}{n}" for n in lives)]
    assert strikes(log) == 3 + 128 + 1
    assert strikes([]) == 0


class Trials:
    """Attempts with outcomes that are known before: the first and the second one of each."""

    def __init__(self, *seconds: str, failing: tuple[str, ...] = ()) -> None:
        self.made: list[tuple[str, str]] = []
        self._seconds, self._failing = seconds, failing

    def __call__(self, mutant: Mutant | None, drill: str, second: bool) -> Outcome:
        name = "none" if mutant is None else mutant.name
        self.made.append((name, drill))
        unclean = name in self._failing or (name in self._seconds and not second)
        if mutant is None:
            return Outcome(None, drill, 1, 1, violations={"missing": 1} if unclean else {})
        struck = 0 if unclean else 9
        found = {mutant.found[0]: 1} if struck else {}
        return Outcome(mutant, drill, 1, 1, struck, violations=found)


REWIND, SWAP = find_mutant("ignores-epoch"), find_mutant("swap")


def words(series: Series) -> list[tuple[str, str]]:
    return [
        ("none" if one.mutant is None else one.mutant.name, one.failure or one.word)
        for one in series.outcomes
    ]


def test_each_drill_is_run_with_the_edge_as_it_is_first() -> None:
    trials = Trials()
    series = Series([DROP, REWIND, SWAP], trials)
    assert {failure for _, failure in words(series)} == {NOT_RUN}
    series.run()
    assert trials.made == [
        ("none", "edge-kill"),
        ("drop", "edge-kill"),
        ("swap", "edge-kill"),
        ("none", "origin-rewind"),
        ("ignores-epoch", "origin-rewind"),
    ]
    assert [word for _, word in words(series)] == ["clean", "killed", "killed", "clean", "killed"]
    assert code_of(series.outcomes) == 0


def test_what_proves_nothing_is_tried_once_more_and_stands_once_in_the_table() -> None:
    trials = Trials("none", "swap")
    series = Series([DROP, SWAP], trials)
    series.run()
    assert [name for name, _ in trials.made] == ["none", "none", "drop", "swap", "swap"]
    assert words(series) == [("none", "clean"), ("drop", "killed"), ("swap", "killed")]
    trials = Trials(failing=("swap",))
    series = Series([DROP, SWAP], trials)
    series.run()
    assert [name for name, _ in trials.made] == ["none", "drop", "swap", "swap"]
    assert words(series)[-1] == ("swap", "no verdict")


def test_under_a_drill_that_is_never_clean_nothing_is_proved() -> None:
    trials = Trials(failing=("none",))
    series = Series([DROP, SWAP], trials)
    series.run()
    assert [name for name, _ in trials.made] == ["none", "none"]
    assert words(series) == [("none", "UNCLEAN"), ("drop", UNCLEAN), ("swap", UNCLEAN)]
    assert code_of(series.outcomes) == 1


def test_an_interrupted_series_has_a_row_for_each_mutant() -> None:
    def interrupted(mutant: Mutant | None, drill: str, second: bool) -> Outcome:
        if mutant is SWAP:
            raise KeyboardInterrupt
        return Trials()(mutant, drill, second)

    series = Series([DROP, SWAP], interrupted)
    with pytest.raises(KeyboardInterrupt):
        series.run()
    assert words(series) == [("none", "clean"), ("drop", "killed"), ("swap", NOT_RUN)]


def test_a_second_try_hits_other_places_for_longer() -> None:
    assert Load().again("move-behind") == Load(seed=2, hold_s=2 * find_drill("move-behind").hold_s)
    assert Load(hold_s=4).again("edge-kill") == Load(seed=2, hold_s=8)
    assert Load().again("edge-kill") == Load(seed=2)


@pytest.mark.parametrize(
    ("outcome", "word", "code"),
    [
        (KILLED, "killed", 0),
        (replace(KILLED, violations={}), "SURVIVED", 1),
        (replace(KILLED, violations={}, struck=0), "no verdict", 2),
        (replace(KILLED, struck=0), "no verdict", 2),  # whatever it was, it was not the mutant
        # Something is wrong, but it was not what the mutant does that was found.
        (replace(KILLED, violations={"resent": 3}), "SURVIVED", 1),
        (replace(KILLED, mutant=None), "UNCLEAN", 1),
        (replace(KILLED, mutant=None, violations={}), "clean", 0),
        # An objective that no mutant of this drill is known by: the machine was slow.
        (replace(KILLED, mutant=None, violations={}, missed=("current_s",)), "clean", 0),
        (replace(KILLED, violations={}, missed=("current_s",)), "SURVIVED", 1),
        (replace(ALONE, missed=("current_s", "cut_ack_p99_s")), "killed", 0),
        (replace(ALONE, mutant=None, missed=("cut_ack_p99_s",)), "UNCLEAN", 1),
        # More than it did: something else was wrong as well.
        (replace(KILLED, violations={"missing": 12}), "confounded", 2),
        (replace(KILLED, violations={}, proves_nothing=True), "no verdict", 2),
        (replace(KILLED, proves_nothing=True), "killed", 0),
        (replace(KILLED, mutant=None, violations={}, proves_nothing=True), "UNCLEAN", 1),
        (replace(KILLED, failure="the world does not start"), "no verdict", 2),
    ],
)
def test_only_the_expected_finding_is_a_kill(outcome: Outcome, word: str, code: int) -> None:
    assert outcome.word == word
    assert code_of([replace(KILLED, mutant=None, violations={}), outcome]) == code


def test_the_table_says_what_was_broken_and_what_was_found() -> None:
    clean = replace(KILLED, mutant=None, violations={}, struck=0)
    head, first, second = table([clean, KILLED])
    assert head.split()[0] == "MUTANT"
    assert first.startswith("(the edge as it is)")
    assert "clean" in first
    for text in (DROP.name, DROP.breaks, "4,768", "147,280", "missing 11", "killed", "71 s"):
        assert text in second
    assert table([KILLED], markdown=True)[1].startswith("| --- |")


def test_a_mistyped_name_is_told_the_nearest() -> None:
    with pytest.raises(UnknownMutantError, match="did you mean swap"):
        find_mutant("swop")
    assert isinstance(find_mutant("swap"), Mutant)
