"""The mutants: all of them fit the edge's code as it is, and their table says what happened."""

import subprocess
import sys
from dataclasses import fields, replace

import pytest

from regions.ledger.findings import RULES
from regions.objectives import Objectives
from tests.mutants.__main__ import code_of, trials
from tests.mutants.catalogue import MUTANTS, UnknownMutantError, find_mutant
from tests.mutants.drills import DRILLS
from tests.mutants.mutant import OLD_CURSORS, STRUCK, Dice, Mutant, patch
from tests.mutants.table import table
from tests.mutants.trial import Outcome, strikes

APPLY = """
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Dice
for mutant in MUTANTS:
    mutant.apply(Dice("1", mutant.one_in))
"""
DROP = find_mutant("drop")
KILLED = Outcome(DROP, "edge-kill", 71.3, 8.0, 11, 4768, 147280, {"missing": 11})
ALONE = Outcome(find_mutant("needs-another-region"), "region-isolate", 80, 2)


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


def test_each_drill_is_run_with_the_edge_as_it_is_first() -> None:
    rewind = find_mutant("ignores-epoch")
    assert trials([DROP, rewind, find_mutant("swap")]) == [
        (None, "edge-kill"),
        (DROP, "edge-kill"),
        (find_mutant("swap"), "edge-kill"),
        (None, "origin-rewind"),
        (rewind, "origin-rewind"),
    ]


@pytest.mark.parametrize(
    ("outcome", "word", "code"),
    [
        (KILLED, "killed", 0),
        (replace(KILLED, violations={}), "SURVIVED", 1),
        (replace(KILLED, violations={}, struck=0), "no verdict", 2),
        # Something is wrong, but it was not what the mutant does that was found.
        (replace(KILLED, violations={"resent": 3}), "SURVIVED", 1),
        (replace(KILLED, mutant=None), "UNCLEAN", 1),
        (replace(KILLED, mutant=None, violations={}), "clean", 0),
        # An objective that no mutant of this drill is known by: the machine was slow.
        (replace(KILLED, mutant=None, violations={}, missed=("current_s",)), "clean", 0),
        (replace(KILLED, violations={}, missed=("current_s",)), "SURVIVED", 1),
        (replace(ALONE, missed=("current_s", "cut_ack_p99_s")), "killed", 0),
        (replace(ALONE, mutant=None, missed=("cut_ack_p99_s",)), "UNCLEAN", 1),
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
